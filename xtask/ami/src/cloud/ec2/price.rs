//! The approximate cost of a build, from a table of list prices: no call to AWS's price list is needed.

use std::time::Duration;

use xtask::region::Region;

use crate::{cloud::preflight::Cost, ground::everywhere};

/// The month of the prices.
const DATE: &str = "2024-11";

/// The only instance type in the table: the recipe's default.
const INSTANCE_TYPE: &str = "m5.large";

/// Prices of a region, in US dollars.
struct Prices {
    region: &'static str,
    /// An hour of an m5.large with Linux, on demand. EC2 pricing, "On-Demand".
    machine_hour: f64,
    /// A GB-month of a snapshot. EBS pricing, "EBS Snapshots", standard tier.
    snapshot_gb_month: f64,
    /// A GB to another region. EC2 pricing, "Data Transfer".
    transfer_gb: f64,
}

const fn prices(region: &'static str, machine_hour: f64, snapshot_gb_month: f64, transfer_gb: f64) -> Prices {
    Prices { region, machine_hour, snapshot_gb_month, transfer_gb }
}

const TABLE: [Prices; 14] = [
    prices("ap-northeast-1", 0.124, 0.05, 0.09),
    prices("ap-northeast-2", 0.118, 0.05, 0.08),
    prices("ap-southeast-1", 0.12, 0.05, 0.09),
    prices("ap-southeast-2", 0.12, 0.055, 0.098),
    prices("ca-central-1", 0.107, 0.055, 0.02),
    prices("eu-central-1", 0.115, 0.054, 0.02),
    prices("eu-west-1", 0.107, 0.05, 0.02),
    prices("eu-west-2", 0.111, 0.053, 0.02),
    prices("eu-west-3", 0.112, 0.053, 0.02),
    prices("sa-east-1", 0.153, 0.068, 0.138),
    prices("us-east-1", 0.096, 0.05, 0.02),
    prices("us-east-2", 0.096, 0.05, 0.02),
    prices("us-west-1", 0.112, 0.055, 0.02),
    prices("us-west-2", 0.096, 0.05, 0.02),
];

/// An hour of a public IPv4 address, everywhere. VPC pricing, "Public IPv4 Address".
const ADDRESS_HOUR: f64 = 0.005;

/// A GB-month of a gp3 volume in most regions. A disk exists for minutes, so regional differences don't matter.
const DISK_GB_MONTH: f64 = 0.08;

/// What a volume of this size costs, in words.
pub(super) fn volume(gib: i32) -> String {
    format!("{gib} GiB, about ${:.2} a month", f64::from(gib) * DISK_GB_MONTH)
}

/// The hours of a month, as AWS counts them.
const MONTH_HOURS: f64 = 730.0;

/// The size of a snapshot: the blocks of the disk that were ever written. An assumption: 1.2 GB for Ubuntu 16.04, the
/// rest for packages and deleted files.
const SNAPSHOT_GB: f64 = 2.0;

/// One machine to make the image on, and one to verify it.
const MACHINES: f64 = 2.0;

