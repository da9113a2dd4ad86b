//! The verbs that all clouds share. The pipeline is written in them, and knows nothing else of a cloud.
//!
//! Every verb that creates something takes a token or a unique name, and does the work at most once for it: called
//! again after a lost answer or a crash, it gives the first result back.

use std::net::SocketAddr;

use anyhow::Result;
use camino::Utf8Path;
use xtask::{grantee::Grantee, region::Region};

use crate::{
    event::{
        facts::Base,
        ids::{ImageId, InstanceId},
    },
    ground::wait::Pace,
    machine::{Machine, keys::Login},
};
use preflight::{Preflight, Request};

#[cfg(feature = "ec2")]
pub mod ec2;
mod image;
mod instance;
mod leftover;
pub mod policy;
pub mod preflight;
pub mod qemu;
pub mod tags;
pub mod taken;

pub use image::{Image, ImageState, NewImage, Origin};
pub use instance::{Instance, InstanceState, Launch, LaunchSource, SshAccess};
pub use leftover::{Kind, Leftover};

/// A cloud that instances are launched in, and images made of them.
#[expect(async_fn_in_trait, reason = "the futures are awaited on one thread, so nobody needs them to be Send")]
pub trait Cloud {
    /// What a login on an instance gives.
    type Machine: Machine;

    /// The flags that a command needs to talk to this cloud, each with a space before it; for the hints in messages.
    fn flags(&self) -> String;

    /// The command that does by hand to an image what this tool leaves alone or may not do; none where there is no such
    /// command.
    fn how_to(&self, _deed: Deed, _region: &Region, _id: &ImageId) -> Option<String> {
        None
    }

    /// Whether machines live on when this process ends. Such machines end themselves after the recipe's limit.
    fn machines_outlive_us(&self) -> bool;

    /// All regions in which images of this tool may be.
    ///
    /// # Errors
    /// When the cloud doesn't answer.
    async fn regions(&self) -> Result<Vec<Region>>;

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
    async fn grant_access(&self, region: &Region, access: &SshAccess) -> Result<()>;

    /// Takes an access away. One that isn't there is fine.
    ///
    /// # Errors
    /// When the cloud refuses.
    async fn revoke_access(&self, region: &Region, name: &str) -> Result<()>;

    /// Takes an instance out of what lets in to it, so that this can be taken away before the instance is gone. Where
    /// instances hold nothing fast, nothing is done.
    ///
    /// # Errors
    /// When the cloud refuses.
    async fn detach_access(&self, _region: &Region, _id: &InstanceId) -> Result<()> {
        Ok(())
    }

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

    /// The images of this account in a region, whatever made them, disabled ones among them; those of this tool carry its
    /// tags.
    ///
    /// # Errors
    /// When the cloud doesn't answer.
    async fn images(&self, region: &Region) -> Result<Vec<Image>>;

    /// Gives an available image what could not be ordered with it, such as its deprecation date.
    ///
    /// # Errors
    /// When the cloud refuses.
    async fn complete_image(&self, region: &Region, id: &ImageId, image: &NewImage) -> Result<()>;

    /// Whether everybody may make volumes of an image's snapshots, and so copy it.
    ///
    /// # Errors
    /// When the cloud doesn't answer.
    async fn snapshots_are_public(&self, region: &Region, id: &ImageId) -> Result<bool>;

    /// Lets an audience, or it no longer, make volumes of the image's snapshots (`createVolumePermission`).
    ///
    /// # Errors
    /// When the cloud refuses.
    async fn permit_copying(&self, region: &Region, id: &ImageId, audience: &Audience, permit: bool) -> Result<()>;

    /// Lets an audience, or it no longer, launch the image (`launchPermission`).
    ///
    /// # Errors
    /// When the cloud refuses.
    async fn permit_launching(&self, region: &Region, id: &ImageId, audience: &Audience, permit: bool) -> Result<()>;

    /// Whether images can't be made public in a region. EC2 user guide, "Block public access to your AMIs".
    ///
    /// # Errors
    /// When the cloud doesn't answer.
    async fn public_images_blocked(&self, region: &Region) -> Result<bool>;

    /// Begins to block public images in a region, or to lift the block; on EC2 it takes minutes to take effect.
    ///
    /// # Errors
    /// When the cloud refuses.
    async fn block_public_images(&self, region: &Region, block: bool) -> Result<()>;

    /// Removes an image and its snapshots. One that isn't there is fine.
    ///
    /// # Errors
    /// When the cloud refuses.
    async fn deregister(&self, region: &Region, id: &ImageId) -> Result<()>;

    /// What carries a build's tag in a region, images of all kinds among it.
    ///
    /// # Errors
    /// When the cloud doesn't answer.
    async fn leftovers(&self, region: &Region) -> Result<Vec<Leftover>>;

    /// Removes what was found. What isn't there any more is fine.
    ///
    /// # Errors
    /// When the cloud refuses.
    async fn remove(&self, region: &Region, leftover: &Leftover) -> Result<()>;

    /// The files on an available image's disk, without booting it; none where the cloud can't show them.
    ///
    /// # Errors
    /// When the disk can't be read.
    async fn disk(&self, region: &Region, id: &ImageId, scratch: &Utf8Path) -> Result<Option<Box<dyn DiskFiles>>>;
}

/// What is done to an image by hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deed {
    /// It is removed, with its snapshots.
    Deregister,
    /// It is enabled again, after it was disabled.
    Enable,
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
    /// From the order to end a machine to it, and what let us in, being gone.
    End,
    /// From the order to block public images, or to lift the block, to that taking effect.
    Block,
}

/// Whom an image is opened to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Audience {
    /// All accounts there are.
    Everybody,
    /// These alone.
    These(Vec<Grantee>),
}
