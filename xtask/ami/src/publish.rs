//! Copies, the gate, permissions, withdrawal, and the look at what was published.

use anyhow::{Context as _, Result, anyhow, bail};
use futures_util::future::join_all;
use serde_json::json;
use xtask::region::Region;

use crate::{
    bake::{self, Baked},
    build::{Build, Made},
    cloud::{Cloud, Image, ImageId, ImageState},
};

/// Copies the image from the home region to all others, side by side, and waits until every copy is available.
///
/// # Errors
/// When any copy fails; the others go on to their end, and the message names all that failed.
pub async fn copy_everywhere<C: Cloud>(cloud: &C, build: &Build, baked: &Baked) -> Result<()> {
    let targets = build.order.regions.iter().filter(|region| **region != build.order.home_region);
    let copies = targets.map(async |region| copy(cloud, build, baked, region).await.map_err(|error| (region, error)));
    let failed: Vec<_> = join_all(copies).await.into_iter().filter_map(Result::err).collect();
    if failed.is_empty() {
        if build.order.regions.len() > 1 {
            build.status.step("Copied", format_args!("{} to {} regions", baked.image, build.order.regions.len() - 1));
        }
        return Ok(());
    }
    let all: Vec<String> = failed.iter().map(|(region, error)| format!("{region}: {error:#}")).collect();
    bail!(
        "the image could not be copied to {} of {} regions:\n  {}",
        all.len(),
        build.order.regions.len() - 1,
        all.join("\n  ")
    )
}

async fn copy<C: Cloud>(cloud: &C, build: &Build, baked: &Baked, region: &Region) -> Result<()> {
    let home = &build.order.home_region;
    let image = build.new_image(region, &baked.base.name);
    let copied = cloud.copy_image(home, &baked.image, region, &image);
    let id = build.journal.step(format!("copy {region}"), &image.token, copied).await?;
    build.made.borrow_mut().insert(region.clone(), Made { id: id.clone(), public: false });
    build.journal.step(format!("available {region}"), &id, bake::wait_available(cloud, build, region, &id)).await?;
    Ok(())
}

/// Makes the image public in every region, snapshots first; all or none.
///
/// # Errors
/// When it fails anywhere. What was made public is withdrawn before this returns; where that fails, too, the message
/// says which regions are public.
pub async fn publish<C: Cloud>(cloud: &C, build: &Build) -> Result<()> {
    let images = images(build);
    build.status.step("Publishing", format_args!("`{}` in {} regions", build.order.name, images.len()));
    // An error, or an interruption, may come after the deed, so from here on all count as public.
    build.publishing.set(true);
    build.made.borrow_mut().values_mut().for_each(|made| made.public = true);
    let published = build.journal.step("publish", json!({}), make_public(cloud, &images)).await;
    let Err(error) = published else {
        build.publishing.set(false);
        return Ok(());
    };
    build.status.warn(format_args!("publishing failed, so it is withdrawn everywhere: {error:#}"));
    Err(match withdraw(cloud, build).await {
        Ok(()) => error.context("publishing failed; nothing is public"),
        Err(still) => error.context(format!("publishing failed, and could not be undone: {still:#}")),
    })
}

async fn make_public<C: Cloud>(cloud: &C, images: &[(Region, ImageId)]) -> Result<()> {
    // Whoever can launch an image can copy it only when its snapshots are public, so they come first.
    all(images, async |region, id| cloud.set_snapshots_public(region, id, true).await).await?;
    all(images, async |region, id| cloud.set_image_public(region, id, true).await).await?;
    all(images, async |region, id| match cloud.image(region, id).await? {
        Some(image) if image.public && image.snapshots_public => Ok(()),
        Some(_) => Err(anyhow!("{id} is not public although the cloud said so")),
        None => Err(anyhow!("{id} is gone")),
    })
    .await
}

/// Makes the images private again, in every region.
///
/// # Errors
/// When that fails anywhere; the message says which regions may be public.
pub async fn withdraw<C: Cloud>(cloud: &C, build: &Build) -> Result<()> {
    let images = images(build);
    let work = all(&images, async |region, id| {
        // Each is tried whatever came of the other.
        let launch = cloud.set_image_public(region, id, false).await;
        let copy = cloud.set_snapshots_public(region, id, false).await;
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

fn images(build: &Build) -> Vec<(Region, ImageId)> {
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

/// What is wrong with an image that should be there, alike, in all these regions.
///
/// # Errors
/// When the cloud doesn't answer.
pub async fn check<C: Cloud>(cloud: &C, name: &str, public: bool, regions: &[Region]) -> Result<Vec<String>> {
    let looks = join_all(regions.iter().map(async |region| (region, cloud.images(region).await))).await;
    let mut faults = Vec::new();
    let mut description: Option<String> = None;
    for (region, images) in looks {
        let named: Vec<Image> = images?.into_iter().filter(|image| image.name == name).collect();
        match named.as_slice() {
            [] => faults.push(format!("{region}: there is no image `{name}`")),
            [image] => {
                faults.extend(faults_of(image, public).map(|fault| format!("{region}: {} {fault}", image.id)));
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

fn faults_of(image: &Image, public: bool) -> impl Iterator<Item = String> {
    let state = (image.state != ImageState::Available).then(|| format!("is {}", image.state));
    let launch = match (public, image.public) {
        (true, false) => Some("is not public: nobody else can launch it".to_owned()),
        (false, true) => Some("is public, and must not be".to_owned()),
        _ => None,
    };
    let copy = (public && !image.snapshots_public).then(|| "has private snapshots: nobody else can copy it".to_owned());
    [state, launch, copy].into_iter().flatten()
}
