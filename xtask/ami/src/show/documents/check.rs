//! `check --json`: whether a version is public, and alike, in every region.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

use super::{Visibility, list::State};

/// The number of this format.
pub const FORMAT: u32 = 1;

/// Whether a version is public, and alike, in every region.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Check {
    /// The number of this format.
    #[schemars(extend("const" = FORMAT))]
    pub format: u32,
    /// The version.
    pub version: String,
    /// The name that its images should have.
    pub name: String,
    /// Whether nothing is wrong in any region.
    pub ok: bool,
    /// The description that most of its images have; null when there is none.
    pub description: Option<String>,
    /// What was seen in each region.
    pub regions: Vec<Region>,
}

/// What was seen in a region.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Region {
    /// The region, such as `us-west-2`.
    pub region: String,
    /// The ids of the version's images there; one, when all is well.
    pub images: Vec<String>,
    /// What the one image is like; null where there is none or more than one.
    pub image: Option<Image>,
    /// What is wrong.
    pub faults: Vec<Fault>,
}

/// What an image is like.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Image {
    /// How far it is.
    pub state: State,
    /// Whether everyone may launch it.
    pub visibility: Visibility,
    /// Whether everyone may copy its snapshots; null where that is not known.
    pub snapshots_public: Option<bool>,
    /// When it is deprecated (RFC 3339); null if it is not.
    pub deprecate_at: Option<String>,
    /// What its machines are like: values by the attribute, such as `boot mode`; empty where the cloud does not tell.
    pub hardware: BTreeMap<String, String>,
    /// The SHA-256 of files and the commit, as its tags have them.
    pub content: BTreeMap<String, String>,
}

/// What is wrong in a region.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Fault {
    /// What kind of fault it is.
    pub kind: FaultKind,
    /// The same in words, for people.
    pub message: String,
}

/// The kinds of faults.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FaultKind {
    /// There is no image of the version.
    Missing,
    /// There is more than one.
    Several,
    /// It cannot be launched: it is pending, failed or disabled.
    NotAvailable,
    /// It is not public, so other accounts cannot launch it.
    NotPublic,
    /// Its snapshots are not public, so other accounts cannot copy it.
    PrivateSnapshots,
    /// It has another name than the recipe gives the version.
    OtherName,
    /// It has another description than in most regions.
    OtherDescription,
    /// It has another boot mode, architecture or the like than in most regions.
    OtherHardware,
    /// It is deprecated on another day than in most regions, or only here or there.
    OtherDeprecation,
    /// It has another SHA-256 of a file, or another commit, in its tags than in most regions.
    OtherContent,
    /// Neither it nor any other has the tags with the SHA-256s of its files, or with its commit.
    MissingContent,
    /// It is deprecated by now, so that other accounts are not shown it.
    Deprecated,
    /// It has other disks than its root.
    OtherDisks,
    /// Its machines do not require IMDSv2, though the recipe wants that.
    NoImdsV2,
    /// There is no SSM parameter that names it, though there should be.
    MissingParameter,
    /// The SSM parameter names another image.
    OtherParameter,
    /// The region did not answer.
    Unanswered,
}
