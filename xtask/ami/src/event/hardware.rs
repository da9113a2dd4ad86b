//! What an image says of the machines that are launched from it.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What machines of an image are like, as the cloud describes it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Hardware {
    /// What an image has from the machine that it was made on: values by the attribute, such as `boot mode`. What the
    /// cloud does not tell is missing.
    pub attributes: BTreeMap<String, String>,
    /// The devices of its disks, the root excepted.
    pub other_disks: Vec<String>,
    /// Whether its machines require IMDSv2.
    pub requires_imds_v2: bool,
}

impl Hardware {
    /// What is wrong with an image that should be like this one: what is told of this one must be told of the image as well.
    /// More may be told of the image, as when the cloud writes a default down that the base left open.
    #[must_use]
    pub fn faults_of(&self, image: &Hardware) -> Vec<String> {
        let differing = self.attributes.iter().filter(|(name, value)| image.attributes.get(*name) != Some(value));
        let differing = differing.map(|(name, value)| {
            let has = image.attributes.get(name).map_or("none", String::as_str);
            format!("has the {name} {has}, not {value}")
        });
        differing.chain(image.fault_of_disks()).collect()
    }

    /// The disks that an image of this tool must not have.
    #[must_use]
    pub fn fault_of_disks(&self) -> Option<String> {
        let disks = self.other_disks.join(", ");
        (!disks.is_empty()).then(|| format!("has other disks than its root: {disks}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hardware(attributes: &[(&str, &str)], disks: &[&str]) -> Hardware {
        let attributes = attributes.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let other_disks = disks.iter().map(|disk| (*disk).to_owned()).collect();
        Hardware { attributes: attributes.collect(), other_disks, requires_imds_v2: false }
    }

    #[test]
    fn an_attribute_that_is_lost_or_changed_is_a_fault_and_so_is_a_disk() {
        let base = hardware(&[("boot mode", "uefi"), ("ENA", "yes"), ("TPM", "v2.0")], &["/dev/sdb"]);
        assert_eq!(base.faults_of(&Hardware { other_disks: Vec::new(), ..base.clone() }), [""; 0]);
        let image =
            hardware(&[("boot mode", "legacy-bios"), ("SR-IOV", "simple"), ("TPM", "v2.0")], &["/dev/sdb", "x"]);
        let expected = [
            "has the ENA none, not yes",
            "has the boot mode legacy-bios, not uefi",
            "has other disks than its root: /dev/sdb, x",
        ];
        assert_eq!(base.faults_of(&image), expected);
    }
}
