//! `ami clean`: removes what unfinished builds left. It is found by tag in all regions, so it does not matter if a journal
//! is lost or on another computer.

use std::{collections::BTreeSet, time::SystemTime};

use anyhow::{Context as _, Error, Result, anyhow, bail};
use camino::Utf8PathBuf;
use xtask::{
    cli::{CleanFlags, CommonFlags},
    region::{Region, mistyped},
};

use crate::{
    catalogue::regions::{self, Looked, PassOver, Unanswered},
    cloud::{Cloud, HowTo, Leftover, LeftoverKind, tags},
    event::{Event, How, ids::ImageId, progress::Progress},
    events::Events,
    ground::{everywhere, outcome::Failure},
    machine::openssh,
    record::{
        folder::{self, JOURNAL, Lock},
        journal::{self, Reading},
        ownership,
        unfinished::{Survey, Unfinished, begun},
    },
    shell::quote,
    show::page,
    state_dir::StateDir,
    story::bake,
};

mod removal;

/// Lists what would be removed, asks for confirmation, and removes it.
///
/// # Errors
/// When it is not confirmed, the build belongs elsewhere, something cannot be removed, or a region does not answer; the
/// message says what remains or may remain. All other regions are cleaned up.
pub async fn clean<C: Cloud>(
    cloud: &C,
    state_dir: &StateDir,
    used: &BTreeSet<Region>,
    flags: &CleanFlags,
    common: &CommonFlags,
    events: &Events,
) -> Result<(), Failure> {
    let named = Named::open(cloud, state_dir, flags, common).await.map_err(Failure::Refused)?;
    let survey = Unfinished::survey(state_dir).map_err(Failure::Refused)?;
    for (id, error) in &survey.unreadable {
        events.warn(format_args!("the build {id} is not cleaned up: {error:#}"));
    }
    let Looked { found: all, unanswered } =
        everything(cloud, used, named.as_ref(), events).await.map_err(Failure::Failed)?;
    if let (Some(id), None) = (&flags.build, &named) {
        refuse_unknown(id, state_dir, &all, &unanswered).map_err(Failure::Refused)?;
    }
    let choice = Choice::of(flags, &all, survey, named.as_ref(), !unanswered.is_empty());
    for (region, leftover) in &all {
        if let Some(warning) = choice.spared(region, leftover, &cloud.flags()) {
            events.warn(warning);
        }
    }
    let (found, spared): (Vec<_>, Vec<_>) = all.into_iter().partition(|(_, leftover)| choice.takes(leftover));
    let mut undone: Vec<String> = unanswered.paragraph("look for leftovers").into_iter().collect();
    if !found.is_empty() {
        undone.extend(removal::ask_and_remove(cloud, &found, common, events).await?);
    } else if undone.is_empty() {
        events.say(Progress::NothingToRemove);
    }
    if let Some(named) = named {
        undone.extend(named.restore_blocks(cloud, !found.is_empty(), events).await);
        if undone.is_empty() {
            named.forget(cloud, !found.is_empty(), &spared, events).await.map_err(Failure::Failed)?;
        }
    }
    if undone.is_empty() { Ok(()) } else { Err(Failure::Failed(anyhow!("{}", undone.join("\n")))) }
}

/// Fails if the named build is of the other kind of cloud. This asks no cloud.
///
/// # Errors
/// With the command that works; and when the journal of the build cannot be read.
pub fn refuse_other_kind(flags: &CleanFlags, common: &CommonFlags, state_dir: &StateDir) -> Result<()> {
    let journal = flags.build.as_ref().map(|id| state_dir.build(id).join(JOURNAL));
    let Some(journal) = journal.filter(|journal| journal::has_begun(journal)) else { return Ok(()) };
    ownership::refuse_other_kind(Reading::of(&journal)?.state.about()?, common.local, "clean")
}

