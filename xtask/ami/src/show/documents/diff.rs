//! `diff --json`: what changed from one image to another.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

/// The number of this format.
pub const FORMAT: u32 = 1;

/// What changed from one image to another.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Diff {
    /// The number of this format.
    #[schemars(extend("const" = FORMAT))]
    pub format: u32,
    /// The image that is compared with.
    pub from: Side,
    /// The other image.
    pub to: Side,
    /// What the images were made from: name, system, sha256; as far as it is known of both images.
    pub base: Changes,
    /// The binaries in /usr/bin, by name, with their SHA-256; null where they are not known of both images.
    pub binaries: Option<Changes>,
    /// The packages by name, with their versions; null where they are not known of both images.
    pub packages: Option<Changes>,
    /// Which packages were compared: all, or only those of the recipe, where no bill of materials tells all.
    pub packages_compared: Option<Scope>,
    /// The other files that the tool installs, by path, with their SHA-256; null where they are not known of both images.
    pub files: Option<Changes>,
    /// The recipe's settings, by key; null where they are not known of both images.
    pub settings: Option<Changes>,
    /// What could not be compared, and why, for people.
    pub remarks: Vec<String>,
}

/// One of the images.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Side {
    /// How it was given.
    pub given: String,
    /// Its name.
    pub name: String,
    /// Its version; null where that is not known.
    pub version: Option<String>,
    /// The commit that it was built from; null where that is not known.
    pub commit: Option<String>,
    /// Where this is known from, for people.
    pub origin: String,
}

/// What was changed, added and removed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Changes {
    /// What both have, in two ways.
    pub changed: BTreeMap<String, Change>,
    /// What only the other image has.
    pub added: BTreeMap<String, String>,
    /// What only the image has that is compared with.
    pub removed: BTreeMap<String, String>,
}

/// A value before and after.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Change {
    /// Before.
    pub from: String,
    /// After.
    pub to: String,
}

/// Which packages were compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// Every package of the images.
    All,
    /// Those that the recipe lists.
    Recipe,
}

impl Diff {
    /// Whether every part of the images was compared.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        let parts = [&self.binaries, &self.files, &self.settings];
        self.packages_compared == Some(Scope::All) && parts.iter().all(|part| part.is_some())
    }
}

impl Changes {
    /// What changed from some values to others.
    #[must_use]
    pub fn between(from: &BTreeMap<String, String>, to: &BTreeMap<String, String>) -> Changes {
        let only = |these: &BTreeMap<String, String>, others: &BTreeMap<String, String>| {
            let only = these.iter().filter(|(key, _)| !others.contains_key(*key));
            only.map(|(key, value)| (key.clone(), value.clone())).collect()
        };
        let both = from.iter().filter_map(|(key, before)| Some((key, before, to.get(key)?)));
        let changed = both.filter(|(_, before, after)| before != after);
        Changes {
            changed: changed
                .map(|(key, from, to)| (key.clone(), Change { from: from.clone(), to: to.clone() }))
                .collect(),
            added: only(to, from),
            removed: only(from, to),
        }
    }

    /// Whether nothing differs.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.changed.is_empty() && self.added.is_empty() && self.removed.is_empty()
    }
}
