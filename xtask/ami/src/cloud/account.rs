//! Whose cloud it is, what of this tool's is in it, and how its owner talks to it.

use anyhow::Result;
use xtask::region::Region;

use super::{
    Leftover,
    preflight::{Preflight, Request},
};
use crate::event::{
    about::Identity,
    ids::{ImageId, InstanceId},
};

/// An account of a cloud, as one set of credentials sees it.
#[expect(async_fn_in_trait, reason = "the futures are awaited on one thread, so they need not be Send")]
pub trait Account {
    /// Which cloud this is, and whose. What was made in one is in no other.
    ///
    /// # Errors
    /// When the cloud doesn't tell.
    async fn identity(&self) -> Result<Identity>;

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

    /// The flags that a command needs to talk to this cloud, each with a space before it; for the hints in messages.
    fn flags(&self) -> String;

    /// The command that does this by hand, with the cloud's own tools.
    fn how_to(&self, what: HowTo<'_>) -> String;
}

/// What may have to be done by hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HowTo<'a> {
    /// Terminate an instance.
    Terminate(&'a Region, &'a InstanceId),
    /// Block public images in a region again.
    BlockPublicImages(&'a Region),
    /// Deregister an image, with its snapshots.
    Deregister(&'a Region, &'a ImageId),
    /// Enable an image again that was disabled.
    Enable(&'a Region, &'a ImageId),
}
