//! Who may launch and copy an image, and what blocks public ones.

use anyhow::Result;
use xtask::{grantee::Grantee, region::Region};

use super::Paced;
use crate::event::ids::ImageId;

/// What images are opened and closed with.
#[expect(async_fn_in_trait, reason = "the futures are awaited on one thread, so they need not be Send")]
pub trait Opening: Paced {
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
}

/// Whom an image is opened to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Audience {
    /// All accounts there are.
    Everybody,
    /// These alone.
    These(Vec<Grantee>),
}
