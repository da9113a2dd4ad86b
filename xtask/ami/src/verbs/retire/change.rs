//! The ways of retiring a version that remove nothing.

use std::{
    cell::RefCell,
    time::{Duration, SystemTime},
};

use anyhow::{Context as _, Result, bail};
use xtask::{count, region::Region};

use super::{Retirement, Unended, listed, losses};
use crate::{
    catalogue::Entry,
    cloud::{Audience, Cloud, HowTo, ImageState, Permission},
    event::progress::Progress,
    ground::{date, everywhere, outcome::Failure},
    record::retirement::{About, Journal, Listed, Retirements, Way},
    show::confirm::{confirm, confirm_by_typing},
};

/// EC2 rounds the time of a deprecation to the minute (EC2 API reference, `EnableImageDeprecation`).
const MINUTE: Duration = Duration::from_secs(60);

/// Deprecates, disables or enables images. Returns what could not be changed.
pub(super) async fn change<C: Cloud>(
    retirement: &Retirement<'_, C>,
    way: Way,
    images: &[&Entry],
    about: impl Fn(Vec<Listed>) -> About,
) -> Result<Vec<String>, Failure> {
    let Retirement { name, events, earlier, cloud, .. } = *retirement;
    let changing: Vec<&Entry> = images.iter().copied().filter(|entry| is_to_change(entry, retirement, way)).collect();
    for entry in images {
        let as_it_is = if changing.iter().any(|it| std::ptr::eq(*it, *entry)) { "" } else { ", and stays as it is" };
        events.note(format_args!("{}{as_it_is}", losses::line(entry, name, SystemTime::now())));
    }
    if changing.is_empty() {
        events.say(fact("Done", format_args!("all images of `{name}` are as they should be")));
        return Ok(Vec::new());
    }
    if let Some(at) = retirement.flags.deprecate {
        refuse_too_late(retirement, &changing, at).map_err(Failure::Refused)?;
    }
    ask(retirement, way, changing.len()).await.context("nothing was changed").map_err(Failure::Refused)?;
    let listing = changing.iter().map(|entry| to_list(entry, earlier, way)).collect();
    let journal = Journal::begin(retirement.state_dir, about(listing)).context("nothing was changed");
    let journal = RefCell::new(journal.map_err(Failure::Failed)?);
    let unended = Unended { command: again(retirement, way), events, ended: false };
    let changed = everywhere::for_each(changing.iter().map(|entry| (&entry.region, *entry)), async |region, entry| {
        let id = &entry.image.id;
        let was_public = earlier.was_public(region, id);
        let changed = apply(retirement, way, region, entry, was_public == Some(true)).await;
        changed.with_context(|| id.to_string())?;
        if let Err(error) = journal.borrow_mut().done(region, id) {
            events.warn(format_args!("{error:#}"));
        }
        anyhow::Ok((id, was_public))
    });
    let changed = changed.await;
    for (region, (id, was_public)) in &changed.done {
        events.say(fact(verb(way), format_args!("{id} in {region}")));
        if way == Way::Enable && was_public.is_none() {
            let command = cloud.how_to(HowTo::Publish(region, id));
            events.note(format_args!(
                "{region}: {id} is private: no journal here says whether it was public; to make it public: {command}"
            ));
        }
    }
    if way == Way::Disable {
        events.note(format_args!("to undo this: {}", again(retirement, Way::Enable)));
    }
    let mut undone: Vec<String> = changed.failed.iter().map(|(region, error)| format!("{region}: {error:#}")).collect();
    if undone.is_empty() {
        journal.into_inner().end().map_err(Failure::Failed)?;
    } else {
        undone.push(format!("to continue when this is solved: {}", again(retirement, way)));
    }
    unended.end();
    Ok(undone)
}

/// Whether an image is not as it should be yet.
fn is_to_change<C>(entry: &Entry, retirement: &Retirement<'_, C>, way: Way) -> bool {
    let image = &entry.image;
    match (way, retirement.flags.deprecate) {
        (Way::Deprecate, Some(at)) => {
            let is_at = image.deprecate_at.as_deref().and_then(date::moment);
            is_at.is_none_or(|is| date::apart(is, at) > MINUTE)
        }
        (Way::Disable, _) => image.state != ImageState::Disabled,
        // One that was public when it was disabled counts until a run has enabled it to the end, even where it is public by
        // now: the parameters that name it are written last.
        (Way::Enable, _) => {
            image.state == ImageState::Disabled || retirement.earlier.was_public(&entry.region, &image.id) == Some(true)
        }
        _ => false,
    }
}

