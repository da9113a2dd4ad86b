//! AWS's partitions: groups of regions that share no accounts, no ARNs and no hosts with each other.
//!
//! `partitions.json` is the file that AWS's SDKs have of it, as botocore 1.44.8 ships it. A region that opened since is
//! recognised by its name, as in the SDKs.

use std::{collections::BTreeMap, sync::LazyLock};

use regex_lite::Regex;
use serde::{Deserialize, de::IgnoredAny};
use xtask::region::{self, Region};

/// The file of the SDKs.
#[derive(Deserialize)]
struct File {
    partitions: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    id: String,
    outputs: Outputs,
    region_regex: String,
    regions: BTreeMap<String, IgnoredAny>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Outputs {
    dns_suffix: String,
}

/// A partition.
#[derive(Clone, Debug)]
pub struct Partition {
    /// What its ARNs have after `arn:`, such as `aws-cn`.
    pub id: String,
    /// How its hosts end, such as `amazonaws.com.cn`.
    pub dns_suffix: String,
    named_like: Option<Regex>,
    regions: Vec<String>,
}

static PARTITIONS: LazyLock<Vec<Partition>> = LazyLock::new(|| {
    let file = serde_json::from_str(include_str!("partitions.json"));
    let file: File = file.unwrap_or(File { partitions: Vec::new() });
    let partition = |entry: Entry| Partition {
        id: entry.id,
        dns_suffix: entry.outputs.dns_suffix,
        named_like: Regex::new(&entry.region_regex).ok(),
        regions: entry.regions.into_keys().collect(),
    };
    file.partitions.into_iter().map(partition).collect()
});

/// The partition that the SDKs take for a region that none of the others has.
static DEFAULT: LazyLock<Partition> = LazyLock::new(|| Partition {
    id: "aws".to_owned(),
    dns_suffix: "amazonaws.com".to_owned(),
    named_like: None,
    regions: Vec::new(),
});

impl Partition {
    /// The partition of a region: the one that lists it, or else the one whose regions are named like it (AWS SDKs,
    /// endpoint rules, `aws.partition`).
    #[must_use]
    pub fn of(region: &Region) -> &'static Partition {
        let name = region.as_str();
        let lists = |partition: &&Partition| partition.regions.iter().any(|known| known == name);
        let fits = |partition: &&Partition| partition.named_like.as_ref().is_some_and(|like| like.is_match(name));
        PARTITIONS.iter().find(lists).or_else(|| PARTITIONS.iter().find(fits)).unwrap_or(&DEFAULT)
    }

    /// The partition of all these regions.
    ///
    /// # Errors
    /// When they are in several, with the reason why that cannot be.
    pub fn of_all(regions: &[Region]) -> Result<&'static Partition, String> {
        let mut found: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for region in regions {
            found.entry(&Partition::of(region).id).or_default().push(region.as_str());
        }
        if found.len() > 1 {
            let groups: Vec<String> =
                found.iter().map(|(partition, regions)| format!("{} in {partition}", regions.join(", "))).collect();
            return Err(format!(
                "the regions are in {} partitions: {}. An account belongs to one partition, and EC2 copies no image to \
                 another: run one release for each, with the account that you have there, and name its regions with \
                 --regions",
                found.len(),
                groups.join("; ")
            ));
        }
        Ok(regions.first().map_or(&DEFAULT, Partition::of))
    }

    /// The ids of all partitions, such as `aws-us-gov`.
    #[must_use]
    pub fn ids() -> Vec<&'static str> {
        PARTITIONS.iter().map(|partition| partition.id.as_str()).collect()
    }
}

/// The host of a service, such as `ec2`, in a region.
#[must_use]
pub fn host(service: &str, region: &str) -> String {
    let partition = region.parse().map_or(&*DEFAULT, |region| Partition::of(&region));
    format!("{service}.{region}.{}", partition.dns_suffix)
}

/// The region that may be meant by the name of one that the SDKs don't know.
#[must_use]
pub fn region_meant_by(name: &str) -> Option<&'static str> {
    let known: Vec<&str> = PARTITIONS.iter().flat_map(|partition| &partition.regions).map(String::as_str).collect();
    if known.contains(&name) { None } else { region::nearest(name, &known) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn regions(names: &[&str]) -> Vec<Region> {
        names.iter().map(|name| name.parse().expect("a region")).collect()
    }

    fn partition(name: &str) -> &'static Partition {
        Partition::of(&regions(&[name])[0])
    }

    #[test]
    fn each_region_has_the_partition_that_the_sdks_give_it() {
        for (region, id, suffix) in [
            ("us-west-2", "aws", "amazonaws.com"),
            ("sa-west-1", "aws", "amazonaws.com"),
            ("us-gov-west-1", "aws-us-gov", "amazonaws.com"),
            ("cn-north-1", "aws-cn", "amazonaws.com.cn"),
            ("eusc-de-east-1", "aws-eusc", "amazonaws.eu"),
            ("us-isob-east-1", "aws-iso-b", "sc2s.sgov.gov"),
            // These are in no list.
            ("cn-south-1", "aws-cn", "amazonaws.com.cn"),
            ("us-gov-south-7", "aws-us-gov", "amazonaws.com"),
            ("mars-north-1", "aws", "amazonaws.com"),
        ] {
            let found = partition(region);
            assert_eq!((found.id.as_str(), found.dns_suffix.as_str()), (id, suffix), "{region}");
        }
        assert_eq!(Partition::ids().len(), 8);
    }

    #[test]
    fn regions_of_two_partitions_are_refused_with_the_reason() {
        let error = Partition::of_all(&regions(&["cn-north-1", "us-east-1", "us-west-2"])).expect_err("two partitions");
        let groups = "the regions are in 2 partitions: us-east-1, us-west-2 in aws; cn-north-1 in aws-cn. ";
        assert!(error.starts_with(groups) && error.contains("--regions"), "{error}");
        let one = Partition::of_all(&regions(&["us-gov-east-1", "us-gov-west-1"]));
        assert_eq!(one.map(|partition| partition.id.as_str()), Ok("aws-us-gov"));
    }

    #[test]
    fn a_slip_is_told_from_a_region_that_is_known() {
        assert_eq!(region_meant_by("us-wset-2"), Some("us-west-2"));
        assert_eq!(region_meant_by("me-west-1"), None);
        assert_eq!(region_meant_by("qq-far-77"), None);
    }

    /// What the SDK itself makes of a region: its host, and the one of the rule that is for `aws-us-gov` alone.
    #[cfg(feature = "ec2")]
    #[tokio::test]
    async fn the_sdk_sends_to_the_hosts_of_the_same_partition() {
        use aws_sdk_ec2::config::endpoint::{DefaultResolver, Params, ResolveEndpoint as _};
        let resolver = DefaultResolver::new();
        let known = PARTITIONS.iter().flat_map(|partition| &partition.regions).map(String::as_str);
        for name in known.chain(["cn-south-1", "us-gov-south-7", "us-iso-north-9", "mars-north-1"]) {
            let url = async |fips: bool| {
                let params = Params::builder().region(name).use_fips(fips).build().expect("parameters");
                resolver.resolve_endpoint(&params).await.expect("an endpoint").url().to_owned()
            };
            let Ok(region) = name.parse::<Region>() else { continue };
            let Partition { id, dns_suffix, .. } = Partition::of(&region);
            assert_eq!(url(false).await, format!("https://ec2.{name}.{dns_suffix}"));
            let host = if id == "aws-us-gov" { "ec2" } else { "ec2-fips" };
            assert_eq!(url(true).await, format!("https://{host}.{name}.{dns_suffix}"));
        }
    }
}
