//! [`Parameters`] on this computer: there are none.

use std::collections::BTreeMap;

use anyhow::{Result, bail};
use xtask::region::Region;

use super::Qemu;
use crate::{
    cloud::{Parameters, tags::Tags},
    event::ids::ImageId,
};

impl Parameters for Qemu {
    async fn parameters(&self, _region: &Region, _names: &[String]) -> Result<BTreeMap<String, String>> {
        Ok(BTreeMap::new())
    }

    async fn put_parameter(&self, _region: &Region, name: &str, id: &ImageId, _tags: &Tags) -> Result<()> {
        bail!("no parameter {name} can name {id}: this computer has no parameters")
    }

    async fn delete_parameter(&self, _region: &Region, _name: &str) -> Result<()> {
        Ok(())
    }
}
