//! Lifts an account's block on public images for as long as the image is published.
//!
//! The block is set again in every exit: after publishing, when that fails, and when tidying up after an interruption.

use std::time::Duration;

use anyhow::{Result, bail};
use futures_util::future::join_all;
use xtask::region::Region;

use crate::{
    cloud::{Cloud, Phase},
    ground::wait::{self, Patience, Poll},
    story::run::Run,
};

/// "It can take up to 10 minutes" until the block is lifted: EC2 user guide, "Block public access to your AMIs".
const LIMIT: Duration = Duration::from_secs(15 * 60);

/// Lifts the block where there is one, and waits until that has taken effect.
///
/// # Errors
/// When the cloud refuses, or it takes no effect.
pub async fn lift<C: Cloud>(cloud: &C, build: &Run) -> Result<()> {
    let regions = build.regions();
    join_all(regions.iter().map(|region| lift_in(cloud, build, region))).await.into_iter().collect()
}

async fn lift_in<C: Cloud>(cloud: &C, build: &Run, region: &Region) -> Result<()> {
    // Where an earlier attempt lifted it and set it again, that may be yet to take effect, in the middle of publishing.
    let was_lifted = build.journal.history().intended(&format!("unblock {region}"));
    if !was_lifted && !cloud.public_images_blocked(region).await? {
        return Ok(());
    }
    build.status.step("Unblocking", format_args!("public images in {region}, until this one is published"));
    // An error may come after the deed, so the block counts as lifted from here on.
    build.unblocked.borrow_mut().insert(region.clone());
    let patience = Patience { limit: LIMIT, pace: cloud.pace(Phase::Block) };
    let work = async {
        cloud.block_public_images(region, false).await?;
        wait::until(format_args!("public images in {region} to be unblocked"), patience, &build.status, async || {
            let blocked = cloud.public_images_blocked(region).await?;
            Ok(if blocked { Poll::NotYet("blocked".to_owned()) } else { Poll::Ready(()) })
        })
        .await
    };
    build.journal.step(format!("unblock {region}"), region.as_str(), work).await
}

/// Sets the block again wherever it was lifted.
///
/// # Errors
/// When that fails anywhere; the message says where, and what to type.
pub async fn restore<C: Cloud>(cloud: &C, build: &Run) -> Result<()> {
    let regions = build.unblocked.borrow().clone();
    let work = async |region: &Region| {
        let block = cloud.block_public_images(region, true);
        build.journal.step(format!("block {region}"), region.as_str(), block).await?;
        build.unblocked.borrow_mut().remove(region);
        build.status.step("Blocked", format_args!("public images in {region}, as before"));
        Ok(())
    };
    let results: Vec<Result<()>> = join_all(regions.iter().map(work)).await;
    let failed: Vec<String> = regions
        .iter()
        .zip(results)
        .filter_map(|(region, result)| {
            let command = "aws ec2 enable-image-block-public-access --image-block-public-access-state";
            result
                .err()
                .map(|error| format!("{error:#}\n    {command} block-new-sharing --region {region}{}", cloud.flags()))
        })
        .collect();
    if failed.is_empty() {
        return Ok(());
    }
    bail!("public images were blocked before, and are not any more; to block them again:\n  {}", failed.join("\n  "))
}
