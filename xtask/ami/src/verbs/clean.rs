//! Removes what unfinished builds left: found by tag in all regions, so that neither a lost journal nor another computer
//! matters.

use std::{
    collections::BTreeSet,
    time::{Duration, SystemTime},
};

use anyhow::{Context as _, Result, anyhow};
use camino::Utf8PathBuf;
use xtask::{
    cli::{CleanFlags, CommonFlags},
    region::Region,
};

use crate::{
    cloud::{Cloud, HowTo, Leftover, LeftoverKind, Phase},
    event::{How, progress::Progress},
    events::Events,
    ground::{
        everywhere,
        outcome::Failure,
        wait::{self, Patience, Poll},
    },
    machine::openssh,
    record::{
        folder::{self, JOURNAL, Lock},
        journal::Reading,
        ownership,
        unfinished::{Survey, Unfinished},
    },
    shell::quote,
    show::confirm::confirm,
    state_dir::StateDir,
    story::{bake, launch::TERMINATION_LIMIT},
};

/// Shows what would be removed, asks, and removes it.
///
/// # Errors
/// When it is not confirmed, the build belongs elsewhere, or something cannot be removed; the message says what remains.
pub async fn clean<C: Cloud>(
    cloud: &C,
    state_dir: &StateDir,
    flags: &CleanFlags,
    common: &CommonFlags,
    events: &Events,
) -> Result<(), Failure> {
    let named = Named::open(cloud, state_dir, flags, common).await.map_err(Failure::Refused)?;
    let survey = Unfinished::survey(state_dir).map_err(Failure::Refused)?;
    for (id, error) in &survey.unreadable {
        events.warn(format_args!("the build {id} is left alone: {error:#}"));
    }
    let all = everything(cloud).await.map_err(Failure::Failed)?;
    let choice = Choice::of(flags, &all, survey, named.as_ref());
    for (region, leftover) in &all {
        if let Some(warning) = choice.spared(region, leftover, &cloud.flags()) {
            events.warn(warning);
        }
    }
    let mut found: Vec<_> = all.into_iter().filter(|(_, leftover)| choice.takes(leftover)).collect();
    // Instances first: their security groups cannot be deleted before them. Of images that are half open, the open ones:
    // when this is cut short, those that remain still say that the build was not open everywhere.
    found.sort_by(|(a_region, a), (b_region, b)| {
        (a.kind, !a.public, a_region, &a.id).cmp(&(b.kind, !b.public, b_region, &b.id))
    });
    if found.is_empty() {
        events.say(Progress::NothingToRemove);
    } else {
        for (region, leftover) in &found {
            let public = if leftover.public { ", PUBLIC in some regions only" } else { "" };
            events.note(format_args!("{region}: {} {} of {}{public}", leftover.kind, leftover.id, leftover.build));
        }
        let question = format!("Remove for good what is listed, {} in all?", found.len());
        let asked = confirm(&question, common.yes).await;
        asked.context("nothing was removed").map_err(Failure::Refused)?;
        remove_all(cloud, &found, events).await.map_err(Failure::Failed)?;
    }
    match named {
        Some(named) => named.forget(cloud, !found.is_empty(), events).await.map_err(Failure::Failed),
        None => Ok(()),
    }
}

/// Fails where the build that is named is of the other kind of cloud. No cloud is asked for that.
///
/// # Errors
/// With the command that works; and when the journal of the build cannot be read.
pub fn refuse_other_kind(flags: &CleanFlags, common: &CommonFlags, state_dir: &StateDir) -> Result<()> {
    let journal = flags.build.as_ref().map(|id| state_dir.build(id).join(JOURNAL));
    let Some(journal) = journal.filter(|journal| journal.exists()) else { return Ok(()) };
    ownership::refuse_other_kind(Reading::of(&journal)?.state.about()?, common.local, "clean")
}

/// The build that is named to be cleaned up, where this computer has its journal.
struct Named {
    folder: Utf8PathBuf,
    reading: Reading,
    /// Held until its journal says that it is cleaned up: no process may resume it meanwhile.
    _lock: Lock,
}

