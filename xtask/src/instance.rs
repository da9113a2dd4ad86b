//! Settings of the machines on EC2 that both the recipe and a flag can give.

use std::{fmt, str::FromStr};

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

/// Whether a launch asks for a public IPv4 address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum PublicAddress {
    /// It asks for one.
    Yes,
    /// It asks for none.
    No,
    /// It asks for nothing, so that the subnet decides.
    Subnet,
}

/// The address of a machine that is dialled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Reach {
    /// The public address.
    Public,
    /// The private address, through a VPN, a peering, or from a computer in the VPC.
    Private,
}

/// A type of SSH keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum KeyType {
    /// Ed25519, which OpenSSH 6.5 and later takes, but no system in FIPS mode.
    Ed25519,
    /// ECDSA on the curve P-256.
    #[serde(rename = "ecdsa")]
    #[value(name = "ecdsa")]
    EcdsaP256,
}

impl fmt::Display for PublicAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            PublicAddress::Yes => "yes",
            PublicAddress::No => "no",
            PublicAddress::Subnet => "subnet",
        })
    }
}

impl fmt::Display for Reach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Reach::Public => "public",
            Reach::Private => "private",
        })
    }
}

/// A KMS key: the id of a key, `alias/NAME`, or the ARN of either (EC2 API reference, `EbsBlockDevice`).
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(into = "String", try_from = "String")]
pub struct KmsKey(String);

impl KmsKey {
    /// As it was given.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The region that an ARN names.
    #[must_use]
    pub fn region(&self) -> Option<&str> {
        self.0.strip_prefix("arn:")?.split(':').nth(2)
    }

    /// The part that names the key in its region: `alias/NAME`, or its id.
    #[must_use]
    pub fn name(&self) -> &str {
        let last = self.0.rsplit(':').next().unwrap_or_default();
        last.strip_prefix("key/").unwrap_or(last)
    }

    /// The same key as another region has it; `None` when that region cannot have it. An alias may exist in each region,
    /// and the replicas of a multi-Region key have its id (AWS KMS developer guide, "Multi-Region keys"). Any other key
    /// exists in its own region only.
    #[must_use]
    pub fn in_region(&self, own: &str, region: &str) -> Option<String> {
        let home = self.region().unwrap_or(own);
        if home == region {
            return Some(self.0.clone());
        }
        match self.region() {
            None if self.name().starts_with("alias/") || self.name().starts_with("mrk-") => Some(self.0.clone()),
            Some(_) if self.name().starts_with("mrk-") => Some(self.0.replacen(home, region, 1)),
            _ => None,
        }
    }
}

impl FromStr for KmsKey {
    type Err = String;

    fn from_str(text: &str) -> Result<KmsKey, String> {
        let is_id = |id: &str| {
            let digits = id.strip_prefix("mrk-").map_or_else(|| id.replace('-', ""), str::to_owned);
            digits.len() == 32 && digits.bytes().all(|digit| digit.is_ascii_hexdigit())
        };
        let is_alias = |alias: &str| {
            let legal = |c: char| c.is_ascii_alphanumeric() || "/_-".contains(c);
            alias.strip_prefix("alias/").is_some_and(|name| (1..=250).contains(&name.len()) && name.chars().all(legal))
        };
        let is_arn = || {
            let parts: Vec<&str> = text.splitn(6, ':').collect();
            let [arn, partition, service, region, account, key] = parts.as_slice() else { return false };
            let is_account = account.len() == 12 && account.bytes().all(|digit| digit.is_ascii_digit());
            let is_key = is_alias(key) || key.strip_prefix("key/").is_some_and(is_id);
            *arn == "arn"
                && partition.starts_with("aws")
                && *service == "kms"
                && !region.is_empty()
                && is_account
                && is_key
        };
        if is_id(text) || is_alias(text) || is_arn() {
            return Ok(KmsKey(text.to_owned()));
        }
        Err(format!(
            "`{text}` is not a KMS key: give the id of a key, alias/NAME, or the ARN of either, such as \
             alias/images"
        ))
    }
}

impl TryFrom<String> for KmsKey {
    type Error = String;

    fn try_from(text: String) -> Result<KmsKey, String> {
        text.parse()
    }
}

impl From<KmsKey> for String {
    fn from(key: KmsKey) -> String {
        key.0
    }
}

impl fmt::Display for KmsKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "1234abcd-12ab-34cd-56ef-1234567890ab";
    const MULTI: &str = "mrk-1234abcd12ab34cd56ef1234567890ab";

    #[test]
    fn a_key_is_an_id_an_alias_or_an_arn() {
        let arn = |key: &str| format!("arn:aws-us-gov:kms:us-gov-west-1:123456789012:{key}");
        let good = [ID.to_owned(), MULTI.to_owned(), "alias/images".to_owned(), "alias/aws/ebs".to_owned()];
        for key in good.iter().cloned().chain([arn(&format!("key/{ID}")), arn("alias/images")]) {
            assert_eq!(key.parse::<KmsKey>().expect("a key").as_str(), key);
        }
        for text in
            ["", "images", "alias/", "alias/a b", "mrk-12", "arn:aws:kms:us-west-2:123:key/x", &arn("key/x"), "é"]
        {
            assert!(text.parse::<KmsKey>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_key_of_one_region_is_not_used_in_another() {
        let of = |key: &str, region: &str| key.parse::<KmsKey>().expect("a key").in_region("us-west-2", region);
        let arn = |region: &str, key: &str| format!("arn:aws:kms:{region}:123456789012:{key}");
        for key in [ID, "alias/images", MULTI] {
            assert_eq!(of(key, "us-west-2").as_deref(), Some(key));
        }
        assert_eq!(of(ID, "eu-west-1"), None);
        assert_eq!(of("alias/images", "eu-west-1").as_deref(), Some("alias/images"));
        assert_eq!(of(MULTI, "eu-west-1").as_deref(), Some(MULTI));
        assert_eq!(of(&arn("us-west-2", &format!("key/{ID}")), "eu-west-1"), None);
        assert_eq!(of(&arn("us-west-2", "alias/images"), "eu-west-1"), None);
        let replica = arn("eu-west-1", &format!("key/{MULTI}"));
        assert_eq!(of(&arn("us-west-2", &format!("key/{MULTI}")), "eu-west-1"), Some(replica));
        assert_eq!(of(&arn("eu-west-1", &format!("key/{ID}")), "us-west-2"), None);
    }
}
