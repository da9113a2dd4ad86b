//! The end of images: gentle, reversible, and for good.

use std::time::SystemTime;

use anyhow::Result;
use xtask::region::Region;

use crate::event::ids::ImageId;

/// Takes images out of use. [`Imaging::deregister`](super::Imaging::deregister) removes them.
#[expect(async_fn_in_trait, reason = "the futures are awaited on one thread, so they need not be Send")]
pub trait Retiring {
    /// Deprecates an image from a time on. From then on, lists show it to its owner only (EC2 API reference,
    /// `EnableImageDeprecation`).
    ///
    /// # Errors
    /// When the cloud refuses.
    async fn deprecate(&self, region: &Region, id: &ImageId, at: SystemTime) -> Result<()>;

    /// Disables an image: it can no longer be launched, and loses its launch permissions (EC2 API reference, `DisableImage`).
    ///
    /// # Errors
    /// When the cloud refuses.
    async fn disable(&self, region: &Region, id: &ImageId) -> Result<()>;

    /// Enables a disabled image, and waits until it is available. It is private (EC2 API reference, `EnableImage`).
    ///
    /// # Errors
    /// When the cloud refuses, or it does not become available.
    async fn enable(&self, region: &Region, id: &ImageId) -> Result<()>;

    /// Deletes a snapshot of an image that is deregistered. Does nothing when it is already gone.
    ///
    /// # Errors
    /// When the cloud refuses.
    async fn delete_snapshot(&self, region: &Region, id: &str) -> Result<()>;

    /// What the Recycle Bin of a region holds of these removed images and snapshots (EBS user guide, "Recycle Bin").
    ///
    /// # Errors
    /// When the cloud doesn't answer.
    async fn recycled(&self, region: &Region, ids: &[String]) -> Result<Vec<Recycled>>;
}

/// A removed image or snapshot in the Recycle Bin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recycled {
    /// Its id.
    pub id: String,
    /// Until when it can be restored, RFC 3339; `None` when the cloud does not tell.
    pub until: Option<String>,
}
