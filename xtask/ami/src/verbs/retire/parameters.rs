//! The parameters that name images of a version that is retired: none may name an image that can no longer be launched.

use std::collections::BTreeSet;

use anyhow::Result;
use xtask::{parameter::Prefix, region::Region, version::Version};

use crate::{
    catalogue::{Catalogue, Entry},
    cloud::{
        Cloud, ImageState,
        tags::{TAG_BUILD, TAG_COMMIT, TAG_SSM_PREFIX, TAG_SYSTEM, TAG_VERSION},
    },
    event::{ids::ImageId, progress::Progress},
    events::Events,
    recipe::Recipe,
    story::parameters,
};

/// The parameters of a version.
pub(super) struct Named<'a> {
    recipe: &'a Recipe,
    version: &'a Version,
    catalogue: &'a Catalogue,
    /// The images that are retired.
    retired: Vec<&'a Entry>,
    /// The recipe's prefix, and those of the images' tags.
    prefixes: Vec<Prefix>,
}

impl<'a> Named<'a> {
    /// The parameters of these images.
    pub(super) fn of(
        recipe: &'a Recipe,
        version: &'a Version,
        catalogue: &'a Catalogue,
        images: &[&'a Entry],
    ) -> Named<'a> {
        let tags = images.iter().filter_map(|entry| entry.image.tag(TAG_SSM_PREFIX));
        let of_recipe = recipe.publish.ssm_prefix.as_ref().map(Prefix::as_str);
        let all: BTreeSet<&str> = of_recipe.into_iter().chain(tags).collect();
        let prefixes = all.into_iter().filter_map(|prefix| prefix.parse().ok()).collect();
        Named { recipe, version, catalogue, retired: images.to_vec(), prefixes }
    }

    /// Takes an image out of the parameters that name it, before it is retired: that of its version is deleted, and that of
    /// the newest release names the newest one of the others; if there is none, it is deleted too.
    pub(super) async fn forget<C: Cloud>(
        &self,
        cloud: &C,
        region: &Region,
        id: &ImageId,
        events: &Events,
    ) -> Result<()> {
        for prefix in &self.prefixes {
            let latest = prefix.latest();
            let names: Vec<String> = prefix.of_version(self.version).into_iter().chain([latest.clone()]).collect();
            let values = cloud.parameters(region, &names).await?;
            for (name, _) in values.iter().filter(|(_, value)| **value == id.0) {
                match self.successor(region).filter(|_| *name == latest) {
                    Some(next) => {
                        let (own, tags) = (std::slice::from_ref(name), tags(next));
                        parameters::name(cloud, region, own, &next.image.id, &tags, events).await?;
                        let version = next.version.as_deref().unwrap_or_default();
                        let fact = format!("{name} in {region} names {} of {version} now", next.image.id);
                        events.say(Progress::Fact { label: "Latest".to_owned(), fact });
                    }
                    None => {
                        cloud.delete_parameter(region, name).await?;
                        events.say(Progress::Removed { id: name.clone(), region: region.clone() });
                    }
                }
            }
        }
        Ok(())
    }

    /// Lets the parameters name an image again that is public again.
    pub(super) async fn recall<C: Cloud>(
        &self,
        cloud: &C,
        region: &Region,
        entry: &Entry,
        events: &Events,
    ) -> Result<()> {
        let id = &entry.image.id;
        for prefix in &self.prefixes {
            let latest = prefix.latest();
            let mut names: Vec<String> = prefix.of_version(self.version).into_iter().collect();
            let is_release = self.version.release_numbers().is_some();
            let of = (self.recipe, self.version);
            if is_release && parameters::newer(cloud, of, region, (&latest, id), events).await?.is_none() {
                names.push(latest);
            }
            parameters::name(cloud, region, &names, id, &tags(entry), events).await?;
        }
        Ok(())
    }

    /// The newest release in a region that is public and stays.
    fn successor(&self, region: &Region) -> Option<&Entry> {
        let is_retired =
            |entry: &Entry| self.retired.iter().any(|it| it.region == entry.region && it.image.id == entry.image.id);
        let stays = |entry: &&Entry| {
            entry.region == *region
                && entry.image.public
                && entry.image.state == ImageState::Available
                && !is_retired(entry)
        };
        let releases = self.catalogue.entries.iter().filter(stays).filter(|entry| entry.release_numbers().is_some());
        releases.max_by_key(|entry| entry.release_numbers())
    }
}

/// The tags of an image that the parameters which name it have, too.
fn tags(entry: &Entry) -> Vec<(String, String)> {
    let own = [TAG_BUILD, TAG_VERSION, TAG_COMMIT, TAG_SYSTEM];
    entry.image.tags.iter().filter(|(key, _)| own.contains(&key.as_str())).cloned().collect()
}
