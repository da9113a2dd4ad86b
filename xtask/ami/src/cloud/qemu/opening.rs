//! Permissions on local images: only recorded in the images' attributes.

use anyhow::{Context as _, Result, bail, ensure};
use xtask::region::Region;

use super::{
    Qemu,
    store::{self, Attributes},
};
use crate::{
    cloud::{Audience, Opening, Permission},
    event::ids::ImageId,
};

impl Opening for Qemu {
    async fn snapshots_are_public(&self, region: &Region, id: &ImageId) -> Result<bool> {
        Ok(store::read(&self.state_dir, region, id)?.is_some_and(|attributes| attributes.snapshots_public))
    }

    async fn set_volume_permission(
        &self,
        region: &Region,
        id: &ImageId,
        audience: &Audience,
        permission: Permission,
    ) -> Result<()> {
        ensure!(*audience == Audience::Public, "images on this computer are not shared with accounts");
        self.change(region, id, |attributes| attributes.snapshots_public = permission == Permission::Grant).await
    }

    async fn set_launch_permission(
        &self,
        region: &Region,
        id: &ImageId,
        audience: &Audience,
        permission: Permission,
    ) -> Result<()> {
        ensure!(*audience == Audience::Public, "images on this computer are not shared with accounts");
        self.change(region, id, |attributes| attributes.public = permission == Permission::Grant).await
    }

    async fn public_images_blocked(&self, _region: &Region) -> Result<bool> {
        Ok(false)
    }

    async fn block_public_images(&self, _region: &Region) -> Result<()> {
        bail!("public images cannot be blocked on this computer")
    }

    async fn unblock_public_images(&self, _region: &Region) -> Result<()> {
        bail!("public images cannot be blocked on this computer")
    }
}

impl Qemu {
    pub(super) async fn change(
        &self,
        region: &Region,
        id: &ImageId,
        change: impl FnOnce(&mut Attributes),
    ) -> Result<()> {
        let attributes = store::read(&self.state_dir, region, id)?;
        let mut attributes = attributes.with_context(|| format!("there is no image {id} in {region}"))?;
        change(&mut attributes);
        store::write(&self.state_dir, region, id, &attributes, &self.events).await
    }
}
