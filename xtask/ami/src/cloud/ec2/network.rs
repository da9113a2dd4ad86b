//! The subnets of the build region that machines can be launched in.

use std::collections::BTreeSet;

use anyhow::Result;
use aws_sdk_ec2::{
    Client,
    types::{LocationType, Subnet, SubnetCidrBlockState, SubnetCidrBlockStateCode},
};
use futures_util::future::try_join;
use ipnet::IpNet;
use xtask::region::{Region, nearest};

use super::{Ec2, answer::Answer as _, base::filter};
use crate::{
    cloud::Account as _,
    ground::{api_error::ApiError, finding::Finding},
};

/// How many regions beside the build region are asked which regions the account has.
const OTHERS_TO_ASK: usize = 2;

/// A subnet in a zone that offers the recipe's instance type.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Placement {
    /// Its id.
    pub subnet_id: String,
    /// Its VPC.
    pub vpc_id: String,
    /// Its availability zone.
    pub zone: String,
    /// Its private addresses.
    pub cidr: Option<IpNet>,
    /// Whether it gives instances a public IPv4 address that do not ask.
    pub gives_public_address: bool,
    /// Whether instances can have IPv6 addresses.
    pub has_ipv6: bool,
    /// Whether it gives them one unasked.
    pub gives_ipv6_address: bool,
    /// Whether it has IPv6 addresses only.
    pub is_ipv6_only: bool,
}

impl Ec2 {
    /// The subnet given with `--subnet`, or the default subnets of the default VPC; only in zones that offer the
    /// instance type.
    ///
    /// # Errors
    /// A [`Finding`] when there is none; otherwise EC2's error.
    pub(super) async fn placements(&self, region: &Region) -> Result<&[Placement]> {
        self.placements_with(&self.client(region)).await
    }

    /// The same through another client, with its own timeouts.
    ///
    /// # Errors
    /// The same.
    pub(super) async fn placements_with(&self, client: &Client) -> Result<&[Placement]> {
        self.placements.get_or_try_init(|| self.find_placements(client)).await.map(Vec::as_slice)
    }

    /// The regions that are enabled for the account and known to this tool. Every region tells them, so some of `others`
    /// are asked where the build region doesn't.
    ///
    /// # Errors
    /// The build region's, when none of them answers.
    pub(super) async fn enabled_regions(&self, others: &BTreeSet<Region>) -> Result<Vec<Region>> {
        let mut asked = self.enabled_regions_by(&self.build_region).await;
        let others = others.iter().filter(|region| **region != self.build_region);
        for region in others.take(OTHERS_TO_ASK) {
            if asked.is_ok() {
                break;
            }
            asked = self.enabled_regions_by(region).await.or(asked);
        }
        Ok(asked?)
    }

    async fn enabled_regions_by(&self, region: &Region) -> Result<Vec<Region>, ApiError> {
        // EC2 lists only enabled regions unless `AllRegions` is set (EC2 API reference, `DescribeRegions`).
        let answer = self.client(region).describe_regions().send().await;
        let regions = answer.answer("DescribeRegions", region.as_str())?.regions.unwrap_or_default();
        Ok(regions.into_iter().filter_map(|region| region.region_name?.parse().ok()).collect())
    }

    async fn find_placements(&self, client: &Client) -> Result<Vec<Placement>> {
        let (subnets, offered) = try_join(self.subnets(client), self.zones_that_offer(client)).await?;
        let wanted = self.settings.subnet.as_deref();
        let placements = offering_subnets(&subnets, &offered);
        if placements.is_empty() {
            let zones: Vec<String> = subnets.into_iter().map(|subnet| subnet.zone).collect();
            let instance_type = &self.recipe.instance.instance_type;
            let region = self.build_region.as_str();
            if offered.is_empty() {
                let near = self.nearest_type(client).await;
                return Err(offered_nowhere(instance_type, region, near.as_deref(), &self.flags()).into());
            }
            return Err(offered_elsewhere(instance_type, &zones, &offered, wanted).into());
        }
        Ok(placements)
    }

    /// Checks that the security group given with `--security-group` exists and is in the VPC of these subnets.
    ///
    /// # Errors
    /// A [`Finding`] when it doesn't or isn't; otherwise EC2's error.
    pub(super) async fn check_security_group(&self, client: &Client, placements: &[Placement]) -> Result<()> {
        let Some(id) = &self.settings.security_group else { return Ok(()) };
        let answer = client.describe_security_groups().group_ids(id).send().await;
        let groups = match answer.answer("DescribeSecurityGroups", self.build_region.as_str()) {
            Ok(answer) => answer.security_groups.unwrap_or_default(),
            Err(error) if error.has_code(&["InvalidGroup*", "InvalidSecurityGroup*"]) => Vec::new(),
            Err(error) => return Err(error.into()),
        };
        let Some(group) = groups.first() else {
            let problem = format!("there is no security group {id} in {}", self.build_region);
            let remedy = "give an existing group with --security-group, or omit it: the build then creates one";
            return Err(Finding { problem, remedy: remedy.to_owned() }.into());
        };
        let vpc = group.vpc_id().unwrap_or_default();
        match placements.first() {
            Some(placement) if placement.vpc_id != vpc => {
                let Placement { subnet_id, vpc_id, .. } = placement;
                let problem = format!("the security group {id} is in {vpc}, and the subnet {subnet_id} in {vpc_id}");
                let remedy = format!("give a --subnet of {vpc}, or a --security-group of {vpc_id}");
                Err(Finding { problem, remedy }.into())
            }
            _ => Ok(()),
        }
    }

