//! Where in the home region machines can be launched.

use std::collections::BTreeSet;

use anyhow::Result;
use aws_sdk_ec2::{
    Client,
    types::{LocationType, Subnet},
};
use futures_util::future::try_join;
use xtask::region::Region;

use super::{Ec2, answer::Answer as _, base::filter};
use crate::{
    cloud::Account as _,
    ground::{api_error::ApiError, finding::Finding},
};

/// A subnet that machines of the recipe's type can be launched in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Placement {
    /// The subnet.
    pub subnet_id: String,
    /// The VPC that it is in.
    pub vpc_id: String,
    /// The zone that it is in.
    pub zone: String,
}

impl Ec2 {
    /// The subnet that was asked for, or those of the default VPC, as far as the instance type is offered there.
    ///
    /// # Errors
    /// A [`Finding`] when there is none; else EC2's answer.
    pub(super) async fn placements(&self, region: &Region) -> Result<&[Placement]> {
        self.placements_by(&self.client(region)).await
    }

    /// The same, with the patience that the client has.
    ///
    /// # Errors
    /// As [`Ec2::placements`].
    pub(super) async fn placements_by(&self, client: &Client) -> Result<&[Placement]> {
        self.placements.get_or_try_init(|| self.find_placements(client)).await.map(Vec::as_slice)
    }

    /// All regions that the account can use and this tool knows.
    ///
    /// # Errors
    /// When EC2 doesn't answer.
    pub(super) async fn enabled_regions(&self) -> Result<Vec<Region>> {
        // Those that are not enabled are left out unless one asks for all.
        let answer = self.client(&self.home).describe_regions().send().await;
        let regions = answer.answer("DescribeRegions", self.home.as_str())?.regions.unwrap_or_default();
        Ok(regions.into_iter().filter_map(|region| region.region_name?.parse().ok()).collect())
    }

    async fn find_placements(&self, client: &Client) -> Result<Vec<Placement>> {
        let (subnets, offered) = try_join(self.subnets(client), self.zones_that_offer(client)).await?;
        let asked_for = self.settings.subnet.as_deref();
        let placements = fitting(&subnets, &offered);
        if placements.is_empty() {
            let zones: Vec<String> = subnets.into_iter().map(|subnet| subnet.zone).collect();
            let instance_type = &self.recipe.instance.instance_type;
            return Err(nowhere(instance_type, self.home.as_str(), &zones, &offered, asked_for, &self.flags()).into());
        }
        Ok(placements)
    }

