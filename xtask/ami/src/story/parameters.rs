//! The parameters that name a published image in each region: one of its version, and one of the newest release.
//!
//! They are written when the image is public in all regions, and never before. A failure leaves the image as it is, and the
//! build can be resumed.

use std::{collections::BTreeSet, time::Duration};

use anyhow::{Result, bail};
use xtask::{parameter::Prefix, region::Region, version::Version};

use super::run::Run;
use crate::{
    catalogue::{release_numbers, version_of},
    cloud::{Imaging, Parameters, tags::Tags},
    event::{
        ids::{ImageId, Images},
        progress::Progress,
        step::Step,
    },
    events::Events,
    ground::{
        api_error::is_denial,
        everywhere::{self, Everywhere},
        wait::{self, Pace, Patience, Poll},
    },
    recipe::Recipe,
};

/// How long a parameter may not be shown with its new value: SSM looks at the image after it has answered. It usually takes
/// seconds; SSM guarantees no bound.
const SHOWN: Patience =
    Patience { limit: Duration::from_secs(120), pace: Pace::new(Duration::ZERO, Duration::from_secs(2)) };

/// Publishes the images by `publish`, unless an earlier process did, and then writes the parameters that name them.
///
/// # Errors
/// When the images cannot be published, or a parameter cannot be written; the message says which, and where.
pub async fn after<C: Imaging + Parameters>(
    cloud: &C,
    run: &Run,
    images: &Images,
    publish: impl Future<Output = Result<()>>,
) -> Result<()> {
    let names = run.spec.parameter_names()?;
    let begun = |region: &Region| run.events.state(|state| state.intended(&Step::Parameters(region.clone())));
    // Parameters name the images already, so these must not be withdrawn where publishing them again fails.
    let is_published = run.events.state(|state| state.is_published()) && images.iter().any(|(region, _)| begun(region));
    if !is_published {
        publish.await?;
    }
    if names.is_empty() {
        return Ok(());
    }
    let written = everywhere::for_each(images.iter(), async |region, id| {
        run.events.record(Step::Parameters(region.clone()), id, write(cloud, run, region, id, &names)).await
    });
    let Everywhere { done, failed } = written.await;
    for name in &names {
        let regions: Vec<Region> =
            done.iter().filter(|(_, written)| written.contains(name)).map(|(region, _)| region.clone()).collect();
        if !regions.is_empty() {
            run.events.say(Progress::Named { name: name.clone(), regions });
        }
    }
    if failed.is_empty() {
        return Ok(());
    }
    let is_denied = failed.iter().any(|(_, error)| is_denial(error));
    let prefix = run.spec.parameters.as_ref().filter(|_| is_denied);
    let permitted = prefix
        .map(|prefix| format!("\n  the policy that permits it: cargo xtask ami iam-policy --ssm-prefix {prefix}"));
    let failed: Vec<String> =
        everywhere::by_error(&failed).into_iter().map(|(regions, error)| format!("{regions}: {error}")).collect();
    bail!(
        "the image is public, but not all of its parameters ({}) could be written; resume the build when this is \
         solved:\n  {}{}",
        names.join(", "),
        failed.join("\n  "),
        permitted.unwrap_or_default()
    )
}

/// Lets the parameters of a region name its image. The parameter of the newest release stays where it names a newer one.
/// Returns the names of those that name the image.
async fn write<C: Imaging + Parameters>(
    cloud: &C,
    run: &Run,
    region: &Region,
    id: &ImageId,
    names: &[String],
) -> Result<Vec<String>> {
    let (recipe, version, events) = (&run.spec.recipe, &run.spec.version, &run.events);
    let latest = run.spec.parameters.as_ref().map(Prefix::latest).filter(|latest| names.contains(latest));
    let newer = match &latest {
        Some(latest) => newer(cloud, (recipe, version), region, (latest, id), events).await?,
        None => None,
    };
    let mut named = names.to_vec();
    if let (Some(newer), Some(latest)) = (newer, latest) {
        named.retain(|name| *name != latest);
        let fact = format!("{latest} in {region} stays at {newer}, which is a newer release");
        events.say(Progress::Fact { label: "Latest".to_owned(), fact });
    }
    name(cloud, region, &named, id, &run.tags(), events).await?;
    Ok(named)
}

/// The image that the parameter of the newest release names, if it is another one than `id`, and of a newer release than this
/// version.
///
/// # Errors
/// When the cloud does not answer.
pub async fn newer<C: Imaging + Parameters>(
    cloud: &C,
    (recipe, version): (&Recipe, &Version),
    region: &Region,
    (latest, id): (&String, &ImageId),
    events: &Events,
) -> Result<Option<String>> {
    wait::until(format_args!("what {latest} names in {region}"), SHOWN, events, async || {
        let mut current = cloud.parameters(region, std::slice::from_ref(latest)).await?;
        // Anyone may have written anything there.
        let other = current.remove(latest).filter(|other| *other != id.0 && other.starts_with("ami-"));
        let Some(other) = other else { return Ok(Poll::Ready(None)) };
        let image = cloud.image(region, &ImageId(other.clone())).await?;
        let numbers = image.and_then(|image| release_numbers(&version_of(&image, recipe)?));
        Ok(Poll::Ready(Some(other).filter(|_| numbers > version.release_numbers())))
    })
    .await
}

/// Lets these parameters name an image, and waits until they do.
///
/// # Errors
/// When the cloud refuses, or the limit passes.
pub async fn name<C: Parameters>(
    cloud: &C,
    region: &Region,
    names: &[String],
    id: &ImageId,
    tags: &Tags,
    events: &Events,
) -> Result<()> {
    let mut put = BTreeSet::new();
    wait::until(format_args!("the parameters in {region} to name {id}"), SHOWN, events, async || {
        let current = cloud.parameters(region, names).await?;
        let differ: Vec<&str> =
            names.iter().filter(|name| current.get(*name) != Some(&id.0)).map(String::as_str).collect();
        for name in &differ {
            if !put.contains(*name) {
                cloud.put_parameter(region, name, id, tags).await?;
                put.insert((*name).to_owned());
            }
        }
        Ok(if differ.is_empty() { Poll::Ready(()) } else { Poll::NotYet(format!("{} do not yet", differ.join(", "))) })
    })
    .await
}
