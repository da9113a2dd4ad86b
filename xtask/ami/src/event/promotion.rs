//! A verified image that is published again, under its release name.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use xtask::{region::Region, version::Version};

use super::{
    facts::{Base, Provenance, SealedDisk, Upgrades, Verification},
    hardware::Hardware,
    ids::{ImageId, InstanceId},
};

/// The image that is published again, as it was found. What it says of itself, in tags, goes on to the copies.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Promotion {
    /// Its version.
    #[schemars(with = "String")]
    pub version: Version,
    /// Its name.
    pub name: String,
    /// The region that it is in.
    #[schemars(with = "String")]
    pub region: Region,
    /// Its id there.
    pub image: ImageId,
    /// The build that made it.
    pub build: String,
    /// The instance that it was made from.
    pub made_of: InstanceId,
    /// Its description.
    pub description: String,
    /// The system of its base, such as `ubuntu-16.04`.
    pub system: String,
    /// The commit that it was built from.
    pub commit: String,
    /// The SHA-256 of its binaries, by their names.
    pub sha256: BTreeMap<String, String>,
    /// When it was verified, and how many checks it passed.
    pub verified: String,
    /// What its machines are like. None where the cloud does not tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hardware: Option<Hardware>,
}

impl Promotion {
    /// The image, for the tag of its copies.
    #[must_use]
    pub fn origin(&self) -> String {
        let Promotion { version, region, image, build, .. } = self;
        format!("{version}: {image} in {region}, build {build}")
    }

    /// The image as what its copies are made from.
    #[must_use]
    pub fn as_base(&self) -> Base {
        Base {
            id: self.image.to_string(),
            name: self.name.clone(),
            system: self.system.clone(),
            sha256: None,
            hardware: self.hardware.clone(),
            owner: None,
            packages_as_of: None,
        }
    }

    /// What is known of it where its build was on another computer: what its tags say.
    #[must_use]
    pub fn told_by_tags(&self) -> Provenance {
        let sha256 = self.sha256.iter().map(|(name, sum)| (binary_path(name), sum.clone()));
        let disk = SealedDisk {
            base: self.as_base(),
            reused_base: None,
            sha256: sha256.collect(),
            packages: BTreeMap::new(),
            upgraded: Upgrades::default(),
            machine_id: String::new(),
            marks: BTreeMap::new(),
        };
        Provenance { disk, verification: Verification::default() }
    }

    /// Its description, for its publication as another version.
    #[must_use]
    pub fn description_as(&self, version: &Version) -> String {
        self.description.replacen(self.version.as_str(), version.as_str(), 1)
    }
}

/// Where a binary is on the image.
#[must_use]
pub fn binary_path(name: &str) -> String {
    format!("/usr/bin/{name}")
}
