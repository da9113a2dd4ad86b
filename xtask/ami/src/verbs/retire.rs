//! `ami retire`: takes a version's images out of use in every region: removes them with their snapshots, or deprecates,
//! disables or enables them.

use std::{cell::RefCell, collections::BTreeSet, time::SystemTime};

use anyhow::{Context as _, Result, anyhow};
use xtask::{
    cli::{CommonFlags, RetireFlags},
    region::Region,
};

use crate::{
    catalogue::{Catalogue, Entry, regions::Looked},
    cloud::{Cloud, HowTo, Origin},
    event::progress::Progress,
    events::Events,
    ground::{everywhere, outcome::Failure},
    recipe::Recipe,
    record::retirement::{About, FORMAT, Journal, Listed, Retirements, Way},
    show::confirm::confirm_by_typing,
    state_dir::StateDir,
};

mod change;
mod losses;
mod parameters;
mod recycled;

use parameters::Named;

/// Lists a version's images, asks for confirmation, and deregisters them and deletes their snapshots in every region; or
/// deprecates, disables or enables them.
///
/// A version's images are those with its tag, and all others of the account with its name, because the name is free again
/// only when all of them are gone. The list says which ones this tool did not make. A removal that was killed half way is
/// continued: its journal has what the cloud no longer shows.
///
/// # Errors
/// When there is none, it is not confirmed, an image cannot be removed or changed, or a region does not answer; the message
/// says what remains or may remain. The images in all other regions are removed or changed.
pub async fn retire<C: Cloud>(
    cloud: &C,
    recipe: &Recipe,
    state_dir: &StateDir,
    flags: &RetireFlags,
    used: &BTreeSet<Region>,
    common: &CommonFlags,
    events: &Events,
) -> Result<(), Failure> {
    let name = recipe.image_name(&flags.version).map_err(Failure::Refused)?;
    let identity = cloud.identity().await.map_err(Failure::Refused)?;
    let earlier = Retirements::read(state_dir, &identity).map_err(Failure::Refused)?;
    for error in &earlier.unreadable {
        events.warn(format_args!("{error:#}"));
    }
    let (left, takes_up) = earlier.left(flags.version.as_str());
    let used = used.iter().chain(left.iter().map(|it| &it.region)).cloned().collect();
    let Looked { found: catalogue, unanswered } =
        Catalogue::look(cloud, recipe, &used, events).await.map_err(Failure::Failed)?;
    let images: Vec<&Entry> = catalogue.of_version(&flags.version, &name).collect();
    let way = way(flags);
    let left = if way == Way::Remove { left } else { Vec::new() };
    // What a silent region has is not known. The journal keeps what earlier runs left there for the next one.
    let is_silent = |it: &Listed| unanswered.regions.iter().any(|(region, _)| *region == it.region);
    let (silent, left): (Vec<Listed>, Vec<Listed>) = left.into_iter().partition(is_silent);
    // Private images are the version's only where nothing else is, which a silent region and a removal that began with
    // others leave open.
    let is_alone = unanswered.is_empty() && left.is_empty();
    let was_listed = |entry: &Entry| left.iter().any(|it| it.region == entry.region && it.image == entry.image.id);
    let is_meant = |entry: &&Entry| is_alone || was_listed(entry) || !entry.is_private_beside(&name);
    let images: Vec<&Entry> = images.into_iter().filter(is_meant).collect();
    // What is there belongs to this version, or no longer does.
    let is_there =
        |it: &Listed| catalogue.entries.iter().any(|entry| entry.region == it.region && entry.image.id == it.image);
    let left: Vec<Listed> = left.into_iter().filter(|it| !is_there(it)).collect();
    let takes_up = if way == Way::Remove { takes_up } else { Vec::new() };
    let about = |images| About {
        format: FORMAT,
        version: flags.version.to_string(),
        identity: identity.clone(),
        way,
        images,
        takes_up: takes_up.clone(),
    };
    if images.is_empty() && left.is_empty() {
        if let Some(paragraph) = unanswered.paragraph("look for images") {
            return Err(Failure::Failed(anyhow!("no image `{name}` was found, but some may be left: {paragraph}")));
        }
        if !takes_up.is_empty() {
            let ended = Journal::begin(state_dir, about(Vec::new())).and_then(Journal::end);
            events.note(format_args!("the removal that was interrupted left nothing of `{name}`"));
            return ended.map_err(Failure::Failed);
        }
        return Err(Failure::Refused(anyhow!(
            "there is no image `{name}`{}; to list the images: cargo xtask ami list{}",
            catalogue.near(flags.version.as_str()),
            cloud.flags()
        )));
    }
    let parameters = Named::of(recipe, &flags.version, &catalogue, &images);
    let retirement = Retirement { cloud, state_dir, flags, name: &name, earlier: &earlier, parameters, common, events };
    let undone = match way {
        Way::Remove => retirement.remove(&images, (&left, &silent), about).await?,
        _ => change::change(&retirement, way, &images, about).await?,
    };
    let undone: Vec<String> = undone.into_iter().chain(unanswered.paragraph("look for images")).collect();
    if undone.is_empty() { Ok(()) } else { Err(Failure::Failed(anyhow!("{}", undone.join("\n")))) }
}

/// How far the flags want it retired.
fn way(flags: &RetireFlags) -> Way {
    match flags {
        RetireFlags { deprecate: Some(_), .. } => Way::Deprecate,
        RetireFlags { disable: true, .. } => Way::Disable,
        RetireFlags { enable: true, .. } => Way::Enable,
        _ => Way::Remove,
    }
}

