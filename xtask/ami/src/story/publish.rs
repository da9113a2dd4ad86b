//! Copies, the gate, permissions, withdrawal, and the look at what was published.

use std::time::Duration;

use anyhow::{Context as _, Error, Result, bail};
use futures_util::future::join_all;
use serde_json::json;
use xtask::region::Region;

use crate::{
    cloud::{
        Audience, Cloud, Image, ImageState, NewImage,
        tags::{TAG_BUILD, TAG_INSTANCE},
    },
    event::ids::ImageId,
    ground::wait::{self, Pace, Patience, Poll},
    story::{
        bake::{self, Baked},
        run::{Made, Run},
    },
};

/// How much of the source's id is in the token of its copy: tokens have 64 characters at most.
const SOURCE_CHARS: usize = 6;

/// How long what was made public may be shown as private (EC2's eventual consistency): mostly not at all.
const SHOWN: Patience = Patience {
    limit: Duration::from_secs(120),
    pace: Pace { first_look: Duration::ZERO, interval: Duration::from_secs(2) },
};

/// Copies the image from the home region to all others, side by side, and waits until every copy is available.
///
/// # Errors
/// When any copy fails, and regions are not to be skipped for that; the others go on to their end, and the message names
/// all that failed.
pub async fn copy_everywhere<C: Cloud>(cloud: &C, build: &Run, baked: &Baked) -> Result<()> {
    let targets = build.order.regions.iter().filter(|region| **region != build.order.build_region);
    let copies = targets.map(async |region| copy(cloud, build, baked, region).await.map_err(|error| (region, error)));
    let results = join_all(copies).await;
    let (all, good) = (results.len(), results.iter().filter(|result| result.is_ok()).count());
    let failed: Vec<_> = results.into_iter().filter_map(Result::err).collect();
    if good > 0 {
        build.status.step("Copied", format_args!("{} to {good} regions", baked.image));
    }
    if failed.is_empty() {
        return Ok(());
    }
    if !build.order.skip_failed_regions {
        let messages: Vec<String> = failed.iter().map(|(region, error)| format!("{region}: {error:#}")).collect();
        let messages = messages.join("\n  ");
        bail!("the image could not be copied to {} of {all} regions:\n  {messages}", failed.len());
    }
    for (region, error) in failed {
        build.status.warn(format_args!("{region} is left out: {error:#}"));
        build.made.borrow_mut().remove(region);
        build.skipped.borrow_mut().insert(region.clone(), format!("{error:#}"));
    }
    Ok(())
}

async fn copy<C: Cloud>(cloud: &C, build: &Run, baked: &Baked, region: &Region) -> Result<()> {
    let home = &build.order.build_region;
    let mut image = build.new_image(region, &baked.sealed.base.name, &baked.made_of);
    // The same token for a copy of another image would be refused.
    let source = baked.image.0.get(baked.image.0.len().saturating_sub(SOURCE_CHARS)..).unwrap_or_default();
    image.token = build.token(&format!("{region}-{source}"));
    if build.attempt > 1 {
        if let Some(found) = image_of(cloud, build, region).await? {
            build.made.borrow_mut().insert(region.clone(), Made { id: found.id.clone(), public: found.public });
            return until_complete(cloud, build, baked, region, &found.id, &image).await;
        }
        // For the token of a copy that failed, that one would be given back, also when it is gone.
        let failed = build.journal.history().count_intended(&removed(region))
            + build.removed.borrow().get(region).copied().unwrap_or(0);
        if failed > 0 {
            image.token = format!("{}-{failed}", image.token);
        }
    }
    let copied = cloud.copy_image(home, &baked.image, region, &image);
    let id = build.journal.step(format!("copy {region}"), &image.token, copied).await?;
    build.made.borrow_mut().insert(region.clone(), Made { id: id.clone(), public: false });
    until_complete(cloud, build, baked, region, &id, &image).await
}

