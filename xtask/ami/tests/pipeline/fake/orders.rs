//! What the tests tell the cloud, and ask it.

use super::*;

impl Fake {
    /// A cloud in which all goes well, for a job in these regions.
    pub fn new(regions: &[Region]) -> Fake {
        let checks = ["system is up", "machida help", "hyperthreads"].map(|name| format!("ok {name}"));
        let state = State { regions: regions.to_vec(), checks: checks.to_vec(), ..State::default() };
        let identity = Identity { kind: CloudKind::Ec2, account: "123456789012".to_owned(), endpoint: None };
        Fake(Rc::new(Inner {
            identity: identity.into(),
            state: state.into(),
            troubles: RefCell::default(),
            calls: RefCell::default(),
        }))
    }

    /// From now on, each such call has this trouble.
    pub fn always(&self, verb: Verb, place: &str, trouble: Trouble) {
        self.plan(verb, place, trouble, u32::MAX);
    }

    /// The next such call has this trouble.
    pub fn once(&self, verb: Verb, place: &str, trouble: Trouble) {
        self.plan(verb, place, trouble, 1);
    }

    fn plan(&self, verb: Verb, place: &str, trouble: Trouble, times: u32) {
        self.0.troubles.borrow_mut().push(Planned { verb, place: place.to_owned(), trouble, times });
    }

    /// How images that are begun in a region come out.
    pub fn images_come_out(&self, region: &str, outcome: Outcome) {
        self.0.state.borrow_mut().outcomes.insert(parse(region), outcome);
    }

    /// What check.sh prints on the booted image, less its last line.
    pub fn check_prints(&self, lines: &[&str]) {
        self.0.state.borrow_mut().checks = lines.iter().map(|line| (*line).to_owned()).collect();
    }

    /// This file has other bytes on the booted image.
    pub fn alter(&self, path: &str) {
        self.0.state.borrow_mut().altered = Some(path.to_owned());
    }

    /// Instances end before anybody can log in.
    pub fn instances_die(&self) {
        self.0.state.borrow_mut().dies_at_boot = true;
    }

    /// seal.sh leaves the machine's id where it is.
    pub fn seal_keeps_the_machine_id(&self) {
        self.0.state.borrow_mut().keeps_id = true;
    }

    /// seal.sh leaves the login key where it is.
    pub fn seal_keeps_the_key(&self) {
        self.0.state.borrow_mut().keeps_keys = true;
    }

    /// The image may become public although there is none in this region.
    pub fn may_be_left_out(&self, region: &str) {
        self.0.state.borrow_mut().regions.retain(|other| other.as_str() != region);
    }

    /// Somebody else makes an image.
    pub fn somebody_makes(&self, region: &str, name: &str) -> ImageId {
        let mut state = self.0.state.borrow_mut();
        let new = NewImage {
            token: "somebody's".to_owned(),
            name: name.to_owned(),
            description: "of somebody else".to_owned(),
            tags: Tags::new(),
            deprecate_at: None,
            require_imds_v2: false,
        };
        let image = FakeImage {
            new,
            begun: Instant::now() - IMAGE,
            outcome: Outcome::Available,
            public: false,
            snapshots_public: false,
            shared_with: BTreeSet::new(),
            keys: BTreeSet::new(),
            machine_id: String::new(),
            files: BTreeMap::new(),
        };
        let id = ImageId(state.id("ami"));
        state.images.insert((parse(region), id.clone()), image);
        id
    }

    /// All calls, in the order in which they were made.
    pub fn calls(&self) -> Vec<Call> {
        self.0.calls.borrow().clone()
    }

    /// Where calls of a verb stand in the order of all calls.
    pub fn positions(&self, verb: Verb) -> Vec<usize> {
        let calls = self.0.calls.borrow();
        calls.iter().enumerate().filter(|(_, call)| call.verb == verb).map(|(position, _)| position).collect()
    }

    /// No call of this verb was made.
    #[track_caller]
    pub fn never(&self, verb: Verb) {
        assert!(self.positions(verb).is_empty(), "{verb:?} was called");
    }

    /// The images that there are, with the region of each.
    pub fn all_images(&self) -> Vec<(String, Image)> {
        let state = self.0.state.borrow();
        state.images.iter().map(|((region, id), image)| (region.to_string(), image.seen(id))).collect()
    }

    /// The regions of what everybody can see or copy.
    pub fn public(&self) -> Vec<String> {
        let state = self.0.state.borrow();
        let open = state.images.iter().filter(|(_, image)| image.public || image.snapshots_public);
        open.map(|((region, _), _)| region.to_string()).collect()
    }

    /// The regions of what everybody can copy.
    pub fn copyable(&self) -> Vec<String> {
        let state = self.0.state.borrow();
        let open = state.images.iter().filter(|(_, image)| image.snapshots_public);
        open.map(|((region, _), _)| region.to_string()).collect()
    }

    /// Who may do what with the image in a region, beside its owner.
    pub fn shared_with(&self, region: &str) -> Vec<String> {
        let state = self.0.state.borrow();
        let here = state.images.iter().filter(|((at, _), _)| at.as_str() == region);
        here.flat_map(|(_, image)| image.shared_with.iter().cloned()).collect()
    }

    /// The account blocks public images in a region.
    pub fn block(&self, region: &str) {
        self.0.state.borrow_mut().blocked.insert(parse(region));
    }

    /// Where the account blocks public images.
    pub fn blocked(&self) -> Vec<String> {
        self.0.state.borrow().blocked.iter().map(ToString::to_string).collect()
    }

    /// The instances and accesses that are left.
    pub fn left(&self) -> Vec<String> {
        let state = self.0.state.borrow();
        let alive = state.instances.iter().filter(|(_, instance)| instance.state() != InstanceState::Terminated);
        alive.map(|(id, _)| id.to_string()).chain(state.accesses.keys().cloned()).collect()
    }

    /// What must never happen, and happened.
    pub fn violations(&self) -> Vec<String> {
        self.0.state.borrow().violations.clone()
    }
}