/// The cost of a build, as if both machines ran for the whole build: an upper bound. Regions that are missing from the
/// table count as the most expensive one.
pub(super) fn cost(
    build_region: &Region,
    regions: &[Region],
    instance_type: &str,
    disk_gib: u32,
    build: Duration,
) -> Cost {
    let hours = MACHINES * build.as_secs_f64() / 3600.0;
    let prices = |region: &Region| TABLE.iter().find(|prices| prices.region == region.as_str());
    let highest = |price: fn(&Prices) -> f64| TABLE.iter().map(price).fold(0.0, f64::max);
    let of = |region: &Region, price: fn(&Prices) -> f64| prices(region).map_or_else(|| highest(price), price);

    let is_known_type = instance_type == INSTANCE_TYPE;
    let machine_hour = if is_known_type { of(build_region, |prices| prices.machine_hour) } else { 0.0 };
    let disk_hour = f64::from(disk_gib) * DISK_GB_MONTH / MONTH_HOURS;
    let others = regions.iter().filter(|region| *region != build_region).count();
    let others = f64::from(u16::try_from(others).unwrap_or(u16::MAX));
    let transfer = others * SNAPSHOT_GB * of(build_region, |prices| prices.transfer_gb);
    let monthly = regions.iter().map(|region| SNAPSHOT_GB * of(region, |prices| prices.snapshot_gb_month)).sum();

    let mut remark = format!(
        "list prices of {DATE}, see https://aws.amazon.com/ec2/pricing; assumes snapshots of {SNAPSHOT_GB} GB of a \
         disk of {disk_gib} GiB"
    );
    if !is_known_type {
        remark.push_str(&format!("; excludes the machines: {instance_type} is not in the price table"));
    }
    let unknown: Vec<&Region> = regions.iter().filter(|region| prices(region).is_none()).collect();
    if !unknown.is_empty() {
        remark.push_str(&format!(
            "; {} not in the price table, counted as the most expensive region",
            everywhere::names(unknown)
        ));
    }
    Cost { once_usd: hours * (machine_hour + ADDRESS_HOUR + disk_hour) + transfer, monthly_usd: monthly, remark }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HALF_AN_HOUR: Duration = Duration::from_secs(1800);

    fn region(name: &str) -> Region {
        name.parse().expect("a region")
    }

    /// The regions of the shipped file `regions`.
    fn regions() -> Vec<Region> {
        let path = camino::Utf8Path::new(env!("CARGO_MANIFEST_DIR")).join("../../regions");
        let text = std::fs::read_to_string(&path).expect("the file `regions`");
        xtask::region::parse_file(&path, &text).expect("regions")
    }

    fn is_about(value: f64, expected: f64) -> bool {
        (value - expected).abs() < 0.005
    }

    #[test]
    fn a_private_image_costs_its_machines_and_one_snapshot() {
        let build_region = region("us-west-2");
        let cost = cost(&build_region, std::slice::from_ref(&build_region), "m5.large", 8, HALF_AN_HOUR);
        // Two machines for half an hour each: 0.096 + 0.005 + 8 × 0.08 / 730.
        assert!(is_about(cost.once_usd, 0.102), "{cost:?}");
        assert!(is_about(cost.monthly_usd, 0.10), "{cost:?}");
        let date = "list prices of 2024-11";
        assert!(cost.remark.contains(date) && cost.remark.contains("2 GB of a disk of 8 GiB"), "{cost:?}");
    }

    #[test]
    fn a_release_pays_for_the_transfer_to_each_region_and_for_its_snapshot() {
        let cost = cost(&region("us-west-2"), &regions(), "m5.large", 8, HALF_AN_HOUR);
        assert!(is_about(cost.once_usd, 0.102 + 13.0 * 2.0 * 0.02), "{cost:?}");
        assert!(is_about(cost.monthly_usd, 2.0 * 0.743), "{cost:?}");
    }

    #[test]
    fn the_table_has_every_region_of_the_shipped_file() {
        let cost = cost(&region("us-west-2"), &regions(), "m5.large", 8, HALF_AN_HOUR);
        assert!(!cost.remark.contains("not in the price table"), "{}", cost.remark);
    }

    #[test]
    fn the_remark_names_regions_and_types_missing_from_the_table() {
        let build_region = region("eu-north-1");
        let cost = cost(&build_region, std::slice::from_ref(&build_region), "c7i.xlarge", 8, HALF_AN_HOUR);
        assert!(cost.remark.contains("excludes the machines: c7i.xlarge is not in the price table"), "{}", cost.remark);
        assert!(cost.remark.contains("eu-north-1 not in the price table"), "{}", cost.remark);
        assert!(is_about(cost.once_usd, 0.006) && is_about(cost.monthly_usd, 0.136), "{cost:?}");
    }
}