/// Waits until a copy is complete. It must be one of the image that is verified.
async fn until_complete<C: Cloud>(
    cloud: &C,
    build: &Run,
    baked: &Baked,
    region: &Region,
    id: &ImageId,
    image: &NewImage,
) -> Result<()> {
    let seen = bake::until_complete(cloud, build, region, id, image).await?;
    match seen.tag(TAG_INSTANCE) {
        Some(made_of) if made_of != baked.made_of.0 => bail!(
            "{id} was copied from an image that this build made before {}, and that isn't there any more: remove what there \
             is and begin again, with cargo xtask ami clean {}{}",
            baked.image,
            build.id,
            cloud.flags()
        ),
        _ => Ok(()),
    }
}

/// How the steps begin in which images of a region that failed are removed.
fn removed(region: &Region) -> String {
    format!("remove {region} ")
}

/// The image of this build in a region, if there is one that is available or will be. One that failed is removed.
///
/// # Errors
/// When the cloud doesn't answer.
pub async fn image_of<C: Cloud>(cloud: &C, build: &Run, region: &Region) -> Result<Option<Image>> {
    let mut good = None;
    for image in cloud.images(region).await? {
        match image.state {
            _ if image.tag(TAG_BUILD) != Some(&build.id) => {}
            ImageState::Failed(_) => {
                let step = format!("{}{}", removed(region), image.id);
                let counted = build.journal.history().intended(&step);
                let remove = cloud.deregister(region, &image.id);
                build.journal.step(step, &image.id, remove).await?;
                if !counted {
                    *build.removed.borrow_mut().entry(region.clone()).or_insert(0) += 1;
                }
            }
            ImageState::Pending(_) | ImageState::Available => good = Some(image),
        }
    }
    Ok(good)
}

/// Opens the image to an audience in every region, snapshots first; all or none.
///
/// # Errors
/// When it fails anywhere. What was opened is withdrawn before this returns; where that fails, too, the message says
/// which regions are open.
pub async fn publish<C: Cloud>(cloud: &C, build: &Run, audience: &Audience) -> Result<()> {
    let images = images(build);
    let public = *audience == Audience::Everybody;
    let verb = if public { "Publishing" } else { "Sharing" };
    build.status.step(verb, format_args!("`{}` in {}", build.order.name, regions_of(&images)));
    // An error, or an interruption, may come after the deed, so from here on all count as public.
    build.publishing.set(true);
    build.made.borrow_mut().values_mut().for_each(|made| made.public = public);
    let published = build.journal.step("publish", json!({}), async {
        open(cloud, &images, audience).await?;
        if public { until_shown(cloud, build).await } else { Ok(()) }
    });
    let Err(error) = published.await else {
        build.publishing.set(false);
        return Ok(());
    };
    build.status.warn(format_args!("publishing failed, so it is withdrawn everywhere: {error:#}"));
    Err(match withdraw(cloud, build).await {
        Ok(()) => error.context("publishing failed; nothing is public"),
        Err(still) => error.context(format!("publishing failed, and could not be undone: {still:#}")),
    })
}

/// Waits until every region shows the image as public, and all of them alike.
async fn until_shown<C: Cloud>(cloud: &C, build: &Run) -> Result<()> {
    let regions = build.regions();
    wait::until("all regions to show the image as public", SHOWN, &build.status, async || {
        let faults = check(cloud, &build.order.name, Some(true), &regions).await?;
        Ok(if faults.is_empty() { Poll::Ready(()) } else { Poll::NotYet(faults.join("\n  ")) })
    })
    .await
}

fn regions_of(images: &[(Region, ImageId)]) -> String {
    match images {
        [(region, _)] => region.to_string(),
        _ => format!("{} regions", images.len()),
    }
}

async fn open<C: Cloud>(cloud: &C, images: &[(Region, ImageId)], audience: &Audience) -> Result<()> {
    // Whoever can launch an image can copy it only when its snapshots are open, too, so they come first.
    all(images, async |region, id| cloud.permit_copying(region, id, audience, true).await).await?;
    all(images, async |region, id| cloud.permit_launching(region, id, audience, true).await).await
}

