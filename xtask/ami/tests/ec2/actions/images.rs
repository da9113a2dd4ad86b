//! Images: making, copying, finding and removing them.

use std::time::Duration;

use aws_smithy_types::date_time::{DateTime, Format};
use serde_json::{Value, json};

use crate::{
    books::{ACCOUNT, Image, Outcome, Snapshot, Tags, World, written},
    request::{Call, Thing},
    xml::{Refused, done, refuse, tag_set},
};

pub fn describe_images(world: &mut World, call: &Call) -> Refused {
    let (world, asked) = (&*world, &call.parameters);
    let (here, ids, users) = (world.here(call), asked.list("ImageId"), asked.list("ExecutableBy"));
    for id in ids.iter().filter(|id| !here.deregistered.contains(**id)) {
        world.image(&call.region, id)?;
    }
    let today = world.date(world.now());
    let is_listed = |image: &&Image| {
        let named = ids.contains(&image.id.as_str()) || image.is_own() || asked.flag("IncludeDeprecated");
        let deprecated = !named && image.deprecated_at.as_ref().is_some_and(|date| *date <= today);
        let disabled = image.disabled && !asked.flag("IncludeDisabled");
        let executable = users.is_empty() || users.iter().any(|user| image.launch_permissions.contains(*user));
        let seen = world.image(&call.region, &image.id).is_ok();
        seen && executable && !deprecated && !disabled && asked.wants_owner(&image.owner)
    };
    let things = here.images.values().filter(is_listed).map(|image| thing(world, call, image));
    asked.look("imagesSet", "ImageId", things)
}

fn thing<'a>(world: &World, call: &Call, image: &'a Image) -> Thing<'a> {
    /// Others don't see the owner's tags.
    static NONE: Tags = Tags::new();
    let snapshot = world.here(call).snapshots.get(&image.snapshot);
    let state = image.state(world.now());
    let reason = match &image.outcome {
        Outcome::Failed(why) if state == "failed" => json!({ "code": "Client.InternalError", "message": why }),
        _ => Value::Null,
    };
    let code = |code: &String| json!({ "productCode": code, "type": "marketplace" });
    let codes: Vec<Value> = image.product_codes.iter().map(code).collect();
    let kinds = |kinds: &[String]| -> Value { kinds.iter().map(|kind| json!({ "instanceType": kind })).collect() };
    let (supported, unsupported) = &image.instance_types;
    let kinds =
        json!({ "supportedInstanceTypeSet": kinds(supported), "unsupportedInstanceTypeSet": kinds(unsupported) });
    let marks: Value = image.watermarks.iter().map(|mark| json!({ "watermarkKey": mark })).collect();
    let tags = if image.is_own() { &image.tags } else { &NONE };
    let filters = json!({ "name": image.name, "state": state, "image-id": image.id, "architecture": "x86_64" });
    let hardware = &image.hardware;
    let root = json!({ "deviceName": hardware.root_device, "ebs": {
        "snapshotId": image.snapshot, "volumeSize": image.volume_gib, "deleteOnTermination": true,
        "volumeType": "gp2", "encrypted": snapshot.is_some_and(|snapshot| snapshot.encrypted),
    } });
    let further = image.further.iter().map(
        |(device, deleted)| json!({ "deviceName": device, "ebs": { "volumeSize": 1, "deleteOnTermination": deleted } }),
    );
    let stores = image.ephemeral.iter();
    let stores = stores.map(|(device, store)| json!({ "deviceName": device, "virtualName": store }));
    let mappings: Vec<Value> = [root].into_iter().chain(further).chain(stores).collect();
    let shown = json!({
        "imageId": image.id, "imageLocation": format!("{}/{}", image.owner, image.name), "imageState": state,
        "imageOwnerId": image.owner, "isPublic": image.is_public(), "architecture": "x86_64", "imageType": "machine",
        "name": image.name, "description": image.description, "rootDeviceType": hardware.root_type,
        "rootDeviceName": hardware.root_device, "virtualizationType": hardware.virtualization,
        "bootMode": hardware.boot_mode, "tpmSupport": hardware.tpm, "enaSupport": hardware.ena,
        "sriovNetSupport": hardware.sriov, "platformDetails": image.billed.0, "usageOperation": image.billed.1,
        "creationDate": image.creation_date, "tagSet": tag_set(tags),
        "deprecationTime": deprecation(world, image), "stateReason": reason, "productCodes": codes,
        "imageWatermarkSet": marks, "instanceTypeSpecification": kinds,
        "imdsSupport": image.requires_imds_v2.then_some("v2.0"),
        "blockDeviceMapping": mappings, "lastLaunchedTime": if image.is_own() { image.last_launched.clone() } else { None },
        "deregistrationProtection": image.protection.as_deref().unwrap_or("disabled"),
    });
    Thing { id: &image.id, tags, filters, shown }
}

