//! RunInstances.

use std::collections::BTreeSet;

use aws_smithy_types::base64;

use crate::{
    actions::{images::ROOT, instances::write_reservation},
    books::{ACCOUNT, Image, Instance, Subnet, World},
    request::{Call, Parameters},
    xml::{Refusal, Refused, Xml},
};

/// RunInstances.
pub fn run(world: &mut World, call: &Call) -> Refused<Xml> {
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
    let mut xml = Xml::default();
    let instance = world.regions[&call.region].instances.get(&id).expect("it was launched");
    write_reservation(world, instance, &mut xml);
    Ok(xml)
}

/// Writes down what a launch of ours must never be like.
fn judge(world: &mut World, call: &Call) {
    let asked = &call.parameters;
    let mapped = asked.parts("BlockDeviceMapping");
    let one = asked.get("MinCount") == Some("1") && asked.get("MaxCount") == Some("1");
    let wrong = [
        (asked.get("ClientToken").is_none(), "it has no client token, so a repetition launches one more"),
        (asked.get("MetadataOptions.HttpTokens") != Some("required"), "version 1 of the metadata service is on"),
        (asked.get("InstanceInitiatedShutdownBehavior") != Some("terminate"), "it doesn't end with its shutdown"),
        (!one, "it is not for one instance"),
        (mapped.iter().any(|part| part.get("DeviceName") != Some(ROOT)), "it has another disk than the root"),
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
    if image.state(world.now()) != "available" {
        let message = format!("The image ID '{}' is {}", image.id, image.state(world.now()));
        return Err(Refusal::new("InvalidAMIID.Unavailable", message));
    }
    let key_name = asked.get("KeyName").map(str::to_owned);
    if let Some(name) = &key_name {
        let key_pair = world.region(call).key_pairs.get(name).map(|key_pair| key_pair.created);
        if !key_pair.is_some_and(|created| world.sees(created)) {
            let message = format!("The key pair '{name}' does not exist");
            return Err(Refusal::new("InvalidKeyPair.NotFound", message));
        }
    }
    let place = Place::asked(world, call)?;
    let id = world.id("i");
    let launched = world.now();
    let region = world.region(call);
    let number = region.instances.len() + 1;
    Ok(Instance {
        console: format!("[    0.000000] Linux version 4.4.0\nThe console of {id}.\n"),
        id,
        image: image.id.clone(),
        token: asked.text("ClientToken"),
        instance_type: asked.required("InstanceType")?.to_owned(),
        key_name,
        groups: place.groups,
        vpc: place.subnet.vpc,
        subnet: place.subnet.id,
        zone: place.subnet.zone,
        user_data: user_data(asked)?,
        tags: asked.tags("instance"),
        volume_tags: asked.tags("volume"),
        interface_tags: asked.tags("network-interface"),
        volume_gib: volume_gib(asked, &image)?,
        encrypted: region.encrypts_by_default,
        shutdown_behavior: asked.get("InstanceInitiatedShutdownBehavior").unwrap_or("stop").to_owned(),
        private_address: format!("172.31.0.{number}"),
        public_address: place.public.then(|| format!("203.0.113.{number}")),
        launched,
        fate: region.instances_fare.clone(),
        told_to_stop: None,
        told_to_end: None,
        reason: None,
    })
}

fn user_data(asked: &Parameters) -> Refused<String> {
    let invalid = |message: &str| Refusal::new("InvalidParameterValue", message);
    let decoded = base64::decode(asked.get("UserData").unwrap_or_default());
    let decoded = decoded.map_err(|_| invalid("Invalid BASE64 encoding of user data."))?;
    if decoded.len() > 16 * 1024 {
        return Err(invalid("User data is limited to 16384 bytes"));
    }
    String::from_utf8(decoded).map_err(|_| invalid("only text is known here"))
}

fn volume_gib(asked: &Parameters, image: &Image) -> Refused<u32> {
    let mapped = asked.parts("BlockDeviceMapping");
    let size = mapped.iter().find_map(|part| part.get("Ebs.VolumeSize"));
    let size = size.map_or(image.volume_gib, |size| size.parse().expect("a number"));
    if size < image.volume_gib {
        let message = format!("Volume of size {size}GB is smaller than snapshot '{}'", image.snapshot);
        return Err(Refusal::new("InvalidBlockDeviceMapping", message));
    }
    Ok(size)
}

/// Where an instance is to be, and who reaches it.
struct Place {
    subnet: Subnet,
    groups: BTreeSet<String>,
    public: bool,
}

impl Place {
    fn asked(world: &mut World, call: &Call) -> Refused<Place> {
        let asked = &call.parameters;
        let interfaces = asked.parts("NetworkInterface");
        let (top_groups, top_subnet) = (asked.list("SecurityGroupId"), asked.get("SubnetId"));
        if !interfaces.is_empty() && (!top_groups.is_empty() || top_subnet.is_some()) {
            let message = "Network interfaces and an instance-level subnet ID or security groups may not be specified \
                           on the same request";
            return Err(Refusal::new("InvalidParameterCombination", message));
        }
        let interface = interfaces.first();
        let groups = interface.map_or(top_groups, |interface| interface.list("SecurityGroupId"));
        let subnet = interface.map_or(top_subnet, |interface| interface.get("SubnetId"));
        let subnet = find_subnet(world, call, subnet)?;
        for group in &groups {
            if world.group(&call.region, group)?.vpc != subnet.vpc {
                let message = format!("Security group {group} and subnet {} belong to different networks.", subnet.id);
                return Err(Refusal::new("InvalidParameter", message));
            }
        }
        check_capacity(world, call, &subnet.zone)?;
        let wish = interface.and_then(|interface| interface.get("AssociatePublicIpAddress"));
        let public = wish.map_or(subnet.default, |wish| wish == "true");
        let groups = groups.into_iter().map(str::to_owned).collect();
        Ok(Place { subnet, groups, public })
    }
}

fn find_subnet(world: &mut World, call: &Call, wanted: Option<&str>) -> Refused<Subnet> {
    let zone = call.parameters.get("Placement.AvailabilityZone");
    let region = world.region(call);
    let mut subnets = region.subnets.iter();
    let (found, refusal) = match wanted {
        Some(id) => {
            let message = format!("The subnet ID '{id}' does not exist");
            (subnets.find(|subnet| subnet.id == id), Refusal::new("InvalidSubnetID.NotFound", message))
        }
        None => {
            let fits = |subnet: &&Subnet| subnet.default && zone.is_none_or(|zone| subnet.zone == zone);
            let message = format!("No default VPC for this user: {ACCOUNT}");
            (subnets.find(fits), Refusal::new("VPCIdNotSpecified", message))
        }
    };
    found.cloned().ok_or(refusal)
}

fn check_capacity(world: &mut World, call: &Call, zone: &str) -> Refused<()> {
    let kind = call.parameters.required("InstanceType")?;
    let region = world.region(call);
    if region.zones_without.contains(&(zone.to_owned(), kind.to_owned())) {
        let message = format!("Your requested instance type ({kind}) is not supported in {zone}.");
        return Err(Refusal::new("Unsupported", message));
    }
    if region.full_zones.contains(zone) {
        let message = format!("We currently do not have sufficient {kind} capacity in {zone}.");
        return Err(Refusal::with_status(500, "InsufficientInstanceCapacity", message));
    }
    Ok(())
}