impl Named {
    /// The build that the flags name; none when they name none, or this computer does not know it.
    async fn open<C: Cloud>(
        cloud: &C,
        state_dir: &StateDir,
        flags: &CleanFlags,
        common: &CommonFlags,
    ) -> Result<Option<Named>> {
        let Some(id) = &flags.build else { return Ok(None) };
        let folder = state_dir.build(id);
        let journal = folder.join(JOURNAL);
        if !journal.exists() {
            return Ok(None);
        }
        let lock = folder::lock(&folder)?;
        let reading = Reading::of(&journal)?;
        let about = reading.state.about()?;
        ownership::refuse_other_kind(about, common.local, "clean")?;
        ownership::refuse_elsewhere(about, &cloud.identity().await?, "clean")?;
        Ok(Some(Named { folder, reading, _lock: lock }))
    }

    /// The regions that the build publishes in.
    fn regions(&self) -> usize {
        let state = &self.reading.state;
        state.about.as_ref().map_or(0, |about| about.regions.len().saturating_sub(state.gave_up.len()))
    }

    /// Sets blocks on public images again that the build lifted, and writes down that nothing is left of it, so that it is
    /// not resumed. Where it may be another account's build, neither.
    async fn forget<C: Cloud>(self, cloud: &C, removed_something: bool, events: &Events) -> Result<()> {
        let state = &self.reading.state;
        if state.about()?.identity.is_none() && !removed_something {
            let id = &state.about()?.id;
            let blocks = state.unblocked().into_iter().map(|region| cloud.how_to(HowTo::BlockPublicImages(&region)));
            events.warn(format_args!(
                "nothing of the build {id} was found, and its journal does not say which account it belongs to: it is not \
                 marked as cleaned up; where it was another account's, clean it up with that account's --profile"
            ));
            for command in blocks {
                events.note(format_args!("To set a block on public images again, in that account:\n    {command}"));
            }
            return Ok(());
        }
        for region in state.unblocked() {
            cloud.block_public_images(&region).await?;
            events.say(Progress::Blocked { region });
        }
        bake::delete_leftovers(&self.folder);
        openssh::delete_keys(&self.folder);
        if state.ended == Some(How::Done) {
            // It is not resumed anyway, and what it published stays what it was for.
            return Ok(());
        }
        events
            .resume(&self.folder, self.reading)
            .with_context(|| format!("all is removed, but {} still says otherwise", quote(self.folder.as_str())))?;
        events.end(How::Cleaned, false)
    }
}

/// Which of the resources are removed.
struct Choice<'a> {
    flags: &'a CleanFlags,
    now: SystemTime,
    /// What this computer knows of its builds: nothing of an unfinished one is left over, and the images of one that is
    /// done are what it was for.
    survey: Survey,
    /// The builds with a public image.
    public: BTreeSet<String>,
    /// Whether the build that is named is public in some of its regions only.
    is_half_public: bool,
}