/// When an image is deprecated: 2 years after its creation at the latest, when it is public.
fn deprecation(world: &World, image: &Image) -> Option<String> {
    let latest = world.date(image.created + TWO_YEARS);
    let latest = (image.is_own() && image.is_public()).then_some(latest);
    image.deprecated_at.clone().into_iter().chain(latest).min()
}

const TWO_YEARS: Duration = Duration::from_secs(2 * 365 * 24 * 60 * 60);

pub fn create_image(world: &mut World, call: &Call) -> Refused {
    let asked = &call.parameters;
    let now = world.now();
    let instance = world.instance(&call.region, asked.required("InstanceId")?)?.clone();
    let name = asked.required("Name")?.to_owned();
    check_name(&name)?;
    let (_, state) = instance.state(now, &world.delays).called();
    match state {
        "stopped" => {}
        "running" if asked.flag("NoReboot") => world.violated(call, "the instance runs, so its disk isn't at rest"),
        "running" => world.violated(call, "the instance is rebooted"),
        _ => {
            let not_in = format!("is not in state 'running' or 'stopped', but '{state}'");
            refuse!("IncorrectInstanceState", "Instance '{}' {not_in}.", instance.id);
        }
    }
    if instance.shutdown_behavior == "terminate" {
        world.violated(call, "the instance still ends with the next shutdown from inside");
    }
    if let Some(taken) = world.here(call).images.values().find(|image| image.is_own() && image.name == name) {
        refuse!("InvalidAMIName.Duplicate", "AMI name {name} is already in use by AMI {}", taken.id);
    }
    let takes = world.delays.image;
    let (mut further, mut ephemeral) = (instance.further, instance.ephemeral);
    for left_out in asked.parts("BlockDeviceMapping").iter().filter(|part| part.get("NoDevice").is_some()) {
        further.remove(&left_out.text("DeviceName"));
        ephemeral.remove(&left_out.text("DeviceName"));
    }
    let (hardware, billed) = (instance.hardware, instance.billed);
    let volume_gib = instance.volume_gib;
    let begun = Image { takes, volume_gib, further, ephemeral, hardware, billed, ..Image::default() };
    let key = instance.encrypted.then_some(instance.kms_key);
    let id = begin(world, call, begun, key, |id| format!("Created by CreateImage({}) for {id}", instance.id));
    Ok(json!({ "imageId": id }))
}

pub fn copy_image(world: &mut World, call: &Call) -> Refused {
    if let Some(id) = world.known(call)? {
        return Ok(json!({ "imageId": id }));
    }
    let asked = &call.parameters;
    let (from, source) = (asked.required("SourceRegion")?, asked.required("SourceImageId")?);
    check_name(asked.required("Name")?)?;
    let image = world.image(from, source)?.clone();
    let snapshot = world.snapshot(from, &image.snapshot)?.clone();
    let state = image.state(world.now());
    if state != "available" {
        refuse!("InvalidAMIID.Unavailable", "The image {source} is not available, but {state}");
    }
    if !snapshot.is_own() && !snapshot.is_public() {
        refuse!("InvalidRequest", "You do not have permission to access the storage of this ami");
    }
    if asked.get("ClientToken").is_none() {
        world.violated(call, "it has no client token, so a repetition makes one more");
    }
    let encrypted = snapshot.encrypted || asked.flag("Encrypted") || world.here(call).encrypts_by_default;
    let takes = world.delays.copy_to(&call.region);
    let begun = Image {
        takes,
        volume_gib: image.volume_gib,
        further: image.further,
        ephemeral: image.ephemeral,
        hardware: image.hardware,
        billed: image.billed,
        ..Image::default()
    };
    let key = encrypted.then(|| asked.get("KmsKeyId").map(str::to_owned));
    let id = begin(world, call, begun, key, |id| {
        format!("Copied for DestinationAmi {id} from SourceAmi {source} for SourceSnapshot {}.", snapshot.id)
    });
    world.remember(call, &id);
    Ok(json!({ "imageId": id }))
}

