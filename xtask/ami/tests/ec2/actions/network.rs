//! Regions, networks, and what there is in their zones.

use std::collections::BTreeSet;

use crate::{
    books::{Region, Tags, World},
    request::Call,
    xml::{Refusal, Refused, Xml},
};

/// DescribeRegions.
pub fn regions(world: &mut World, call: &Call) -> Refused<Xml> {
    let names = call.parameters.list("RegionName");
    if let Some(name) = names.iter().find(|name| !world.regions.contains_key(**name)) {
        return Err(Refusal::new("InvalidParameterValue", format!("Invalid region provided: [{name}]")));
    }
    let all = call.parameters.flag("AllRegions");
    let mut found = Vec::new();
    for (name, region) in &world.regions {
        let listed = names.is_empty() || names.contains(&name.as_str());
        let passes = call.parameters.admits(&Tags::new(), |filter| {
            Some(vec![match filter {
                "opt-in-status" => region.opt_in.to_owned(),
                "region-name" => name.clone(),
                _ => return None,
            }])
        })?;
        // Those that are named are shown, enabled or not.
        if listed && passes && (all || !names.is_empty() || region.opt_in != "not-opted-in") {
            found.push((name, region));
        }
    }
    let mut xml = Xml::default();
    xml.items("regionInfo", found, |xml, (name, region): (&String, &Region)| {
        xml.text("regionName", name).text("regionEndpoint", format!("ec2.{name}.amazonaws.com"));
        xml.text("optInStatus", region.opt_in);
    });
    Ok(xml)
}

/// DescribeVpcs.
pub fn vpcs(world: &mut World, call: &Call) -> Refused<Xml> {
    let ids = call.parameters.list("VpcId");
    let region = world.region(call);
    let vpcs: BTreeSet<String> = region.subnets.iter().map(|subnet| subnet.vpc.clone()).collect();
    if let Some(id) = ids.iter().find(|id| !vpcs.contains(**id)) {
        return Err(Refusal::new("InvalidVpcID.NotFound", format!("The vpc ID '{id}' does not exist")));
    }
    let mut found = Vec::new();
    for vpc in vpcs {
        let is_default = region.default_vpc.as_ref() == Some(&vpc);
        let passes = call.parameters.admits(&Tags::new(), |filter| {
            Some(vec![match filter {
                "is-default" | "isDefault" => is_default.to_string(),
                "vpc-id" => vpc.clone(),
                "state" => "available".to_owned(),
                _ => return None,
            }])
        })?;
        if passes && (ids.is_empty() || ids.contains(&vpc.as_str())) {
            found.push((vpc, is_default));
        }
    }
    let (found, next) = call.parameters.page(found);
    let mut xml = Xml::default();
    xml.maybe("nextToken", next).items("vpcSet", found, |xml, (vpc, is_default)| {
        xml.text("vpcId", vpc).text("state", "available").text("cidrBlock", "172.31.0.0/16");
        xml.text("isDefault", is_default);
    });
    Ok(xml)
}

/// DescribeSubnets.
pub fn subnets(world: &mut World, call: &Call) -> Refused<Xml> {
    let ids = call.parameters.list("SubnetId");
    let region = world.region(call);
    if let Some(id) = ids.iter().find(|id| !region.subnets.iter().any(|subnet| subnet.id == **id)) {
        return Err(Refusal::new("InvalidSubnetID.NotFound", format!("The subnet ID '{id}' does not exist")));
    }
    let mut found = Vec::new();
    for subnet in &region.subnets {
        let passes = call.parameters.admits(&Tags::new(), |filter| {
            Some(vec![match filter {
                "vpc-id" => subnet.vpc.clone(),
                "subnet-id" => subnet.id.clone(),
                "default-for-az" | "defaultForAz" => subnet.default.to_string(),
                "availability-zone" | "availabilityZone" => subnet.zone.clone(),
                "state" => "available".to_owned(),
                _ => return None,
            }])
        })?;
        if passes && (ids.is_empty() || ids.contains(&subnet.id.as_str())) {
            found.push(subnet);
        }
    }
    let (found, next) = call.parameters.page(found);
    let mut xml = Xml::default();
    xml.maybe("nextToken", next).items("subnetSet", found, |xml, subnet| {
        xml.text("subnetId", &subnet.id).text("state", "available").text("vpcId", &subnet.vpc);
        xml.text("availabilityZone", &subnet.zone).text("availableIpAddressCount", 4091);
        xml.text("defaultForAz", subnet.default).text("mapPublicIpOnLaunch", subnet.default);
    });
    Ok(xml)
}

/// DescribeInstanceTypeOfferings: what was asked for is there, except where the test says otherwise.
pub fn offerings(world: &mut World, call: &Call) -> Refused<Xml> {
    if call.parameters.get("LocationType") != Some("availability-zone") {
        return Err(Refusal::new("InvalidParameterValue", "only LocationType availability-zone is known here"));
    }
    let filters = call.parameters.parts("Filter");
    let kinds = filters.iter().filter(|filter| filter.get("Name") == Some("instance-type"));
    let kinds: Vec<&str> = kinds.flat_map(|filter| filter.list("Value")).collect();
    let region = world.region(call);
    let mut found = Vec::new();
    for zone in region.subnets.iter().map(|subnet| &subnet.zone).collect::<BTreeSet<_>>() {
        for kind in &kinds {
            let passes = call.parameters.admits(&Tags::new(), |filter| {
                Some(vec![match filter {
                    "instance-type" => (*kind).to_owned(),
                    "location" => zone.clone(),
                    _ => return None,
                }])
            })?;
            if passes && !region.zones_without.contains(&(zone.clone(), (*kind).to_owned())) {
                found.push((zone, *kind));
            }
        }
    }
    let (found, next) = call.parameters.page(found);
    let mut xml = Xml::default();
    xml.maybe("nextToken", next).items("instanceTypeOfferingSet", found, |xml, (zone, kind)| {
        xml.text("instanceType", kind).text("locationType", "availability-zone").text("location", zone);
    });
    Ok(xml)
}
