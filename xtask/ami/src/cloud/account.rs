//! The account: its identity, its regions, its preflight checks, and the leftovers of builds in it.

use std::collections::BTreeSet;

use anyhow::Result;
use xtask::region::Region;

use super::{
    Image, Leftover,
    preflight::{Preflight, Request},
};
use crate::event::{
    about::Identity,
    ids::{ImageId, InstanceId},
};

/// An account of a cloud, as one set of credentials sees it.
#[expect(async_fn_in_trait, reason = "the futures are awaited on one thread, so they need not be Send")]
pub trait Account {
    /// Identifies the cloud and the account. A resource of one account doesn't exist in any other.
    ///
    /// # Errors
    /// When the cloud doesn't answer.
    async fn identity(&self) -> Result<Identity>;

    /// Lists the regions that may contain images of this tool. Where the build region doesn't tell, some of `others` are
    /// asked.
    ///
    /// # Errors
    /// When none of them answers.
    async fn regions(&self, others: &BTreeSet<Region>) -> Result<Vec<Region>>;

    /// Checks, without creating anything, whether the request can succeed: facts for the plan, and everything that
    /// stands in the way.
    ///
    /// # Errors
    /// When the checks can't run at all, for instance without credentials.
    async fn preflight(&self, request: &Request) -> Result<Preflight>;

    /// Lists the resources in a region that carry a build's tag, images included.
    ///
    /// # Errors
    /// When the cloud doesn't answer.
    async fn leftovers(&self, region: &Region) -> Result<Vec<Leftover>>;

    /// Deletes a leftover. Does nothing when it is already gone.
    ///
    /// # Errors
    /// When the cloud refuses.
    async fn remove(&self, region: &Region, leftover: &Leftover) -> Result<()>;

    /// The flags that a command of this tool needs to use the same account, each with a space before it; for hints.
    fn flags(&self) -> String;

    /// The shell command that does this with the cloud's own tools; for hints.
    fn how_to(&self, what: HowTo<'_>) -> String;
}

/// Something that the user may have to do by hand.
#[derive(Clone, Copy, Debug)]
pub enum HowTo<'a> {
    /// Terminate an instance.
    Terminate(&'a Region, &'a InstanceId),
    /// Block public images in a region again.
    BlockPublicImages(&'a Region),
    /// Deregister an image and delete its snapshots.
    Deregister(&'a Region, &'a ImageId),
    /// Enable a disabled image.
    Enable(&'a Region, &'a ImageId),
    /// Lift an image's protection from being deregistered.
    Unprotect(&'a Region, &'a ImageId),
    /// Open an image to every account.
    Publish(&'a Region, &'a ImageId),
    /// Open the snapshots of an image to every account.
    PublishSnapshots(&'a Region, &'a [String]),
    /// Create an SSM parameter of this name that names an image.
    CreateParameter(&'a Region, &'a str, &'a Image),
    /// Let the SSM parameter of this name name an image.
    ChangeParameter(&'a Region, &'a str, &'a Image),
    /// Get an image or a snapshot, by its id, back from the Recycle Bin.
    Restore(&'a Region, &'a str),
}