/// Begins an image of this size, that takes this long, encrypted with this key, if it is; its snapshot's description is
/// made of its id.
fn begin(
    world: &mut World,
    call: &Call,
    image: Image,
    key: Option<Option<String>>,
    of: impl FnOnce(&str) -> String,
) -> String {
    world.expect_tags(call, &["image", "snapshot"]);
    let mut image = Image {
        id: world.id("ami"),
        owner: ACCOUNT.to_owned(),
        name: call.parameters.text("Name"),
        description: call.parameters.text("Description"),
        tags: call.parameters.tags("image"),
        snapshot: world.id("snap"),
        created: world.now(),
        creation_date: world.date(world.now()),
        outcome: world.here(call).images_come_out.clone(),
        ..image
    };
    if let Some(spoils) = world.here(call).spoils {
        spoils(&mut image);
    }
    let (description, tags) = (of(&image.id), call.parameters.tags("snapshot"));
    let (encrypted, kms_key) = (key.is_some(), key.flatten());
    let snapshot = Snapshot { description, tags, encrypted, kms_key, ..Snapshot::of(&image) };
    let id = image.id.clone();
    world.region(call).put(image, snapshot);
    id
}

fn check_name(name: &str) -> Refused<()> {
    let legal = |letter: char| letter.is_ascii_alphanumeric() || "()[] ./-'@_".contains(letter);
    if !(3..=128).contains(&name.len()) || !name.chars().all(legal) {
        let letters = "letters, numbers, '(', ')', '.', '-', '/' and '_'";
        refuse!(
            "InvalidAMIName.Malformed",
            "AMI names must be between 3 and 128 characters long, and may contain {letters}"
        );
    }
    Ok(())
}

pub fn enable_image_deprecation(world: &mut World, call: &Call) -> Refused {
    const DAY: i64 = 24 * 60 * 60;
    let id = call.parameters.required("ImageId")?;
    let image = world.image(&call.region, id)?.clone();
    own(&image)?;
    let seconds = |text: &str| DateTime::from_str(text, Format::DateTime).map(|date| date.secs());
    let Ok(date) = seconds(call.parameters.required("DeprecateAt")?) else {
        refuse!("InvalidParameterValue", "DeprecateAt is no date")
    };
    let now = seconds(&world.date(world.now())).expect("our own date");
    let created = seconds(&image.creation_date).expect("our own date");
    if date < now {
        refuse!("InvalidParameterValue", "DeprecateAt is in the past");
    }
    if image.is_public() && date > created + (2 * 365 + 2) * DAY {
        refuse!("InvalidParameterValue", "A public image is deprecated 2 years after its creation at the latest");
    }
    if date > now + 3653 * DAY {
        refuse!("InvalidParameterValue", "DeprecateAt is more than 10 years from now");
    }
    // EC2 rounds to the minute.
    change(world, call, id, |image| image.deprecated_at = Some(written((date + 30) / 60 * 60)));
    done()
}

pub fn deregister_image(world: &mut World, call: &Call) -> Refused {
    let id = call.parameters.required("ImageId")?;
    let image = world.image(&call.region, id)?.clone();
    own(&image)?;
    if image.protection.as_deref().is_some_and(|protection| protection != "disabled") {
        refuse!("OperationNotPermitted", "The image {id} is protected from deregistration.");
    }
    let region = world.region(call);
    region.images.remove(id);
    region.deregistered.insert(id.to_owned());
    region.recycle_bin.iter_mut().for_each(|bin| bin.extend([id.to_owned()]));
    if !call.parameters.flag("DeleteAssociatedSnapshots") || region.keeps_snapshots {
        return done();
    }
    region.snapshots.remove(&image.snapshot);
    region.recycle_bin.iter_mut().for_each(|bin| bin.extend([image.snapshot.clone()]));
    let deleted = json!([{ "snapshotId": image.snapshot, "returnCode": "success" }]);
    Ok(json!({ "return": true, "deleteSnapshotResultSet": deleted }))
}

/// Refuses to change what belongs to others.
pub fn own(image: &Image) -> Refused<()> {
    if !image.is_own() {
        refuse!("AuthFailure", "Not authorized for image:{}", image.id);
    }
    Ok(())
}

/// Changes an image that is there.
pub fn change(world: &mut World, call: &Call, id: &str, change: impl FnOnce(&mut Image)) {
    change(world.region(call).images.get_mut(id).expect("it was seen"));
}
