//! The script: what goes wrong is what a test says. It also tells the cloud's books, and asks them.

use std::{collections::BTreeMap, time::Duration};

use tokio::time::Instant;
use xtask::region::Region;
use xtask_ami::{
    cloud::{Image, NewImage, tags::Tags},
    event::ids::ImageId,
    ground::sha256::sha256,
};

use crate::{
    cloud::Cloud,
    fate::{Fate, Fault, Verb},
    images::SimImage,
    kit::Disk,
};

/// How long each answer takes, where the test doesn't say otherwise.
const ANSWER: Duration = Duration::from_millis(200);
/// How long it takes to make an image, or to copy it.
const IMAGE: Duration = Duration::from_secs(240);
/// Longer than anybody waits.
const FOR_EVER: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// What goes wrong is what was planned, and all else goes well.
#[derive(Debug, Default)]
pub struct Script {
    planned: Vec<Planned>,
    /// All calls, with their places, in the order in which they were made.
    pub calls: Vec<(Verb, String)>,
    outcomes: BTreeMap<Region, Outcome>,
    /// A file that has other bytes in the image.
    altered: Option<String>,
    dies_at_boot: bool,
}

/// How an image that is begun comes out.
#[derive(Clone, Copy, Debug)]
pub enum Outcome {
    Failed,
    PendingForEver,
}

#[derive(Debug)]
struct Planned {
    verb: Verb,
    place: String,
    takes: Duration,
    fault: Option<Fault>,
    times: u32,
}

impl Fate for Script {
    fn of_call(&mut self, verb: Verb, place: &str) -> (Duration, Option<Fault>) {
        self.calls.push((verb, place.to_owned()));
        let hit = |planned: &&mut Planned| planned.verb == verb && planned.place == place && planned.times > 0;
        let Some(planned) = self.planned.iter_mut().find(hit) else { return (ANSWER, None) };
        planned.times -= 1;
        (planned.takes, planned.fault)
    }

    fn lag(&mut self, limit: Duration) -> Duration {
        limit / 2
    }

    fn is_full(&mut self) -> bool {
        false
    }

    fn death(&mut self) -> Option<Instant> {
        // So long ago that it is over when the machine is shown.
        self.dies_at_boot.then(|| Instant::now() - IMAGE)
    }

    fn of_image(&mut self, region: &Region) -> (Duration, bool) {
        match self.outcomes.get(region) {
            None => (IMAGE, false),
            Some(Outcome::Failed) => (IMAGE, true),
            Some(Outcome::PendingForEver) => (FOR_EVER, false),
        }
    }

    fn rot(&mut self, files: &mut BTreeMap<String, String>) {
        files.extend(self.altered.take().map(|path| (path, sha256(b"other bytes"))));
    }

    fn leaves_a_snapshot(&mut self) -> bool {
        false
    }
}

fn parse(region: &str) -> Region {
    region.parse().expect("a region")
}

impl Cloud<Script> {
    /// From now on, each such call goes wrong.
    pub fn always(&self, verb: Verb, place: &str, fault: Fault) {
        self.plan(verb, place, ANSWER, Some(fault), u32::MAX);
    }

    /// The next such call goes wrong.
    pub fn once(&self, verb: Verb, place: &str, fault: Fault) {
        self.plan(verb, place, ANSWER, Some(fault), 1);
    }

    /// The next such call is carried out after this long.
    pub fn slowly(&self, verb: Verb, place: &str, takes: Duration) {
        self.plan(verb, place, takes, None, 1);
    }

    fn plan(&self, verb: Verb, place: &str, takes: Duration, fault: Option<Fault>, times: u32) {
        self.fate.borrow_mut().planned.push(Planned { verb, place: place.to_owned(), takes, fault, times });
    }

    /// How images that are begun in a region come out.
    pub fn images_come_out(&self, region: &str, outcome: Outcome) {
        self.fate.borrow_mut().outcomes.insert(parse(region), outcome);
    }

    /// What check.sh prints on the booted image, less its last line.
    pub fn check_prints(&self, lines: &[&str]) {
        self.books.borrow_mut().scripts.checks = lines.iter().map(|line| (*line).to_owned()).collect();
    }