impl Choice<'_> {
    fn of<'a>(flags: &'a CleanFlags, all: &[(Region, Leftover)], survey: Survey, named: Option<&Named>) -> Choice<'a> {
        let images =
            || all.iter().map(|(_, leftover)| leftover).filter(|leftover| leftover.kind == LeftoverKind::Image);
        let public = images().filter(|image| image.public).map(|image| image.build.clone()).collect();
        let is_half_public = flags.build.as_ref().is_some_and(|id| {
            let (open, closed): (Vec<_>, Vec<_>) =
                images().filter(|image| image.build == *id).partition(|it| it.public);
            let is_half = match named {
                // A release that is done stays what it is, whatever was done to one of its images since.
                Some(named) if named.reading.state.ended == Some(How::Done) => false,
                Some(named) => named.reading.state.is_half_open() && open.len() < named.regions(),
                None => !closed.is_empty(),
            };
            is_half && !open.is_empty()
        });
        Choice { flags, now: SystemTime::now(), survey, public, is_half_public }
    }

    fn takes(&self, leftover: &Leftover) -> bool {
        if let Some(id) = &self.flags.build {
            // What is published is no leftover; what is half published was never meant to be.
            return leftover.build == *id && (!leftover.public || self.is_half_public);
        }
        if leftover.public {
            return false;
        }
        let expires = leftover.expires.as_deref().and_then(|at| humantime::parse_rfc3339(at).ok());
        if self.flags.expired {
            return leftover.kind == LeftoverKind::Image && expires.is_some_and(|at| at <= self.now);
        }
        // A private image is what its build was for, until its time has come.
        let is_wanted = leftover.kind == LeftoverKind::Image
            && (leftover.expires.is_some()
                || self.survey.done.contains(&leftover.build)
                || self.public.contains(&leftover.build));
        let may_be_resumed =
            self.survey.unfinished.contains(&leftover.build) || self.survey.unreadable.contains_key(&leftover.build);
        self.is_old(leftover) && !is_wanted && !may_be_resumed
    }

    fn is_old(&self, leftover: &Leftover) -> bool {
        // What began longer ago than the clock can say is no younger than anything.
        let age = began(&leftover.build).and_then(|began| self.now.duration_since(began).ok());
        age.is_some_and(|age| age >= *self.flags.older_than)
    }

    /// The warning about something that is left alone, and that might be taken for a leftover.
    fn spared(&self, region: &Region, leftover: &Leftover, flags: &str) -> Option<String> {
        let (id, build) = (&leftover.id, &leftover.build);
        if self.flags.build.as_ref() == Some(build) && leftover.public && !self.is_half_public {
            let command = withdrawal(leftover.version.as_deref(), flags);
            return Some(format!("{id} in {region} is public, and stays; to withdraw it: {command}"));
        }
        let is_closed_one = leftover.kind == LeftoverKind::Image && !leftover.public && self.public.contains(build);
        let is_ours = self.flags.build.is_none() && !self.flags.expired && self.is_old(leftover);
        (is_closed_one && is_ours && !self.survey.done.contains(build)).then(|| {
            let command = format!("cargo xtask ami clean {build}{flags}");
            format!("{id} in {region} is private, and its build is public elsewhere: it stays; to clean up: {command}")
        })
    }
}

/// The command that withdraws a version.
fn withdrawal(version: Option<&str>, flags: &str) -> String {
    let version = quote(version.unwrap_or("X"));
    format!("cargo xtask ami retire --version {version}{flags}")
}

/// When a build began, which its id begins with: `20261122T161746Z-…`.
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

async fn everything<C: Cloud>(cloud: &C) -> Result<Vec<(Region, Leftover)>> {
    let regions = cloud.regions().await?;
    let found = everywhere::in_each(&regions, |region| cloud.leftovers(region)).await.all("look for leftovers")?;
    let with_region = |(region, leftovers): (Region, Vec<Leftover>)| {
        leftovers.into_iter().map(move |leftover| (region.clone(), leftover))
    };
    Ok(found.into_iter().flat_map(with_region).collect())
}

async fn remove_all<C: Cloud>(cloud: &C, found: &[(Region, Leftover)], events: &Events) -> Result<()> {
    let mut remaining = Vec::new();
    for (region, leftover) in found {
        match remove(cloud, region, leftover, events).await {
            Ok(()) => events.say(Progress::Removed { id: leftover.id.clone(), region: region.clone() }),
            Err(error) => remaining.push(format!("{region}: {} {}: {error:#}", leftover.kind, leftover.id)),
        }
    }
    if remaining.is_empty() { Ok(()) } else { Err(anyhow!("these remain:\n  {}", remaining.join("\n  "))) }
}

/// Removes something; where the cloud needs a while to let go of it, waits for that.
async fn remove<C: Cloud>(cloud: &C, region: &Region, leftover: &Leftover, events: &Events) -> Result<()> {
    let pace = wait::Pace { first_check: Duration::ZERO, ..cloud.pace(Phase::Termination) };
    let what = format!("{} to be removed", leftover.id);
    wait::until(what, Patience { limit: TERMINATION_LIMIT, pace }, events, async || {
        cloud.remove(region, leftover).await.map(Poll::Ready)
    })
    .await
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
