//! Who may come in, and where instances are.

use std::{collections::BTreeSet, time::Duration};

use super::Tags;

/// The public half of a login key.
#[derive(Clone, Debug)]
pub struct KeyPair {
    pub id: String,
    pub name: String,
    /// As in an `authorized_keys` line.
    pub public_key: String,
    pub tags: Tags,
    /// Since the beginning.
    pub created: Duration,
}

/// A security group.
#[derive(Clone, Debug, Default)]
pub struct Group {
    pub id: String,
    pub name: String,
    pub description: String,
    pub vpc: String,
    pub tags: Tags,
    /// Who may come in.
    pub rules: Vec<Rule>,
    /// Since the beginning.
    pub created: Duration,
}

/// Whom a security group lets in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    pub protocol: String,
    pub from_port: String,
    pub to_port: String,
    /// Such as `203.0.113.7/32`, or `::/0`.
    pub source: String,
}

/// A subnet, in a zone.
#[derive(Clone, Debug, Default)]
pub struct Subnet {
    pub id: String,
    pub vpc: String,
    pub zone: String,
    /// It is the one that the default VPC has in its zone.
    pub default: bool,
    /// It gives no public address to instances that don't ask.
    pub private: bool,
    /// It has IPv6 addresses, too.
    pub ipv6: bool,
    /// It has IPv6 addresses only.
    pub ipv6_only: bool,
}

/// What an instance type has.
#[derive(Clone, Debug)]
pub struct InstanceType {
    pub boot_modes: Vec<&'static str>,
    pub architecture: &'static str,
    /// Whether its network cards want ENA: `required`, `supported` or `unsupported`.
    pub ena: &'static str,
    /// Whether it may have a TPM: `supported` or `unsupported`.
    pub tpm: &'static str,
}

impl Default for InstanceType {
    fn default() -> InstanceType {
        let boot_modes = vec!["legacy-bios", "uefi"];
        InstanceType { boot_modes, architecture: "x86_64", ena: "required", tpm: "supported" }
    }
}

/// What is in the way between instances and the internet.
#[derive(Clone, Debug, Default)]
pub struct Paths {
    /// VPC Block Public Access: its mode, and whether a policy set it.
    pub block: Option<(&'static str, bool)>,
    /// What is excluded from it, and how.
    pub exclusions: Vec<(String, &'static str)>,
    /// The subnets whose route tables lead to no internet gateway.
    pub without_gateway: BTreeSet<String>,
    /// The subnets whose IPv6 addresses lead out only.
    pub egress_only: BTreeSet<String>,
    /// The account's defaults switch the metadata service off.
    pub metadata_off: bool,
}
