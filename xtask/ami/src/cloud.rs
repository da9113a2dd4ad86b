//! The verbs that all clouds share. The pipeline is written in them, and knows nothing else of a cloud.
//!
//! Every verb that creates something takes a token or a unique name, and does the work at most once for it: called
//! again after a lost answer or a crash, it gives the first result back.

use std::{fmt, net::SocketAddr, time::Duration};

use anyhow::Result;
use camino::Utf8Path;
use serde::{Deserialize, Serialize};
use xtask::{region::Region, version::Version};

use crate::{
    machine::{HostKey, LoginKey, Machine},
    wait::Pace,
};

mod image;
pub mod qemu;

pub use image::{Image, ImageState, NewImage};

/// A newtype for each kind of id, so that none is taken for another.
macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub String);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

id!(
    /// The id of an image, such as `ami-0123456789abcdef0`. It means something in its region only.
    ImageId
);
id!(
    /// The id of an instance, such as `i-0123456789abcdef0`.
    InstanceId
);

/// A cloud that instances are launched in, and images made of them.
#[expect(async_fn_in_trait, reason = "the futures are awaited on one thread, so nobody needs them to be Send")]
pub trait Cloud {
    /// What a login on an instance gives.
    type Machine: Machine;

    /// What the plan tells of this cloud, and all that stands in the way of the request. Creates nothing.
    ///
    /// # Errors
    /// When it can't be found out.
    async fn preflight(&self, request: &Request) -> Result<Preflight>;

    /// When to look for the end of a phase: how long it takes, and what a look costs, differs between clouds.
    fn pace(&self, phase: Phase) -> Pace;

    /// The base that the image is made of; found, or made when it can be.
    ///
    /// # Errors
    /// When there is none, or making it fails; its output goes to `log`.
    async fn base(&self, log: &Utf8Path) -> Result<Base>;

    /// Lets the holder of `key` log in to instances launched with this access's name.
    ///
    /// # Errors
    /// When the cloud refuses.
    async fn grant_access(&self, region: &Region, access: &Access) -> Result<()>;

    /// Takes an access away. One that isn't there is fine.
    ///
    /// # Errors
    /// When the cloud refuses.
    async fn revoke_access(&self, region: &Region, name: &str) -> Result<()>;

    /// Launches an instance; it is `Pending` at first.
    ///
    /// # Errors
    /// When the cloud refuses, or the image isn't there.
    async fn launch(&self, region: &Region, launch: &Launch) -> Result<InstanceId>;

    /// An instance as it is now; none when the cloud doesn't know it (yet, or any more).
    ///
    /// # Errors
    /// When the cloud doesn't answer.
    async fn instance(&self, region: &Region, id: &InstanceId) -> Result<Option<Instance>>;

    /// The instances that carry a build's tag, those that have ended aside.
    ///
    /// # Errors
    /// When the cloud doesn't answer.
    async fn instances_of(&self, region: &Region, build: &str) -> Result<Vec<InstanceId>>;

    /// What an instance printed on its console, as far as the cloud has it.
    ///
    /// # Errors
    /// When the cloud doesn't answer.
    async fn console(&self, region: &Region, id: &InstanceId) -> Result<String>;

    /// One attempt to log in, with a bound of seconds: pinned to the host key, so another machine is never talked to.
    ///
    /// # Errors
    /// When nobody answers, the host key is another, or the login is refused.
    async fn connect(&self, address: SocketAddr, login: &Login, log: &Utf8Path) -> Result<Self::Machine>;

    /// Asks an instance to shut down. It is `Stopped` some time later.
    ///
    /// # Errors
    /// When the cloud refuses.
    async fn stop(&self, region: &Region, id: &InstanceId) -> Result<()>;

    /// Ends an instance and deletes its disk. One that isn't there is fine.
    ///
    /// # Errors
    /// When the cloud refuses.
    async fn terminate(&self, region: &Region, id: &InstanceId) -> Result<()>;

    /// Begins to make an image of a stopped instance's disk; it is `Pending` at first.
    ///
    /// # Errors
    /// When the cloud refuses, for one because the name is taken.
    async fn create_image(&self, region: &Region, instance: &InstanceId, image: &NewImage) -> Result<ImageId>;

    /// Begins to copy an available image to another region; the copy is `Pending` at first. Nothing of the source's
    /// attributes comes along (EC2 API reference, `CopyImage`), so all of them are in `image`.
    ///
    /// # Errors
    /// When the cloud refuses.
    async fn copy_image(&self, from: &Region, id: &ImageId, to: &Region, image: &NewImage) -> Result<ImageId>;

    /// An image as it is now; none when the cloud doesn't know it (yet, or any more).
    ///
    /// # Errors
    /// When the cloud doesn't answer.
    async fn image(&self, region: &Region, id: &ImageId) -> Result<Option<Image>>;

    /// The images of this account in a region that this tool made.
    ///
    /// # Errors
    /// When the cloud doesn't answer.
    async fn images(&self, region: &Region) -> Result<Vec<Image>>;

    /// Lets everybody, or nobody else, make volumes of the image's snapshots (`createVolumePermission`).
    ///
    /// # Errors
    /// When the cloud refuses.
    async fn set_snapshots_public(&self, region: &Region, id: &ImageId, public: bool) -> Result<()>;

