//! Permissions on images, and the block on public images.

use anyhow::Result;
use xtask::{grantee::Grantee, region::Region};

use super::Paced;
use crate::event::ids::ImageId;

/// Opens images to others, and closes them.
#[expect(async_fn_in_trait, reason = "the futures are awaited on one thread, so they need not be Send")]
pub trait Opening: Paced {
    /// Whether all of an image's snapshots are public. Only then can every account copy the image.
    ///
    /// # Errors
    /// When the cloud doesn't answer.
    async fn snapshots_are_public(&self, region: &Region, id: &ImageId) -> Result<bool>;

    /// Grants or revokes an audience's permission to create volumes from the image's snapshots, and so to copy the
    /// image (`createVolumePermission`).
    ///
    /// # Errors
    /// When the cloud refuses.
    async fn set_volume_permission(
        &self,
        region: &Region,
        id: &ImageId,
        audience: &Audience,
        permission: Permission,
    ) -> Result<()>;

    /// Grants or revokes an audience's permission to launch the image (`launchPermission`).
    ///
    /// # Errors
    /// When the cloud refuses.
    async fn set_launch_permission(
        &self,
        region: &Region,
        id: &ImageId,
        audience: &Audience,
        permission: Permission,
    ) -> Result<()>;

    /// Whether the account blocks public images in a region (EC2 user guide, "Block public access to your AMIs").
    ///
    /// # Errors
    /// When the cloud doesn't answer.
    async fn public_images_blocked(&self, region: &Region) -> Result<bool>;

    /// Starts to block public images in a region. On EC2 it takes effect minutes later.
    ///
    /// # Errors
    /// When the cloud refuses.
    async fn block_public_images(&self, region: &Region) -> Result<()>;

    /// Starts to lift the block on public images in a region. On EC2 it takes effect minutes later.
    ///
    /// # Errors
    /// When the cloud refuses.
    async fn unblock_public_images(&self, region: &Region) -> Result<()>;
}

/// The change of an audience's permission.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Permission {
    /// The audience is permitted.
    Grant,
    /// The audience is no longer permitted.
    Revoke,
}

/// The accounts that an image is opened to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Audience {
    /// Every AWS account.
    Public,
    /// Only these accounts, organizations and organizational units.
    Grantees(Vec<Grantee>),
}
