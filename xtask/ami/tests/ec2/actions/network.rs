//! Regions, networks, and what there is in their zones.

use std::collections::BTreeSet;

use serde_json::json;

use crate::{
    books::{Tags, World},
    request::{Call, Thing},
    xml::{Refused, refuse},
};

/// Nothing here has any.
static TAGS: Tags = Tags::new();

/// The private addresses of each subnet: every computer has an address towards these.
const CIDR: &str = "127.31.0.0/20";

pub fn describe_regions(world: &mut World, call: &Call) -> Refused {
    let names = call.parameters.list("RegionName");
    if let Some(name) = names.iter().find(|name| !world.regions.contains_key(**name)) {
        refuse!("InvalidParameterValue", "Invalid region provided: [{name}]");
    }
    // Those that are named are shown, enabled or not.
    let all = !names.is_empty() || call.parameters.flag("AllRegions");
    let regions = world.regions.iter().filter(|(_, region)| all || region.opt_in != "not-opted-in");
    let things = regions.map(|(name, region)| Thing {
        id: name,
        tags: &TAGS,
        filters: json!({ "opt-in-status": region.opt_in, "region-name": name }),
        shown: json!({
            "regionName": name, "regionEndpoint": format!("ec2.{name}.amazonaws.com"), "optInStatus": region.opt_in,
        }),
    });
    call.parameters.look("regionInfo", "RegionName", things)
}

pub fn describe_vpcs(world: &mut World, call: &Call) -> Refused {
    let region = world.here(call);
    let vpcs: BTreeSet<&String> = region.subnets.iter().map(|subnet| &subnet.vpc).collect();
    if let Some(id) = call.parameters.list("VpcId").iter().find(|id| !vpcs.iter().any(|vpc| vpc == *id)) {
        refuse!("InvalidVpcID.NotFound", "The vpc ID '{id}' does not exist");
    }
    let things = vpcs.into_iter().map(|vpc| {
        let is_default = region.default_vpc.as_ref() == Some(vpc);
        let (filters, cidr) = (json!({ "is-default": is_default, "vpc-id": vpc }), "172.31.0.0/16");
        let shown = json!({ "vpcId": vpc, "state": "available", "cidrBlock": cidr, "isDefault": is_default });
        Thing { id: vpc, tags: &TAGS, filters, shown }
    });
    call.parameters.look("vpcSet", "VpcId", things)
}

pub fn describe_subnets(world: &mut World, call: &Call) -> Refused {
    let subnets = &world.here(call).subnets;
    if let Some(id) = call.parameters.list("SubnetId").iter().find(|id| !subnets.iter().any(|it| it.id == **id)) {
        refuse!("InvalidSubnetID.NotFound", "The subnet ID '{id}' does not exist");
    }
    let things = subnets.iter().map(|it| Thing {
        id: &it.id,
        tags: &TAGS,
        filters: json!({ "vpc-id": it.vpc, "default-for-az": it.default, "availability-zone": it.zone }),
        shown: json!({
            "subnetId": it.id, "state": "available", "vpcId": it.vpc, "availabilityZone": it.zone,
            "availableIpAddressCount": 4091, "defaultForAz": it.default, "mapPublicIpOnLaunch": it.default && !it.private,
            "cidrBlock": (!it.ipv6_only).then_some(CIDR), "ipv6Native": it.ipv6_only,
            "assignIpv6AddressOnCreation": it.ipv6_only,
            "ipv6CidrBlockAssociationSet": (it.ipv6 || it.ipv6_only).then(|| json!([{
                "ipv6CidrBlock": "2001:db8:1::/64", "ipv6CidrBlockState": { "state": "associated" },
            }])),
        }),
    });
    call.parameters.look("subnetSet", "SubnetId", things)
}

/// The types that are listed where none is asked for.
const TYPES: [&str; 3] = ["c5.large", "m5.large", "m5.xlarge"];

/// What was asked for is there, except where the test says otherwise.
pub fn describe_instance_type_offerings(world: &mut World, call: &Call) -> Refused {
    if call.parameters.get("LocationType") == Some("region") {
        let name = &call.region;
        let things = TYPES.iter().map(|kind| Thing {
            id: "",
            tags: &TAGS,
            filters: json!({ "instance-type": kind, "location": name }),
            shown: json!({ "instanceType": kind, "locationType": "region", "location": name }),
        });
        return call.parameters.look("instanceTypeOfferingSet", "", things);
    }
    if call.parameters.get("LocationType") != Some("availability-zone") {
        refuse!("InvalidParameterValue", "only LocationType region and availability-zone are known here");
    }
    let filters = call.parameters.parts("Filter");
    let kinds = filters.iter().filter(|filter| filter.get("Name") == Some("instance-type"));
    let kinds: Vec<&str> = kinds.flat_map(|filter| filter.list("Value")).collect();
    let region = world.here(call);
    let zones: BTreeSet<&String> = region.subnets.iter().map(|subnet| &subnet.zone).collect();
    let pairs = zones.into_iter().flat_map(|zone| kinds.iter().map(move |kind| (zone.clone(), (*kind).to_owned())));
    let things = pairs.filter(|pair| !region.zones_without.contains(pair)).map(|(zone, kind)| Thing {
        id: "",
        tags: &TAGS,
        filters: json!({ "instance-type": kind, "location": zone }),
        shown: json!({ "instanceType": kind, "locationType": "availability-zone", "location": zone }),
    });
    call.parameters.look("instanceTypeOfferingSet", "", things)
}

/// Every type is what the test says.
pub fn describe_instance_types(world: &mut World, call: &Call) -> Refused {
    let kind = &world.here(call).instance_type;
    let kinds = call.parameters.list("InstanceType");
    let things = kinds.iter().map(|name| Thing {
        id: name,
        tags: &TAGS,
        filters: json!({ "instance-type": name }),
        shown: json!({
            "instanceType": name, "supportedBootModes": kind.boot_modes, "nitroTpmSupport": kind.tpm,
            "processorInfo": { "supportedArchitectures": [kind.architecture] },
            "networkInfo": { "enaSupport": kind.ena }, "supportedVirtualizationTypes": ["hvm"],
        }),
    });
    call.parameters.look("instanceTypeSet", "InstanceType", things)
}