/// Closes what was opened, in every region.
///
/// # Errors
/// When that fails anywhere; the message says where.
pub async fn withdraw<C: Cloud>(cloud: &C, build: &Run) -> Result<()> {
    let Some(audience) = build.order.visibility.audience() else { return Ok(()) };
    let images = images(build);
    let work = all(&images, async |region, id| {
        // Each is tried whatever came of the other.
        let launch = cloud.permit_launching(region, id, &audience, false).await;
        let copy = cloud.permit_copying(region, id, &audience, false).await;
        launch.and(copy)?;
        if let Some(made) = build.made.borrow_mut().get_mut(region) {
            made.public = false;
        }
        Ok(())
    });
    build.journal.step("withdraw", json!({}), work).await.context("these may still be public")?;
    build.publishing.set(false);
    Ok(())
}

fn images(build: &Run) -> Vec<(Region, ImageId)> {
    build.made.borrow().iter().map(|(region, made)| (region.clone(), made.id.clone())).collect()
}

/// Does the same in all regions side by side; what failed is reported together.
async fn all(images: &[(Region, ImageId)], work: impl AsyncFn(&Region, &ImageId) -> Result<()>) -> Result<()> {
    let results = join_all(images.iter().map(|(region, id)| work(region, id))).await;
    let failed: Vec<String> = images
        .iter()
        .zip(results)
        .filter_map(|((region, _), result)| result.err().map(|error| format!("{region}: {error:#}")))
        .collect();
    if failed.is_empty() { Ok(()) } else { bail!("{}", failed.join("\n  ")) }
}

/// What is wrong with an image that should be there, alike, in all these regions; public or not, where that matters.
///
/// # Errors
/// When the cloud doesn't answer.
pub async fn check<C: Cloud>(cloud: &C, name: &str, public: Option<bool>, regions: &[Region]) -> Result<Vec<String>> {
    let looks = regions.iter().map(async |region| {
        let mut images =
            cloud.images(region).await.with_context(|| format!("failed to list the images in {region}"))?;
        images.retain(|image| image.name == name);
        let copyable = match images.as_slice() {
            [image] if public == Some(true) => cloud.snapshots_are_public(region, &image.id).await?,
            _ => false,
        };
        Ok::<_, Error>((region, images, copyable))
    });
    let mut faults = Vec::new();
    let mut description: Option<String> = None;
    for look in join_all(looks).await {
        let (region, named, copyable) = look?;
        match named.as_slice() {
            [] => faults.push(format!("{region}: there is no image `{name}`")),
            [image] => {
                faults
                    .extend(faults_of(image, public, copyable).map(|fault| format!("{region}: {} {fault}", image.id)));
                let expected = description.get_or_insert_with(|| image.description.clone());
                if image.description != *expected {
                    faults.push(format!(
                        "{region}: {} is described as `{}`, not as elsewhere",
                        image.id, image.description
                    ));
                }
            }
            several => {
                let ids: Vec<&str> = several.iter().map(|image| image.id.0.as_str()).collect();
                faults.push(format!("{region}: {} images have the name `{name}`: {}", ids.len(), ids.join(", ")));
            }
        }
    }
    Ok(faults)
}

fn faults_of(image: &Image, public: Option<bool>, copyable: bool) -> impl Iterator<Item = String> {
    let state = (image.state != ImageState::Available).then(|| format!("is {}", image.state));
    let launch = match (public, image.public) {
        (Some(true), false) => Some("is not public: nobody else can launch it".to_owned()),
        (Some(false), true) => Some("is public, and must not be".to_owned()),
        _ => None,
    };
    let copy = (public == Some(true) && !copyable).then(|| "has private snapshots: nobody else can copy it".to_owned());
    [state, launch, copy].into_iter().flatten()
}
