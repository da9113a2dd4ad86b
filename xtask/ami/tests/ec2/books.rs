//! What the endpoint keeps books of. Nothing in them moves by itself: what state something is in follows from when it
//! was begun, and the time.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, SystemTime},
};

use aws_smithy_types::date_time::{DateTime, Format};
use tokio::time::Instant;

use crate::{
    delays::Delays,
    request::{Call, Parameters},
    xml::{Refusal, Refused, refuse},
};

mod image;
mod instance;
mod network;
mod parameter;

pub use image::{BlockPublicAccess, Hardware, Image, Outcome, Snapshot};
pub use instance::{Fate, Instance, InstanceState};
pub use network::{Group, InstanceType, KeyPair, Paths, Rule, Subnet};
pub use parameter::Parameter;

/// Key and value of each tag.
pub type Tags = BTreeMap<String, String>;

/// The account that calls.
pub const ACCOUNT: &str = "111122223333";
/// The account of those who make Ubuntu.
pub const CANONICAL: &str = "099720109477";

/// The whole of EC2, as one account sees it.
#[derive(Clone, Debug)]
pub struct World {
    began: Instant,
    /// The time on the wall when virtual time begins.
    pub wall_clock: SystemTime,
    /// How long everything takes.
    pub delays: Delays,
    /// What there is in each region.
    pub regions: BTreeMap<String, Region>,
    /// The actions that the account may not do.
    pub denied: BTreeSet<String>,
    /// A dry run looks whether what it names is there before it tells whether it would be allowed.
    pub dry_runs_look_first: bool,
    /// Whose the credentials are.
    pub caller: String,
    /// What is wrong with the account's credentials, and from when on.
    pub credentials: Option<(Duration, CredentialTrouble)>,
    /// What the encoded reasons of denials say; none where the account may not decode them.
    pub decoded: Option<serde_json::Value>,
    /// The accounts that nothing can be shared with, because there are none of these ids.
    pub closed_accounts: BTreeSet<String>,
    /// Whether the public image quota can be read.
    pub quota_readable: bool,
    /// The rules that were broken.
    pub violations: Vec<String>,
    counter: u64,
}

/// What is wrong with credentials.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CredentialTrouble {
    /// They were good until now.
    Expired,
    /// They never were any.
    Invalid,
}

/// What there is in a region, and what its settings are.
#[derive(Clone, Debug, Default)]
pub struct Region {
    /// As DescribeRegions has it: `opt-in-not-required`, `opted-in` or `not-opted-in`.
    pub opt_in: &'static str,
    /// By id.
    pub images: BTreeMap<String, Image>,
    /// The ids of images that were deregistered: they are known for a while.
    pub deregistered: BTreeSet<String>,
    /// What the Recycle Bin has, where the account has rules for it.
    pub recycle_bin: Option<BTreeSet<String>>,
    /// The snapshots of an image that is deregistered have to be deleted by a call of their own.
    pub keeps_snapshots: bool,
    /// By id.
    pub snapshots: BTreeMap<String, Snapshot>,
    /// By id.
    pub instances: BTreeMap<String, Instance>,
    /// Volumes that outlived their instances, by id.
    pub volumes: BTreeMap<String, Tags>,
    /// SSM's parameters, by name.
    pub parameters: BTreeMap<String, Parameter>,
    /// By name.
    pub key_pairs: BTreeMap<String, KeyPair>,
    /// By id.
    pub groups: BTreeMap<String, Group>,
    /// The subnets; those of the default VPC are all default for their zones.
    pub subnets: Vec<Subnet>,
    /// What is in the way between instances and the internet.
    pub paths: Paths,
    /// The owners whose images the account sees, besides itself; all where there are none.
    pub allowed_owners: Option<Vec<String>>,
    /// The id of the default VPC, if there is one.
    pub default_vpc: Option<String>,
    /// The zones that have no capacity left.
    pub full_zones: BTreeSet<String>,
    /// The zones that don't have an instance type at all.
    pub zones_without: BTreeSet<(String, String)>,
    /// How many images may be public.
    pub public_image_quota: usize,
    /// New volumes, and so their snapshots, are encrypted.
    pub encrypts_by_default: bool,
    /// The KMS keys that are not enabled symmetric keys of the account's own, by the name that is asked for: what of their
    /// metadata is different; null where there is no such key.
    pub odd_keys: BTreeMap<String, serde_json::Value>,
    /// Whether images may become public.
    pub block_public_access: BlockPublicAccess,
    /// Whether snapshots may not become public.
    pub public_snapshots_blocked: bool,
    /// What every instance type is like there.
    pub instance_type: InstanceType,
    /// What happens to images while they are made.
    pub spoils: Option<fn(&mut Image)>,
    /// How images that are begun come out.
    pub images_come_out: Outcome,
    /// How instances that are launched fare.
    pub instances_fare: Fate,
    /// What was done for each action and client token, and with which parameters.
    tokens: BTreeMap<(String, String), (Parameters, String)>,
}

