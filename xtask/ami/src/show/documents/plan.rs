//! `plan --json`: what a release would do, and what stands in its way.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

use super::Visibility;
use crate::event::phase::Phase;

/// The number of this format.
pub const FORMAT: u32 = 1;

/// What a release would do, and what stands in its way.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Plan {
    /// The number of this format.
    #[schemars(extend("const" = FORMAT))]
    pub format: u32,
    /// The version.
    pub version: String,
    /// The image's name, the same in all regions.
    pub name: String,
    /// Whether everyone may launch the image.
    pub visibility: Visibility,
    /// How long after the build's beginning a private image may be cleaned away, in seconds; null for a public one.
    pub expires_after_secs: Option<u64>,
    /// The accounts and organizations that may launch a private image beside its owner.
    pub shared_with: Vec<String>,
    /// Where the image is made.
    pub build_region: String,
    /// Where it will be, sorted.
    pub regions: Vec<String>,
    /// The names of the SSM parameters that will name the image in each region; empty where none will.
    pub parameters: Vec<String>,
    /// The names of the binaries that it will have.
    pub binaries: Vec<String>,
    /// Whether these are taken as they lie in the tree, and not built.
    pub skip_build: bool,
    /// Whether the build starts from a kept base that has the packages, or keeps one if there is none.
    pub reuse_base: bool,
    /// The checkout.
    pub root: String,
    /// The commit that is checked out; null where there is no git.
    pub commit: Option<String>,
    /// Whether the checkout has changes that are not committed.
    pub dirty: bool,
    /// Which of the recipe's systems the base is; null when that could not be found out.
    pub system: Option<String>,
    /// The packages of the recipe that this system lacks, with the reasons why the image does without them.
    pub left_out: BTreeMap<String, String>,
    /// The image's description, which is public; null when its base could not be found out.
    pub description: Option<String>,
    /// Which of the base's packages are brought up to date: `none`, `security` or `all`.
    pub upgrade: String,
    /// What the cloud told, for people.
    pub facts: Vec<Fact>,
    /// What stands in the way; empty, when nothing does.
    pub findings: Vec<Finding>,
    /// Problems that do not stop the release.
    pub warnings: Vec<String>,
    /// How long the whole build takes, about, in seconds: the middle of the range that follows. A default is without make.
    pub estimated_secs: u64,
    /// How many earlier builds on this computer the estimate is from. If 0, it is only a default.
    pub estimated_from_builds: usize,
    /// How long the build takes at least, about, in seconds.
    pub estimated_at_least_secs: u64,
    /// How long it takes at most, about, in seconds.
    pub estimated_at_most_secs: u64,
    /// The phases that no earlier build tells about, whose times are defaults. Make has none, and is not in the estimate then.
    pub estimated_by_default: Vec<Phase>,
    /// What it costs, about; null where nothing is paid.
    pub estimated_cost: Option<Cost>,
}

/// Something that the cloud told.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Fact {
    /// What it is about, such as `Base`.
    pub label: String,
    /// What there is.
    pub fact: String,
}

/// Something that stands in the way.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Finding {
    /// What is wrong.
    pub problem: String,
    /// What to type or set.
    pub remedy: String,
}

/// What a build costs, about, in US dollars.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Cost {
    /// Once: machines, transfer.
    pub once_usd: f64,
    /// Every month, as long as the images are kept.
    pub monthly_usd: f64,
    /// Of which day the prices are, and what is not in them.
    pub remark: String,
}
