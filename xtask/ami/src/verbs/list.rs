//! `ami list`: lists the images in all regions.

use std::{collections::BTreeSet, time::SystemTime};

use xtask::{cli::CommonFlags, region::Region};

use crate::{
    catalogue::{Catalogue, Entry, regions::Looked},
    cloud::{Cloud, ImageState, Origin, tags::TAG_EXPIRES},
    event::progress::Progress,
    events::Events,
    ground::{date, outcome::Failure},
    recipe::Recipe,
    show::{
        documents::{
            Visibility,
            list::{FORMAT, Image, List, State, Unanswered},
        },
        print,
    },
};

/// Prints the images of all regions, sorted by name and region.
///
/// # Errors
/// When a region does not answer; the images of the others are printed.
pub async fn list<C: Cloud>(
    cloud: &C,
    recipe: &Recipe,
    used: &BTreeSet<Region>,
    common: &CommonFlags,
    events: &Events,
) -> Result<(), Failure> {
    let looked = Catalogue::look(cloud, recipe, used, events).await.map_err(Failure::Failed)?;
    let Looked { found: catalogue, unanswered } = &looked;
    if catalogue.entries.is_empty() && unanswered.is_empty() {
        let flags = cloud.flags();
        events.say(Progress::NoImages { flags });
    }
    let text = if common.json {
        print::json(&document(&looked)).map_err(Failure::Failed)?
    } else {
        let now = SystemTime::now();
        catalogue.entries.iter().map(|entry| line(entry, now)).collect()
    };
    print::print(&text).map_err(Failure::Failed)?;
    unanswered.all("list the images").map_err(Failure::Failed)
}

fn line(entry: &Entry, now: SystemTime) -> String {
    let Entry { region, image, .. } = entry;
    let public = if image.public { "public" } else { "private" };
    let age = date::age(&image.created, now).map_or_else(|| "unknown age".to_owned(), |age| format!("{age} old"));
    let origin = if image.origin() == Origin::Other { ", not made by this tool" } else { "" };
    format!("{:<24} {region:<16} {:<22} {} {public:<8} {age}{origin}\n", image.name, image.id, image.state)
}

/// The catalogue for other programs.
#[must_use]
pub fn document(looked: &Looked<Catalogue>) -> List {
    let unanswered = looked.unanswered.reasons().into_iter().map(|(region, reason)| Unanswered { region, reason });
    List { format: FORMAT, images: looked.found.entries.iter().map(image).collect(), unanswered: unanswered.collect() }
}

fn image(entry: &Entry) -> Image {
    let image = &entry.image;
    let (state, state_reason) = match &image.state {
        ImageState::Pending(progress) => (State::Pending, Some(progress.clone()).filter(|it| !it.is_empty())),
        ImageState::Available => (State::Available, None),
        ImageState::Failed(reason) => (State::Failed, Some(reason.clone())),
        ImageState::Disabled => (State::Disabled, None),
    };
    Image {
        region: entry.region.to_string(),
        id: image.id.to_string(),
        name: image.name.clone(),
        version: entry.version.clone(),
        build: match image.origin() {
            Origin::ThisTool { build } => Some(build),
            Origin::Other => None,
        },
        description: image.description.clone(),
        state,
        state_reason,
        visibility: if image.public { Visibility::Public } else { Visibility::Private },
        expires: image.tag(TAG_EXPIRES).map(str::to_owned),
        created: image.created.clone(),
        deprecate_at: image.deprecate_at.clone(),
        tags: image.tags.iter().cloned().collect(),
    }
}
