//! The manifest: what the image is made of, and nothing of when and where, so that the same parts give the same bytes. Which
//! build made an image is in its tags.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

use crate::{
    event::facts::{Sources, Upgrades},
    recipe::Recipe,
};

/// Its path on the image.
pub const PATH: &str = "/usr/share/wallaroo/manifest.json";

/// Its name in the build's folder.
pub const NAME: &str = "manifest.json";

/// What an image is made of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// What a release of it is called: the name of a private image says who made it, and in which build.
    pub name: String,
    /// The version.
    pub version: String,
    /// The commit of the checkout.
    pub commit: Option<String>,
    /// Whether the checkout had uncommitted changes.
    pub dirty: bool,
    /// The CPU that the binaries are compiled for.
    pub target_cpu: String,
    /// What the image was made from.
    pub base: BaseOf,
    /// The recipe's settings that make a difference to the image, by their keys. A manifest of an earlier version of this
    /// tool has none.
    #[serde(default)]
    pub settings: BTreeMap<String, String>,
    /// The SHA-256 of each file, by its path on the image. The manifest itself is not among them.
    pub sha256: Sources,
    /// The versions of the recipe's packages, by name.
    pub packages: BTreeMap<String, String>,
    /// The base's packages that were brought to another version. A manifest of an earlier version of this tool has none.
    #[serde(default)]
    pub upgraded: Upgrades,
}

/// What an image was made from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BaseOf {
    /// Its name.
    pub name: String,
    /// Its system, such as `debian-13`.
    pub system: String,
    /// The SHA-256 of its disk's content; null on EC2.
    pub sha256: Option<String>,
}

impl Manifest {
    /// Its text.
    ///
    /// # Errors
    /// When it cannot be encoded.
    pub fn text(&self) -> Result<String> {
        Ok(format!("{}\n", serde_json::to_string_pretty(self).context("failed to encode the manifest")?))
    }
}

/// The recipe's settings that make a difference to the image, by their keys.
#[must_use]
pub fn settings(recipe: &Recipe) -> BTreeMap<String, String> {
    let mut settings: BTreeMap<String, String> = [
        ("build.target_cpu", recipe.build.target_cpu.clone()),
        ("build.variables", recipe.build.variables.join(" ")),
        ("instance.root_volume_gib", recipe.instance.root_volume_gib.to_string()),
        ("instance.volume_type", recipe.instance.volume_type.clone()),
        ("packages.upgrade", recipe.packages.upgrade.to_string()),
        ("require_imds_v2", recipe.require_imds_v2.to_string()),
    ]
    .map(|(key, value)| (key.to_owned(), value))
    .into();
    for binary in recipe.binaries.iter().filter(|binary| !binary.variables.is_empty()) {
        settings.insert(format!("binary {}.variables", binary.name), binary.variables.join(" "));
    }
    settings
}