    async fn subnets(&self, client: &Client) -> Result<Vec<Placement>> {
        match &self.settings.subnet {
            Some(id) => Ok(vec![self.subnet_by_id(client, id).await?]),
            None => self.default_subnets(client).await,
        }
    }

    async fn subnet_by_id(&self, client: &Client, id: &str) -> Result<Placement> {
        let answer = client.describe_subnets().subnet_ids(id).send().await;
        let subnets = match answer.answer("DescribeSubnets", self.build_region.as_str()) {
            Ok(answer) => answer.subnets.unwrap_or_default(),
            Err(error) if error.has_code(&["InvalidSubnet*"]) => Vec::new(),
            Err(error) => return Err(error.into()),
        };
        let found = subnets.first().and_then(placement);
        found.ok_or_else(|| {
            let problem = format!("there is no subnet {id} in {}", self.build_region);
            let remedy = "give an existing subnet with --subnet, or omit it to use the default VPC";
            Finding { problem, remedy: remedy.to_owned() }.into()
        })
    }

    async fn default_subnets(&self, client: &Client) -> Result<Vec<Placement>> {
        let region = self.build_region.as_str();
        let answer = client.describe_vpcs().filters(filter("is-default", "true")).send().await;
        let vpcs = answer.answer("DescribeVpcs", region)?.vpcs.unwrap_or_default();
        let Some(vpc) = vpcs.first().and_then(|vpc| vpc.vpc_id()) else {
            return Err(no_default_network(None, region, &self.flags()).into());
        };
        let question = client.describe_subnets().filters(filter("vpc-id", vpc));
        let answer = question.filters(filter("default-for-az", "true")).send().await;
        let subnets = answer.answer("DescribeSubnets", region)?.subnets.unwrap_or_default();
        let placements: Vec<Placement> = subnets.iter().filter_map(placement).collect();
        if placements.is_empty() {
            return Err(no_default_network(Some(vpc), region, &self.flags()).into());
        }
        Ok(placements)
    }

    /// The zones of the build region that offer the recipe's instance type.
    async fn zones_that_offer(&self, client: &Client) -> Result<BTreeSet<String>> {
        let question = client.describe_instance_type_offerings().location_type(LocationType::AvailabilityZone);
        let of_type = filter("instance-type", &self.recipe.instance.instance_type);
        let answer = question.filters(of_type).send().await;
        let answer: Result<_, ApiError> = answer.answer("DescribeInstanceTypeOfferings", self.build_region.as_str());
        let offerings = answer?.instance_type_offerings.unwrap_or_default();
        Ok(offerings.into_iter().filter_map(|offering| offering.location).collect())
    }

    /// The type of instances that the region offers whose name is nearest to the recipe's. It is only advice, so where EC2 does
    /// not tell the types there is none.
    async fn nearest_type(&self, client: &Client) -> Option<String> {
        let question = client.describe_instance_type_offerings().location_type(LocationType::Region);
        let mut pages = question.into_paginator().send();
        let mut types = Vec::new();
        while let Some(page) = pages.next().await {
            let offerings = page.ok()?.instance_type_offerings.unwrap_or_default();
            types
                .extend(offerings.into_iter().filter_map(|offering| Some(offering.instance_type?.as_str().to_owned())));
        }
        let known: Vec<&str> = types.iter().map(String::as_str).collect();
        nearest(&self.recipe.instance.instance_type, &known).map(str::to_owned)
    }
}

fn placement(subnet: &Subnet) -> Option<Placement> {
    let part = |text: Option<&str>| text.map(str::to_owned);
    let blocks = subnet.ipv6_cidr_block_association_set().iter();
    let is_there = |state: &SubnetCidrBlockState| state.state() == Some(&SubnetCidrBlockStateCode::Associated);
    let mut ipv6 = blocks.filter(|block| block.ipv6_cidr_block_state().is_none_or(is_there));
    let is_ipv6_only = subnet.ipv6_native() == Some(true);
    let ipv6_block = ipv6.find_map(|block| block.ipv6_cidr_block());
    Some(Placement {
        subnet_id: part(subnet.subnet_id())?,
        vpc_id: part(subnet.vpc_id())?,
        zone: part(subnet.availability_zone())?,
        cidr: subnet.cidr_block().or(ipv6_block).and_then(|block| block.parse().ok()),
        gives_public_address: subnet.map_public_ip_on_launch() == Some(true) && !is_ipv6_only,
        has_ipv6: ipv6_block.is_some() || is_ipv6_only,
        gives_ipv6_address: subnet.assign_ipv6_address_on_creation() == Some(true) || is_ipv6_only,
        is_ipv6_only,
    })
}