    /// Whether the security group that was asked for lets machines of these subnets have it.
    ///
    /// # Errors
    /// A [`Finding`] when it doesn't; else EC2's answer.
    pub(super) async fn check_security_group(&self, client: &Client, placements: &[Placement]) -> Result<()> {
        let Some(id) = &self.settings.security_group else { return Ok(()) };
        let answer = client.describe_security_groups().group_ids(id).send().await;
        let groups = match answer.answer("DescribeSecurityGroups", self.home.as_str()) {
            Ok(answer) => answer.security_groups.unwrap_or_default(),
            Err(error) if error.has_code(&["InvalidGroup*", "InvalidSecurityGroup*"]) => Vec::new(),
            Err(error) => return Err(error.into()),
        };
        let Some(group) = groups.first() else {
            let problem = format!("there is no security group {id} in {}", self.home);
            let remedy = "give one that is there with --security-group, or leave that out for one of the build's own";
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
        let subnets = match answer.answer("DescribeSubnets", self.home.as_str()) {
            Ok(answer) => answer.subnets.unwrap_or_default(),
            Err(error) if error.has_code(&["InvalidSubnet*"]) => Vec::new(),
            Err(error) => return Err(error.into()),
        };
        let found = subnets.first().and_then(placement);
        found.ok_or_else(|| {
            let problem = format!("there is no subnet {id} in {}", self.home);
            let remedy = "give one that is there with --subnet, or leave that out for those of the default VPC";
            Finding { problem, remedy: remedy.to_owned() }.into()
        })
    }

    async fn default_subnets(&self, client: &Client) -> Result<Vec<Placement>> {
        let region = self.home.as_str();
        let answer = client.describe_vpcs().filters(filter("is-default", "true")).send().await;
        let vpcs = answer.answer("DescribeVpcs", region)?.vpcs.unwrap_or_default();
        let Some(vpc) = vpcs.first().and_then(|vpc| vpc.vpc_id()) else {
            return Err(no_default(None, region, &self.flags()).into());
        };
        let question = client.describe_subnets().filters(filter("vpc-id", vpc));
        let answer = question.filters(filter("default-for-az", "true")).send().await;
        let subnets = answer.answer("DescribeSubnets", region)?.subnets.unwrap_or_default();
        let placements: Vec<Placement> = subnets.iter().filter_map(placement).collect();
        if placements.is_empty() {
            return Err(no_default(Some(vpc), region, &self.flags()).into());
        }
        Ok(placements)
    }

    /// The zones of the home region in which the recipe's instance type is offered.
    async fn zones_that_offer(&self, client: &Client) -> Result<BTreeSet<String>> {
        let question = client.describe_instance_type_offerings().location_type(LocationType::AvailabilityZone);
        let of_type = filter("instance-type", &self.recipe.instance.instance_type);
        let answer = question.filters(of_type).send().await;
        let answer: Result<_, ApiError> = answer.answer("DescribeInstanceTypeOfferings", self.home.as_str());
        let offerings = answer?.instance_type_offerings.unwrap_or_default();
        Ok(offerings.into_iter().filter_map(|offering| offering.location).collect())
    }
}

fn placement(subnet: &Subnet) -> Option<Placement> {
    let part = |text: Option<&str>| text.map(str::to_owned);
    Some(Placement {
        subnet_id: part(subnet.subnet_id())?,
        vpc_id: part(subnet.vpc_id())?,
        zone: part(subnet.availability_zone())?,
    })
}

/// The subnets in zones that offer the type, by zone.
fn fitting(subnets: &[Placement], offered: &BTreeSet<String>) -> Vec<Placement> {
    let mut fitting: Vec<Placement> = subnets.iter().filter(|subnet| offered.contains(&subnet.zone)).cloned().collect();
    fitting.sort_by(|one, other| one.zone.cmp(&other.zone));
    fitting
}

/// There is no default VPC, or none of its subnets is; `flags` are those of the AWS CLI for this account.
fn no_default(vpc: Option<&str>, region: &str, flags: &str) -> Finding {
    let (problem, command) = match vpc {
        None => (format!("the account has no default VPC in {region}"), "create-default-vpc".to_owned()),
        Some(vpc) => (
            format!("the default VPC {vpc} in {region} has no default subnet"),
            format!("create-default-subnet --availability-zone {region}a"),
        ),
    };
    Finding { problem, remedy: format!("give a --subnet, or type aws ec2 {command} --region {region}{flags}") }
}

fn nowhere(
    instance_type: &str,
    region: &str,
    zones: &[String],
    offered: &BTreeSet<String>,
    asked_for: Option<&str>,
    flags: &str,
) -> Finding {
    if offered.is_empty() {
        let problem = format!("{region} doesn't offer the instance type {instance_type}");
        let listing = format!("aws ec2 describe-instance-type-offerings --region {region}{flags} lists what it offers");
        return Finding { problem, remedy: format!("give another with --instance-type; {listing}") };
    }
    let offered: Vec<&str> = offered.iter().map(String::as_str).collect();
    let place = match asked_for {
        Some(subnet) => format!("the subnet {subnet}, in {},", zones.join(", ")),
        None => format!("the default VPC, with subnets in {},", zones.join(", ")),
    };
    let problem = format!("{place} has no {instance_type}: EC2 offers it in {}", offered.join(", "));
    Finding { problem, remedy: "give a --subnet in one of these, or another --instance-type".to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FLAGS: &str = " --profile 'my team'";

    fn placement(zone: &str) -> Placement {
        Placement { subnet_id: format!("subnet-{zone}"), vpc_id: "vpc-1".to_owned(), zone: zone.to_owned() }
    }

    #[test]
    fn only_zones_that_offer_the_type_are_used_in_their_order() {
        let subnets = ["us-west-2c", "us-west-2d", "us-west-2a"].map(placement);
        let offered = ["us-west-2a", "us-west-2b", "us-west-2c"].map(str::to_owned).into();
        let zones: Vec<String> = fitting(&subnets, &offered).into_iter().map(|found| found.zone).collect();
        assert_eq!(zones, ["us-west-2a", "us-west-2c"]);
    }

    #[test]
    fn what_makes_the_default_is_made_in_the_account_that_was_asked() {
        for (vpc, command) in
            [(None, "create-default-vpc"), (Some("vpc-1"), "create-default-subnet --availability-zone us-west-2a")]
        {
            let finding = no_default(vpc, "us-west-2", FLAGS);
            assert!(finding.remedy.ends_with(&format!("aws ec2 {command} --region us-west-2{FLAGS}")), "{finding:?}");
        }
    }

    #[test]
    fn a_type_that_is_offered_nowhere_and_one_that_is_offered_elsewhere_are_told_apart() {
        let zones = ["us-west-2d".to_owned()];
        let nowhere_at_all = nowhere("p5.48xlarge", "us-west-2", &zones, &BTreeSet::new(), None, FLAGS);
        assert_eq!(nowhere_at_all.problem, "us-west-2 doesn't offer the instance type p5.48xlarge");
        assert!(nowhere_at_all.remedy.contains("--instance-type"), "{nowhere_at_all:?}");
        assert!(nowhere_at_all.remedy.contains("--region us-west-2 --profile 'my team' lists"), "{nowhere_at_all:?}");

        let offered = ["us-west-2a".to_owned()].into();
        let elsewhere = nowhere("m5.large", "us-west-2", &zones, &offered, Some("subnet-1"), FLAGS);
        let problem = "the subnet subnet-1, in us-west-2d, has no m5.large: EC2 offers it in us-west-2a";
        assert_eq!(elsewhere.problem, problem);
        assert_eq!(elsewhere.remedy, "give a --subnet in one of these, or another --instance-type");
    }
}
