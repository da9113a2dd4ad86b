//! The verbs that all clouds share, in four trades. The pipeline is written in them, and knows nothing else of a cloud.
//!
//! Every verb that creates something takes a token or a unique name, and does the work at most once for it: called
//! again after a lost answer or a crash, it gives the first result back.

use crate::ground::wait::Pace;

mod account;
mod compute;
pub mod ec2;
mod image;
mod imaging;
mod instance;
mod leftover;
mod opening;
pub mod preflight;
pub mod qemu;
pub mod tags;
pub mod taken;

pub use account::{Account, HowTo};
pub use compute::Compute;
pub use image::{Image, ImageState, NewImage, Origin};
pub use imaging::{ClosedDisk, DiskFiles, Imaging};
pub use instance::{Instance, InstanceState, Launch, LaunchSource, SshAccess};
pub use leftover::{Kind, Leftover};
pub use opening::{Audience, Opening};

/// A cloud that does all of it: machines are launched in it, and images made of them, kept, and opened.
pub trait Cloud: Compute + Imaging + Opening + Account {}

impl<C: Compute + Imaging + Opening + Account> Cloud for C {}

/// What takes its time, and is waited for.
pub trait Paced {
    /// When to look for the end of a phase: how long it takes, and what a look costs, differs between clouds.
    fn pace(&self, phase: Phase) -> Pace;
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
