//! What is being built, as the first event of a build tells it.

use std::{collections::BTreeMap, time::Duration};

use camino::Utf8PathBuf;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use xtask::{region::Region, version::Version};

use super::promotion::Promotion;

/// What is being built, where and for whom. A resumed build takes these from its journal, not from the checkout.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct About {
    /// The build's id: unique, and legal in tags, tokens and file names.
    pub id: String,
    /// The version.
    #[schemars(with = "String")]
    pub version: Version,
    /// The image's name.
    pub name: String,
    /// When the build began, RFC 3339.
    pub began: String,
    /// The checkout.
    #[schemars(with = "String")]
    pub root: Utf8PathBuf,
    /// The commit that is checked out, if git knows of one.
    pub commit: Option<String>,
    /// When that commit was made, in seconds since 1970.
    #[serde(default)]
    pub commit_secs: Option<u64>,
    /// The branch.
    pub branch: Option<String>,
    /// Whether the checkout has uncommitted changes.
    pub dirty: bool,
    /// Whether the build is one of `--local`.
    pub local: bool,
    /// The account that the build belongs to. A build that an earlier version of the tool began has none.
    #[serde(default)]
    pub identity: Option<Identity>,
    /// The AWS profile that was in use, for the commands in messages.
    #[serde(default)]
    pub profile: Option<String>,
    /// The region that the image is made in.
    #[serde(alias = "home_region")]
    #[schemars(with = "String")]
    pub build_region: Region,
    /// The regions that the image will be in, the build region among them.
    #[schemars(with = "Vec<String>")]
    pub regions: Vec<Region>,
    /// Whether only its owner, and the accounts and organizations in `shared_with`, may launch the image.
    pub private: bool,
    /// The accounts and organizations that a private image is shared with.
    pub shared_with: Vec<String>,
    /// How long a private image is kept, in seconds.
    #[serde(default)]
    pub expires_secs: Option<u64>,
    /// The system of the base, such as `ubuntu-16.04`.
    pub system: String,
    /// The type of its instances; none with `--local`, and in journals that do not have it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance_type: Option<String>,
    /// Whether the binaries were taken as they lay in the checkout.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub skip_build: bool,
    /// Whether it may start from a kept base instead of installing the packages.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub reuse_base: bool,
    /// The command line.
    pub call: Invocation,
    /// The SHA-256 of the recipe and the scripts, by their paths.
    pub inputs: BTreeMap<String, String>,
    /// What is published under another name, if that is what this build does. It makes no image then but copies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub promotes: Option<Box<Promotion>>,
}

impl About {
    /// How long a private image is kept.
    #[must_use]
    pub fn expires(&self) -> Option<Duration> {
        self.expires_secs.map(Duration::from_secs)
    }
}

/// The command that began a build, so that it can be resumed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Invocation {
    /// The words of the command line.
    pub words: Vec<String>,
    /// The folder that it was typed in.
    #[schemars(with = "String")]
    pub folder: Utf8PathBuf,
}

/// The cloud and the account that a build belongs to. Resources of one do not exist in another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Identity {
    /// The kind of cloud.
    pub kind: CloudKind,
    /// The account: its twelve digits on EC2, or `local` on this computer.
    pub account: String,
    /// The endpoint that replaces the cloud's own, if one was set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
}

/// A kind of cloud.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum CloudKind {
    /// EC2, or a server that implements its API.
    Ec2,
    /// QEMU on this computer.
    Local,
}
