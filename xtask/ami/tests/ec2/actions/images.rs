//! Images: making, copying, finding and removing them.

use std::{collections::BTreeSet, time::Duration};

use aws_smithy_types::date_time::{DateTime, Format};

use crate::{
    books::{ACCOUNT, Image, Outcome, Snapshot, Tags, World, written},
    request::{Call, Parameters},
    xml::{Refusal, Refused, Xml},
};

/// DescribeImages.
pub fn describe(world: &mut World, call: &Call) -> Refused<Xml> {
    let asked = &call.parameters;
    let ids = asked.list("ImageId");
    for id in &ids {
        if !world.region(call).deregistered.contains(*id) {
            world.image(&call.region, id)?;
        }
    }
    let now = world.now();
    let mut found = Vec::new();
    for id in world.region(call).images.keys().cloned().collect::<Vec<_>>() {
        let Ok(image) = world.image(&call.region, &id) else { continue };
        let named = ids.contains(&id.as_str());
        let deprecated = !named
            && !image.is_own()
            && !asked.flag("IncludeDeprecated")
            && image.deprecated_at.as_ref().is_some_and(|date| *date <= world.date(now));
        let disabled = image.disabled && !asked.flag("IncludeDisabled");
        let of_owner = is_of(asked, image) && is_executable_by(asked, image);
        if (ids.is_empty() || named) && !deprecated && !disabled && of_owner && passes(asked, image, now)? {
            found.push(image);
        }
    }
    let (found, next) = asked.page(found);
    let mut xml = Xml::default();
    xml.maybe("nextToken", next).items("imagesSet", found, |xml, image| write(world, call, image, xml));
    Ok(xml)
}

fn is_of(asked: &Parameters, image: &Image) -> bool {
    let owners = asked.list("Owner");
    owners.is_empty() || owners.contains(&image.owner.as_str()) || (owners.contains(&"self") && image.is_own())
}

fn is_executable_by(asked: &Parameters, image: &Image) -> bool {
    let users = asked.list("ExecutableBy");
    users.is_empty() || users.iter().any(|user| image.launch_permissions.contains(*user))
}

fn passes(asked: &Parameters, image: &Image, now: Duration) -> Refused<bool> {
    // Others don't see the owner's tags.
    let tags = if image.is_own() { image.tags.clone() } else { Tags::new() };
    asked.admits(&tags, |filter| {
        let value = match filter {
            "name" => image.name.clone(),
            "description" => image.description.clone(),
            "owner-id" => image.owner.clone(),
            "state" => image.state(now).to_owned(),
            "is-public" => image.is_public().to_string(),
            "image-id" => image.id.clone(),
            "architecture" => "x86_64".to_owned(),
            "virtualization-type" => "hvm".to_owned(),
            "root-device-type" => "ebs".to_owned(),
            _ => return None,
        };
        Some(vec![value])
    })
}

fn write(world: &World, call: &Call, image: &Image, xml: &mut Xml) {
    let snapshot = world.regions.get(&call.region).and_then(|region| region.snapshots.get(&image.snapshot));
    let (owner, name) = (&image.owner, &image.name);
    xml.text("imageId", &image.id).text("imageLocation", format!("{owner}/{name}"));
    xml.text("imageState", image.state(world.now())).text("imageOwnerId", owner);
    xml.text("isPublic", image.is_public()).text("architecture", "x86_64").text("imageType", "machine");
    xml.text("name", name).text("description", &image.description).text("rootDeviceType", "ebs");
    xml.text("rootDeviceName", ROOT).text("virtualizationType", "hvm").text("creationDate", &image.creation_date);
    xml.maybe("deprecationTime", deprecation(world, image));
    xml.maybe("imdsSupport", image.requires_imds_v2.then_some("v2.0"));
    if let Outcome::Failed(why) = &image.outcome
        && image.state(world.now()) == "failed"
    {
        xml.inside("stateReason", |xml| {
            xml.text("code", "Client.InternalError").text("message", why);
        });
    }
    xml.items("productCodes", &image.product_codes, |xml, code| {
        xml.text("productCode", code).text("type", "marketplace");
    });
    xml.items("blockDeviceMapping", [image], |xml, image| {
        xml.text("deviceName", ROOT).inside("ebs", |xml| {
            xml.text("snapshotId", &image.snapshot).text("volumeSize", image.volume_gib);
            xml.text("deleteOnTermination", true).text("volumeType", "gp2");
            xml.text("encrypted", snapshot.is_some_and(|snapshot| snapshot.encrypted));
        });
    });
    if image.is_own() {
        xml.tags(&image.tags);
    }
}

