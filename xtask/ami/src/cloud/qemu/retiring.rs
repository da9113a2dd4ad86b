//! [`Retiring`] on this computer: images are deprecated in their attributes only, and have no snapshots.

use std::time::SystemTime;

use anyhow::{Result, bail};
use xtask::region::Region;

use super::Qemu;
use crate::{
    cloud::{Recycled, Retiring},
    event::ids::ImageId,
};

impl Retiring for Qemu {
    async fn deprecate(&self, region: &Region, id: &ImageId, at: SystemTime) -> Result<()> {
        let at = humantime::format_rfc3339_seconds(at).to_string();
        self.change(region, id, |attributes| attributes.deprecate_at = Some(at)).await
    }

    async fn disable(&self, _region: &Region, id: &ImageId) -> Result<()> {
        bail!("{id} cannot be disabled: images on this computer never are")
    }

    async fn enable(&self, _region: &Region, _id: &ImageId) -> Result<()> {
        Ok(())
    }

    async fn delete_snapshot(&self, _region: &Region, _id: &str) -> Result<()> {
        Ok(())
    }

    async fn recycled(&self, _region: &Region, _ids: &[String]) -> Result<Vec<Recycled>> {
        Ok(Vec::new())
    }
}
