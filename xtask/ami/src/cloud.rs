//! The API that the pipeline needs of a cloud, in six traits: [`Compute`], [`Imaging`], [`Opening`], [`Parameters`],
//! [`Retiring`] and [`Account`]. The pipeline knows nothing else of a cloud.
//!
//! Every method that creates something takes a token or a unique name and is idempotent in it: called again after a
//! lost answer or a crash, it returns the first result.

use crate::ground::wait::Pace;

mod account;
mod compute;
pub mod ec2;
mod image;
mod imaging;
mod instance;
mod leftover;
pub mod name_conflict;
mod opening;
mod parameters;
pub mod preflight;
pub mod qemu;
mod retiring;
pub mod tags;

pub use account::{Account, HowTo};
pub use compute::Compute;
pub use image::{Image, ImageState, NewImage, Origin};
pub use imaging::{ClosedDisk, DiskFiles, Imaging};
pub use instance::{Instance, InstanceState, Launch, LaunchSource, Shutdown, SshAccess};
pub use leftover::{Leftover, LeftoverKind};
pub use opening::{Audience, Opening, Permission};
pub use parameters::Parameters;
pub use retiring::{Recycled, Retiring};

/// A whole cloud: it launches machines, makes and keeps images, opens them, names them, and retires them.
pub trait Cloud: Compute + Imaging + Opening + Parameters + Retiring + Account {}

impl<C: Compute + Imaging + Opening + Parameters + Retiring + Account> Cloud for C {}

/// A cloud whose long-running work is polled.
pub trait Paced {
    /// When to poll for the end of a phase: durations and the cost of a call differ between clouds.
    fn pace(&self, phase: Phase) -> Pace;
}

/// A long-running phase that the pipeline waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// From the launch to the first login.
    Login,
    /// From the stop request until the instance is stopped.
    Stop,
    /// From the request for an image until it is available.
    Image,
    /// From the request for a copy until it is available.
    Copy,
    /// From the termination request until the instance has terminated and its SSH access is deleted.
    Termination,
    /// From blocking or unblocking public images until that takes effect.
    Block,
}
