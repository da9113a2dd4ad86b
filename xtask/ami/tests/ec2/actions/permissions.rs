//! Who may launch an image, and make volumes of a snapshot.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::{
    actions::images::{change, own},
    books::{Image, Snapshot, World},
    request::{Call, Parameters},
    xml::{Refused, done, refuse},
};

pub fn describe_image_attribute(world: &mut World, call: &Call) -> Refused {
    let image = world.image(&call.region, call.parameters.required("ImageId")?)?;
    own(image)?;
    match call.parameters.required("Attribute")? {
        "launchPermission" => Ok(json!({ "imageId": image.id, "launchPermission": show(&image.launch_permissions) })),
        other => refuse!("InvalidParameterValue", "The attribute {other} isn't known here"),
    }
}

pub fn describe_snapshot_attribute(world: &mut World, call: &Call) -> Refused {
    let snapshot = world.snapshot(&call.region, call.parameters.required("SnapshotId")?)?;
    let (id, holders) = (&snapshot.id, show(&snapshot.volume_permissions));
    match call.parameters.required("Attribute")? {
        "createVolumePermission" => Ok(json!({ "snapshotId": id, "createVolumePermission": holders })),
        other => refuse!("InvalidParameterValue", "The attribute {other} isn't known here"),
    }
}

fn show(holders: &BTreeSet<String>) -> Value {
    let kind = |holder: &str| match holder {
        "all" => "group",
        arn if arn.contains(":ou/") => "organizationalUnitArn",
        arn if arn.starts_with("arn:") => "organizationArn",
        _ => "userId",
    };
    holders.iter().map(|holder| json!({ kind(holder): holder })).collect()
}

pub fn modify_image_attribute(world: &mut World, call: &Call) -> Refused {
    let asked = &call.parameters;
    let id = asked.required("ImageId")?;
    let image = world.image(&call.region, id)?.clone();
    own(&image)?;
    let state = image.state(world.now());
    if state != "available" {
        refuse!("InvalidAMIID.Unavailable", "The image ID '{id}' is not available, but {state}");
    }
    let named = |prefix: &&str| asked.0.keys().any(|key| key.starts_with(*prefix));
    match ["LaunchPermission.", "ImdsSupport.", "Description."].iter().filter(|prefix| named(prefix)).count() {
        1 => {}
        0 => refuse!("InvalidParameterCombination", "No attributes specified."),
        _ => refuse!("InvalidParameterCombination", "Fields for multiple attribute types specified."),
    }
    if let Some(version) = asked.get("ImdsSupport.Value") {
        if version != "v2.0" {
            refuse!("InvalidParameterValue", "The value of ImdsSupport may be v2.0");
        }
        change(world, call, id, |image| image.requires_imds_v2 = true);
    }
    if let Some(description) = asked.get("Description.Value") {
        change(world, call, id, |image| description.clone_into(&mut image.description));
    }
    let permissions = Change::asked(asked, "LaunchPermission")?;
    if let Some(id) = permissions.add.iter().find(|id| world.closed_accounts.contains(*id)) {
        refuse!("InvalidAMIAttributeItemValue", "Invalid attribute item value \"{id}\" for userId item type.");
    }
    share(world, call, &image, &permissions.add)?;
    change(world, call, id, |image| permissions.apply(&mut image.launch_permissions));
    done()
}

fn share(world: &mut World, call: &Call, image: &Image, with: &[String]) -> Refused<()> {
    if with.is_empty() {
        return Ok(());
    }
    let snapshot = world.snapshot(&call.region, &image.snapshot)?.clone();
    let public = with.iter().any(|holder| holder == "all");
    refuse_encrypted(&snapshot, public)?;
    if !public || image.is_public() {
        return Ok(());
    }
    if !image.product_codes.is_empty() {
        refuse!("OperationNotPermitted", "Images with product codes may not be made public.");
    }
    let region = world.here(call);
    if region.block_public_access.is_blocked(world.now()) {
        refuse!("OperationNotPermitted", "You can't publicly share this image: block public access for AMIs is on.");
    }
    let (public, quota) =
        (region.images.values().filter(|it| it.is_own() && it.is_public()), region.public_image_quota);
    if public.count() >= quota {
        refuse!("ResourceLimitExceeded", "You have reached your quota of {quota} public images.");
    }
    if !snapshot.is_public() {
        world.violated(call, &format!("{} becomes public before its snapshot", image.id));
    }
    Ok(())
}

pub fn modify_snapshot_attribute(world: &mut World, call: &Call) -> Refused {
    let id = call.parameters.required("SnapshotId")?;
    let snapshot = world.snapshot(&call.region, id)?;
    let permissions = Change::asked(&call.parameters, "CreateVolumePermission")?;
    if let Some(id) = permissions.add.iter().find(|id| world.closed_accounts.contains(*id)) {
        refuse!("InvalidParameterValue", "Value ({id}) for parameter userId is invalid. There is no such account.");
    }
    if !permissions.add.is_empty() {
        let public = permissions.add.iter().any(|holder| holder == "all");
        refuse_encrypted(snapshot, public)?;
        if public && world.here(call).public_snapshots_blocked {
            refuse!("OperationNotPermitted", "Sharing this snapshot publicly is not allowed: it is blocked here.");
        }
    }
    let snapshot = world.region(call).snapshots.get_mut(id).expect("it was seen");
    permissions.apply(&mut snapshot.volume_permissions);
    done()
}

fn refuse_encrypted(snapshot: &Snapshot, public: bool) -> Refused<()> {
    let is_managed = snapshot.kms_key.as_deref().is_none_or(|key| key == "alias/aws/ebs");
    match (snapshot.encrypted, public) {
        (true, true) => refuse!("UnsupportedOperation", "Encrypted snapshots can't be shared publicly."),
        (true, false) if is_managed => {
            refuse!("InvalidParameter", "Snapshots of the AWS managed key can't be shared.")
        }
        _ => Ok(()),
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
        if let Some(unknown) = change.add.iter().find(|holder| !known(holder)) {
            refuse!("InvalidAMIAttributeItemValue", "Invalid attribute item value \"{unknown}\"");
        }
        Ok(change)
    }

    fn apply(&self, permissions: &mut BTreeSet<String>) {
        permissions.extend(self.add.iter().cloned());
        permissions.retain(|holder| !self.remove.contains(holder));
    }
}
