//! `ami retire`: removes a version's images, with their snapshots, in every region.

use std::{collections::BTreeSet, time::SystemTime};

use anyhow::{Context as _, anyhow};
use xtask::{cli::CommonFlags, region::Region, version::Version};

use crate::{
    catalogue::{Catalogue, Entry, regions::Looked},
    cloud::{Cloud, HowTo, Origin},
    event::progress::Progress,
    events::Events,
    ground::{date, everywhere, outcome::Failure},
    recipe::Recipe,
    show::confirm::confirm_by_typing,
};

/// Lists a version's images, asks for confirmation, and deregisters them and deletes their snapshots in every region.
///
/// A version's images are those with its tag, and all others of the account with its name, because the name is free again
/// only when all of them are gone. The list says which ones this tool did not make.
///
/// # Errors
/// When there is none, it is not confirmed, an image cannot be removed, or a region does not answer; the message says what
/// remains or may remain. The images in all other regions are removed.
pub async fn retire<C: Cloud>(
    cloud: &C,
    recipe: &Recipe,
    version: &Version,
    used: &BTreeSet<Region>,
    common: &CommonFlags,
    events: &Events,
) -> Result<(), Failure> {
    let name = recipe.image_name(version).map_err(Failure::Refused)?;
    let Looked { found: catalogue, unanswered } =
        Catalogue::look(cloud, recipe, used, events).await.map_err(Failure::Failed)?;
    let images: Vec<&Entry> = catalogue.of_version(version, &name).collect();
    if let (true, Some(paragraph)) = (images.is_empty(), unanswered.paragraph("look for images")) {
        return Err(Failure::Failed(anyhow!("no image `{name}` was found, but some may be left: {paragraph}")));
    }
    if images.is_empty() {
        return Err(Failure::Refused(anyhow!(
            "there is no image `{name}`; to list the images: cargo xtask ami list{}",
            cloud.flags()
        )));
    }
    let now = SystemTime::now();
    for entry in &images {
        events.note(line(entry, &name, now));
    }
    let question = format!("Remove all listed images of `{name}` for good ({} in all)?", images.len());
    confirm_by_typing(version.as_str(), &question, common.yes)
        .await
        .context("nothing was removed")
        .map_err(Failure::Refused)?;
    let removed = everywhere::for_each(images.iter().map(|entry| (&entry.region, *entry)), async |region, entry| {
        let removed = cloud.deregister(region, &entry.image.id).await;
        removed.map(|()| &entry.image.id).map_err(|error| anyhow!(remains(cloud, entry, &error)))
    });
    let removed = removed.await;
    for (region, id) in &removed.done {
        events.say(Progress::Removed { id: id.to_string(), region: region.clone() });
    }
    let remaining: Vec<String> = removed.failed.iter().map(|(region, error)| format!("{region}: {error}")).collect();
    let remaining = (!remaining.is_empty()).then(|| remaining.join("\n  "));
    let undone: Vec<String> = remaining.into_iter().chain(unanswered.paragraph("look for images")).collect();
    if undone.is_empty() { Ok(()) } else { Err(Failure::Failed(anyhow!("{}", undone.join("\n")))) }
}

/// The line about an image before it is removed.
fn line(entry: &Entry, name: &str, now: SystemTime) -> String {
    let Entry { region, image, .. } = entry;
    let public = if image.public { "public" } else { "private" };
    let other_name = (image.name != name).then(|| format!("named `{}`", image.name));
    let age = date::age(&image.created, now).map(|age| format!("{age} old"));
    let remarks = [public.to_owned()].into_iter().chain(age).chain(other_name).chain(image.remarks());
    format!("{region}: {} ({})", image.id, remarks.collect::<Vec<_>>().join(", "))
}

/// Why an image remains. `ami iam-policy` does not allow removing an image that this tool did not make, so the message for
/// such an image has the command to use with other credentials.
fn remains<C: Cloud>(cloud: &C, entry: &Entry, error: &anyhow::Error) -> String {
    let Entry { region, image, .. } = entry;
    let by_hand = match image.origin() {
        Origin::Other => Some(cloud.how_to(HowTo::Deregister(region, &image.id))),
        Origin::ThisTool { .. } => None,
    };
    let by_hand = by_hand.map(|command| format!("\n    to remove it with other credentials: {command}"));
    format!("{} remains: {error:#}{}", image.id, by_hand.unwrap_or_default())
}
