//! Removes leftovers, in all regions at once: what one region refuses or delays is removed in the others all the same.

use std::{collections::BTreeMap, time::Duration};

use anyhow::{Context as _, Result};
use futures_util::future::join_all;
use xtask::{cli::CommonFlags, region::Region};

use crate::{
    cloud::{Cloud, Leftover, LeftoverKind, Phase},
    event::progress::Progress,
    events::Events,
    ground::{
        outcome::Failure,
        wait::{self, Patience, Poll},
    },
    show::confirm::confirm,
    story::launch::TERMINATION_LIMIT,
};

/// Lists the leftovers, asks for confirmation, and removes them. Returns a paragraph about those that remain.
pub(super) async fn ask_and_remove<C: Cloud>(
    cloud: &C,
    found: &[(Region, Leftover)],
    common: &CommonFlags,
    events: &Events,
) -> Result<Option<String>, Failure> {
    let mut found: Vec<&(Region, Leftover)> = found.iter().collect();
    // Instances first: their security groups cannot be deleted before them.
    found.sort_by(|(a_region, a), (b_region, b)| {
        (a.kind, !a.public, a_region, &a.id).cmp(&(b.kind, !b.public, b_region, &b.id))
    });
    for (region, leftover) in &found {
        let public = if leftover.public { ", PUBLIC in some regions only" } else { "" };
        let cost = leftover.cost.as_ref().map(|cost| format!(", {cost}")).unwrap_or_default();
        events.note(format_args!("{region}: {} {} of {}{public}{cost}", leftover.kind, leftover.id, leftover.build));
    }
    let question = format!("Remove everything listed above for good ({} in all)?", found.len());
    confirm(&question, common.yes).await.context("nothing was removed").map_err(Failure::Refused)?;
    // Of images that are half open, the open ones first: when this is cut short, those that remain still say that the build
    // was not open everywhere.
    let is_half_open = found.iter().any(|(_, leftover)| leftover.public);
    let (last, first): (Vec<_>, Vec<_>) =
        found.into_iter().partition(|(_, it)| is_half_open && it.kind == LeftoverKind::Image && !it.public);
    let mut remaining = remove_all(cloud, &first, events).await;
    remaining.extend(remove_all(cloud, &last, events).await);
    Ok((!remaining.is_empty()).then(|| format!("these remain:\n  {}", remaining.join("\n  "))))
}

/// Removes these, one after another in each region. Returns those that remain, with the reasons.
async fn remove_all<C: Cloud>(cloud: &C, found: &[&(Region, Leftover)], events: &Events) -> Vec<String> {
    let mut by_region: BTreeMap<&Region, Vec<&Leftover>> = BTreeMap::new();
    for (region, leftover) in found {
        by_region.entry(region).or_default().push(leftover);
    }
    let in_regions = by_region.into_iter().map(async |(region, leftovers)| {
        let mut remaining = Vec::new();
        for leftover in leftovers {
            match remove(cloud, region, leftover, events).await {
                Ok(()) => events.say(Progress::Removed { id: leftover.id.clone(), region: region.clone() }),
                Err(error) => remaining.push(format!("{region}: {} {}: {error:#}", leftover.kind, leftover.id)),
            }
        }
        remaining
    });
    join_all(in_regions).await.concat()
}

/// Removes a resource. If the cloud refuses because it is still in use, tries again for a while.
async fn remove<C: Cloud>(cloud: &C, region: &Region, leftover: &Leftover, events: &Events) -> Result<()> {
    let pace = wait::Pace { first_check: Duration::ZERO, ..cloud.pace(Phase::Termination) };
    let what = format!("{} to be removed", leftover.id);
    wait::until(what, Patience { limit: TERMINATION_LIMIT, pace }, events, async || {
        cloud.remove(region, leftover).await.map(Poll::Ready)
    })
    .await
}
