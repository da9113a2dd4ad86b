//! A cloud and its machines, in memory and in virtual time, that do what a test tells them to.
//!
//! It is strict where a real cloud would let a mistake pass: what must never happen is written down when it happens.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    fmt,
    net::SocketAddr,
    rc::Rc,
    time::Duration,
};

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use camino::Utf8Path;
use nix::sys::signal::{Signal, raise};
use tokio::time::{Instant, sleep, timeout};
use xtask::{grantee::Grantee, region::Region};
use xtask_ami::{
    cloud::{
        Account, Audience, ClosedDisk, Compute, HowTo, Image, ImageState, Images, Instance, InstanceState, Launch,
        LaunchSource, Leftover, NewImage, Opening, Paced, Phase, SshAccess,
        ec2::commands,
        preflight::{Preflight, Request},
        tags::Tags,
    },
    event::{
        about::{CloudKind, Identity},
        facts::Base,
        ids::{ImageId, InstanceId},
    },
    ground::wait::Pace,
    machine::{Input, Machine, keys::Login, ssh::LoginRefused},
};

/// How long each answer takes, where the test doesn't say otherwise.
const ANSWER: Duration = Duration::from_millis(200);
/// From the launch to sshd listening.
const BOOT: Duration = Duration::from_secs(20);
/// From the order to shut down to the disk at rest.
const SHUTDOWN: Duration = Duration::from_secs(10);
/// How long it takes to make an image, or to copy it.
const IMAGE: Duration = Duration::from_secs(240);

mod books;
mod machine;
mod orders;
mod verbs;

/// What the cloud, or one of its machines, can be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    Base,
    GrantAccess,
    RevokeAccess,
    Launch,
    LookAtInstance,
    ListInstances,
    ReadConsole,
    Connect,
    Stop,
    Terminate,
    CreateImage,
    CopyImage,
    LookAtImage,
    ListImages,
    SnapshotsPublic,
    SnapshotsPrivate,
    ImagePublic,
    ImagePrivate,
    Share,
    Unshare,
    LookAtSnapshots,
    LookAtBlock,
    Block,
    Unblock,
    Deregister,
    /// A command on a machine; its place is the command's word, as [`word`] has it.
    Run,
}

/// What goes wrong with a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// Nothing is done, and an error comes back.
    Refused,
    /// It is done, and an error comes back.
    AnswerLost,
    /// Nothing is done, and no answer ever comes.
    Hangs,
    /// It is done after this long.
    Takes(Duration),
    /// It is done, this process gets a SIGINT, and no answer ever comes.
    Interrupted,
}

/// How an image that is begun comes out.
#[derive(Clone, Copy, Debug)]
pub enum Outcome {
    Available,
    Failed,
    PendingForEver,
}

/// A call that was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    pub verb: Verb,
    /// The region, or the word of a machine's command.
    pub place: String,
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} {}", self.verb, self.place)
    }
}

/// The cloud. Clones are the same cloud.
#[derive(Clone)]
pub struct Fake(Rc<Inner>);

struct Inner {
    identity: RefCell<Identity>,
    state: RefCell<State>,
    troubles: RefCell<Vec<Planned>>,
    calls: RefCell<Vec<Call>>,
}

struct Planned {
    verb: Verb,
    place: String,
    trouble: Trouble,
    times: u32,
}

#[derive(Default)]
struct State {
    regions: Vec<Region>,
    counter: u32,
    instances: BTreeMap<InstanceId, FakeInstance>,
    images: BTreeMap<(Region, ImageId), FakeImage>,
    /// Public keys, by the access's name.
    accesses: BTreeMap<String, String>,
    outcomes: BTreeMap<Region, Outcome>,
    /// What check.sh prints on the booted image, less its last line.
    checks: Vec<String>,
    /// A file that has other bytes on the booted image.
    altered: Option<String>,
    dies_at_boot: bool,
    keeps_id: bool,
    keeps_keys: bool,
    verified: bool,
    /// Where the account blocks public images.
    blocked: BTreeSet<Region>,
    violations: Vec<String>,
}

struct FakeInstance {
    token: String,
    tags: Tags,
    user_data: String,
    address: SocketAddr,
    launched: Instant,
    stopped: Option<Instant>,
    dies: bool,
    /// The image that it booted from; none when it was the base.
    image: Option<ImageId>,
    keys: BTreeSet<String>,
    machine_id: String,
    packages: Vec<String>,
    staged: BTreeMap<String, String>,
    files: BTreeMap<String, String>,
    checked: bool,
}

impl FakeInstance {
    fn state(&self) -> InstanceState {
        match self.stopped {
            Some(at) if at.elapsed() >= SHUTDOWN => InstanceState::Stopped,
            Some(_) => InstanceState::Stopping,
            None if self.launched.elapsed() < BOOT / 2 => InstanceState::Pending,
            None if self.dies => InstanceState::Terminated,
            None => InstanceState::Running,
        }
    }
}

#[derive(Clone)]
struct FakeImage {
    new: NewImage,
    begun: Instant,
    outcome: Outcome,
    public: bool,
    snapshots_public: bool,
    /// Who may do what, beside the owner.
    shared_with: BTreeSet<String>,
    keys: BTreeSet<String>,
    machine_id: String,
    files: BTreeMap<String, String>,
}

impl FakeImage {
    fn state(&self) -> ImageState {
        match self.outcome {
            Outcome::PendingForEver => ImageState::Pending("40%".to_owned()),
            _ if self.begun.elapsed() < IMAGE => ImageState::Pending("40%".to_owned()),
            Outcome::Available => ImageState::Available,
            Outcome::Failed => ImageState::Failed("the snapshot was lost".to_owned()),
        }
    }

    fn seen(&self, id: &ImageId) -> Image {
        Image {
            id: id.clone(),
            name: self.new.name.clone(),
            description: self.new.description.clone(),
            state: self.state(),
            public: self.public,
            tags: self.new.tags.clone(),
            created: "2026-01-01T00:00:00Z".to_owned(),
            deprecate_at: None,
        }
    }
}

fn parse(region: &str) -> Region {
    region.parse().expect("a region")
}

impl Fake {
    async fn perform<T>(&self, verb: Verb, place: &str, deed: impl FnOnce(&mut State) -> Result<T>) -> Result<T> {
        self.0.calls.borrow_mut().push(Call { verb, place: place.to_owned() });
        let trouble = self.trouble(verb, place);
        match trouble {
            Some(Trouble::Hangs) => std::future::pending().await,
            Some(Trouble::Takes(long)) => sleep(long).await,
            _ => sleep(ANSWER).await,
        }
        if trouble == Some(Trouble::Refused) {
            bail!("{verb:?} is refused in {place}");
        }
        let answer = deed(&mut self.0.state.borrow_mut());
        match trouble {
            Some(Trouble::AnswerLost) => {
                answer?;
                bail!("the answer to {verb:?} in {place} is lost")
            }
            Some(Trouble::Interrupted) => {
                raise(Signal::SIGINT)?;
                std::future::pending().await
            }
            _ => answer,
        }
    }

    fn trouble(&self, verb: Verb, place: &str) -> Option<Trouble> {
        let mut troubles = self.0.troubles.borrow_mut();
        let hit = |planned: &&mut Planned| planned.verb == verb && planned.place == place && planned.times > 0;
        let planned = troubles.iter_mut().find(hit)?;
        planned.times -= 1;
        Some(planned.trouble)
    }
}

/// A login on an instance.
pub struct FakeMachine {
    cloud: Fake,
    instance: InstanceId,
}
