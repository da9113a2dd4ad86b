//! Launch and volume permissions of images, and the account's block on public images.

use anyhow::Result;
use aws_sdk_ec2::types::{CreateVolumePermission, PermissionGroup, SnapshotAttributeName};
use xtask::region::Region;

use super::{
    Ec2,
    answer::Answer as _,
    block::{self, Block},
    requests,
};
use crate::{
    cloud::{Audience, Opening, Permission},
    event::ids::ImageId,
    ground::api_error::ApiError,
};

impl Opening for Ec2 {
    async fn snapshots_are_public(&self, region: &Region, id: &ImageId) -> Result<bool> {
        self.explained(Box::pin(self.all_snapshots_public(region, id))).await
    }

    async fn set_volume_permission(
        &self,
        region: &Region,
        id: &ImageId,
        audience: &Audience,
        permission: Permission,
    ) -> Result<()> {
        self.explained(Box::pin(self.modify_volume_permission(region, id, audience, permission))).await
    }

    async fn set_launch_permission(
        &self,
        region: &Region,
        id: &ImageId,
        audience: &Audience,
        permission: Permission,
    ) -> Result<()> {
        self.explained(Box::pin(self.modify_launch_permission(region, id, audience, permission))).await
    }

    async fn public_images_blocked(&self, region: &Region) -> Result<bool> {
        self.explained(Box::pin(self.blocked(region))).await
    }

    async fn block_public_images(&self, region: &Region) -> Result<()> {
        self.explained(Box::pin(self.block(region))).await
    }

    async fn unblock_public_images(&self, region: &Region) -> Result<()> {
        self.explained(Box::pin(self.unblock(region))).await
    }
}

impl Ec2 {
    pub(super) async fn modify_launch_permission(
        &self,
        region: &Region,
        id: &ImageId,
        audience: &Audience,
        permission: Permission,
    ) -> Result<()> {
        let modify = async || {
            let request = requests::opening::launch_permission(&self.client(region), &id.0, audience, permission);
            let modified = request.send().await.answer("ModifyImageAttribute", region.as_str()).map(drop);
            modified.map_err(|error| self.unless_unblocked(region, error))
        };
        self.once_visible(&id.0, modify).await
    }

    pub(super) async fn modify_volume_permission(
        &self,
        region: &Region,
        id: &ImageId,
        audience: &Audience,
        permission: Permission,
    ) -> Result<()> {
        for snapshot in self.snapshots_of(region, id).await? {
            let modify = async || {
                let client = self.client(region);
                let request = requests::opening::volume_permission(&client, &snapshot, audience, permission);
                let Some(request) = request else { return Ok(()) };
                request.send().await.answer("ModifySnapshotAttribute", region.as_str()).map(drop)
            };
            self.once_visible(&snapshot, modify).await?;
        }
        Ok(())
    }

    pub(super) async fn all_snapshots_public(&self, region: &Region, id: &ImageId) -> Result<bool> {
        let snapshots = self.snapshots_of(region, id).await?;
        for snapshot in &snapshots {
            let describe = async || {
                let request = self.client(region).describe_snapshot_attribute().snapshot_id(snapshot);
                let answer = request.attribute(SnapshotAttributeName::CreateVolumePermission).send().await;
                answer.answer("DescribeSnapshotAttribute", region.as_str())
            };
            let answer = self.once_visible(snapshot, describe).await?;
            let is_public = |permission: &CreateVolumePermission| permission.group() == Some(&PermissionGroup::All);
            if !answer.create_volume_permissions().iter().any(is_public) {
                return Ok(false);
            }
        }
        Ok(!snapshots.is_empty())
    }

    pub(super) async fn blocked(&self, region: &Region) -> Result<bool> {
        Ok(block::of_images(&self.client(region), region).await? != Block::None)
    }

    pub(super) async fn block(&self, region: &Region) -> Result<()> {
        let request = requests::opening::block(&self.client(region));
        Ok(request.send().await.answer("EnableImageBlockPublicAccess", region.as_str()).map(drop)?)
    }

    pub(super) async fn unblock(&self, region: &Region) -> Result<()> {
        let request = requests::opening::unblock(&self.client(region));
        request.send().await.answer("DisableImageBlockPublicAccess", region.as_str())?;
        self.unblocked.borrow_mut().insert(region.clone());
        Ok(())
    }

    /// The same error; worth another attempt where the block on public images has been lifted, which a replica may not have
    /// heard of yet.
    fn unless_unblocked(&self, region: &Region, error: ApiError) -> ApiError {
        let transient = error.has_code(&["OperationNotPermitted"]) && self.unblocked.borrow().contains(region);
        ApiError { transient: error.transient || transient, ..error }
    }
}
