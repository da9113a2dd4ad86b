//! The ways to and from instances, and the account's settings about images of others and the metadata service.

use serde_json::json;

use crate::{
    books::{Tags, World},
    request::{Call, Thing},
    xml::Refused,
};

/// Nothing here has any.
static TAGS: Tags = Tags::new();

pub fn describe_route_tables(world: &mut World, call: &Call) -> Refused {
    let region = world.here(call);
    let local = json!({ "destinationCidrBlock": "172.31.0.0/16", "gatewayId": "local", "state": "active" });
    let main = region.default_vpc.iter().map(|vpc| {
        let open = json!({ "destinationCidrBlock": "0.0.0.0/0", "gatewayId": "igw-1", "state": "active" });
        let association = json!({ "routeTableAssociationId": "rtbassoc-main", "main": true });
        (vpc.clone(), "rtb-main".to_owned(), association, json!([local, open]))
    });
    let subnets = region.subnets.iter();
    let of_ipv6 = subnets.filter(|it| (it.ipv6 || it.ipv6_only) && !region.paths.without_gateway.contains(&it.id));
    let of_ipv6 = of_ipv6.map(|subnet| {
        let association = json!({ "routeTableAssociationId": "rtbassoc-6", "main": false, "subnetId": subnet.id });
        let is_shut = region.paths.egress_only.contains(&subnet.id);
        let gateway = if is_shut { ("egressOnlyInternetGatewayId", "eigw-1") } else { ("gatewayId", "igw-1") };
        let open = json!({ "destinationCidrBlock": "0.0.0.0/0", "gatewayId": "igw-1", "state": "active" });
        let open6 = json!({ "destinationIpv6CidrBlock": "::/0", gateway.0: gateway.1, "state": "active" });
        (subnet.vpc.clone(), format!("rtb-{}", subnet.id), association, json!([local, open, open6]))
    });
    let shut = region.subnets.iter().filter(|subnet| region.paths.without_gateway.contains(&subnet.id)).map(|subnet| {
        let association = json!({ "routeTableAssociationId": "rtbassoc-1", "main": false, "subnetId": subnet.id });
        (subnet.vpc.clone(), format!("rtb-{}", subnet.id), association, json!([local]))
    });
    let tables: Vec<_> = main.chain(shut).chain(of_ipv6).collect();
    let things = tables.iter().map(|(vpc, id, association, routes)| Thing {
        id,
        tags: &TAGS,
        filters: json!({ "vpc-id": vpc }),
        shown: json!({ "routeTableId": id, "vpcId": vpc, "associationSet": [association], "routeSet": routes }),
    });
    call.parameters.look("routeTableSet", "RouteTableId", things)
}

fn manager(by_policy: bool) -> &'static str {
    if by_policy { "declarative-policy" } else { "account" }
}

pub fn describe_vpc_block_public_access_options(world: &mut World, call: &Call) -> Refused {
    let (mode, by_policy) = world.here(call).paths.block.unwrap_or(("off", false));
    Ok(json!({ "vpcBlockPublicAccessOptions": {
        "awsAccountId": world.caller, "awsRegion": call.region, "state": "update-complete",
        "internetGatewayBlockMode": mode, "managedBy": manager(by_policy), "exclusionsAllowed": "allowed",
    } }))
}

pub fn describe_vpc_block_public_access_exclusions(world: &mut World, call: &Call) -> Refused {
    let exclusions = world.here(call).paths.exclusions.iter();
    let things = exclusions.map(|(resource, mode)| Thing {
        id: "vpcbpa-exclude-1",
        tags: &TAGS,
        filters: json!({}),
        shown: json!({
            "exclusionId": "vpcbpa-exclude-1", "internetGatewayExclusionMode": mode, "state": "create-complete",
            "resourceArn": format!("arn:aws:ec2:{}:111122223333:vpc/{resource}", call.region),
        }),
    });
    call.parameters.look("vpcBlockPublicAccessExclusionSet", "ExclusionId", things)
}

pub fn get_instance_metadata_defaults(world: &mut World, call: &Call) -> Refused {
    let endpoint = world.here(call).paths.metadata_off.then_some("disabled");
    Ok(json!({ "accountLevel": { "httpTokens": "required", "httpEndpoint": endpoint, "managedBy": "account" } }))
}

pub fn get_allowed_images_settings(world: &mut World, call: &Call) -> Refused {
    let Some(owners) = &world.here(call).allowed_owners else { return Ok(json!({ "state": "disabled" })) };
    Ok(json!({ "state": "enabled", "managedBy": "account", "imageCriterionSet": [{ "imageProviderSet": owners }] }))
}
