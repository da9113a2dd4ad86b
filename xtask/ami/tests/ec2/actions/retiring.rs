//! The end of images: disabled, enabled, and in the Recycle Bin.

use serde_json::{Value, json};

use crate::{
    actions::images::{change, own},
    books::{Image, World},
    request::Call,
    xml::{Refused, done, refuse},
};

pub fn disable_image(world: &mut World, call: &Call) -> Refused {
    let id = call.parameters.required("ImageId")?;
    let image = world.image(&call.region, id)?.clone();
    own(&image)?;
    match image.state(world.now()) {
        "available" | "disabled" => change(world, call, id, Image::disable),
        state => refuse!("InvalidAMIID.Unavailable", "The image ID '{id}' is not available, but {state}"),
    }
    done()
}

pub fn enable_image(world: &mut World, call: &Call) -> Refused {
    let id = call.parameters.required("ImageId")?;
    own(world.image(&call.region, id)?)?;
    change(world, call, id, |image| image.disabled = false);
    done()
}

pub fn list_images_in_recycle_bin(world: &mut World, call: &Call) -> Refused {
    Ok(json!({ "imageSet": held(world, call, "imageId", "ami-") }))
}

pub fn list_snapshots_in_recycle_bin(world: &mut World, call: &Call) -> Refused {
    Ok(json!({ "snapshotSet": held(world, call, "snapshotId", "snap-") }))
}

/// What the Recycle Bin has of a kind: all of it, as the tool asks.
fn held(world: &World, call: &Call, key: &str, kind: &str) -> Vec<Value> {
    let bin = world.here(call).recycle_bin.iter().flatten().filter(|id| id.starts_with(kind));
    let [entered, exits] = ["2026-11-22T20:00:00.000Z", "2026-12-22T20:00:00.000Z"];
    bin.map(|id| json!({ key: id, "recycleBinEnterTime": entered, "recycleBinExitTime": exits })).collect()
}
