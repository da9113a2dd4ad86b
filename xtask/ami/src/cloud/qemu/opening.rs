//! Who may use an image is only written down here.

use anyhow::{Context as _, Result, bail, ensure};
use xtask::region::Region;

use super::{
    Qemu,
    store::{self, Attributes},
};
use crate::{
    cloud::{Audience, Opening},
    event::ids::ImageId,
};

impl Opening for Qemu {
    async fn snapshots_are_public(&self, region: &Region, id: &ImageId) -> Result<bool> {
        Ok(store::read(&self.home, region, id)?.is_some_and(|attributes| attributes.snapshots_public))
    }

    async fn permit_copying(&self, region: &Region, id: &ImageId, audience: &Audience, permit: bool) -> Result<()> {
        ensure!(*audience == Audience::Everybody, "images on this computer are not shared with accounts");
        self.change(region, id, |attributes| attributes.snapshots_public = permit).await
    }

    async fn permit_launching(&self, region: &Region, id: &ImageId, audience: &Audience, permit: bool) -> Result<()> {
        ensure!(*audience == Audience::Everybody, "images on this computer are not shared with accounts");
        self.change(region, id, |attributes| attributes.public = permit).await
    }

    async fn public_images_blocked(&self, _region: &Region) -> Result<bool> {
        Ok(false)
    }

    async fn block_public_images(&self, _region: &Region, _block: bool) -> Result<()> {
        bail!("nothing blocks public images on this computer")
    }
}

impl Qemu {
    async fn change(&self, region: &Region, id: &ImageId, change: impl FnOnce(&mut Attributes)) -> Result<()> {
        let attributes = store::read(&self.home, region, id)?;
        let mut attributes = attributes.with_context(|| format!("there is no image {id} in {region}"))?;
        change(&mut attributes);
        store::write(&self.home, region, id, &attributes, &self.events).await
    }
}
