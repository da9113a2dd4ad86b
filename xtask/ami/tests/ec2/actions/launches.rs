//! RunInstances.

use std::collections::{BTreeMap, BTreeSet};

use aws_smithy_types::base64;

use crate::{
    actions::instances::reservation,
    books::{ACCOUNT, Image, Instance, Subnet, World},
    request::{Call, Parameters},
    xml::{Refusal, Refused, refuse},
};

pub fn run_instances(world: &mut World, call: &Call) -> Refused {
    let id = match world.known(call)? {
        Some(id) => id,
        None => {
            let launched = launch(world, call)?;
            judge(world, call);
            let id = launched.id.clone();
            world.region(call).instances.insert(id.clone(), launched);
            world.remember(call, &id);
            id
        }
    };
    Ok(reservation(world, &world.here(call).instances[&id]))
}

/// Writes down what a launch of ours must never be like.
fn judge(world: &mut World, call: &Call) {
    let asked = &call.parameters;
    let mapped = asked.parts("BlockDeviceMapping");
    let decided: BTreeSet<&str> = mapped.iter().filter_map(|part| part.get("DeviceName")).collect();
    let image = world.here(call).images.get(asked.get("ImageId").unwrap_or_default());
    let further = || image.iter().flat_map(|image| &image.further);
    let is_known = |device: &str| {
        image.is_some_and(|image| {
            image.hardware.root_device == device
                || image.further.contains_key(device)
                || image.ephemeral.contains_key(device)
        })
    };
    let unknown = decided.iter().any(|device| !is_known(device));
    let stays = further().any(|(device, deleted)| !deleted && !decided.contains(device.as_str()));
    let one = asked.get("MinCount") == Some("1") && asked.get("MaxCount") == Some("1");
    let wrong = [
        (asked.get("ClientToken").is_none(), "it has no client token, so a repetition launches one more"),
        (asked.get("MetadataOptions.HttpTokens") != Some("required"), "version 1 of the metadata service is on"),
        (asked.get("InstanceInitiatedShutdownBehavior") != Some("terminate"), "it doesn't end with its shutdown"),
        (!one, "it is not for one instance"),
        (unknown, "it has another disk than its image"),
        (stays, "another disk of its image stays when the instance ends"),
        (
            mapped.iter().any(|part| part.get("Ebs.DeleteOnTermination") == Some("false")),
            "the disk stays when the instance ends",
        ),
    ];
    for (_, what) in wrong.iter().filter(|(is_so, _)| *is_so) {
        world.violated(call, what);
    }
    world.expect_tags(call, &["instance", "volume", "network-interface"]);
}

fn launch(world: &mut World, call: &Call) -> Refused<Instance> {
    let asked = &call.parameters;
    let image = world.image(&call.region, asked.required("ImageId")?)?.clone();
    let state = image.state(world.now());
    if state != "available" {
        refuse!("InvalidAMIID.Unavailable", "The image ID '{}' is {state}", image.id);
    }
    let key_name = asked.get("KeyName").map(str::to_owned);
    let is_seen = |name| world.here(call).key_pairs.get(name).is_some_and(|key_pair| world.sees(key_pair.created));
    if let Some(name) = key_name.as_ref().filter(|name| !is_seen(*name)) {
        refuse!("InvalidKeyPair.NotFound", "The key pair '{name}' does not exist");
    }
    let (subnet, groups, public) = place(world, call)?;
    let ipv6 = asked.parts("NetworkInterface").iter().any(|it| it.get("Ipv6AddressCount").is_some());
    if ipv6 && !subnet.ipv6 && !subnet.ipv6_only {
        refuse!("InvalidParameterValue", "The subnet '{}' does not have an IPv6 CIDR block", subnet.id);
    }
    let ipv6 = ipv6 || subnet.ipv6_only;
    let id = world.id("i");
    let launched = world.now();
    let region = world.region(call);
    let number = region.instances.len() + 1;
    let root = mapped(asked, &image.hardware.root_device);
    Ok(Instance {
        console: format!("[    0.000000] Linux version 4.4.0\nThe console of {id}.\n"),
        id,
        image: image.id.clone(),
        token: asked.text("ClientToken"),
        instance_type: asked.required("InstanceType")?.to_owned(),
        key_name,
        groups,
        vpc: subnet.vpc.clone(),
        subnet: subnet.id.clone(),
        zone: subnet.zone.clone(),
        user_data: user_data(asked)?,
        tags: asked.tags("instance"),
        volume_tags: asked.tags("volume"),
        interface_tags: asked.tags("network-interface"),
        volume_gib: volume_gib(asked, &image)?,
        encrypted: region.encrypts_by_default || root.as_ref().is_some_and(|part| part.flag("Ebs.Encrypted")),
        kms_key: root.and_then(|part| part.get("Ebs.KmsKeyId").map(str::to_owned)),
        further: further(asked, &image),
        ephemeral: image.ephemeral,
        hardware: image.hardware,
        billed: image.billed,
        ipv6_address: ipv6.then(|| format!("2001:db8:1::{number}")),
        shutdown_behavior: asked.get("InstanceInitiatedShutdownBehavior").unwrap_or("stop").to_owned(),
        private_address: if subnet.ipv6_only { String::new() } else { format!("172.31.0.{number}") },
        public_address: public.then(|| format!("203.0.113.{number}")),
        launched,
        fate: region.instances_fare.clone(),
        ..Instance::default()
    })
}

