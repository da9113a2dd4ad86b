//! What a test looks at: what was asked of the endpoint, and what is there now.

use std::{collections::BTreeMap, fmt, net::IpAddr};

use tokio::time::Instant;

use crate::{
    books::{Group, Image, Instance, InstanceState, KeyPair, Parameter, Region, Snapshot, Tags},
    endpoint::Endpoint,
};

/// How often each action was asked for; a dry run counts as `DryRun`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counts(pub BTreeMap<String, usize>);

impl Counts {
    /// How often an action was asked for.
    pub fn of(&self, action: &str) -> usize {
        self.0.get(action).copied().unwrap_or_default()
    }

    /// How many calls there were.
    pub fn total(&self) -> usize {
        self.0.values().sum()
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (action, count) in &self.0 {
            writeln!(f, "{count:>6}  {action}")?;
        }
        writeln!(f, "{:>6}  in all", self.total())
    }
}

/// Something, and the region that it is in.
pub type Located<T> = (String, T);

impl Endpoint {
    /// How often each action was asked for.
    pub fn counts(&self) -> Counts {
        let mut counts = BTreeMap::new();
        for logged in self.log() {
            let action = if logged.call.dry_run { "DryRun".to_owned() } else { logged.call.action };
            *counts.entry(action).or_default() += 1;
        }
        Counts(counts)
    }

    /// The rules that were broken.
    pub fn violations(&self) -> Vec<String> {
        self.world(|world| world.violations.clone())
    }

    /// The account's images, in all regions.
    pub fn images(&self) -> Vec<Located<Image>> {
        self.all(|region| region.images.values().filter(|image| image.is_own()).collect())
    }

    /// The account disables all of its images in a region.
    pub fn disable_images(&self, region: &str) {
        self.region(region, |region| {
            region.images.values_mut().filter(|image| image.is_own()).for_each(Image::disable);
        });
    }

    /// Someone lets a parameter have this value.
    pub fn name(&self, region: &str, name: &str, value: &str) {
        let parameter = Parameter { value: value.to_owned(), next: None, tags: Tags::new() };
        self.region(region, |region| region.parameters.insert(name.to_owned(), parameter));
    }

    /// Waits until so many calls have arrived.
    pub async fn until(&self, calls: usize) {
        let mut arrivals = self.arrivals();
        arrivals.wait_for(|arrived| *arrived >= calls).await.expect("the endpoint is there");
    }

    /// Waits until an action was asked for, dry runs aside.
    pub async fn until_called(&self, action: &str) {
        let mut arrivals = self.arrivals();
        while self.counts().of(action) == 0 {
            arrivals.changed().await.expect("the endpoint is there");
        }
    }

    /// The instance that an own image was made of, if it was, by what its snapshot says.
    pub fn instance_of_image(&self, image: &str) -> Option<String> {
        let made_of = |snapshot: &Snapshot| {
            let (instance, of) = snapshot.description.strip_prefix("Created by CreateImage(")?.split_once(") for ")?;
            of.starts_with(image).then(|| instance.to_owned())
        };
        self.snapshots().iter().find_map(|(_, snapshot)| made_of(snapshot))
    }

    /// The state of an image, as EC2 calls it.
    pub fn image_state(&self, image: &Image) -> &'static str {
        self.world(|world| image.state(world.now()))
    }

    /// The regions where the account has an image that everybody can launch.
    pub fn public_in(&self) -> Vec<String> {
        self.images().into_iter().filter(|(_, image)| image.is_public()).map(|(region, _)| region).collect()
    }

    /// The account's snapshots, in all regions.
    pub fn snapshots(&self) -> Vec<Located<Snapshot>> {
        self.all(|region| region.snapshots.values().filter(|snapshot| snapshot.is_own()).collect())
    }

    /// All instances that ever were, in all regions.
    pub fn instances(&self) -> Vec<Located<Instance>> {
        self.all(|region| region.instances.values().collect())
    }

    /// The instances that cost money: those that were not told to terminate.
    pub fn live_instances(&self) -> Vec<Located<Instance>> {
        let state = |instance: &Instance| self.instance_state(instance);
        let ended =
            |instance: &Instance| matches!(state(instance), InstanceState::ShuttingDown | InstanceState::Terminated);
        self.instances().into_iter().filter(|(_, instance)| !ended(instance)).collect()
    }

    /// What an instance is doing.
    pub fn instance_state(&self, instance: &Instance) -> InstanceState {
        self.world(|world| instance.state(world.now(), &world.delays))
    }

    /// The instance that is reached at an address, if any is.
    pub fn instance_at(&self, address: IpAddr) -> Option<Located<Instance>> {
        let address = address.to_string();
        let reached = |instance: &Instance| instance.is_reached_at(self.instance_state(instance), &address);
        self.instances().into_iter().find(|(_, instance)| reached(instance))
    }

    /// Whether a security group of an instance has a rule for the family of this address.
    pub fn lets_in(&self, instance: &Instance, address: IpAddr) -> bool {
        let groups = self.groups().into_iter().map(|(_, group)| group).filter(|it| instance.groups.contains(&it.id));
        let is_open = |group: Group| {
            // A group that a test gives has no rules.
            group.name == "given" || group.rules.iter().any(|rule| rule.source.contains(':') == address.is_ipv6())
        };
        groups.into_iter().any(is_open)
    }

    /// From when on sshd answers on an instance, as long as it runs.
    pub fn ssh_answers_at(&self, instance: &Instance) -> Instant {
        self.world(|world| world.instant(instance.launched + world.delays.ssh))
    }

    /// An instance is shut down from inside, as by `shutdown`.
    pub fn shut_down_from_inside(&self, region: &str, id: &str) {
        self.world(|world| {
            let now = world.now();
            let instance = world.region_called(region).instances.get_mut(id).expect("such an instance");
            instance.reason = Some("Client.InstanceInitiatedShutdown".to_owned());
            match instance.shutdown_behavior.as_str() {
                "terminate" => instance.told_to_end = Some(now),
                _ => instance.told_to_stop = Some(now),
            }
        });
    }

    /// The key pairs, in all regions.
    pub fn key_pairs(&self) -> Vec<Located<KeyPair>> {
        self.all(|region| region.key_pairs.values().collect())
    }

    /// The security groups other than the default ones, in all regions.
    pub fn groups(&self) -> Vec<Located<Group>> {
        self.all(|region| region.groups.values().filter(|group| group.name != "default").collect())
    }

    /// What has to be cleaned up: live instances, key pairs and security groups, by id.
    pub fn left(&self) -> Vec<String> {
        let instances = self.live_instances().into_iter().map(|(_, instance)| instance.id);
        let key_pairs = self.key_pairs().into_iter().map(|(_, key_pair)| key_pair.id);
        instances.chain(key_pairs).chain(self.groups().into_iter().map(|(_, group)| group.id)).collect()
    }

    /// The regions where images may not become public.
    pub fn public_access_blocked_in(&self) -> Vec<String> {
        self.world(|world| {
            let now = world.now();
            let blocked = |region: &Region| region.block_public_access.is_blocked(now);
            world.regions.iter().filter(|(_, region)| blocked(region)).map(|(name, _)| name.clone()).collect()
        })
    }

    fn all<T: Clone>(&self, of: impl Fn(&Region) -> Vec<&T>) -> Vec<Located<T>> {
        let located = |name: &String, things: Vec<&T>| -> Vec<Located<T>> {
            things.into_iter().map(|thing| (name.clone(), thing.clone())).collect()
        };
        self.world(|world| world.regions.iter().flat_map(|(name, region)| located(name, of(region))).collect())
    }
}