/// Fails if neither this computer nor the cloud has anything of a build, and another one has nearly its id: it may be
/// meant, and that nothing is left of it would be believed. Where there is none such, nothing is left, whatever was meant.
fn refuse_unknown(id: &str, state_dir: &StateDir, all: &[(Region, Leftover)], unanswered: &Unanswered) -> Result<()> {
    let kept = tags::build_of_kept_base(id);
    if !unanswered.is_empty() || all.iter().any(|(_, leftover)| leftover.build == *id || leftover.build == kept) {
        return Ok(());
    }
    let here = begun(state_dir)?;
    let known: Vec<&str> =
        here.iter().map(String::as_str).chain(all.iter().map(|(_, leftover)| leftover.build.as_str())).collect();
    match mistyped(id, &known) {
        Some(near) => bail!(
            "there is no build {id}: this computer has no journal of it, and nothing has its tag; did you mean `{near}`?"
        ),
        None => Ok(()),
    }
}

/// The build that is named, if this computer has its journal.
struct Named {
    folder: Utf8PathBuf,
    reading: Reading,
    /// Held until the journal says that the build is cleaned up, so that no process resumes it meanwhile.
    _lock: Lock,
}

impl Named {
    /// The build that the flags name; none if they name none, or this computer has no journal of it.
    async fn open<C: Cloud>(
        cloud: &C,
        state_dir: &StateDir,
        flags: &CleanFlags,
        common: &CommonFlags,
    ) -> Result<Option<Named>> {
        let Some(id) = &flags.build else { return Ok(None) };
        let folder = state_dir.build(id);
        let journal = folder.join(JOURNAL);
        if !journal::has_begun(&journal) {
            return Ok(None);
        }
        let lock = folder::lock(&folder)?;
        let reading = Reading::of(&journal)?;
        let about = reading.state.about()?;
        ownership::refuse_other_kind(about, common.local, "clean")?;
        ownership::refuse_elsewhere(about, &cloud.identity().await?, "clean")?;
        Ok(Some(Named { folder, reading, _lock: lock }))
    }

    /// The regions that the build may have left something in.
    fn regions(&self) -> BTreeSet<Region> {
        let about = self.reading.state.about.iter();
        about.flat_map(|about| about.regions.iter().chain([&about.build_region])).cloned().collect()
    }

    /// The number of regions that the build publishes in.
    fn published_in(&self) -> usize {
        let state = &self.reading.state;
        state.about.as_ref().map_or(0, |about| about.regions.len().saturating_sub(state.gave_up.len()))
    }

    /// Whether the build may be another account's: its journal names none, and nothing of it was found.
    fn may_be_anothers(&self, removed_something: bool) -> bool {
        let about = self.reading.state.about.as_ref();
        about.is_some_and(|about| about.identity.is_none()) && !removed_something
    }

    /// Restores the blocks on public images that the build lifted, unless the build may be another account's. Returns a
    /// paragraph about the regions where that failed.
    async fn restore_blocks<C: Cloud>(&self, cloud: &C, removed_something: bool, events: &Events) -> Option<String> {
        if self.may_be_anothers(removed_something) {
            return None;
        }
        let regions = self.reading.state.unblocked();
        let blocked = everywhere::in_each(&regions, |region| cloud.block_public_images(region)).await;
        for (region, ()) in blocked.done {
            events.say(Progress::Blocked { region });
        }
        let failed = blocked.failed.iter().map(|(region, error)| {
            let command = cloud.how_to(HowTo::BlockPublicImages(region));
            format!("\n  {region}: {error:#}\n    to do it by hand: {command}")
        });
        let failed: String = failed.collect();
        (!failed.is_empty()).then(|| format!("failed to block public images again:{failed}"))
    }

