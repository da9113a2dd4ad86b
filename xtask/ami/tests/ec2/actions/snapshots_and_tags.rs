//! Snapshots, found and removed, and tags of what is there already.

use serde_json::json;

use crate::{
    books::{Tags, World},
    request::{Call, Thing},
    xml::{Refused, done, refuse, tag_set},
};

pub fn describe_snapshots(world: &mut World, call: &Call) -> Refused {
    let (world, asked) = (&*world, &call.parameters);
    for id in asked.list("SnapshotId") {
        world.snapshot(&call.region, id)?;
    }
    let snapshots = world.here(call).snapshots.values();
    let snapshots = snapshots.filter(|it| asked.wants_owner(&it.owner) && world.snapshot(&call.region, &it.id).is_ok());
    let now = world.now();
    let things = snapshots.map(|it| Thing {
        id: &it.id,
        tags: &it.tags,
        filters: json!({ "description": it.description }),
        shown: json!({
            "snapshotId": it.id, "volumeId": "vol-ffffffff", "status": it.state(now),
            "startTime": world.date(it.created), "progress": format!("{}%", it.percent(now)), "ownerId": it.owner,
            "volumeSize": it.volume_gib, "description": it.description, "encrypted": it.encrypted,
            "tagSet": tag_set(&it.tags),
        }),
    });
    asked.look("snapshotSet", "SnapshotId", things)
}

pub fn delete_snapshot(world: &mut World, call: &Call) -> Refused {
    let id = call.parameters.required("SnapshotId")?;
    world.snapshot(&call.region, id)?;
    let region = world.region(call);
    if let Some(image) = region.images.values().find(|image| image.snapshot == id) {
        refuse!("InvalidSnapshot.InUse", "The snapshot {id} is currently in use by {}", image.id);
    }
    region.snapshots.remove(id);
    region.recycle_bin.iter_mut().for_each(|bin| bin.extend([id.to_owned()]));
    done()
}

pub fn create_tags(world: &mut World, call: &Call) -> Refused {
    let tags = call.parameters.own_tags();
    each(world, call, |has| has.extend(tags.clone()))
}

pub fn delete_tags(world: &mut World, call: &Call) -> Refused {
    let gone: Vec<String> = call.parameters.parts("Tag").iter().map(|tag| tag.text("Key")).collect();
    each(world, call, |has| has.retain(|key, _| !gone.contains(key)))
}

fn each(world: &mut World, call: &Call, change: impl Fn(&mut Tags)) -> Refused {
    let ids = call.parameters.list("ResourceId");
    for id in &ids {
        match id.split('-').next() {
            Some("ami") => world.image(&call.region, id).map(drop)?,
            Some("snap") => world.snapshot(&call.region, id).map(drop)?,
            Some("i") => world.instance(&call.region, id).map(drop)?,
            Some("sg") => world.group(&call.region, id).map(drop)?,
            _ => refuse!("InvalidID", "The ID '{id}' is not valid"),
        }
    }
    let region = world.region(call);
    for id in ids {
        let images = region.images.get_mut(id).map(|image| &mut image.tags);
        let snapshots = region.snapshots.get_mut(id).map(|snapshot| &mut snapshot.tags);
        let instances = region.instances.get_mut(id).map(|instance| &mut instance.tags);
        let groups = region.groups.get_mut(id).map(|group| &mut group.tags);
        if let Some(tags) = images.or(snapshots).or(instances).or(groups) {
            change(tags);
        }
    }
    done()
}