/// When an image is deprecated: 2 years after its creation at the latest, when it is public.
fn deprecation(world: &World, image: &Image) -> Option<String> {
    let latest = world.date(image.created + TWO_YEARS);
    let latest = (image.is_own() && image.is_public()).then_some(latest);
    image.deprecated_at.clone().into_iter().chain(latest).min()
}

const TWO_YEARS: Duration = Duration::from_secs(2 * 365 * 24 * 60 * 60);

/// The name of the root device.
pub const ROOT: &str = "/dev/sda1";

/// CreateImage.
pub fn create(world: &mut World, call: &Call) -> Refused<Xml> {
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
            let message = format!("Instance '{}' is not in state 'running' or 'stopped', but '{state}'.", instance.id);
            return Err(Refusal::new("IncorrectInstanceState", message));
        }
    }
    if instance.shutdown_behavior == "terminate" {
        world.violated(call, "the instance still ends with the next shutdown from inside");
    }
    if let Some(taken) = world.region(call).images.values().find(|image| image.is_own() && image.name == name) {
        let message = format!("AMI name {name} is already in use by AMI {}", taken.id);
        return Err(Refusal::new("InvalidAMIName.Duplicate", message));
    }
    world.expect_tags(call, &["image", "snapshot"]);
    let takes = world.delays.image;
    let begun = Begun { takes, encrypted: instance.encrypted, volume_gib: instance.volume_gib };
    let id = begin(world, call, begun, |id| format!("Created by CreateImage({}) for {id}", instance.id));
    let mut xml = Xml::default();
    xml.text("imageId", id);
    Ok(xml)
}

/// CopyImage.
pub fn copy(world: &mut World, call: &Call) -> Refused<Xml> {
    let mut xml = Xml::default();
    if let Some(id) = world.known(call)? {
        xml.text("imageId", id);
        return Ok(xml);
    }
    let asked = &call.parameters;
    let (from, source) = (asked.required("SourceRegion")?, asked.required("SourceImageId")?);
    check_name(asked.required("Name")?)?;
    let image = world.image(from, source)?.clone();
    let snapshot = world.snapshot(from, &image.snapshot)?.clone();
    if image.state(world.now()) != "available" {
        let message = format!("The image {source} is not available, but {}", image.state(world.now()));
        return Err(Refusal::new("InvalidAMIID.Unavailable", message));
    }
    if !snapshot.is_own() && !snapshot.is_public() {
        return Err(Refusal::new("InvalidRequest", "You do not have permission to access the storage of this ami"));
    }
    world.expect_tags(call, &["image", "snapshot"]);
    if asked.get("ClientToken").is_none() {
        world.violated(call, "it has no client token, so a repetition makes one more");
    }
    let encrypted = snapshot.encrypted || asked.flag("Encrypted") || world.region(call).encrypts_by_default;
    let begun = Begun { takes: world.delays.copy_to(&call.region), encrypted, volume_gib: image.volume_gib };
    let id = begin(world, call, begun, |id| {
        format!("Copied for DestinationAmi {id} from SourceAmi {source} for SourceSnapshot {}.", snapshot.id)
    });
    world.remember(call, &id);
    xml.text("imageId", id);
    Ok(xml)
}

/// An image that is being made.
struct Begun {
    takes: Duration,
    encrypted: bool,
    volume_gib: u32,
}