    /// This file has other bytes in the image than were installed.
    pub fn alter(&self, path: &str) {
        self.fate.borrow_mut().altered = Some(path.to_owned());
    }

    /// Instances end before anybody can log in.
    pub fn instances_die(&self) {
        self.fate.borrow_mut().dies_at_boot = true;
    }

    /// seal.sh leaves the machine's id where it is.
    pub fn seal_keeps_the_machine_id(&self) {
        self.books.borrow_mut().scripts.keeps_id = true;
    }

    /// seal.sh leaves the login key where it is.
    pub fn seal_keeps_the_key(&self) {
        self.books.borrow_mut().scripts.keeps_keys = true;
    }

    /// The image may become public although there is none in this region.
    pub fn may_be_left_out(&self, region: &str) {
        self.books.borrow_mut().regions.retain(|other| other.as_str() != region);
    }

    /// Another account, or this one elsewhere, makes an image.
    pub fn add_foreign_image(&self, region: &str, name: &str) -> ImageId {
        let new = NewImage {
            token: "another build's".to_owned(),
            name: name.to_owned(),
            description: "made elsewhere".to_owned(),
            tags: Tags::new(),
            deprecate_at: None,
            require_imds_v2: false,
        };
        let (region, mut books) = (parse(region), self.books.borrow_mut());
        let id = ImageId(books.id("ami"));
        let begun = SimImage::begun(&new, &id, Disk::default(), &region, &mut *self.fate.borrow_mut());
        books.images.insert((region, id.clone()), SimImage { ready: Instant::now(), ..begun });
        id
    }

    /// Whether such a call was made.
    pub fn was_asked(&self, verb: Verb, place: &str) -> bool {
        self.fate.borrow().calls.contains(&(verb, place.to_owned()))
    }

    /// Where calls of a verb stand in the order of all calls.
    pub fn positions(&self, verb: Verb) -> Vec<usize> {
        let fate = self.fate.borrow();
        fate.calls.iter().enumerate().filter(|(_, call)| call.0 == verb).map(|(position, _)| position).collect()
    }

    /// No call of this verb was made.
    #[track_caller]
    pub fn never(&self, verb: Verb) {
        assert!(self.positions(verb).is_empty(), "{verb:?} was called");
    }

    /// The images that there are, with the region of each.
    pub fn all_images(&self) -> Vec<(String, Image)> {
        self.those(|_| true, |region, id, image| (region.to_string(), image.seen(id)))
    }

    /// The regions of what everybody can see or copy.
    pub fn public(&self) -> Vec<String> {
        self.those(|image| image.public || image.snapshots_public, |region, _, _| region.to_string())
    }

    /// The regions of what everybody can copy.
    pub fn copyable(&self) -> Vec<String> {
        self.those(|image| image.snapshots_public, |region, _, _| region.to_string())
    }

    /// Who may do what with the image in a region, beside its owner.
    pub fn shared_with(&self, region: &str) -> Vec<String> {
        let all = self.those(|_| true, |at, _, image| (at.to_string(), image.shared_with.clone()));
        all.into_iter().filter(|(at, _)| at == region).flat_map(|(_, shared)| shared).collect()
    }

    fn those<T>(&self, are: impl Fn(&SimImage) -> bool, told: impl Fn(&Region, &ImageId, &SimImage) -> T) -> Vec<T> {
        let books = self.books.borrow();
        let those = books.images.iter().filter(|(_, image)| !image.gone && are(image));
        those.map(|((region, id), image)| told(region, id, image)).collect()
    }

    /// The account blocks public images in a region.
    pub fn block(&self, region: &str) {
        self.books.borrow_mut().blocks.insert(parse(region), (true, Instant::now()));
    }

    /// Where the account blocks public images, or is about to.
    pub fn blocked(&self) -> Vec<String> {
        let books = self.books.borrow();
        books.blocks.iter().filter(|(_, (block, _))| *block).map(|(region, _)| region.to_string()).collect()
    }

    /// The machines that were not told to terminate, and the accesses, that are left.
    pub fn left(&self) -> Vec<String> {
        let books = self.books.borrow();
        let ending = |id: &String| books.instances.iter().any(|(other, it)| other.0 == *id && it.is_ending());
        books.running().into_iter().filter(|left| !ending(left)).collect()
    }
}
