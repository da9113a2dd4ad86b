//! Lifts an account's block on public images for as long as the image is published.
//!
//! The block is restored in every case: after publishing, when publishing fails, and in the cleanup after an interruption.

use std::time::Duration;

use anyhow::{Result, bail};
use futures_util::future::join_all;
use xtask::region::Region;

use super::run::Run;
use crate::{
    cloud::{Account, HowTo, Opening, Phase},
    event::{ids::Images, step::Step},
    ground::wait::{self, Patience, Poll},
};

/// "It can take up to 10 minutes" until the block is lifted: EC2 user guide, "Block public access to your AMIs".
const LIMIT: Duration = Duration::from_secs(15 * 60);

/// Lifts the block in the regions of these images that have one, and waits until this has taken effect.
///
/// # Errors
/// When the cloud refuses, or the limit passes.
pub async fn lift<C: Opening + Account>(cloud: &C, run: &Run, images: &Images) -> Result<()> {
    join_all(images.iter().map(|(region, _)| lift_in(cloud, run, region))).await.into_iter().collect()
}

async fn lift_in<C: Opening + Account>(cloud: &C, run: &Run, region: &Region) -> Result<()> {
    let step = Step::Unblock(region.clone());
    // Where an earlier process lifted it and set it again, that may be yet to take effect, in the middle of publishing.
    let was_lifted = run.events.state(|state| state.intended(&step));
    if !was_lifted && !cloud.public_images_blocked(region).await? {
        return Ok(());
    }
    let patience = Patience { limit: LIMIT, pace: cloud.pace(Phase::Block) };
    let work = async {
        cloud.unblock_public_images(region).await?;
        wait::until(format_args!("public images in {region} to be unblocked"), patience, &run.events, async || {
            let blocked = cloud.public_images_blocked(region).await?;
            Ok(if blocked { Poll::NotYet("blocked".to_owned()) } else { Poll::Ready(()) })
        })
        .await
    };
    run.events.record(step, region, work).await
}

/// Restores the block in every region where it was lifted.
///
/// # Errors
/// When that fails anywhere; the message says where, and what to type.
pub async fn restore<C: Opening + Account>(cloud: &C, run: &Run) -> Result<()> {
    let regions = run.events.state(|state| state.unblocked());
    let work = async |region: &Region| {
        run.events.record(Step::Block(region.clone()), region, cloud.block_public_images(region)).await
    };
    let results: Vec<Result<()>> = join_all(regions.iter().map(work)).await;
    let failed: Vec<String> = regions
        .iter()
        .zip(results)
        .filter_map(|(region, result)| {
            result.err().map(|error| format!("{error:#}\n    {}", cloud.how_to(HowTo::BlockPublicImages(region))))
        })
        .collect();
    if failed.is_empty() {
        return Ok(());
    }
    bail!("the block on public images could not be restored; to set it again:\n  {}", failed.join("\n  "))
}
