//! What the Recycle Bin keeps of a version that was removed.

use std::collections::BTreeMap;

use xtask::region::Region;

use crate::{
    cloud::{Cloud, HowTo, Recycled},
    events::Events,
    ground::{date, everywhere},
    record::retirement::Listed,
};

/// Says what the Recycle Bin holds of what was removed, and how to restore it.
pub(super) async fn tell<C: Cloud>(cloud: &C, removed: &[(Region, &Listed)], events: &Events) {
    let mut ids: BTreeMap<&Region, Vec<String>> = BTreeMap::new();
    for (region, it) in removed {
        ids.entry(region).or_default().extend([it.image.to_string()].into_iter().chain(it.snapshots.iter().cloned()));
    }
    let held = everywhere::in_each(ids.keys().copied(), async |region| {
        cloud.recycled(region, ids.get(region).map_or(&[], Vec::as_slice)).await
    });
    let held = held.await;
    for (region, Recycled { id, until }) in
        held.done.iter().flat_map(|(region, all)| all.iter().map(move |it| (region, it)))
    {
        let until = until.as_deref().map(|until| format!(" until {}", date::day(until))).unwrap_or_default();
        let command = cloud.how_to(HowTo::Restore(region, id));
        events.note(format_args!("{region}: the Recycle Bin keeps {id}{until}; to restore it: {command}"));
    }
    for (regions, error) in everywhere::by_error(&held.failed) {
        events.warn(format_args!("it is not known whether the Recycle Bin keeps anything in {regions}: {error}"));
    }
}
