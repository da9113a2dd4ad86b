//! `list --json`: the images by version and region.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

use super::Visibility;

/// The number of this format.
pub const FORMAT: u32 = 1;

/// The images that this tool made, and those of the account that are named like a version of Wallaroo.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct List {
    /// The number of this format.
    #[schemars(extend("const" = FORMAT))]
    pub format: u32,
    /// The images, sorted by name and region.
    pub images: Vec<Image>,
    /// The regions that could not be asked. Their images are missing from the list.
    pub unanswered: Vec<Unanswered>,
}

/// A region that could not be asked.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Unanswered {
    /// The region, such as `us-west-2`; `all other regions` where the account's regions could not be listed.
    pub region: String,
    /// Why.
    pub reason: String,
}

/// An image in a region.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Image {
    /// The region, such as `us-west-2`.
    pub region: String,
    /// Its id there.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its version, by its tag, or its name where it has none; null when neither says it.
    pub version: Option<String>,
    /// The id of the build that made it; null if this tool did not make it.
    pub build: Option<String>,
    /// What it is, as strangers see it.
    pub description: String,
    /// How far it is.
    pub state: State,
    /// Why it failed, or how far it is while it is pending; null where there is nothing to say.
    pub state_reason: Option<String>,
    /// Whether everyone may launch it.
    pub visibility: Visibility,
    /// When a private image may be cleaned away (RFC 3339); null when it has no such time.
    pub expires: Option<String>,
    /// When it was made (RFC 3339).
    pub created: String,
    /// When it is deprecated (RFC 3339); null if it is not.
    pub deprecate_at: Option<String>,
    /// Its tags, as its owner sees them.
    pub tags: BTreeMap<String, String>,
}

/// How far an image is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// It is being made.
    Pending,
    /// It can be launched and copied.
    Available,
    /// It never will be.
    Failed,
    /// Its owner disabled it.
    Disabled,
}