/// An image as the journal has it. One that was public when it was disabled is public there as long as no run has enabled it to
/// the end: the run may have been killed before the image was public again.
fn to_list(entry: &Entry, earlier: &Retirements, way: Way) -> Listed {
    let it = listed(entry);
    let was_public = earlier.was_public(&it.region, &it.image) == Some(true);
    Listed { public: it.public || way == Way::Disable && was_public, ..it }
}

/// Refuses a date that is too late for a public image: the change would fail in every region.
fn refuse_too_late<C: Cloud>(retirement: &Retirement<'_, C>, changing: &[&Entry], at: SystemTime) -> Result<()> {
    let latest = changing.iter().filter_map(|entry| Some((entry.image.deprecated_at_latest()?, *entry)));
    let first = latest.min_by_key(|(latest, _)| *latest);
    let Some((latest, Entry { region, image, .. })) = first.filter(|(latest, _)| at > *latest) else { return Ok(()) };
    let text = humantime::format_rfc3339_seconds(latest);
    let command = retirement.command();
    let instead = if latest > SystemTime::now() {
        format!("the latest date possible: {command} --deprecate {text}")
    } else {
        format!("that was {text}, so no date is possible any more; to remove the images: {command}")
    };
    bail!(
        "{} in {region} was created on {}, and a public image is deprecated two years after that at the latest; nothing was \
         changed\n    {instead}",
        image.id,
        date::day(&image.created)
    )
}

async fn ask<C: Cloud>(retirement: &Retirement<'_, C>, way: Way, count: usize) -> Result<()> {
    let Retirement { name, common, flags, .. } = *retirement;
    let images = count::of(count, "image");
    match (way, flags.deprecate) {
        (Way::Deprecate, Some(at)) => {
            let at = humantime::format_rfc3339_seconds(at);
            confirm(&format!("Deprecate {images} of `{name}` from {at} on?"), common.yes).await
        }
        (Way::Disable, _) => {
            let question = format!("Disable {images} of `{name}`, which can no longer be launched then?");
            confirm_by_typing(flags.version.as_str(), &question, common.yes).await
        }
        _ => {
            let question = format!("Enable {images} of `{name}`, and make public again what was?");
            confirm(&question, common.yes).await
        }
    }
}

async fn apply<C: Cloud>(
    retirement: &Retirement<'_, C>,
    way: Way,
    region: &Region,
    entry: &Entry,
    was_public: bool,
) -> Result<()> {
    let (cloud, id) = (retirement.cloud, &entry.image.id);
    match (way, retirement.flags.deprecate) {
        (Way::Deprecate, Some(at)) => cloud.deprecate(region, id, at).await,
        (Way::Disable, _) => {
            retirement.parameters.forget(cloud, region, id, retirement.events).await?;
            cloud.disable(region, id).await
        }
        _ => {
            if entry.image.state == ImageState::Disabled {
                cloud.enable(region, id).await?;
            }
            if was_public {
                cloud.set_launch_permission(region, id, &Audience::Public, Permission::Grant).await?;
                retirement.parameters.recall(cloud, region, entry, retirement.events).await?;
            }
            Ok(())
        }
    }
}

fn verb(way: Way) -> &'static str {
    match way {
        Way::Deprecate => "Deprecated",
        Way::Disable => "Disabled",
        _ => "Enabled",
    }
}

fn fact(label: &str, fact: impl std::fmt::Display) -> Progress {
    Progress::Fact { label: label.to_owned(), fact: fact.to_string() }
}

/// The command that does this.
fn again<C: Cloud>(retirement: &Retirement<'_, C>, way: Way) -> String {
    let flag = match (way, retirement.flags.deprecate) {
        (Way::Deprecate, Some(at)) => format!("--deprecate {}", humantime::format_rfc3339_seconds(at)),
        (Way::Disable, _) => "--disable".to_owned(),
        _ => "--enable".to_owned(),
    };
    format!("{} {flag}", retirement.command())
}
