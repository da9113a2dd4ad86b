//! The parameters that name a published image in each region: one of its version, and one of the newest release.
//!
//! They are written when the image is public in all regions, and never before. A failure leaves the image as it is, and the
//! build can be resumed.

use std::{collections::BTreeSet, time::Duration};

use anyhow::{Error, Result, bail};
use xtask::{parameter::Prefix, region::Region, version::Version};

use super::run::Run;
use crate::{
    catalogue::version_of,
    cloud::{Imaging, Parameters},
    event::{
        ids::{ImageId, Images},
        progress::Progress,
        step::Step,
    },
    ground::{
        api_error::ApiError,
        everywhere::{self, Everywhere},
        wait::{self, Pace, Patience, Poll},
    },
};

/// How long a parameter may not be shown with its new value: SSM looks at the image after it has answered. It usually takes
/// seconds; SSM guarantees no bound.
const SHOWN: Patience = Patience {
    limit: Duration::from_secs(120),
    pace: Pace { first_check: Duration::ZERO, interval: Duration::from_secs(2) },
};

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
    let is_denial = |(_, error): &(Region, Error)| error.downcast_ref::<ApiError>().is_some_and(ApiError::is_denial);
    let prefix = run.spec.parameters.as_ref().filter(|_| failed.iter().any(is_denial));
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
    let latest = run.spec.parameters.as_ref().map(Prefix::latest);
    let mut named = names.to_vec();
    let mut is_looked_at = false;
    let mut put = BTreeSet::new();
    wait::until(format_args!("the parameters in {region} to name {id}"), SHOWN, &run.events, async || {
        let current = cloud.parameters(region, names).await?;
        if let Some(latest) = latest.as_ref().filter(|_| !is_looked_at)
            && let Some(other) = current.get(latest).filter(|other| **other != id.0)
            && is_newer(cloud, run, region, other).await?
        {
            named.retain(|name| name != latest);
            let fact = format!("{latest} in {region} stays at {other}, which is a newer release");
            run.events.say(Progress::Fact { label: "Latest".to_owned(), fact });
        }
        is_looked_at = true;
        let differ: Vec<&String> = named.iter().filter(|name| current.get(*name) != Some(&id.0)).collect();
        for name in &differ {
            if !put.contains(*name) {
                cloud.put_parameter(region, name, id, &run.tags()).await?;
                put.insert((*name).clone());
            }
        }
        let differ: Vec<&str> = differ.into_iter().map(String::as_str).collect();
        Ok(if differ.is_empty() { Poll::Ready(()) } else { Poll::NotYet(format!("{} do not yet", differ.join(", "))) })
    })
    .await?;
    Ok(named)
}

/// Whether an image that a parameter names is of a newer release than the one that is published.
async fn is_newer<C: Imaging>(cloud: &C, run: &Run, region: &Region, other: &str) -> Result<bool> {
    // Anyone may have written anything there.
    if !other.starts_with("ami-") {
        return Ok(false);
    }
    let image = cloud.image(region, &ImageId(other.to_owned())).await?;
    let numbers =
        image.and_then(|image| version_of(&image, &run.spec.recipe)?.parse::<Version>().ok()?.release_numbers());
    Ok(numbers > run.spec.version.release_numbers())
}