/// What all ways of retiring a version need.
struct Retirement<'a, C> {
    cloud: &'a C,
    state_dir: &'a StateDir,
    flags: &'a RetireFlags,
    /// The name that the version's images should have.
    name: &'a str,
    earlier: &'a Retirements,
    parameters: Named<'a>,
    common: &'a CommonFlags,
    events: &'a Events,
}

impl<C: Cloud> Retirement<'_, C> {
    /// Removes images, and the snapshots that earlier runs left, other than in silent regions. Returns what remains.
    async fn remove(
        &self,
        images: &[&Entry],
        (left, silent): (&[Listed], &[Listed]),
        about: impl Fn(Vec<Listed>) -> About,
    ) -> Result<Vec<String>, Failure> {
        let Retirement { cloud, name, common, events, .. } = *self;
        losses::tell(images, left, name, SystemTime::now(), events);
        let (protected, free): (Vec<&Entry>, Vec<&Entry>) = images.iter().partition(|entry| entry.image.protected);
        let listed: Vec<Listed> = free.iter().map(|entry| listed(entry)).chain(left.iter().cloned()).collect();
        let mut undone: Vec<String> = protected.iter().map(|entry| self.held_back(entry)).collect();
        if listed.is_empty() {
            return Ok(undone);
        }
        let question = format!("Remove all listed images of `{name}` for good ({} in all)?", listed.len());
        confirm_by_typing(self.flags.version.as_str(), &question, common.yes)
            .await
            .context("nothing was removed")
            .map_err(Failure::Refused)?;
        let journal = Journal::begin(self.state_dir, about([&listed, silent].concat())).context("nothing was removed");
        let journal = RefCell::new(journal.map_err(Failure::Failed)?);
        let unended = Unended { command: self.command(), events, ended: false };
        let removed = everywhere::for_each(listed.iter().map(|it| (&it.region, it)), async |region, it| {
            self.parameters.forget(cloud, region, &it.image, events).await?;
            cloud.deregister(region, &it.image).await?;
            // Also where the image was gone before, so that nothing was known of them.
            for snapshot in &it.snapshots {
                cloud.delete_snapshot(region, snapshot).await?;
            }
            if let Err(error) = journal.borrow_mut().done(region, &it.image) {
                events.warn(format_args!("{error:#}"));
            }
            anyhow::Ok(it)
        });
        let removed = removed.await;
        for (region, it) in &removed.done {
            events.say(Progress::Removed { id: it.image.to_string(), region: region.clone() });
        }
        let is_done = removed.failed.is_empty() && silent.is_empty();
        // An image that failed is the one of the region that is not done.
        let done: BTreeSet<_> = removed.done.iter().map(|(region, it)| (region, &it.image)).collect();
        let failed = listed.iter().filter(|it| !done.contains(&(&it.region, &it.image)));
        for (it, (region, error)) in failed.zip(&removed.failed) {
            undone.push(format!("{region}: {}", self.remains(it, images, error)));
        }
        recycled::tell(cloud, &removed.done, events).await;
        if is_done {
            journal.into_inner().end().map_err(Failure::Failed)?;
        } else {
            undone.push(format!("to continue when this is solved: {}", self.command()));
        }
        unended.end();
        Ok(undone)
    }

    /// What a protected image needs before it can go.
    fn held_back(&self, entry: &Entry) -> String {
        let Entry { region, image, .. } = entry;
        format!(
            "{region}: {} remains: it is protected from deregistration\n    to lift the protection, which can take a day: \
             {}\n    then: {}",
            image.id,
            self.cloud.how_to(HowTo::Unprotect(region, &image.id)),
            self.command()
        )
    }

    /// Why an image remains. `ami iam-policy` does not allow removing an image that this tool did not make, so the message
    /// for such an image has the command to use with other credentials.
    fn remains(&self, it: &Listed, images: &[&Entry], error: &anyhow::Error) -> String {
        let entry = images.iter().find(|entry| entry.region == it.region && entry.image.id == it.image);
        let foreign = entry.is_some_and(|entry| entry.image.origin() == Origin::Other);
        let by_hand = foreign.then(|| self.cloud.how_to(HowTo::Deregister(&it.region, &it.image)));
        let by_hand = by_hand.map(|command| format!("\n    to remove it with other credentials: {command}"));
        format!("{} remains: {error:#}{}", it.image, by_hand.unwrap_or_default())
    }

    /// The command that removes the version, or what is left of it.
    fn command(&self) -> String {
        let version = crate::shell::quote(self.flags.version.as_str());
        format!("cargo xtask ami retire --version {version}{}", self.cloud.flags())
    }
}

/// An image as the journal has it.
fn listed(entry: &Entry) -> Listed {
    let Entry { region, image, .. } = entry;
    Listed { region: region.clone(), image: image.id.clone(), snapshots: image.snapshots.clone(), public: image.public }
}

/// Says how to continue when the work is dropped before it ends, as after Ctrl-C.
struct Unended<'a> {
    command: String,
    events: &'a Events,
    ended: bool,
}

impl Unended<'_> {
    fn end(mut self) {
        self.ended = true;
    }
}

impl Drop for Unended<'_> {
    fn drop(&mut self) {
        if !self.ended {
            self.events.note(format_args!("it stopped half way; to continue: {}", self.command));
        }
    }
}