impl World {
    /// A world in which all goes well.
    pub fn new() -> World {
        let enabled = ENABLED.split_whitespace().map(|name| (name, "opt-in-not-required"));
        let others = NOT_ENABLED.split_whitespace().map(|name| (name, "not-opted-in"));
        let region = |(name, opt_in): (&str, _)| (name.to_owned(), Region::new(name, opt_in));
        World {
            began: Instant::now(),
            wall_clock: SystemTime::now(),
            delays: Delays::default(),
            regions: enabled.chain(others).map(region).collect(),
            denied: BTreeSet::new(),
            dry_runs_look_first: false,
            caller: ACCOUNT.to_owned(),
            credentials: None,
            decoded: None,
            closed_accounts: BTreeSet::new(),
            quota_readable: true,
            violations: Vec::new(),
            counter: 0,
        }
    }

    /// How much virtual time has passed since the beginning.
    pub fn now(&self) -> Duration {
        self.began.elapsed()
    }

    /// A moment since the beginning, as tokio has it.
    pub fn instant(&self, moment: Duration) -> Instant {
        self.began + moment
    }

    /// A moment since the beginning, as EC2 writes it.
    pub fn date(&self, moment: Duration) -> String {
        let seconds = (self.wall_clock + moment).duration_since(SystemTime::UNIX_EPOCH).expect("after 1970").as_secs();
        written(seconds.cast_signed())
    }

    /// Whether what was created at this moment is seen by now.
    pub fn sees(&self, created: Duration) -> bool {
        self.now() >= created + self.delays.unseen
    }

    /// An id that nothing else has.
    pub fn id(&mut self, kind: &str) -> String {
        self.counter += 1;
        format!("{kind}-{:017x}", self.counter)
    }

    /// The region that a call is for.
    pub fn region(&mut self, call: &Call) -> &mut Region {
        self.region_called(&call.region)
    }

    /// A region by its name.
    pub fn region_called(&mut self, name: &str) -> &mut Region {
        self.regions.get_mut(name).unwrap_or_else(|| panic!("no region is called {name}"))
    }

    /// The same, to look at.
    pub fn here(&self, call: &Call) -> &Region {
        &self.regions[&call.region]
    }

    /// Records that a rule was broken.
    pub fn violated(&mut self, call: &Call, what: &str) {
        self.violations.push(format!("{} {}: {what}", call.region, call.action));
    }

    /// Records when something is created without tags.
    pub fn expect_tags(&mut self, call: &Call, kinds: &[&str]) {
        for kind in kinds {
            if call.parameters.tags(kind).is_empty() {
                self.violated(call, &format!("the {kind} is created without tags"));
            }
        }
    }

    /// What was created already for this call's client token.
    pub fn known(&mut self, call: &Call) -> Refused<Option<String>> {
        let Some(token) = call.parameters.get("ClientToken") else { return Ok(None) };
        if token.len() > 64 {
            refuse!("InvalidParameterValue", "The client token is longer than 64 characters");
        }
        match self.region(call).tokens.get(&(call.action.clone(), token.to_owned())) {
            None => Ok(None),
            Some((parameters, id)) if *parameters == call.parameters => Ok(Some(id.clone())),
            Some(_) => refuse!("IdempotentParameterMismatch", "Arguments are inconsistent with token {token}"),
        }
    }

    /// Remembers what was created for this call's client token.
    pub fn remember(&mut self, call: &Call, id: &str) {
        let Some(token) = call.parameters.get("ClientToken") else { return };
        let key = (call.action.clone(), token.to_owned());
        self.region(call).tokens.insert(key, (call.parameters.clone(), id.to_owned()));
    }

    /// An image that the caller sees.
    pub fn image(&self, region: &str, id: &str) -> Refused<&Image> {
        let region = &self.regions[region];
        if region.deregistered.contains(id) {
            refuse!("InvalidAMIID.Unavailable", "The image ID '{id}' is no longer available");
        }
        let is_shown =
            |image: &Image| region.allowed_owners.as_ref().is_none_or(|owners| owners.contains(&image.owner));
        let seen = |image: &&Image| {
            if image.is_own() { self.sees(image.created) } else { image.is_public() && is_shown(image) }
        };
        let unknown = || unknown(id, "ami", ["InvalidAMIID.NotFound", "InvalidAMIID.Malformed"]);
        region.images.get(id).filter(seen).ok_or_else(unknown)
    }

