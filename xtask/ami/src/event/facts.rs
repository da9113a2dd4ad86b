//! The results of steps, which the journal keeps. A resumed build and the result of a release are made of them.

use std::collections::BTreeMap;

use camino::Utf8PathBuf;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    hardware::Hardware,
    ids::{ImageId, InstanceId},
};

/// What an image is made of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Base {
    /// What the cloud launches: an image's id, or a file.
    pub id: String,
    /// The name for people, which goes into the image's description.
    pub name: String,
    /// Which of the recipe's systems it is, such as `ubuntu-16.04`.
    pub system: String,
    /// The SHA-256 of its disk's content, as raw bytes, in hexadecimal; null on EC2, where its id never means another.
    #[serde(default)]
    pub sha256: Option<String>,
    /// What its machines are like, which an image made from it keeps. None where the cloud does not tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hardware: Option<Hardware>,
    /// On EC2, the account that owns it, as EC2 says; null where that is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// When it was made with the recipe's packages, everything in the newest version, as RFC 3339. Null where it was not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub packages_as_of: Option<String>,
}

impl Base {
    /// Its name and its disk, for the image's description.
    #[must_use]
    pub fn described(&self) -> String {
        let sha256 = self.sha256.as_ref().map(|sha256| format!(" (sha256 {sha256})"));
        format!("{}{}", self.name, sha256.unwrap_or_default())
    }
}

/// A binary, as it was built.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Built {
    /// Its name in /usr/bin.
    pub name: String,
    /// The copy that was made as soon as it was built.
    #[schemars(with = "String")]
    pub path: Utf8PathBuf,
    /// The copy's SHA-256.
    pub sha256: String,
    /// The copy's size.
    pub size_bytes: u64,
}

/// The SHA-256 of files, by their places on the image.
pub type Sources = BTreeMap<String, String>;

/// A package of the base that was brought to another version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Upgrade {
    /// The base's version.
    pub from: String,
    /// The image's version.
    pub to: String,
}

/// The packages of the base that were brought to other versions, by name.
pub type Upgrades = BTreeMap<String, Upgrade>;

/// An instance that is ready to be imaged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SealedDisk {
    /// The base that it was made from.
    pub base: Base,
    /// The kept base of an earlier build that it was launched from, which was made from that base.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reused_base: Option<ImageId>,
    /// The SHA-256 of each file that was installed, by its path on the image.
    pub sha256: BTreeMap<String, String>,
    /// The packages that the recipe lists, with the versions that were installed.
    pub packages: BTreeMap<String, String>,
    /// The base's packages that have another version in the image.
    #[serde(default)]
    pub upgraded: Upgrades,
    /// The instance's machine id, as in machine-id(5). Instances of the image must have different ones.
    pub machine_id: String,
    /// What else names that instance: addresses, ids and public keys, each with its kind, such as `host key`.
    #[serde(default)]
    pub marks: BTreeMap<String, String>,
}

/// An image that became available.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AvailableImage {
    /// Its id.
    pub id: ImageId,
    /// Its description, which is public.
    pub description: String,
    /// The instance that it was made from, according to its tag.
    pub made_of: Option<InstanceId>,
}

/// The checks of an image.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Verification {
    /// All checks, in the order in which they ran.
    pub checks: Vec<Check>,
}

/// One check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Check {
    /// Its name.
    pub name: String,
    /// What is wrong; none if the check passed or was skipped.
    pub fault: Option<String>,
    /// Why it could not be tried on this machine; none if it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub skipped: Option<String>,
}

impl Check {
    /// Whether it was tried, and nothing was found.
    #[must_use]
    pub fn passed(&self) -> bool {
        self.fault.is_none() && self.skipped.is_none()
    }
}

impl Verification {
    /// Adds a check.
    pub fn add(&mut self, name: impl Into<String>, fault: Option<String>) {
        self.checks.push(Check { name: name.into(), fault, skipped: None });
    }

    /// How many checks passed. One that was skipped did not.
    #[must_use]
    pub fn passed(&self) -> usize {
        self.checks.iter().filter(|check| check.passed()).count()
    }

    /// The checks that failed.
    pub fn faults(&self) -> impl Iterator<Item = &Check> {
        self.checks.iter().filter(|check| check.fault.is_some())
    }

    /// The names of the checks that could not be tried, each with the reason.
    pub fn skipped(&self) -> impl Iterator<Item = (&str, &str)> {
        self.checks.iter().filter_map(|check| Some((check.name.as_str(), check.skipped.as_deref()?)))
    }
}

/// An image that passed its verification.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Verified {
    /// The checks.
    pub seen: Verification,
    /// The instance that it was verified on. Its termination has been ordered.
    pub instance: InstanceId,
}

/// What the computer that made an image knows of it, beside what its tags say.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Provenance {
    /// The disk that it was made from.
    pub disk: SealedDisk,
    /// Its checks.
    pub verification: Verification,
}

/// How long a step took.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Timing {
    /// The step.
    pub step: String,
    /// When it ended, in milliseconds from the beginning of the build.
    pub ended_ms: u64,
    /// How long it took, in milliseconds.
    pub took_ms: u64,
}
