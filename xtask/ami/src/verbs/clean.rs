//! Removes what builds that did not come to their end have left: found by tag in all regions, so that neither a lost
//! journal nor another computer matters.

use std::{
    collections::BTreeSet,
    time::{Duration, SystemTime},
};

use anyhow::{Context as _, Result, anyhow};
use xtask::{
    cli::{CleanFlags, CommonFlags},
    region::Region,
};

use crate::{
    cloud::{Cloud, Kind, Leftover, Phase},
    ground::{
        everywhere,
        outcome::Failure,
        process,
        wait::{self, Patience, Poll},
    },
    machine::openssh,
    record::{
        folder::{self, JOURNAL},
        journal::{History, Journal},
        unfinished::Unfinished,
    },
    show::{confirm::confirm, terminal::Status},
    state_dir::StateDir,
    story::{bake, launch::END_LIMIT},
};

/// Shows what would go, asks, and removes it.
///
/// # Errors
/// When nobody agrees, or something can't be removed; the message says what remains.
pub async fn clean<C: Cloud>(
    cloud: &C,
    home: &StateDir,
    flags: &CleanFlags,
    common: &CommonFlags,
    status: &Status,
) -> Result<(), Failure> {
    let lock = match &flags.build {
        Some(id) if home.build(id).exists() => Some(folder::lock(&home.build(id)).map_err(Failure::Refused)?),
        _ => None,
    };
    let choice = Choice::of(home, flags, SystemTime::now()).map_err(Failure::Refused)?;
    let mut found = everything(cloud).await.map_err(Failure::Failed)?;
    for (region, Leftover { id, version, .. }) in found.iter().filter(|(_, leftover)| choice.spares(leftover)) {
        let version = version.as_deref().unwrap_or("X");
        let command = format!("cargo xtask ami retire --version {version}{}", cloud.flags());
        status.warn(format_args!("{id} in {region} is public, and stays; to withdraw it: {command}"));
    }
    found.retain(|(_, leftover)| choice.takes(leftover));
    // Machines first: they hold their groups fast.
    found.sort_by(|(a_region, a), (b_region, b)| (a.kind, a_region, &a.id).cmp(&(b.kind, b_region, &b.id)));
    if found.is_empty() {
        status.step("Clean", "there is nothing to remove");
    } else {
        for (region, leftover) in &found {
            status.note(format_args!("{region}: {} {} of {}", leftover.kind, leftover.id, leftover.build));
        }
        let question = format!("Remove for good what is listed, {} in all?", found.len());
        let asked = confirm(&question, common.yes).await;
        asked.context("nothing was removed").map_err(Failure::Refused)?;
        remove_all(cloud, &found, status).await.map_err(Failure::Failed)?;
    }
    drop(lock);
    match &flags.build {
        Some(id) => forget(cloud, home, id, status).await.map_err(Failure::Failed),
        None => Ok(()),
    }
}

/// What is to go.
struct Choice<'a> {
    flags: &'a CleanFlags,
    now: SystemTime,
    /// The builds that somebody works on or can go on with: nothing of theirs is left over.
    unfinished: BTreeSet<String>,
    /// The builds that came to their end: their images are what they were for.
    done: BTreeSet<String>,
}

impl Choice<'_> {
    fn of<'a>(home: &StateDir, flags: &'a CleanFlags, now: SystemTime) -> Result<Choice<'a>> {
        let (unfinished, done) = Unfinished::and_done(home)?;
        Ok(Choice { flags, now, unfinished, done })
    }

    fn takes(&self, leftover: &Leftover) -> bool {
        // What is published is no leftover, whoever says so.
        if leftover.public {
            return false;
        }
        if let Some(id) = &self.flags.build {
            return leftover.build == *id;
        }
        let expires = leftover.expires.as_deref().and_then(|at| humantime::parse_rfc3339(at).ok());
        if self.flags.expired {
            return leftover.kind == Kind::Image && expires.is_some_and(|at| at <= self.now);
        }
        // A private image is what its build was for, until its time has come.
        let is_wanted =
            leftover.kind == Kind::Image && (leftover.expires.is_some() || self.done.contains(&leftover.build));
        let is_old = began(&leftover.build).is_some_and(|at| at + *self.flags.older_than <= self.now);
        is_old && !is_wanted && !self.unfinished.contains(&leftover.build)
    }

    /// Whether something is left alone that whoever asks may take for a leftover.
    fn spares(&self, leftover: &Leftover) -> bool {
        leftover.public && self.flags.build.as_deref() == Some(&leftover.build)
    }
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

async fn remove_all<C: Cloud>(cloud: &C, found: &[(Region, Leftover)], status: &Status) -> Result<()> {
    let mut remaining = Vec::new();
    for (region, leftover) in found {
        match remove(cloud, region, leftover, status).await {
            Ok(()) => status.step("Removed", format_args!("{} in {region}", leftover.id)),
            Err(error) => remaining.push(format!("{region}: {} {}: {error:#}", leftover.kind, leftover.id)),
        }
    }
    if remaining.is_empty() { Ok(()) } else { Err(anyhow!("these remain:\n  {}", remaining.join("\n  "))) }
}

/// Removes something; where the cloud needs a while to let go of it, waits for that.
async fn remove<C: Cloud>(cloud: &C, region: &Region, leftover: &Leftover, status: &Status) -> Result<()> {
    let pace = wait::Pace { first_look: Duration::ZERO, ..cloud.pace(Phase::End) };
    let what = format!("{} to go", leftover.id);
    wait::until(what, Patience { limit: END_LIMIT, pace }, status, async || {
        cloud.remove(region, leftover).await.map(Poll::Ready)
    })
    .await
}

/// Sets blocks on public images again that the build lifted, and writes down that nothing is left of it, so that nobody
/// goes on with it.
async fn forget<C: Cloud>(cloud: &C, home: &StateDir, id: &str, status: &Status) -> Result<()> {
    let folder = home.build(id);
    let path = folder.join(JOURNAL);
    if !path.exists() {
        return Ok(());
    }
    let history = History::read(&path)?;
    for region in history.unblocked() {
        cloud.block_public_images(&region, true).await?;
        status.step("Blocked", format_args!("public images in {region}, as before"));
    }
    bake::forget(&folder);
    openssh::forget(&folder);
    if history.ended.as_deref() == Some("done") {
        // Nobody goes on with it anyway, and what it published stays what it was for.
        return Ok(());
    }
    let journal = Journal::resume(&path, history)
        .with_context(|| format!("all is removed, but {} still says otherwise", process::quote(folder.as_str())))?;
    journal.end("cleaned", false)
}
