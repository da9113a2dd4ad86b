//! What preflight is asked, and what it saw.

use std::time::Duration;

use serde::Serialize;
use xtask::{region::Region, version::Version};

use crate::ground::finding::Finding;

/// What preflight looks at.
#[derive(Clone, Debug)]
pub struct Request {
    /// The version.
    pub version: Version,
    /// The image's name.
    pub name: String,
    /// Where the image is made.
    pub build_region: Region,
    /// The regions that the image will be in, the home region among them.
    pub regions: Vec<Region>,
    /// Whether it will be public, and so has to be able to.
    pub public: bool,
    /// Whether others than its owner, everybody or some, will be let in.
    pub shared: bool,
    /// Publish where a block on public images stands, too: it is lifted for that long.
    pub unblock_public_access: bool,
    /// Whether the binaries lie ready; else they are compiled meanwhile.
    pub skip_build: bool,
    /// Install on this computer what is missing, without asking.
    pub install_missing: bool,
}

/// What preflight saw.
#[derive(Debug, Default)]
pub struct Preflight {
    /// What the plan tells: a label and what there is.
    pub facts: Vec<(String, String)>,
    /// What stands in the way.
    pub findings: Vec<Finding>,
    /// What doesn't stand in the way, and should be known before a build begins all the same.
    pub warnings: Vec<String>,
    /// Which of the recipe's systems the base is, when it could be found out.
    pub base_system: Option<String>,
    /// How long the cloud's part of a build takes, about.
    pub estimate: Duration,
    /// What the build costs, about; nothing where nobody is paid.
    pub cost: Option<Cost>,
}

/// What a build costs, about, in US dollars.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Cost {
    /// Once: machines, transfer.
    pub once_usd: f64,
    /// Every month, as long as the images are kept.
    pub monthly_usd: f64,
    /// Of which day the prices are, and what is not in them.
    pub remark: String,
}