    /// Lets everybody, or nobody else, launch the image (`launchPermission`).
    ///
    /// # Errors
    /// When the cloud refuses.
    async fn set_image_public(&self, region: &Region, id: &ImageId, public: bool) -> Result<()>;

    /// Removes an image and its snapshots. One that isn't there is fine.
    ///
    /// # Errors
    /// When the cloud refuses.
    async fn deregister(&self, region: &Region, id: &ImageId) -> Result<()>;

    /// The files on an available image's disk, without booting it; none where the cloud can't show them.
    ///
    /// # Errors
    /// When the disk can't be read.
    async fn disk(&self, region: &Region, id: &ImageId, scratch: &Utf8Path) -> Result<Option<Box<dyn DiskFiles>>>;
}

/// The files on a disk that nobody has booted.
pub trait DiskFiles {
    /// A file's bytes; none when it isn't there.
    ///
    /// # Errors
    /// When the disk can't be read.
    fn read(&self, path: &str) -> Result<Option<Vec<u8>>>;

    /// The paths of the files below a folder, with their sizes in bytes, folders aside; none when it isn't there.
    ///
    /// # Errors
    /// When the disk can't be read.
    fn files(&self, folder: &str) -> Result<Vec<(String, u64)>>;
}

/// A phase whose end is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// From the launch to the first login.
    Login,
    /// From the order to shut down to the machine at rest.
    Stop,
    /// From the order to make an image to the image being available.
    Image,
    /// From the order to copy an image to the copy being available.
    Copy,
}

/// What builds the binaries, and the Debian package that has it.
pub const MAKE: (&str, &str) = ("make", "make");

/// What people log in with, and the Debian package that has it.
pub const SSH: (&str, &str) = ("ssh", "openssh-client");

/// What preflight looks at.
#[derive(Clone, Debug)]
pub struct Request {
    /// The version.
    pub version: Version,
    /// The image's name.
    pub name: String,
    /// The regions that the image will be in, the build region among them.
    pub regions: Vec<Region>,
    /// What else has to be on this computer: programs, and the Debian package that has each.
    pub programs: Vec<(&'static str, &'static str)>,
    /// Install on this computer what is missing, without asking.
    pub install_missing: bool,
}

/// What preflight saw.
#[derive(Debug, Default)]
pub struct Preflight {
    /// What the plan tells: a label and what there is.
    pub facts: Vec<(String, String)>,
    /// What stands in the way.
    pub findings: Vec<Finding>,
    /// Which of the recipe's systems the base is, when it could be found out.
    pub base_system: Option<String>,
    /// How long the cloud's part of a build takes, about.
    pub estimate: Duration,
}

/// Something that stands in the way, and what mends it.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What is wrong.
    pub problem: String,
    /// What to type or set.
    pub remedy: String,
}

/// What an image is made of.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Base {
    /// What the cloud launches: an image's id, or a file.
    pub id: String,
    /// What people call it; it goes into the image's description.
    pub name: String,
    /// Which of the recipe's systems it is, such as `ubuntu-16.04`.
    pub system: String,
}

/// A way in for one role of one build.
#[derive(Clone, Debug)]
pub struct Access {
    /// Unique to the build and its role.
    pub name: String,
    /// The public half of the login key, as in an `authorized_keys` line.
    pub public_key: String,
    /// The tags of what is created.
    pub tags: Tags,
}

/// What to launch.
#[derive(Clone, Debug)]
pub struct Launch {
    /// The same launch, asked for again, has the same token.
    pub token: String,
    /// A base's id, or that of an image of ours.
    pub source: LaunchSource,
    /// The access that lets us in.
    pub access: String,
    /// What cloud-init reads on the instance.
    pub user_data: String,
    /// The EC2 instance type.
    pub instance_type: String,
    /// The disk's size, in GiB.
    pub root_volume_gib: u32,
    /// The tags of the instance, its disk and its network interface.
    pub tags: Tags,
}

/// What an instance starts from.
#[derive(Clone, Debug)]
pub enum LaunchSource {
    /// The base.
    Base(Base),
    /// An image that this tool made.
    Image(ImageId),
}

/// Key and value of each tag.
pub type Tags = Vec<(String, String)>;

/// An instance as the cloud sees it.
#[derive(Clone, Debug)]
pub struct Instance {
    /// What it is doing.
    pub state: InstanceState,
    /// Why it is in this state, where the cloud says so.
    pub reason: Option<String>,
    /// Where its sshd listens, once that is known.
    pub address: Option<SocketAddr>,
}

/// What an instance is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InstanceState {
    /// It is being started.
    Pending,
    /// It runs, which doesn't mean that it answers.
    Running,
    /// It shuts down.
    Stopping,
    /// Its disk is at rest.
    Stopped,
    /// It is gone, its disk too.
    Terminated,
}

impl fmt::Display for InstanceState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            InstanceState::Pending => "pending",
            InstanceState::Running => "running",
            InstanceState::Stopping => "stopping",
            InstanceState::Stopped => "stopped",
            InstanceState::Terminated => "terminated",
        })
    }
}

/// Who logs in, and what proves which machine it is.
#[derive(Clone, Debug)]
pub struct Login {
    /// The user's name.
    pub user: String,
    /// The private half stays here.
    pub key: LoginKey,
    /// The host key that the machine was given.
    pub host_key: HostKey,
}
