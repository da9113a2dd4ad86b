//! Which images there are of which version, in which region: the one answer for all commands.

use std::collections::BTreeSet;

use anyhow::{Error, Result};
use xtask::{
    region::{Region, mistyped, nearest},
    version::Version,
};

use crate::{
    cloud::{
        Cloud, Image, Origin,
        tags::{TAG_EXPIRES, TAG_VERSION},
    },
    events::Events,
    ground::everywhere::{self, Everywhere},
    recipe::Recipe,
};
use regions::{Looked, PassOver};

pub mod builds;
pub mod check;
pub mod regions;

/// The images that this tool made, and those of the account that are named like a version, whatever made them; disabled
/// ones among them.
#[derive(Debug)]
pub struct Catalogue {
    /// Sorted by name, region and id.
    pub entries: Vec<Entry>,
}

/// An image of a version.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Where it is.
    pub region: Region,
    /// The image.
    pub image: Image,
    /// Its version, as its tag says, or else its name. None where neither does, as when the recipe names images in another
    /// way now.
    pub version: Option<String>,
}

impl Catalogue {
    /// Looks in all of the account's regions, those in use among them. Those that do not answer come beside the catalogue
    /// of the others.
    ///
    /// # Errors
    /// When it is not known which regions there are.
    pub async fn look<C: Cloud>(
        cloud: &C,
        recipe: &Recipe,
        used: &BTreeSet<Region>,
        events: &Events,
    ) -> Result<Looked<Catalogue>> {
        let look = async |region: Region| entries(cloud, recipe, &region).await;
        let Looked { found, unanswered } = regions::in_all(cloud, used, PassOver::Closed, events, look).await?;
        Ok(Looked { found: Catalogue::of(found), unanswered })
    }

    /// Looks in these regions. Those that do not answer come beside the catalogue of the others, each with its error.
    pub async fn look_in<C: Cloud>(
        cloud: &C,
        recipe: &Recipe,
        regions: &[Region],
    ) -> (Catalogue, Vec<(Region, Error)>) {
        let Everywhere { done, failed } = everywhere::in_each(regions, |region| entries(cloud, recipe, region)).await;
        (Catalogue::of(done), failed)
    }

    fn of(found: Vec<(Region, Vec<Entry>)>) -> Catalogue {
        let mut entries: Vec<Entry> = found.into_iter().flat_map(|(_, entries)| entries).collect();
        entries.sort_by(|a, b| (&a.image.name, &a.region, &a.image.id).cmp(&(&b.image.name, &b.region, &b.image.id)));
        Catalogue { entries }
    }

    /// The known version that is most similar to one that is not known, for a message.
    #[must_use]
    pub fn near(&self, version: &str) -> String {
        let known: Vec<&str> = self.entries.iter().filter_map(|entry| entry.version.as_deref()).collect();
        nearest(version, &known).map(|near| format!("; did you mean {near}?")).unwrap_or_default()
    }

    /// The same for what may be the id of an image, too.
    #[must_use]
    pub fn near_image(&self, wanted: &str) -> String {
        let ids: Vec<&str> = self.entries.iter().map(|entry| entry.image.id.0.as_str()).collect();
        match mistyped(wanted, &ids) {
            Some(near) => format!("; did you mean `{near}`?"),
            None if wanted.starts_with("ami-") => String::new(),
            None => self.near(wanted),
        }
    }

    /// The images of a version, by tag and by name: an image named like it is in the way of a release of it, whatever made
    /// it. Private images of the version are left out beside others: whoever made one has no part in the release.
    pub fn of_version(&self, version: &Version, name: &str) -> impl Iterator<Item = &Entry> {
        let is_of = move |entry: &&Entry| entry.is_of(version.as_str()) || entry.image.name == name;
        let all_are_private = self.entries.iter().filter(is_of).all(|entry| entry.is_private_beside(name));
        self.entries.iter().filter(is_of).filter(move |entry| all_are_private || !entry.is_private_beside(name))
    }
}

async fn entries<C: Cloud>(cloud: &C, recipe: &Recipe, region: &Region) -> Result<Vec<Entry>> {
    let images = cloud.images(region).await?;
    Ok(images.into_iter().filter_map(|image| Entry::new(region, image, recipe)).collect())
}

/// The version of an image, as its tag says, or else its name.
#[must_use]
pub fn version_of(image: &Image, recipe: &Recipe) -> Option<String> {
    image.tag(TAG_VERSION).or_else(|| recipe.version_in(&image.name)).map(str::to_owned)
}

/// The numbers of a version that is a release's; `None` for any other.
#[must_use]
pub fn release_numbers(version: &str) -> Option<Vec<u64>> {
    version.parse::<Version>().ok()?.release_numbers()
}

impl Entry {
    fn new(region: &Region, image: Image, recipe: &Recipe) -> Option<Entry> {
        if recipe.version_in(&image.name).is_none() && image.origin() == Origin::Other {
            return None;
        }
        let version = version_of(&image, recipe);
        Some(Entry { region: region.clone(), image, version })
    }

    /// The numbers of the release that it is of; `None` where it is of none.
    #[must_use]
    pub fn release_numbers(&self) -> Option<Vec<u64>> {
        release_numbers(self.version.as_deref()?)
    }

    /// Whether it is of this version, by its tag, or its name where it has none.
    #[must_use]
    pub fn is_of(&self, version: &str) -> bool {
        self.version.as_deref() == Some(version)
    }

    /// Whether it is a private image, and has not the name of the release: then it is no part of that, and in its way
    /// nowhere.
    #[must_use]
    pub fn is_private_beside(&self, name: &str) -> bool {
        self.image.tag(TAG_EXPIRES).is_some() && self.image.name != name
    }
}

#[cfg(test)]
mod tests;
