//! Opens images to their audience in all regions or in none, and closes them again.

use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use futures_util::future::join_all;
use xtask::region::Region;

use super::{
    block,
    gate::{self, Expected, Openness},
    run::Run,
};
use crate::{
    cloud::{Account, Audience, Imaging, Opening, Permission},
    event::{
        facts::Base,
        ids::{ImageId, Images},
        progress::Progress,
        step::{Handle, Step},
    },
    ground::wait::{self, Pace, Patience, Poll},
};

/// How long a region may show an image as private after it was made public (EC2's eventual consistency). Usually it shows
/// it as public at once.
const VISIBLE: Patience =
    Patience { limit: Duration::from_secs(120), pace: Pace::new(Duration::ZERO, Duration::from_secs(2)) };

/// Opens the images to the audience of the release, once they have passed the gate.
///
/// # Errors
/// When they do not pass, or cannot be opened. Then none of them is open.
pub async fn through_the_gate<C: Imaging + Opening + Account>(
    cloud: &C,
    run: &Run,
    base: &Base,
    images: &Images,
) -> Result<()> {
    // An earlier process may have opened some of them already, after they had all passed.
    let began = run.events.state(|state| state.intended(&Step::Publish));
    let openness = if began { Openness::Either } else { Openness::Private };
    let promotes = run.spec.promotes.as_ref();
    let description = promotes.map(|it| run.new_image(run.build_region(), &it.name, &it.made_of).description);
    let expected = Expected {
        name: &run.spec.name,
        description: description.as_deref(),
        hardware: base.hardware.as_ref(),
        requires_imds_v2: run.spec.recipe.require_imds_v2,
    };
    gate::pass(cloud, &expected, images, openness, &run.events).await?;
    let Some(audience) = run.spec.visibility.audience() else { return Ok(()) };
    let opened = async {
        if audience == Audience::Public && run.spec.unblock_public_access {
            block::lift(cloud, run, images).await?;
        }
        publish(cloud, run, &expected, images, &audience).await
    };
    let opened = opened.await;
    if let Err(error) = block::restore(cloud, run).await {
        // Only a warning, because the cleanup tries again, and an error in publishing matters more.
        run.events.warn(format_args!("{error:#}"));
    }
    opened
}

/// Opens the images to an audience in every region, snapshots first; all or none.
///
/// # Errors
/// When it fails anywhere. Then everything is withdrawn before this returns; if that fails as well, the message says which
/// regions are open.
async fn publish<C: Imaging + Opening + Account>(
    cloud: &C,
    run: &Run,
    expected: &Expected<'_>,
    images: &Images,
    audience: &Audience,
) -> Result<()> {
    let public = *audience == Audience::Public;
    let regions = images.iter().map(|(region, _)| region.clone()).collect();
    run.events.say(Progress::Publishing { name: run.spec.name.clone(), regions, public });
    let published = run.events.record(Step::Publish, Handle::NONE, async {
        // Whoever can launch an image can copy it only when its snapshots are open, too, so they come first.
        let grant = Permission::Grant;
        all(images, async |region, id| cloud.set_volume_permission(region, id, audience, grant).await).await?;
        all(images, async |region, id| cloud.set_launch_permission(region, id, audience, grant).await).await?;
        if public { until_shown(cloud, run, expected, images).await } else { Ok(()) }
    });
    let Err(error) = published.await else { return Ok(()) };
    run.events.warn(format_args!("publishing failed, and is being withdrawn in all regions: {error:#}"));
    Err(match withdraw(cloud, run, images).await {
        Ok(()) => error.context("publishing failed; nothing is public"),
        Err(still) => error.context(format!("publishing failed, and could not be undone: {still:#}")),
    })
}

/// Waits until every region shows the image as public, with the same name and description.
async fn until_shown<C: Imaging + Opening + Account>(
    cloud: &C,
    run: &Run,
    expected: &Expected<'_>,
    images: &Images,
) -> Result<()> {
    wait::until("all regions to show the image as public", VISIBLE, &run.events, async || {
        let faults = gate::faults(cloud, expected, images, Openness::Public).await?;
        Ok(if faults.is_empty() { Poll::Ready(()) } else { Poll::NotYet(gate::listed(&faults)) })
    })
    .await
}

/// Closes the images in every region. An image that is gone counts as closed.
///
/// # Errors
/// When that fails anywhere; the message says where.
pub async fn withdraw<C: Imaging + Opening + Account>(cloud: &C, run: &Run, images: &Images) -> Result<()> {
    let Some(audience) = run.spec.visibility.audience() else { return Ok(()) };
    let work = all(images, async |region, id| {
        // Both are tried, even if the first fails.
        let launch = cloud.set_launch_permission(region, id, &audience, Permission::Revoke).await;
        let copy = cloud.set_volume_permission(region, id, &audience, Permission::Revoke).await;
        match (launch, copy) {
            (Ok(()), Ok(())) => Ok(()),
            _ if matches!(cloud.image(region, id).await, Ok(None)) => Ok(()),
            (Err(launch), Err(copy)) => bail!("{launch:#}; and {copy:#}"),
            (Err(error), Ok(())) | (Ok(()), Err(error)) => Err(error),
        }
    });
    run.events.record(Step::Withdraw, Handle::NONE, work).await.context("these may still be public")
}

/// Does the same work in all regions at once, and reports all failures together.
async fn all(images: &Images, work: impl AsyncFn(&Region, &ImageId) -> Result<()>) -> Result<()> {
    let results = join_all(images.iter().map(|(region, id)| work(region, id))).await;
    let failed: Vec<String> = images
        .iter()
        .zip(results)
        .filter_map(|((region, _), result)| result.err().map(|error| format!("{region}: {error:#}")))
        .collect();
    if failed.is_empty() { Ok(()) } else { bail!("{}", failed.join("\n  ")) }
}
