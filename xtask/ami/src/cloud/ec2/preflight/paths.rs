//! Whether SSH can reach machines in the build region, and whether they get their user data: VPC Block Public Access, the
//! route to an internet gateway, and the account's defaults for the metadata service.
//!
//! A question that the account may not ask, or that the endpoint does not know, is no finding.

use aws_sdk_ec2::{
    Client,
    types::{
        InstanceMetadataDefaultsResponse, InstanceMetadataEndpointState, InternetGatewayBlockMode,
        InternetGatewayExclusionMode, ManagedBy, Route, RouteState, RouteTable, VpcBlockPublicAccessExclusion,
        VpcBlockPublicAccessExclusionState, VpcBlockPublicAccessOptions,
    },
};
use futures_util::future::join3;
use xtask::region::Region;

use super::collector::FindingCollector;
use crate::{
    cloud::ec2::{answer::Answer as _, base::filter, network::Placement},
    ground::{api_error::ApiError, finding::Finding},
};

/// The family of the addresses that machines are reached at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// Public IPv4 addresses.
    Ipv4,
    /// IPv6 addresses, which are public ones all.
    Ipv6,
}

/// The ways to and from machines.
pub struct Paths<'a> {
    /// A client of the build region.
    pub client: &'a Client,
    /// The build region.
    pub region: &'a Region,
    /// The subnets that machines may be launched in.
    pub placements: &'a [Placement],
    /// The public addresses that they are reached at; `None` when these are private, or a command leads there.
    pub reached_at: Option<Family>,
}

impl Paths<'_> {
    /// Asks, and reports what stands in the way.
    pub async fn check(&self, collector: &mut FindingCollector) {
        let mut unasked = Vec::new();
        let (block, tables, defaults) = join3(self.block(), self.route_tables(), self.metadata_defaults()).await;
        if let Some(block) = known(block, &mut unasked).flatten() {
            self.report_block(&block, &mut unasked, collector).await;
        }
        self.report_routes(&known(tables, &mut unasked).unwrap_or_default(), collector);
        if let Some(defaults) = known(defaults, &mut unasked).flatten() {
            self.report_metadata(&defaults, collector);
        }
        if !unasked.is_empty() {
            let actions: Vec<String> = unasked.iter().map(|error| format!("ec2:{}", error.action)).collect();
            let why = if unasked.iter().all(ApiError::is_denial) { "not permitted" } else { "no answer" };
            collector.warnings.push(format!(
                "cannot check in {} whether SSH can reach machines: {why} for {}",
                self.region,
                actions.join(", ")
            ));
        }
    }

    async fn block(&self) -> Result<Option<VpcBlockPublicAccessOptions>, ApiError> {
        let answer = self.client.describe_vpc_block_public_access_options().send().await;
        let answer = answer.answer("DescribeVpcBlockPublicAccessOptions", self.region.as_str())?;
        Ok(answer.vpc_block_public_access_options)
    }

    async fn exclusions(&self) -> Result<Vec<VpcBlockPublicAccessExclusion>, ApiError> {
        let answer = self.client.describe_vpc_block_public_access_exclusions().send().await;
        let answer = answer.answer("DescribeVpcBlockPublicAccessExclusions", self.region.as_str())?;
        Ok(answer.vpc_block_public_access_exclusions.unwrap_or_default())
    }

    async fn route_tables(&self) -> Result<Vec<RouteTable>, ApiError> {
        let Some(placement) = self.placements.first() else { return Ok(Vec::new()) };
        let question = self.client.describe_route_tables().filters(filter("vpc-id", &placement.vpc_id));
        let answer = question.send().await.answer("DescribeRouteTables", self.region.as_str())?;
        Ok(answer.route_tables.unwrap_or_default())
    }

    async fn metadata_defaults(&self) -> Result<Option<InstanceMetadataDefaultsResponse>, ApiError> {
        let answer = self.client.get_instance_metadata_defaults().send().await;
        Ok(answer.answer("GetInstanceMetadataDefaults", self.region.as_str())?.account_level)
    }

    async fn report_block(
        &self,
        block: &VpcBlockPublicAccessOptions,
        unasked: &mut Vec<ApiError>,
        collector: &mut FindingCollector,
    ) {
        let mode = block.internet_gateway_block_mode();
        let Some(mode) = mode.filter(|mode| self.reached_at.is_some() && **mode != InternetGatewayBlockMode::Off)
        else {
            return;
        };
        let Some(exclusions) = known(self.exclusions().await, unasked) else { return };
        let is_shut = |placement: &&Placement| !exclusions.iter().any(|exclusion| opens(exclusion, placement));
        let shut: Vec<&Placement> = self.placements.iter().filter(is_shut).collect();
        let Some(first) = shut.first() else { return };
        let exclude = format!(
            "exclude the VPC from it: aws ec2 create-vpc-block-public-access-exclusion --vpc-id {} \
             --internet-gateway-exclusion-mode allow-bidirectional --region {}{}",
            first.vpc_id, self.region, collector.flags
        );
        let way = match block.managed_by() {
            Some(ManagedBy::DeclarativePolicy) => {
                format!("ask the administrators of the organization's declarative policies, or {exclude}")
            }
            _ => exclude,
        };
        collector.findings.push(Finding {
            problem: format!(
                "VPC Block Public Access ({}) in {} keeps SSH from reaching machines in {}",
                mode.as_str(),
                self.region,
                names(&shut)
            ),
            remedy: format!("{way}; or reach the machines at their private addresses (--reach private)"),
        });
    }

    fn report_routes(&self, tables: &[RouteTable], collector: &mut FindingCollector) {
        let table = |placement: &&Placement| table_of(tables, placement);
        let lacks = |leads: &dyn Fn(&Route) -> bool| -> Vec<&Placement> {
            let lacks =
                |placement: &&Placement| table(placement).is_some_and(|table| !table.routes().iter().any(leads));
            self.placements.iter().filter(lacks).collect()
        };
        let leads_in = |family| lacks(&move |route| is_default(route, family) && leads_to_gateway(route));
        let without_gateway = self.reached_at.map(|family| (family, leads_in(family)));
        if let Some((family, without_gateway)) = without_gateway
            && let Some(first) = without_gateway.first()
        {
            let (addresses, destination) = match family {
                Family::Ipv4 => ("public", "--destination-cidr-block 0.0.0.0/0"),
                Family::Ipv6 => ("IPv6", "--destination-ipv6-cidr-block ::/0"),
            };
            let only_out = table(first).is_some_and(|table| {
                table.routes().iter().any(|it| is_default(it, family) && it.egress_only_internet_gateway_id().is_some())
            });
            let only_out = if only_out { " (an egress-only internet gateway lets no connection in)" } else { "" };
            let id = table(first).and_then(|table| table.route_table_id()).unwrap_or("ID");
            collector.findings.push(Finding {
                problem: format!(
                    "no route to an internet gateway from {}, so SSH cannot reach machines there at their {addresses} \
                     addresses{only_out}",
                    names(&without_gateway)
                ),
                remedy: format!(
                    "give a --subnet that has one, or reach the machines at their private addresses (--reach private), or \
                     add a route: aws ec2 create-route --route-table-id {id} {destination} --gateway-id igw-… --region {}{}",
                    self.region, collector.flags
                ),
            });
            return;
        }
        let without_exit = lacks(&|route| is_default(route, Family::Ipv4) || is_default(route, Family::Ipv6));
        if !without_exit.is_empty() {
            collector.warnings.push(format!(
                "{} has no route to the internet, so machines there can install packages only from mirrors inside",
                names(&without_exit)
            ));
        }
    }

    fn report_metadata(&self, defaults: &InstanceMetadataDefaultsResponse, collector: &mut FindingCollector) {
        if defaults.http_endpoint() != Some(&InstanceMetadataEndpointState::Disabled) {
            return;
        }
        let remedy = match defaults.managed_by() {
            Some(ManagedBy::DeclarativePolicy) => {
                let message = defaults.managed_exception_message().map(|words| format!(" ({words})"));
                format!(
                    "ask the administrators of the organization's declarative policies{}",
                    message.unwrap_or_default()
                )
            }
            _ => format!(
                "run aws ec2 modify-instance-metadata-defaults --http-endpoint no-preference --region {}{}",
                self.region, collector.flags
            ),
        };
        collector.findings.push(Finding {
            problem: format!(
                "the account's defaults switch the metadata service off in {}, so machines would get neither their login \
                 key nor their user data",
                self.region
            ),
            remedy,
        });
    }
}

