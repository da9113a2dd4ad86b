//! Copies of the image, one in each other region.

use anyhow::{Result, bail};
use futures_util::future::join_all;
use tokio::time::Instant;
use xtask::region::Region;

use super::{bake::HomeImage, images, run::Run};
use crate::{
    cloud::{Account, Imaging},
    event::{
        Event,
        facts::Base,
        ids::{ImageId, Images, InstanceId},
        progress::Progress,
        step::Step,
    },
    record::state::State,
};

/// How many characters of the source's id are in the token of its copy. A token has at most 64 characters.
const SOURCE_CHARS: usize = 6;

/// What is copied.
pub struct Original<'a> {
    /// Where it is.
    pub region: &'a Region,
    /// The image.
    pub image: &'a ImageId,
    /// The instance that it was made from.
    pub made_of: &'a InstanceId,
    /// What it and its copies are like.
    pub base: &'a Base,
}

/// Copies the image from the build region to all others. Returns the images of all regions, the build region's among them.
///
/// # Errors
/// As [`to_each`].
pub async fn everywhere<C: Imaging + Account>(cloud: &C, run: &Run, home: &HomeImage) -> Result<Images> {
    let (region, image) = (run.build_region(), &home.image);
    let original = Original { region, image, made_of: &home.made_of, base: &home.disk.base };
    let others = run.spec.regions.iter().filter(|other| *other != region);
    let copies = to_each(cloud, run, &original, others).await?;
    Ok(copies.into_iter().chain([(region.clone(), image.clone())]).collect())
}

/// Copies an image to these regions, side by side, and waits until every copy is available.
///
/// # Errors
/// When a copy fails and failed regions are not to be skipped. The other copies continue, and the message names all that
/// failed.
pub async fn to_each<C: Imaging + Account>(
    cloud: &C,
    run: &Run,
    original: &Original<'_>,
    targets: impl Iterator<Item = &Region>,
) -> Result<Vec<(Region, ImageId)>> {
    let began = Instant::now();
    let results = join_all(targets.map(async |region| (region, copy(cloud, run, original, region).await))).await;
    let all = results.len();
    let (mut copies, mut failed) = (Vec::new(), Vec::new());
    for (region, result) in results {
        match result {
            Ok(id) => copies.push((region.clone(), id)),
            Err(error) => failed.push((region, error)),
        }
    }
    if !copies.is_empty() {
        run.events.say(Progress::Copied {
            image: original.image.clone(),
            regions: copies.len(),
            took_ms: u64::try_from(began.elapsed().as_millis()).ok(),
        });
    }
    // An earlier process may have opened the image of a region that fails now: it would stay open, and be left out.
    let may_skip = run.spec.skip_failed_regions && !run.events.state(State::is_half_open);
    if !failed.is_empty() && !may_skip {
        let messages: Vec<String> = failed.iter().map(|(region, error)| format!("{region}: {error:#}")).collect();
        let messages = messages.join("\n  ");
        bail!("the image could not be copied to {} of {all} regions:\n  {messages}", failed.len());
    }
    for (region, error) in failed {
        run.events.emit_flushed(Event::GaveUp { region: region.clone(), why: format!("{error:#}") }).await?;
    }
    Ok(copies)
}

async fn copy<C: Imaging + Account>(cloud: &C, run: &Run, original: &Original<'_>, region: &Region) -> Result<ImageId> {
    let mut image = run.new_image(region, &original.base.described(), original.made_of);
    // EC2 refuses a token that was used for a copy of another image.
    let source = original.image.0.get(original.image.0.len().saturating_sub(SOURCE_CHARS)..).unwrap_or_default();
    image.token = run.token(&format!("{region}-{source}"));
    let mut found = None;
    if run.attempt > 1 {
        found = images::find(cloud, run, region).await?;
        // For the token of a copy that failed, that one would be returned again, even once it is deregistered.
        let failed = run.events.state(|state| state.removed(region));
        if failed > 0 {
            image.token = format!("{}-{failed}", image.token);
        }
    }
    let id = match found {
        Some(found) => {
            let (region, id) = (region.clone(), found.id.clone());
            run.events.emit(Event::Seen { region, image: Some(id), open: found.public })?;
            found.id
        }
        None => {
            let copied = cloud.copy_image(original.region, original.image, region, &image);
            run.events.record(Step::Copy(region.clone()), &image.token, copied).await?
        }
    };
    let available = images::complete(cloud, run, region, &id, &image, original.base).await?;
    match available.made_of {
        Some(made_of) if made_of != *original.made_of => bail!(
            "{id} is a copy of an earlier image of this build, which {} has replaced: clean the build up and begin again: \
             cargo xtask ami clean {}{}",
            original.image,
            run.id,
            cloud.flags()
        ),
        _ => Ok(id),
    }
}