fn begin(world: &mut World, call: &Call, begun: Begun, description: impl FnOnce(&str) -> String) -> String {
    let (id, snapshot) = (world.id("ami"), world.id("snap"));
    let Begun { takes, encrypted, volume_gib } = begun;
    let created = world.now();
    let creation_date = world.date(created);
    let region = world.region(call);
    let outcome = region.images_come_out.clone();
    let image = Image {
        id: id.clone(),
        owner: ACCOUNT.to_owned(),
        name: call.parameters.text("Name"),
        description: call.parameters.text("Description"),
        tags: call.parameters.tags("image"),
        snapshot: snapshot.clone(),
        volume_gib,
        created,
        creation_date,
        takes,
        outcome: outcome.clone(),
        launch_permissions: BTreeSet::new(),
        deprecated_at: None,
        product_codes: Vec::new(),
        requires_imds_v2: false,
        disabled: false,
    };
    region.images.insert(id.clone(), image);
    let snapshot = Snapshot {
        id: snapshot,
        owner: ACCOUNT.to_owned(),
        description: description(&id),
        tags: call.parameters.tags("snapshot"),
        volume_gib,
        encrypted,
        created,
        takes,
        outcome,
        volume_permissions: BTreeSet::new(),
    };
    region.snapshots.insert(snapshot.id.clone(), snapshot);
    id
}

fn check_name(name: &str) -> Refused<()> {
    let legal = |letter: char| letter.is_ascii_alphanumeric() || "()[] ./-'@_".contains(letter);
    if (3..=128).contains(&name.len()) && name.chars().all(legal) {
        return Ok(());
    }
    let message = "AMI names must be between 3 and 128 characters long, and may contain letters, numbers, \
                   '(', ')', '.', '-', '/' and '_'";
    Err(Refusal::new("InvalidAMIName.Malformed", message))
}

/// EnableImageDeprecation.
pub fn deprecate(world: &mut World, call: &Call) -> Refused<Xml> {
    const DAY: i64 = 24 * 60 * 60;
    let id = call.parameters.required("ImageId")?;
    let image = world.image(&call.region, id)?.clone();
    own(&image)?;
    let seconds = |text: &str| DateTime::from_str(text, Format::DateTime).map(|date| date.secs());
    let wrong = |message: &str| Refusal::new("InvalidParameterValue", message);
    let date = seconds(call.parameters.required("DeprecateAt")?).map_err(|_| wrong("DeprecateAt is no date"))?;
    let now = seconds(&world.date(world.now())).expect("our own date");
    let created = seconds(&image.creation_date).expect("our own date");
    if date < now {
        return Err(wrong("DeprecateAt is in the past"));
    }
    if image.is_public() && date > created + (2 * 365 + 2) * DAY {
        return Err(wrong("A public image is deprecated 2 years after its creation at the latest"));
    }
    if date > now + 3653 * DAY {
        return Err(wrong("DeprecateAt is more than 10 years from now"));
    }
    // EC2 rounds to the minute.
    change(world, call, id, |image| image.deprecated_at = Some(written((date + 30) / 60 * 60)));
    Ok(Xml::done())
}

/// DeregisterImage.
pub fn deregister(world: &mut World, call: &Call) -> Refused<Xml> {
    let id = call.parameters.required("ImageId")?;
    let image = world.image(&call.region, id)?.clone();
    own(&image)?;
    let region = world.region(call);
    region.images.remove(id);
    region.deregistered.insert(id.to_owned());
    let mut xml = Xml::done();
    if call.parameters.flag("DeleteAssociatedSnapshots") {
        region.snapshots.remove(&image.snapshot);
        xml.items("deleteSnapshotResultSet", [&image.snapshot], |xml, snapshot| {
            xml.text("snapshotId", snapshot).text("returnCode", "success");
        });
    }
    Ok(xml)
}

/// Refuses to change what belongs to others.
pub fn own(image: &Image) -> Refused<()> {
    if image.is_own() {
        return Ok(());
    }
    Err(Refusal::new("AuthFailure", format!("Not authorized for image:{}", image.id)))
}

/// Changes an image that is there.
pub fn change(world: &mut World, call: &Call, id: &str, change: impl FnOnce(&mut Image)) {
    change(world.region(call).images.get_mut(id).expect("it was seen"));
}
