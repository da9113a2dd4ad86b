//! Preflight: the request, and the result of the checks.

use std::time::Duration;

use xtask::{region::Region, version::Version};

use super::{Audience, NewImage, tags::Tags};
use crate::elf::facts::Facts;
use crate::event::ids::ImageId;
use crate::ground::finding::Finding;

/// In place of the id of a build, before the build begins.
pub const NOT_BEGUN: &str = "wallaroo-ami-dry-run";

/// The parts of a release that preflight checks.
#[derive(Clone, Debug)]
pub struct Request {
    /// The version to release.
    pub version: Version,
    /// The name of the image.
    pub name: String,
    /// The region that the image is made in.
    pub build_region: Region,
    /// The regions that the image will be in, the build region included.
    pub regions: Vec<Region>,
    /// Whether the image will be public.
    pub public: bool,
    /// Whether the image will be opened to any other account, all or some.
    pub shared: bool,
    /// Whom the image will be opened to, if to anyone.
    pub audience: Option<Audience>,
    /// The tags of everything that is created, with [`NOT_BEGUN`] for the build's id; the system's is still empty.
    pub tags: Tags,
    /// The image, its base and its instance still unknown.
    pub image: NewImage,
    /// Whether the recipe or a flag asks for encryption.
    pub encrypted: bool,
    /// The image to publish under another name, and its region, if that is all that the build does.
    pub promotes: Option<(Region, ImageId)>,
    /// `--unblock-public-access`: lift blocks on public images while the image is published.
    pub unblock_public_access: bool,
    /// The names of the parameters that will name the image; empty where none will.
    pub parameters: Vec<String>,
    /// `--skip-build`: use the existing binaries, so make is not needed.
    pub skip_build: bool,
    /// Install missing programs on this computer without asking.
    pub install_missing: bool,
}

/// The result of the checks.
#[derive(Debug, Default)]
pub struct Preflight {
    /// Lines of the plan: label and value.
    pub facts: Vec<(String, String)>,
    /// Problems that would make the release fail. It must not begin with any.
    pub findings: Vec<Finding>,
    /// Warnings that the user should read before the release begins.
    pub warnings: Vec<String>,
    /// The base's system, by its name in the recipe; `None` when it could not be found out.
    pub base_system: Option<String>,
    /// The base's name in the image's description; `None` when it could not be found out.
    pub base_name: Option<String>,
    /// What the base brings; `None` where only the files of facts say so.
    pub base_facts: Option<Facts>,
    /// The approximate duration of the build, without make.
    pub estimate: Duration,
    /// The approximate cost; `None` where nothing is charged.
    pub cost: Option<Cost>,
}

/// The approximate cost of a build, in US dollars.
#[derive(Clone, Debug, PartialEq)]
pub struct Cost {
    /// Once, for machines and transfer.
    pub once_usd: f64,
    /// Per month, for the snapshots of the images.
    pub monthly_usd: f64,
    /// The date of the prices, and what they exclude.
    pub remark: String,
}