    /// Records that the build is cleaned up, so that it is not resumed, unless it may be another account's. `spared` is what
    /// was found and not removed.
    async fn forget<C: Cloud>(
        self,
        cloud: &C,
        removed_something: bool,
        spared: &[(Region, Leftover)],
        events: &Events,
    ) -> Result<()> {
        let state = &self.reading.state;
        if self.may_be_anothers(removed_something) {
            let id = &state.about()?.id;
            let blocks = state.unblocked();
            events.warn(format_args!(
                "nothing of the build {id} was found, and its journal does not say which account it belongs to: it is not \
                 marked as cleaned up; where it was another account's, clean it up with that account's --profile"
            ));
            for command in blocks.iter().map(|region| cloud.how_to(HowTo::BlockPublicImages(region))) {
                events.note(format_args!("To set a block on public images again, in that account:\n    {command}"));
            }
            return Ok(());
        }
        bake::delete_leftovers(&self.folder);
        openssh::delete_keys(&self.folder);
        if state.ended == Some(How::Done) {
            // It is not resumed anyway, and what it published was its purpose.
            return Ok(());
        }
        let is_gone = |region: &Region, id: &ImageId| !spared.iter().any(|(at, it)| at == region && it.id == id.0);
        let images = state.images.iter().filter(|(region, image)| is_gone(region, &image.id));
        let gone: Vec<Region> = images.map(|(region, _)| region.clone()).collect();
        events.resume(&self.folder, self.reading).with_context(|| {
            format!("everything was removed, but the journal in {} could not be updated", quote(self.folder.as_str()))
        })?;
        for region in gone {
            events.say(Event::Seen { region, image: None, open: false });
        }
        events.end(How::Cleaned, false)?;
        // It can be made again at any time, so this does not fail without it.
        let folder = self.folder.clone();
        // On another thread, because it reads the whole journal, and the terminal needs this one meanwhile.
        let written = tokio::task::spawn_blocking(move || page::write(&folder)).await;
        if let Err(error) = written.map_err(Error::from).flatten() {
            events.warn(format_args!("{error:#}; the page says what was there before"));
        }
        Ok(())
    }
}

/// Chooses the resources to remove.
struct Choice<'a> {
    flags: &'a CleanFlags,
    now: SystemTime,
    /// The builds of this computer. Resources of an unfinished one are not leftovers, nor are the images of one that is
    /// done.
    survey: Survey,
    /// The builds with a public image.
    public: BTreeSet<String>,
    /// Whether the named build is public in some of its regions only.
    is_half_public: bool,
    /// Whether a region did not answer, so that any build may be public there.
    is_partial: bool,
}

impl Choice<'_> {
    fn of<'a>(
        flags: &'a CleanFlags,
        all: &[(Region, Leftover)],
        survey: Survey,
        named: Option<&Named>,
        is_partial: bool,
    ) -> Choice<'a> {
        let images =
            || all.iter().map(|(_, leftover)| leftover).filter(|leftover| leftover.kind == LeftoverKind::Image);
        let public = images().filter(|image| image.public).map(|image| image.build.clone()).collect();
        let is_half_public = flags.build.as_ref().is_some_and(|id| {
            let (open, closed): (Vec<_>, Vec<_>) =
                images().filter(|image| image.build == *id).partition(|it| it.public);
            let is_half = match named {
                // A release that is done counts as published, even if one of its images was changed since.
                Some(named) if named.reading.state.ended == Some(How::Done) => false,
                Some(named) => named.reading.state.is_half_open() && open.len() < named.published_in(),
                None => !closed.is_empty(),
            };
            is_half && !open.is_empty() && !(is_partial && named.is_some())
        });
        Choice { flags, now: SystemTime::now(), survey, public, is_half_public, is_partial }
    }

    fn takes(&self, leftover: &Leftover) -> bool {
        self.would_take(leftover) && !self.is_doubtful(leftover)
    }

    /// Whether it is an image that is a leftover only if its build is public nowhere, which a region did not tell.
    fn is_doubtful(&self, leftover: &Leftover) -> bool {
        let is_chosen = self.flags.build.is_some() || self.flags.expired;
        self.is_partial && !is_chosen && leftover.kind == LeftoverKind::Image
    }

    /// The choice if every region had answered.
    fn would_take(&self, leftover: &Leftover) -> bool {
        if let Some(id) = &self.flags.build {
            // Public images are no leftovers, unless they are public in some regions only by accident.
            // A kept base is there for builds to come, but what is left of one that failed is of no use.
            let is_of_failed_base =
                leftover.kind == LeftoverKind::Snapshot && leftover.build == tags::build_of_kept_base(id);
            return is_of_failed_base || leftover.build == *id && (!leftover.public || self.is_half_public);
        }
        if leftover.public {
            return false;
        }
        let expires = leftover.expires.as_deref().and_then(|at| humantime::parse_rfc3339(at).ok());
        if self.flags.expired {
            let expires_here = matches!(leftover.kind, LeftoverKind::Image | LeftoverKind::KeptBase);
            return expires_here && expires.is_some_and(|at| at <= self.now);
        }
        // A kept base is there for builds to come, and a private image is the purpose of its build, until it expires.
        if leftover.kind == LeftoverKind::KeptBase {
            return false;
        }
        let is_wanted = leftover.kind == LeftoverKind::Image
            && (leftover.expires.is_some()
                || self.survey.done.contains(&leftover.build)
                || self.public.contains(&leftover.build));
        let may_be_resumed =
            self.survey.unfinished.contains(&leftover.build) || self.survey.unreadable.contains_key(&leftover.build);
        self.is_old(leftover) && !is_wanted && !may_be_resumed
    }

    fn is_old(&self, leftover: &Leftover) -> bool {
        // A build that began in the future, by this computer's clock, is not old.
        let age = began(&leftover.build).and_then(|began| self.now.duration_since(began).ok());
        age.is_some_and(|age| age >= *self.flags.older_than)
    }

    /// The warning about a resource that is kept, though it might be taken for a leftover.
    fn spared(&self, region: &Region, leftover: &Leftover, flags: &str) -> Option<String> {
        let (id, build) = (&leftover.id, &leftover.build);
        if self.flags.build.as_ref() == Some(build) && leftover.public && !self.is_half_public {
            let command = withdrawal(leftover.version.as_deref(), flags);
            return Some(format!("{id} in {region} is public, and is kept; to withdraw it: {command}"));
        }
        if self.is_doubtful(leftover) && self.would_take(leftover) {
            return Some(format!("{id} in {region} is kept: its build may be public where there was no answer"));
        }
        let is_closed_one = leftover.kind == LeftoverKind::Image && !leftover.public && self.public.contains(build);
        let is_ours = self.flags.build.is_none() && !self.flags.expired && self.is_old(leftover);
        (is_closed_one && is_ours && !self.survey.done.contains(build)).then(|| {
            let command = format!("cargo xtask ami clean {build}{flags}");
            format!(
                "{id} in {region} is private, but its build is public elsewhere, so it is kept; to clean up: {command}"
            )
        })
    }
}