/// What a launch says of a device.
fn mapped(asked: &Parameters, device: &str) -> Option<Parameters> {
    asked.parts("BlockDeviceMapping").into_iter().find(|part| part.get("DeviceName") == Some(device))
}

/// The other volumes of the image, and whether each is deleted with the instance.
fn further(asked: &Parameters, image: &Image) -> BTreeMap<String, bool> {
    let deleted = |(device, deleted): (&String, &bool)| {
        let asked = mapped(asked, device).and_then(|part| Some(part.get("Ebs.DeleteOnTermination")? == "true"));
        (device.clone(), asked.unwrap_or(*deleted))
    };
    let is_left_out = |device: &String| mapped(asked, device).is_some_and(|part| part.get("NoDevice").is_some());
    image.further.iter().filter(|(device, _)| !is_left_out(device)).map(deleted).collect()
}

fn user_data(asked: &Parameters) -> Refused<String> {
    let decoded = base64::decode(asked.get("UserData").unwrap_or_default()).ok();
    let Some(text) = decoded.and_then(|bytes| String::from_utf8(bytes).ok()) else {
        refuse!("InvalidParameterValue", "Invalid BASE64 encoding of user data.")
    };
    if text.len() > 16 * 1024 {
        refuse!("InvalidParameterValue", "User data is limited to 16384 bytes");
    }
    Ok(text)
}

fn volume_gib(asked: &Parameters, image: &Image) -> Refused<u32> {
    let mapped = asked.parts("BlockDeviceMapping");
    let size = mapped.iter().find_map(|part| part.get("Ebs.VolumeSize"));
    let size = size.map_or(image.volume_gib, |size| size.parse().expect("a number"));
    if size < image.volume_gib {
        refuse!("InvalidBlockDeviceMapping", "Volume of size {size}GB is smaller than snapshot '{}'", image.snapshot);
    }
    Ok(size)
}

/// Where an instance is to be, its security groups, and whether it has a public address.
fn place(world: &World, call: &Call) -> Refused<(Subnet, BTreeSet<String>, bool)> {
    let asked = &call.parameters;
    let interfaces = asked.parts("NetworkInterface");
    let (top_groups, top_subnet) = (asked.list("SecurityGroupId"), asked.get("SubnetId"));
    if !interfaces.is_empty() && (!top_groups.is_empty() || top_subnet.is_some()) {
        let these = "Network interfaces and an instance-level subnet ID or security groups";
        refuse!("InvalidParameterCombination", "{these} may not be specified on the same request");
    }
    let interface = interfaces.first();
    let groups = interface.map_or(top_groups, |interface| interface.list("SecurityGroupId"));
    let subnet = interface.map_or(top_subnet, |interface| interface.get("SubnetId"));
    let subnet = find_subnet(world, call, subnet)?;
    for group in &groups {
        if world.group(&call.region, group)?.vpc != subnet.vpc {
            let these = format!("Security group {group} and subnet {}", subnet.id);
            refuse!("InvalidParameter", "{these} belong to different networks.");
        }
    }
    check_capacity(world, call, &subnet.zone)?;
    let wish = interface.and_then(|interface| interface.get("AssociatePublicIpAddress"));
    if subnet.ipv6_only && wish.is_some() {
        refuse!("InvalidParameterCombination", "The subnet '{}' has no IPv4 addresses", subnet.id);
    }
    let public = wish.map_or(subnet.default && !subnet.private, |wish| wish == "true");
    Ok((subnet, groups.into_iter().map(str::to_owned).collect(), public))
}

fn find_subnet(world: &World, call: &Call, wanted: Option<&str>) -> Refused<Subnet> {
    let fits = |subnet: &&Subnet| wanted.map_or(subnet.default, |id| subnet.id == id);
    match (world.here(call).subnets.iter().find(fits), wanted) {
        (Some(subnet), _) => Ok(subnet.clone()),
        (None, Some(id)) => refuse!("InvalidSubnetID.NotFound", "The subnet ID '{id}' does not exist"),
        (None, None) => refuse!("VPCIdNotSpecified", "No default VPC for this user: {ACCOUNT}"),
    }
}

fn check_capacity(world: &World, call: &Call, zone: &str) -> Refused<()> {
    let kind = call.parameters.required("InstanceType")?;
    let region = world.here(call);
    if region.zones_without.contains(&(zone.to_owned(), kind.to_owned())) {
        refuse!("Unsupported", "Your requested instance type ({kind}) is not supported in {zone}.");
    }
    if region.full_zones.contains(zone) {
        let message = format!("We currently do not have sufficient {kind} capacity in {zone}.");
        return Err(Refusal::with_status(500, "InsufficientInstanceCapacity", message));
    }
    Ok(())
}
