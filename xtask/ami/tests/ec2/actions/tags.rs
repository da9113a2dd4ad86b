//! Tags of what is there already.

use crate::{
    books::{Tags, World},
    request::Call,
    xml::{Refusal, Refused, Xml},
};

/// CreateTags.
pub fn create(world: &mut World, call: &Call) -> Refused<Xml> {
    let tags = call.parameters.own_tags();
    each(world, call, |has| has.extend(tags.clone()))
}

/// DeleteTags.
pub fn delete(world: &mut World, call: &Call) -> Refused<Xml> {
    let gone: Vec<String> = call.parameters.parts("Tag").iter().map(|tag| tag.text("Key")).collect();
    each(world, call, |has| has.retain(|key, _| !gone.contains(key)))
}

fn each(world: &mut World, call: &Call, change: impl Fn(&mut Tags)) -> Refused<Xml> {
    let ids = call.parameters.list("ResourceId");
    for id in &ids {
        match id.split('-').next() {
            Some("ami") => world.image(&call.region, id).map(drop)?,
            Some("snap") => world.snapshot(&call.region, id).map(drop)?,
            Some("i") => world.instance(&call.region, id).map(drop)?,
            Some("sg") => world.group(&call.region, id).map(drop)?,
            _ => return Err(Refusal::new("InvalidID", format!("The ID '{id}' is not valid"))),
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
    Ok(Xml::done())
}
