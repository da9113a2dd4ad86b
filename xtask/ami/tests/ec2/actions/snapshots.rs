//! Snapshots: finding and removing them.

use crate::{
    books::World,
    request::Call,
    xml::{Refusal, Refused, Xml},
};

/// DescribeSnapshots.
pub fn describe(world: &mut World, call: &Call) -> Refused<Xml> {
    let asked = &call.parameters;
    let ids = asked.list("SnapshotId");
    for id in &ids {
        world.snapshot(&call.region, id)?;
    }
    let owners = asked.list("Owner");
    let now = world.now();
    let mut found = Vec::new();
    for id in world.region(call).snapshots.keys().cloned().collect::<Vec<_>>() {
        let Ok(snapshot) = world.snapshot(&call.region, &id) else { continue };
        let of_owner = owners.is_empty()
            || owners.contains(&snapshot.owner.as_str())
            || (owners.contains(&"self") && snapshot.is_own());
        let passes = asked.admits(&snapshot.tags, |filter| {
            let value = match filter {
                "description" => snapshot.description.clone(),
                "snapshot-id" => snapshot.id.clone(),
                "owner-id" => snapshot.owner.clone(),
                "status" => snapshot.state(now).to_owned(),
                "encrypted" => snapshot.encrypted.to_string(),
                _ => return None,
            };
            Some(vec![value])
        })?;
        if (ids.is_empty() || ids.contains(&id.as_str())) && of_owner && passes {
            found.push(snapshot);
        }
    }
    let (found, next) = asked.page(found);
    let mut xml = Xml::default();
    xml.maybe("nextToken", next).items("snapshotSet", found, |xml, snapshot| {
        xml.text("snapshotId", &snapshot.id).text("volumeId", "vol-ffffffff").text("status", snapshot.state(now));
        xml.text("startTime", world.date(snapshot.created)).text("progress", format!("{}%", snapshot.percent(now)));
        xml.text("ownerId", &snapshot.owner).text("volumeSize", snapshot.volume_gib);
        xml.text("description", &snapshot.description).text("encrypted", snapshot.encrypted).tags(&snapshot.tags);
    });
    Ok(xml)
}

/// DeleteSnapshot.
pub fn delete(world: &mut World, call: &Call) -> Refused<Xml> {
    let id = call.parameters.required("SnapshotId")?;
    world.snapshot(&call.region, id)?;
    let region = world.region(call);
    if let Some(image) = region.images.values().find(|image| image.snapshot == id) {
        let message = format!("The snapshot {id} is currently in use by {}", image.id);
        return Err(Refusal::new("InvalidSnapshot.InUse", message));
    }
    region.snapshots.remove(id);
    Ok(Xml::done())
}
