//! The machines of a build, and how long their steps may take.

use std::time::Duration;

use super::{limit, volume};
use serde::Deserialize;
use xtask::instance::{KmsKey, PublicAddress, Reach};

/// The machines that the image is made on and verified on.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Instance {
    /// The EC2 instance type.
    #[serde(rename = "type")]
    pub instance_type: String,
    /// The size of the root volume, in GiB.
    pub root_volume_gib: u32,
    /// The type of the root volume, such as `gp3`. An image hands it on to its instances.
    #[serde(default = "default_volume_type")]
    pub volume_type: String,
    /// The I/O operations per second of the root volume, where its type wants them (`io1`, `io2`) or takes them (`gp3`).
    pub volume_iops: Option<u32>,
    /// Whether the volumes, and with them the image and its copies, are encrypted. Unset is yes with a key, otherwise
    /// whatever the region does by itself.
    pub encrypted: Option<bool>,
    /// The KMS key to encrypt with; unset is the account's default key of each region.
    pub kms_key: Option<KmsKey>,
    /// Whether a launch asks for a public address. Unset is `yes` in the default VPC, and `subnet` with `--subnet`.
    pub public_address: Option<PublicAddress>,
    /// The address that machines are reached at. Unset is the public one where there is one.
    pub reach: Option<Reach>,
    /// The instance profile of the machines, by its name or its ARN.
    pub instance_profile: Option<String>,
}

/// The volume type of today's default in the EC2 console.
pub const DEFAULT_VOLUME_TYPE: &str = "gp3";

fn default_volume_type() -> String {
    DEFAULT_VOLUME_TYPE.to_owned()
}

impl Instance {
    /// Whether the image is to be encrypted: asked for by itself, or by naming a key.
    #[must_use]
    pub fn is_encrypted(&self) -> bool {
        self.encrypted.unwrap_or(self.kms_key.is_some())
    }

    pub(super) fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        if self.root_volume_gib == 0 {
            faults.push("instance.root_volume_gib: it must be at least 1".to_owned());
        }
        let volume_type = &self.volume_type;
        let is_word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
        if volume_type.is_empty() || volume_type.len() > 16 || !volume_type.chars().all(is_word) {
            faults.push(format!("instance.volume_type: `{volume_type}` is not a volume type such as gp3"));
        }
        faults.extend(volume::faults(volume_type, self.root_volume_gib, self.volume_iops));
        if self.encrypted == Some(false) && self.kms_key.is_some() {
            faults.push("instance.kms_key: a key has no use with encrypted = false".to_owned());
        }
        if self.public_address == Some(PublicAddress::No) && self.reach == Some(Reach::Public) {
            faults.push(
                "instance.reach: a machine with public_address = \"no\" cannot be reached at a public address: set reach = \
                 \"private\", or another public_address"
                    .to_owned(),
            );
        }
        if let Some(profile) = self.instance_profile.as_deref().filter(|profile| !is_instance_profile(profile)) {
            faults.push(format!(
                "instance.instance_profile: `{profile}` is neither the name nor the ARN of an instance profile, such as \
                 arn:aws:iam::123456789012:instance-profile/NAME"
            ));
        }
        faults
    }
}

/// Whether this is a name of at most 128 characters (IAM API reference, `CreateInstanceProfile`) or an ARN of an instance
/// profile.
fn is_instance_profile(text: &str) -> bool {
    let is_name = |name: &str| {
        let legal = |c: char| c.is_ascii_alphanumeric() || "_+=,.@-".contains(c);
        (1..=128).contains(&name.len()) && name.chars().all(legal)
    };
    let Some(rest) = text.strip_prefix("arn:") else { return is_name(text) };
    let Some((partition, rest)) = rest.split_once(":iam::") else { return false };
    let Some((account, path)) = rest.split_once(":instance-profile/") else { return false };
    let legal_path = |c: char| c.is_ascii_graphic();
    let is_account = account.len() == 12 && account.bytes().all(|digit| digit.is_ascii_digit());
    partition.starts_with("aws")
        && is_account
        && path.chars().all(legal_path)
        && path.rsplit('/').next().is_some_and(is_name)
}

/// The timeouts of a build.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Of each run of make.
    #[serde(deserialize_with = "limit")]
    pub make: Duration,
    /// From the launch to the first login.
    #[serde(deserialize_with = "limit")]
    pub login: Duration,
    /// Of each script on a machine.
    #[serde(deserialize_with = "limit")]
    pub script: Duration,
    /// From the stop request until the machine is stopped. Then its power is cut.
    #[serde(deserialize_with = "limit")]
    pub stop: Duration,
    /// The age at which a machine shuts itself down, in case nothing terminates it. `machine` in older recipes.
    #[serde(alias = "machine", deserialize_with = "limit")]
    pub machine_lifetime: Duration,
    /// From the request for an image or a copy until it is available.
    #[serde(deserialize_with = "limit")]
    pub image: Duration,
}

impl Default for Limits {
    fn default() -> Limits {
        let minutes = |minutes: u64| Duration::from_secs(60 * minutes);
        Limits {
            make: minutes(120),
            login: minutes(10),
            script: minutes(30),
            stop: minutes(10),
            machine_lifetime: minutes(300),
            image: minutes(60),
        }
    }
}