/// The command that withdraws a version.
fn withdrawal(version: Option<&str>, flags: &str) -> String {
    let version = quote(version.unwrap_or("X"));
    format!("cargo xtask ami retire --version {version}{flags}")
}

/// When a build began, according to its id: `20261122T161746Z-…`.
fn began(id: &str) -> Option<SystemTime> {
    let (time, _) = id.split_once('-')?;
    let part = |range: std::ops::Range<usize>| time.get(range);
    let text = format!(
        "{}-{}-{}T{}:{}:{}Z",
        part(0..4)?,
        part(4..6)?,
        part(6..8)?,
        part(9..11)?,
        part(11..13)?,
        part(13..15)?
    );
    humantime::parse_rfc3339(&text).ok()
}

/// What builds left, in all regions. A build whose journal is here left it in that build's regions.
async fn everything<C: Cloud>(
    cloud: &C,
    used: &BTreeSet<Region>,
    named: Option<&Named>,
    events: &Events,
) -> Result<Looked<Vec<(Region, Leftover)>>> {
    let (used, pass_over) = match named {
        Some(named) => (&named.regions(), PassOver::Any),
        None => (used, PassOver::Closed),
    };
    let look = async |region: Region| cloud.leftovers(&region).await;
    let Looked { found, unanswered } = regions::in_all(cloud, used, pass_over, events, look).await?;
    let with_region = |(region, leftovers): (Region, Vec<Leftover>)| {
        leftovers.into_iter().map(move |leftover| (region.clone(), leftover))
    };
    Ok(Looked { found: found.into_iter().flat_map(with_region).collect(), unanswered })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_that_withdraws_a_version_can_be_pasted() {
        // A tag has any characters.
        for version in ["0.6.1", "2026.11 (test)", "0.6.1-it's mine", "$(reboot)", ""] {
            let command = withdrawal(Some(version), " --local");
            let words = shlex::split(&command).expect("words");
            assert_eq!(words, ["cargo", "xtask", "ami", "retire", "--version", version, "--local"], "{command}");
        }
    }
}