    /// A snapshot that the caller sees.
    pub fn snapshot(&self, region: &str, id: &str) -> Refused<&Snapshot> {
        let snapshot = self.regions[region].snapshots.get(id).filter(|it| !it.is_own() || self.sees(it.created));
        snapshot.ok_or_else(|| unknown(id, "snap", ["InvalidSnapshot.NotFound", "InvalidSnapshotID.Malformed"]))
    }

    /// An instance that the caller sees.
    pub fn instance(&self, region: &str, id: &str) -> Refused<&Instance> {
        let instance = self.regions[region].instances.get(id).filter(|instance| self.sees(instance.launched));
        instance.ok_or_else(|| unknown(id, "i", ["InvalidInstanceID.NotFound", "InvalidInstanceID.Malformed"]))
    }

    /// A security group that the caller sees.
    pub fn group(&self, region: &str, id: &str) -> Refused<&Group> {
        match self.regions[region].groups.get(id).filter(|group| self.sees(group.created)) {
            Some(group) => Ok(group),
            None => refuse!("InvalidGroup.NotFound", "The security group '{id}' does not exist"),
        }
    }
}

/// The refusal of an id that nothing has: the first code, or the second when nothing of this kind could have it.
fn unknown(id: &str, kind: &str, [not_found, malformed]: [&str; 2]) -> Refusal {
    let digits = id.strip_prefix(kind).and_then(|rest| rest.strip_prefix('-'));
    match digits.is_some_and(|digits| digits.len() >= 8 && digits.bytes().all(|digit| digit.is_ascii_hexdigit())) {
        true => Refusal::new(not_found, format!("The ID '{id}' does not exist")),
        false => Refusal::new(malformed, format!("Invalid id: \"{id}\" (expecting \"{kind}-...\")")),
    }
}

/// A moment since 1970, as EC2 writes it.
pub fn written(seconds: i64) -> String {
    let date = DateTime::from_secs(seconds).fmt(Format::DateTime).expect("a date of our times");
    date.replace('Z', ".000Z")
}

const ENABLED: &str = "ap-northeast-1 ap-northeast-2 ap-northeast-3 ap-south-1 ap-southeast-1 ap-southeast-2 \
                       ca-central-1 eu-central-1 eu-north-1 eu-west-1 eu-west-2 eu-west-3 sa-east-1 us-east-1 \
                       us-east-2 us-west-1 us-west-2";
const NOT_ENABLED: &str = "af-south-1 ap-east-1 me-south-1";

impl Region {
    /// A region with a default VPC, and nothing in it.
    pub fn new(name: &str, opt_in: &'static str) -> Region {
        let vpc = format!("vpc-{name}");
        let zones = ["a", "b", "c"].map(|letter| format!("{name}{letter}"));
        let subnet = |zone: &String| Subnet {
            id: format!("subnet-{zone}"),
            vpc: vpc.clone(),
            zone: zone.clone(),
            ..Subnet::default()
        };
        let subnets = zones.each_ref().map(|zone| Subnet { default: true, ..subnet(zone) });
        let subnets = subnets.to_vec();
        let mut region = Region { opt_in, subnets, default_vpc: Some(vpc), public_image_quota: 5, ..Region::default() };
        region.give_group(&format!("sg-default-{name}"), "default");
        region
    }

    /// Leaves the region without a default VPC, and with one of the account's own.
    pub fn without_default_vpc(&mut self) {
        self.default_vpc = None;
        self.subnets.iter_mut().for_each(|subnet| subnet.default = false);
    }

    /// Gives the region a security group in its default VPC, that was always there.
    pub fn give_group(&mut self, id: &str, name: &str) {
        let vpc = self.default_vpc.clone().expect("a default VPC");
        let group = Group { id: id.to_owned(), name: name.to_owned(), vpc, ..Group::default() };
        self.groups.insert(group.id.clone(), group);
    }

    /// Gives the default VPC a subnet that is not its zone's default one, in the first zone.
    pub fn give_subnet(&mut self, name: &str, id: &str) -> &mut Subnet {
        let (vpc, zone) = (self.default_vpc.clone().expect("a default VPC"), format!("{name}a"));
        self.subnets.push(Subnet { id: id.to_owned(), vpc, zone, private: true, ..Subnet::default() });
        self.subnets.last_mut().expect("it is there")
    }

    /// Puts an image there, with its snapshot.
    pub fn put(&mut self, image: Image, snapshot: Snapshot) {
        self.snapshots.insert(snapshot.id.clone(), snapshot);
        self.images.insert(image.id.clone(), image);
    }
}
