//! `ami list`: lists the images in all regions.

use std::{collections::BTreeSet, time::SystemTime};

use anyhow::anyhow;
use xtask::{
    cli::{CommonFlags, ListFlags, ListFormat},
    region::Region,
};

use crate::{
    catalogue::{Catalogue, Entry, regions::Looked},
    cloud::{
        Cloud, ImageState, Origin,
        tags::{TAG_BASE_KEY, TAG_EXPIRES},
    },
    event::progress::Progress,
    events::Events,
    ground::outcome::Failure,
    recipe::Recipe,
    show::{
        documents::{
            Visibility,
            list::{FORMAT, Image, List, State, Unanswered},
        },
        print,
    },
};

mod formats;

pub(super) use formats::{escaped as markdown_text, markdown_table};

/// Prints the images of all regions, or those of a version, sorted by name and region.
///
/// # Errors
/// When a region does not answer; the images of the others are printed. When a version is asked for, and there is none of
/// it. When the images do not fit into a map from region to id.
pub async fn list<C: Cloud>(
    cloud: &C,
    recipe: &Recipe,
    used: &BTreeSet<Region>,
    flags: &ListFlags,
    common: &CommonFlags,
    events: &Events,
) -> Result<(), Failure> {
    let name = flags.version.as_ref().map(|version| recipe.image_name(version).map(|name| (version, name)));
    let wanted = name.transpose().map_err(Failure::Refused)?;
    let mut looked = Catalogue::look(cloud, recipe, used, events).await.map_err(Failure::Failed)?;
    let mut near = String::new();
    if let Some((version, name)) = &wanted {
        near = looked.found.near(version.as_str());
        looked.found = Catalogue { entries: looked.found.of_version(version, name).cloned().collect() };
    }
    let format = if common.json { ListFormat::Json } else { flags.format };
    if matches!(format, ListFormat::Markdown | ListFormat::Terraform) {
        // These are for people who launch images.
        looked.found.entries.retain(|entry| entry.image.tag(TAG_BASE_KEY).is_none());
    }
    let Looked { found: catalogue, unanswered } = &looked;
    if catalogue.entries.is_empty() && unanswered.is_empty() {
        let flags = cloud.flags();
        match wanted {
            Some((_, name)) => {
                let all = format!("to list all images: cargo xtask ami list{flags}");
                return Err(Failure::Refused(anyhow!("there is no image `{name}`{near}; {all}")));
            }
            None => events.say(Progress::NoImages { flags }),
        }
    }
    let (document, version) = (document(&looked), flags.version.as_ref());
    // Where a format fails, it is one that cannot have what was asked for.
    let text = formats::text(&document, version, format, SystemTime::now()).map_err(Failure::Refused)?;
    if format == ListFormat::Terraform {
        formats::left_out(&document.images).iter().for_each(|note| events.note(note));
    }
    print::print(&text).map_err(Failure::Failed)?;
    unanswered.all("list the images").map_err(Failure::Failed)
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