/// The subnets in zones that offer the type, sorted by zone.
fn offering_subnets(subnets: &[Placement], offered: &BTreeSet<String>) -> Vec<Placement> {
    let mut offering_subnets: Vec<Placement> =
        subnets.iter().filter(|subnet| offered.contains(&subnet.zone)).cloned().collect();
    offering_subnets.sort_by(|one, other| one.zone.cmp(&other.zone));
    offering_subnets
}

/// The finding when there is no default VPC, or the VPC has no default subnet. `flags` are for the AWS CLI.
fn no_default_network(vpc: Option<&str>, region: &str, flags: &str) -> Finding {
    let (problem, command) = match vpc {
        None => (format!("the account has no default VPC in {region}"), "create-default-vpc".to_owned()),
        Some(vpc) => (
            format!("the default VPC {vpc} in {region} has no default subnet"),
            format!("create-default-subnet --availability-zone {region}a"),
        ),
    };
    Finding { problem, remedy: format!("give a --subnet, or run aws ec2 {command} --region {region}{flags}") }
}

/// The finding when no zone of the region offers the type. `flags` are for the AWS CLI.
fn offered_nowhere(instance_type: &str, region: &str, near: Option<&str>, flags: &str) -> Finding {
    let near = near.map(|near| format!("; did you mean {near}?")).unwrap_or_default();
    let problem = format!("EC2 does not offer the instance type {instance_type} in {region}{near}");
    let listing = format!("aws ec2 describe-instance-type-offerings --region {region}{flags} lists the types");
    Finding { problem, remedy: format!("give another --instance-type; {listing}") }
}

/// The finding when no subnet is in one of the zones that offer the type.
fn offered_elsewhere(
    instance_type: &str,
    zones: &[String],
    offered: &BTreeSet<String>,
    wanted: Option<&str>,
) -> Finding {
    let offered: Vec<&str> = offered.iter().map(String::as_str).collect();
    let place = match wanted {
        Some(subnet) => format!("the subnet {subnet} is in {}", zones.join(", ")),
        None => format!("the default VPC has subnets in {}", zones.join(", ")),
    };
    let problem = format!("{place}, but EC2 offers {instance_type} only in {}", offered.join(", "));
    Finding { problem, remedy: "give a --subnet in one of these zones, or another --instance-type".to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FLAGS: &str = " --profile 'my team'";

    fn placement(zone: &str) -> Placement {
        let (subnet_id, vpc_id, zone) = (format!("subnet-{zone}"), "vpc-1".to_owned(), zone.to_owned());
        Placement { subnet_id, vpc_id, zone, ..Placement::default() }
    }

    #[test]
    fn only_zones_that_offer_the_type_are_used_in_order() {
        let subnets = ["us-west-2c", "us-west-2d", "us-west-2a"].map(placement);
        let offered = ["us-west-2a", "us-west-2b", "us-west-2c"].map(str::to_owned).into();
        let zones: Vec<String> = offering_subnets(&subnets, &offered).into_iter().map(|found| found.zone).collect();
        assert_eq!(zones, ["us-west-2a", "us-west-2c"]);
    }

    #[test]
    fn the_remedy_for_a_missing_default_network_uses_the_same_account() {
        for (vpc, command) in
            [(None, "create-default-vpc"), (Some("vpc-1"), "create-default-subnet --availability-zone us-west-2a")]
        {
            let finding = no_default_network(vpc, "us-west-2", FLAGS);
            assert!(finding.remedy.ends_with(&format!("aws ec2 {command} --region us-west-2{FLAGS}")), "{finding:?}");
        }
    }

    #[test]
    fn a_type_offered_nowhere_is_distinguished_from_one_offered_in_other_zones() {
        let zones = ["us-west-2d".to_owned()];
        let none_at_all = offered_nowhere("p5.48xlarge", "us-west-2", None, FLAGS);
        assert_eq!(none_at_all.problem, "EC2 does not offer the instance type p5.48xlarge in us-west-2");
        assert!(none_at_all.remedy.contains("--instance-type"), "{none_at_all:?}");
        assert!(none_at_all.remedy.contains("--region us-west-2 --profile 'my team' lists"), "{none_at_all:?}");

        let offered = ["us-west-2a".to_owned()].into();
        let elsewhere = offered_elsewhere("m5.large", &zones, &offered, Some("subnet-1"));
        let problem = "the subnet subnet-1 is in us-west-2d, but EC2 offers m5.large only in us-west-2a";
        assert_eq!(elsewhere.problem, problem);
        assert_eq!(elsewhere.remedy, "give a --subnet in one of these zones, or another --instance-type");
    }
}
