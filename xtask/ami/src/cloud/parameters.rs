//! Parameters that name an image: in each region, programs look up by a name that stays which image it has.

use std::collections::BTreeMap;

use anyhow::Result;
use xtask::region::Region;

use super::tags::Tags;
use crate::event::ids::ImageId;

/// Keeps parameters.
#[expect(async_fn_in_trait, reason = "the futures are awaited on one thread, so they need not be Send")]
pub trait Parameters {
    /// The values of those of these parameters that there are, by their names.
    ///
    /// # Errors
    /// When the cloud doesn't answer.
    async fn parameters(&self, region: &Region, names: &[String]) -> Result<BTreeMap<String, String>>;

    /// Creates a parameter that names an image, or lets it name this one. The cloud may look at the image only later, and
    /// then leave the parameter as it was.
    ///
    /// # Errors
    /// When the cloud refuses.
    async fn put_parameter(&self, region: &Region, name: &str, image: &ImageId, tags: &Tags) -> Result<()>;

    /// Deletes a parameter. Does nothing when it is already gone.
    ///
    /// # Errors
    /// When the cloud refuses.
    async fn delete_parameter(&self, region: &Region, name: &str) -> Result<()>;
}
