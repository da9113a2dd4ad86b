//! An image of this build in one region: finding it, waiting for it, completing it.

use anyhow::{Error, Result, anyhow, bail, ensure};
use xtask::region::Region;

use super::run::Run;
use crate::{
    cloud::{
        Account, HowTo, Image, ImageState, Imaging, NewImage, Phase,
        tags::{TAG_BUILD, TAG_INSTANCE},
    },
    event::{
        facts::{AvailableImage, Base},
        ids::{ImageId, InstanceId},
        step::Step,
    },
    ground::wait::{self, Patience, Poll},
};

/// The image of this build in a region, if one is available or pending. One that failed is removed.
///
/// # Errors
/// When the cloud does not answer.
pub async fn find<C: Imaging + Account>(cloud: &C, run: &Run, region: &Region) -> Result<Option<Image>> {
    let mut good = None;
    for image in cloud.images(region).await? {
        match image.state {
            _ if image.tag(TAG_BUILD) != Some(&run.id) => {}
            ImageState::Failed(_) => {
                let step = Step::Remove(region.clone(), image.id.clone());
                run.events.record(step, &image.id, cloud.deregister(region, &image.id)).await?;
            }
            ImageState::Disabled => return Err(disabled(cloud, region, &image.id)),
            ImageState::Pending(_) | ImageState::Available => good = Some(image),
        }
    }
    Ok(good)
}

/// The error for an image of this build that has been disabled.
fn disabled<C: Imaging + Account>(cloud: &C, region: &Region, id: &ImageId) -> Error {
    let command = cloud.how_to(HowTo::Enable(region, id));
    anyhow!("the image {id} in {region} is disabled; enable it, then resume the build: {command}")
}

/// Waits until an image is available, checks that it is what one made from this base has to be, and sets the attributes that
/// could not be ordered with it.
///
/// # Errors
/// When the image fails, or is another one than it should be, or the limit passes.
pub async fn complete<C: Imaging + Account>(
    cloud: &C,
    run: &Run,
    region: &Region,
    id: &ImageId,
    image: &NewImage,
    base: &Base,
) -> Result<AvailableImage> {
    let work = async {
        let seen = wait_available(cloud, run, region, id).await?;
        if let (Some(of_base), Some(of_image)) = (&base.hardware, &seen.hardware) {
            let faults = of_base.faults_of(of_image);
            ensure!(
                faults.is_empty(),
                "{id} in {region} is not what an image made from {} has to be: it {}; clean the build up and begin again: \
                 cargo xtask ami clean {}{}",
                base.id,
                faults.join(", and it "),
                run.id,
                cloud.flags()
            );
        }
        cloud.complete_image(region, id, image).await?;
        let made_of = seen.tag(TAG_INSTANCE).map(|instance| InstanceId(instance.to_owned()));
        Ok(AvailableImage { id: seen.id, description: seen.description, made_of })
    };
    run.events.record(Step::Available(region.clone()), id, work).await
}

/// Waits until an image is available.
///
/// # Errors
/// When it fails or is disabled, or the limit passes.
pub async fn wait_available<C: Imaging + Account>(
    cloud: &C,
    run: &Run,
    region: &Region,
    id: &ImageId,
) -> Result<Image> {
    let is_copy = region != run.build_region() || run.spec.promotes.is_some();
    let phase = if is_copy { Phase::Copy } else { Phase::Image };
    let patience = Patience { limit: run.spec.recipe.limits.image, pace: cloud.pace(phase) };
    wait::until(format_args!("{id} in {region}"), patience, &run.events, async || {
        match cloud.image(region, id).await? {
            // Right after the create call EC2 may not know the image yet (eventual consistency).
            None => Ok(Poll::NotYet("unknown to the cloud".to_owned())),
            Some(image) => match &image.state {
                ImageState::Available => Ok(Poll::Ready(image)),
                ImageState::Failed(reason) => bail!("the image {id} in {region} failed: {reason}"),
                ImageState::Disabled => Err(disabled(cloud, region, id)),
                state @ ImageState::Pending(_) => Ok(Poll::NotYet(state.to_string())),
            },
        }
    })
    .await
}
