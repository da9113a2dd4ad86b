//! Who may launch an image, and make volumes of a snapshot.

use std::collections::BTreeSet;

use crate::{
    actions::images::{change, own},
    books::{Image, World},
    request::{Call, Parameters},
    xml::{Refusal, Refused, Xml},
};

/// DescribeImageAttribute.
pub fn describe_image(world: &mut World, call: &Call) -> Refused<Xml> {
    let image = world.image(&call.region, call.parameters.required("ImageId")?)?;
    own(image)?;
    let mut xml = Xml::default();
    xml.text("imageId", &image.id);
    match call.parameters.required("Attribute")? {
        "launchPermission" => xml.items("launchPermission", &image.launch_permissions, write),
        "description" => xml.inside("description", |xml| {
            xml.text("value", &image.description);
        }),
        other => return Err(unknown(other)),
    };
    Ok(xml)
}

/// DescribeSnapshotAttribute.
pub fn describe_snapshot(world: &mut World, call: &Call) -> Refused<Xml> {
    let snapshot = world.snapshot(&call.region, call.parameters.required("SnapshotId")?)?;
    let mut xml = Xml::default();
    xml.text("snapshotId", &snapshot.id);
    match call.parameters.required("Attribute")? {
        "createVolumePermission" => xml.items("createVolumePermission", &snapshot.volume_permissions, write),
        other => return Err(unknown(other)),
    };
    Ok(xml)
}

fn write(xml: &mut Xml, holder: &String) {
    let kind = match holder.as_str() {
        "all" => "group",
        arn if arn.contains(":ou/") => "organizationalUnitArn",
        arn if arn.starts_with("arn:") => "organizationArn",
        _ => "userId",
    };
    xml.text(kind, holder);
}

/// ModifyImageAttribute.
pub fn modify_image(world: &mut World, call: &Call) -> Refused<Xml> {
    let asked = &call.parameters;
    let id = asked.required("ImageId")?;
    let image = world.image(&call.region, id)?.clone();
    own(&image)?;
    if image.state(world.now()) != "available" {
        let message = format!("The image ID '{id}' is not available, but {}", image.state(world.now()));
        return Err(Refusal::new("InvalidAMIID.Unavailable", message));
    }
    let named = |prefix: &&str| asked.0.keys().any(|key| key.starts_with(*prefix));
    match ["LaunchPermission.", "ImdsSupport.", "Description."].iter().filter(|prefix| named(prefix)).count() {
        1 => {}
        0 => return Err(Refusal::new("InvalidParameterCombination", "No attributes specified.")),
        _ => return Err(Refusal::new("InvalidParameterCombination", "Fields for multiple attribute types specified.")),
    }
    if let Some(version) = asked.get("ImdsSupport.Value") {
        if version != "v2.0" {
            return Err(Refusal::new("InvalidParameterValue", "The value of ImdsSupport may be v2.0"));
        }
        change(world, call, id, |image| image.requires_imds_v2 = true);
    }
    if let Some(description) = asked.get("Description.Value") {
        change(world, call, id, |image| description.clone_into(&mut image.description));
    }
    let permissions = Change::asked(asked, "LaunchPermission")?;
    share(world, call, &image, &permissions.add)?;
    change(world, call, id, |image| permissions.apply(&mut image.launch_permissions));
    Ok(Xml::done())
}

fn share(world: &mut World, call: &Call, image: &Image, with: &[String]) -> Refused<()> {
    if with.is_empty() {
        return Ok(());
    }
    let snapshot = world.snapshot(&call.region, &image.snapshot)?.clone();
    let public = with.iter().any(|holder| holder == "all");
    refuse_encrypted(snapshot.encrypted, public)?;
    if !public || image.is_public() {
        return Ok(());
    }
    if !image.product_codes.is_empty() {
        let message = "Images with product codes may not be made public.";
        return Err(Refusal::new("OperationNotPermitted", message));
    }
    let now = world.now();
    let region = world.region(call);
    if region.block_public_access.is_blocked(now) {
        let message = "You can't publicly share this image because block public access for AMIs is on here.";
        return Err(Refusal::new("OperationNotPermitted", message));
    }
    if region.public_images() >= region.public_image_quota {
        let message = format!("You have reached your quota of {} public images.", region.public_image_quota);
        return Err(Refusal::new("ResourceLimitExceeded", message));
    }
    if !snapshot.is_public() {
        world.violated(call, &format!("{} becomes public before its snapshot", image.id));
    }
    Ok(())
}

/// ModifySnapshotAttribute.
pub fn modify_snapshot(world: &mut World, call: &Call) -> Refused<Xml> {
    let id = call.parameters.required("SnapshotId")?;
    let snapshot = world.snapshot(&call.region, id)?;
    let permissions = Change::asked(&call.parameters, "CreateVolumePermission")?;
    if !permissions.add.is_empty() {
        let public = permissions.add.iter().any(|holder| holder == "all");
        refuse_encrypted(snapshot.encrypted, public)?;
        if public && world.region(call).public_snapshots_blocked {
            let message = "Sharing this snapshot publicly is not allowed: block public access is on here.";
            return Err(Refusal::new("OperationNotPermitted", message));
        }
    }
    let snapshot = world.region(call).snapshots.get_mut(id).expect("it was seen");
    permissions.apply(&mut snapshot.volume_permissions);
    Ok(Xml::done())
}

fn refuse_encrypted(encrypted: bool, public: bool) -> Refused<()> {
    match (encrypted, public) {
        (false, _) => Ok(()),
        (true, true) => {
            let message = "Encrypted snapshots can't be shared publicly. Specify another snapshot.";
            Err(Refusal::new("UnsupportedOperation", message))
        }
        (true, false) => {
            let message = "Snapshots encrypted with the AWS Managed CMK can't be shared. Specify another snapshot.";
            Err(Refusal::new("InvalidParameter", message))
        }
    }
}

/// The permissions that are to be given and taken.
struct Change {
    add: Vec<String>,
    remove: Vec<String>,
}

impl Change {
    fn asked(asked: &Parameters, attribute: &str) -> Refused<Change> {
        // Each names one: a group, an account, an organisation or a unit of one.
        let holder = |part: &Parameters| part.0.values().next().cloned();
        let holders = |deed: &str| -> Vec<String> {
            asked.parts(&format!("{attribute}.{deed}")).iter().filter_map(holder).collect()
        };
        let change = Change { add: holders("Add"), remove: holders("Remove") };
        let known = |holder: &String| {
            holder == "all"
                || holder.starts_with("arn:aws:organizations::")
                || (holder.len() == 12 && holder.bytes().all(|byte| byte.is_ascii_digit()))
        };
        match change.add.iter().find(|holder| !known(holder)) {
            Some(unknown) => {
                Err(Refusal::new("InvalidAMIAttributeItemValue", format!("Invalid attribute item value \"{unknown}\"")))
            }
            None => Ok(change),
        }
    }

    fn apply(&self, permissions: &mut BTreeSet<String>) {
        permissions.extend(self.add.iter().cloned());
        permissions.retain(|holder| !self.remove.contains(holder));
    }
}

fn unknown(attribute: &str) -> Refusal {
    Refusal::new("InvalidParameterValue", format!("The attribute {attribute} isn't known here"))
}
