//! Who may launch and copy images, and the account's block on public ones.

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
    cloud::{Audience, Opening},
    event::ids::ImageId,
};

impl Opening for Ec2 {
    async fn snapshots_are_public(&self, region: &Region, id: &ImageId) -> Result<bool> {
        Box::pin(self.everybody_may_copy(region, id)).await
    }

    async fn permit_copying(&self, region: &Region, id: &ImageId, audience: &Audience, permit: bool) -> Result<()> {
        Box::pin(self.permit_snapshots(region, id, audience, permit)).await
    }

    async fn permit_launching(&self, region: &Region, id: &ImageId, audience: &Audience, permit: bool) -> Result<()> {
        Box::pin(self.permit_image(region, id, audience, permit)).await
    }

    async fn public_images_blocked(&self, region: &Region) -> Result<bool> {
        Box::pin(self.blocked(region)).await
    }

    async fn block_public_images(&self, region: &Region, block: bool) -> Result<()> {
        Box::pin(self.block(region, block)).await
    }
}

impl Ec2 {
    pub(super) async fn permit_image(
        &self,
        region: &Region,
        id: &ImageId,
        audience: &Audience,
        permit: bool,
    ) -> Result<()> {
        let modifications = LaunchPermissionModifications::builder();
        let who = Some(launch_permissions(audience));
        let modifications = if permit { modifications.set_add(who) } else { modifications.set_remove(who) };
        let modifications = modifications.build();
        let modify = async || {
            let request = self.client(region).modify_image_attribute().image_id(&id.0);
            let request = request.launch_permission(modifications.clone());
            request.send().await.answer("ModifyImageAttribute", region.as_str()).map(drop)
        };
        self.once_visible(&id.0, modify).await
    }

    pub(super) async fn permit_snapshots(
        &self,
        region: &Region,
        id: &ImageId,
        audience: &Audience,
        permit: bool,
    ) -> Result<()> {
        let who = volume_permissions(audience);
        if who.is_empty() {
            return Ok(());
        }
        for snapshot in self.snapshots_of(region, id).await? {
            let modifications = CreateVolumePermissionModifications::builder();
            let who = Some(who.clone());
            let modifications = if permit { modifications.set_add(who) } else { modifications.set_remove(who) };
            let modifications = modifications.build();
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

    pub(super) async fn everybody_may_copy(&self, region: &Region, id: &ImageId) -> Result<bool> {
        let snapshots = self.snapshots_of(region, id).await?;
        for snapshot in &snapshots {
            let look = async || {
                let request = self.client(region).describe_snapshot_attribute().snapshot_id(snapshot);
                let answer = request.attribute(SnapshotAttributeName::CreateVolumePermission).send().await;
                answer.answer("DescribeSnapshotAttribute", region.as_str())
            };
            let answer = self.once_visible(snapshot, look).await?;
            let everybody = |permission: &CreateVolumePermission| permission.group() == Some(&PermissionGroup::All);
            if !answer.create_volume_permissions().iter().any(everybody) {
                return Ok(false);
            }
        }
        Ok(!snapshots.is_empty())
    }

    pub(super) async fn blocked(&self, region: &Region) -> Result<bool> {
        Ok(block::of_images(&self.client(region), region).await? != Block::None)
    }

    pub(super) async fn block(&self, region: &Region, block: bool) -> Result<()> {
        let client = self.client(region);
        if block {
            let state = ImageBlockPublicAccessEnabledState::BlockNewSharing;
            let request = client.enable_image_block_public_access().image_block_public_access_state(state);
            request.send().await.answer("EnableImageBlockPublicAccess", region.as_str())?;
        } else {
            let request = client.disable_image_block_public_access();
            request.send().await.answer("DisableImageBlockPublicAccess", region.as_str())?;
        }
        Ok(())
    }
}

fn launch_permissions(audience: &Audience) -> Vec<LaunchPermission> {
    let everybody = LaunchPermission::builder().group(PermissionGroup::All).build();
    match audience {
        Audience::Everybody => vec![everybody],
        Audience::These(grantees) => grantees
            .iter()
            .map(|grantee| match grantee {
                Grantee::Account(id) => LaunchPermission::builder().user_id(id).build(),
                Grantee::Organization(arn) => LaunchPermission::builder().organization_arn(arn).build(),
                Grantee::OrganizationalUnit(arn) => LaunchPermission::builder().organizational_unit_arn(arn).build(),
            })
            .collect(),
    }
}

/// Snapshots are shared with accounts alone. EC2 API reference, `CreateVolumePermission`.
fn volume_permissions(audience: &Audience) -> Vec<CreateVolumePermission> {
    let everybody = CreateVolumePermission::builder().group(PermissionGroup::All).build();
    match audience {
        Audience::Everybody => vec![everybody],
        Audience::These(grantees) => grantees
            .iter()
            .filter_map(|grantee| match grantee {
                Grantee::Account(id) => Some(CreateVolumePermission::builder().user_id(id).build()),
                Grantee::Organization(_) | Grantee::OrganizationalUnit(_) => None,
            })
            .collect(),
    }
}
