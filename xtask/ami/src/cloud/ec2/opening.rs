//! Launch and volume permissions of images, and the account's block on public images.

use anyhow::Result;
use aws_sdk_ec2::types::{
    CreateVolumePermission, CreateVolumePermissionModifications, ImageBlockPublicAccessEnabledState, LaunchPermission,
    LaunchPermissionModifications, PermissionGroup, SnapshotAttributeName,
};
use xtask::{grantee::Grantee, region::Region};

use super::{
    Ec2,
    answer::Answer as _,
    block::{self, Block},
};
use crate::{
    cloud::{Audience, Opening, Permission},
    event::ids::ImageId,
    ground::api_error::ApiError,
};

impl Opening for Ec2 {
    async fn snapshots_are_public(&self, region: &Region, id: &ImageId) -> Result<bool> {
        Box::pin(self.all_snapshots_public(region, id)).await
    }

    async fn set_volume_permission(
        &self,
        region: &Region,
        id: &ImageId,
        audience: &Audience,
        permission: Permission,
    ) -> Result<()> {
        Box::pin(self.modify_volume_permission(region, id, audience, permission)).await
    }

    async fn set_launch_permission(
        &self,
        region: &Region,
        id: &ImageId,
        audience: &Audience,
        permission: Permission,
    ) -> Result<()> {
        Box::pin(self.modify_launch_permission(region, id, audience, permission)).await
    }

    async fn public_images_blocked(&self, region: &Region) -> Result<bool> {
        Box::pin(self.blocked(region)).await
    }

    async fn block_public_images(&self, region: &Region) -> Result<()> {
        Box::pin(self.block(region)).await
    }

    async fn unblock_public_images(&self, region: &Region) -> Result<()> {
        Box::pin(self.unblock(region)).await
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
        let modifications = LaunchPermissionModifications::builder();
        let grantees = Some(launch_permissions(audience));
        let modifications = match permission {
            Permission::Grant => modifications.set_add(grantees).build(),
            Permission::Revoke => modifications.set_remove(grantees).build(),
        };
        let modify = async || {
            let request = self.client(region).modify_image_attribute().image_id(&id.0);
            let request = request.launch_permission(modifications.clone());
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
        let grantees = volume_permissions(audience);
        if grantees.is_empty() {
            return Ok(());
        }
        for snapshot in self.snapshots_of(region, id).await? {
            let modifications = CreateVolumePermissionModifications::builder();
            let grantees = Some(grantees.clone());
            let modifications = match permission {
                Permission::Grant => modifications.set_add(grantees).build(),
                Permission::Revoke => modifications.set_remove(grantees).build(),
            };
            let modify = async || {
                let request = self.client(region).modify_snapshot_attribute().snapshot_id(&snapshot);
                let request = request.attribute(SnapshotAttributeName::CreateVolumePermission);
                let request = request.create_volume_permission(modifications.clone());
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
        let state = ImageBlockPublicAccessEnabledState::BlockNewSharing;
        let request = self.client(region).enable_image_block_public_access().image_block_public_access_state(state);
        Ok(request.send().await.answer("EnableImageBlockPublicAccess", region.as_str()).map(drop)?)
    }

    pub(super) async fn unblock(&self, region: &Region) -> Result<()> {
        let request = self.client(region).disable_image_block_public_access();
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

fn launch_permissions(audience: &Audience) -> Vec<LaunchPermission> {
    let everyone = LaunchPermission::builder().group(PermissionGroup::All).build();
    match audience {
        Audience::Public => vec![everyone],
        Audience::Grantees(grantees) => grantees
            .iter()
            .map(|grantee| match grantee {
                Grantee::Account(id) => LaunchPermission::builder().user_id(id).build(),
                Grantee::Organization(arn) => LaunchPermission::builder().organization_arn(arn).build(),
                Grantee::OrganizationalUnit(arn) => LaunchPermission::builder().organizational_unit_arn(arn).build(),
            })
            .collect(),
    }
}

/// Snapshots can be shared with accounts only, not with organizations (EC2 API reference, `CreateVolumePermission`).
fn volume_permissions(audience: &Audience) -> Vec<CreateVolumePermission> {
    let everyone = CreateVolumePermission::builder().group(PermissionGroup::All).build();
    match audience {
        Audience::Public => vec![everyone],
        Audience::Grantees(grantees) => grantees
            .iter()
            .filter_map(|grantee| match grantee {
                Grantee::Account(id) => Some(CreateVolumePermission::builder().user_id(id).build()),
                Grantee::Organization(_) | Grantee::OrganizationalUnit(_) => None,
            })
            .collect(),
    }
}