/// The answer to a question, if there is one. An endpoint that does not know the action leaves nothing to say.
fn known<T>(answer: Result<T, ApiError>, unasked: &mut Vec<ApiError>) -> Option<T> {
    match answer {
        Ok(known) => Some(known),
        Err(error) if error.has_code(&["InvalidAction", "UnsupportedOperation", "NotImplemented*"]) => None,
        // EC2 itself never answers without a code.
        Err(error) if error.code.is_none() && error.message.starts_with("HTTP status") => None,
        Err(error) => {
            unasked.push(error);
            None
        }
    }
}

/// Whether an exclusion lets connections into a subnet.
fn opens(exclusion: &VpcBlockPublicAccessExclusion, placement: &Placement) -> bool {
    use VpcBlockPublicAccessExclusionState::{CreateComplete, UpdateComplete};
    let is_whole =
        exclusion.internet_gateway_exclusion_mode() == Some(&InternetGatewayExclusionMode::AllowBidirectional);
    let is_set = matches!(exclusion.state(), Some(CreateComplete | UpdateComplete));
    let resource = exclusion.resource_arn().and_then(|arn| arn.rsplit('/').next());
    is_whole && is_set && resource.is_some_and(|id| id == placement.subnet_id || id == placement.vpc_id)
}

/// The route table of a subnet: its own, or the main one of its VPC.
fn table_of<'a>(tables: &'a [RouteTable], placement: &Placement) -> Option<&'a RouteTable> {
    let own = |table: &&RouteTable| {
        table.associations().iter().any(|it| it.subnet_id() == Some(placement.subnet_id.as_str()))
    };
    let main = |table: &&RouteTable| table.associations().iter().any(|it| it.main() == Some(true));
    tables.iter().find(own).or_else(|| tables.iter().find(main))
}

fn is_default(route: &Route, family: Family) -> bool {
    let is_anywhere = match family {
        Family::Ipv4 => route.destination_cidr_block() == Some("0.0.0.0/0"),
        Family::Ipv6 => route.destination_ipv6_cidr_block() == Some("::/0"),
    };
    is_anywhere && route.state() != Some(&RouteState::Blackhole)
}

fn leads_to_gateway(route: &Route) -> bool {
    route.gateway_id().is_some_and(|id| id.starts_with("igw-"))
}

fn names(placements: &[&Placement]) -> String {
    placements.iter().map(|placement| placement.subnet_id.as_str()).collect::<Vec<_>>().join(", ")
}
