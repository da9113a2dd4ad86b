//! Locks by which processes of this tool, and of whoever else runs it, keep out of each other's way.
//!
//! The system frees the lock of a process that has ended, however it ended, but not that of one that is stopped. So
//! nothing here waits in the system, where no signal would end it: a lock that another process has is tried for again and
//! again in the one wait loop, which says what it waits for, and gives up.

use std::{fs::File, time::Duration};

use anyhow::{Context as _, Result};
use camino::Utf8Path;
use nix::{
    errno::Errno,
    fcntl::{Flock, FlockArg},
};

use crate::{
    event::progress::Progress,
    events::Events,
    ground::wait::{self, Pace, Patience, Poll},
    state_dir::StateDir,
};

/// How long to wait for what takes others a moment: to begin a build, or to remove a few files.
const MOMENT: Duration = Duration::from_secs(60);

/// How often to try for a lock that another process has.
const INTERVAL: Duration = Duration::from_millis(500);

/// A lock that is had until this is dropped; empty where the file system has no locks.
pub type Lock = Option<Flock<File>>;

/// Whether others may have a lock at the same time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Share {
    /// Nobody else has it.
    Alone,
    /// Others may share it.
    Shared,
}

/// Keeps other processes from beginning a build, or going on with one, meanwhile.
///
/// # Errors
/// When the file that is locked can't be made, or another process doesn't let go of it within a minute.
pub async fn lock_builds(home: &StateDir, events: &Events) -> Result<Lock> {
    // A file and not the folder: NFS locks only what is open for writing, which no folder ever is.
    let path = home.builds_lock();
    let failed = || format!("failed to make the lock file {path}");
    std::fs::create_dir_all(home.path()).with_context(failed)?;
    let file = File::options().create(true).truncate(false).write(true).open(&path).with_context(failed)?;
    acquire(file, &path, Share::Alone, "another process to begin its build", MOMENT, events).await
}

/// Keeps whoever sweeps away from a folder, which is made if it isn't there, while something in it isn't whole yet or has
/// no lock yet.
///
/// # Errors
/// When it can't be made, or another process sweeps it for more than a minute.
pub async fn lock_against_sweep(folder: &Utf8Path, events: &Events) -> Result<Lock> {
    let failed = || format!("failed to make {folder}");
    std::fs::create_dir_all(folder).with_context(failed)?;
    let file = File::open(folder).with_context(failed)?;
    let what = format!("another process to tidy {folder} up");
    acquire(file, folder, Share::Shared, &what, MOMENT, events).await
}

/// Locks a file, or a folder; one that is locked already is waited for until `limit`, as `what`.
///
/// Where the file system has no locks, this warns and goes on. They only keep apart what is run at the same time, which
/// whoever reads the warning can do as well; to refuse would keep all from working that have their files there.
///
/// # Errors
/// When another process still has it at the limit.
pub async fn acquire(
    file: File,
    path: &Utf8Path,
    share: Share,
    what: &str,
    limit: Duration,
    events: &Events,
) -> Result<Lock> {
    let mut waiting = match attempt(file, path, share, events) {
        Attempt::Over(lock) => return Ok(lock),
        Attempt::Busy(file) => Some(file),
    };
    events.say(Progress::Queued { on: what.to_owned() });
    let patience = Patience { limit, pace: Pace { first_look: INTERVAL, interval: INTERVAL } };
    wait::until(what, patience, events, async || {
        let file = waiting.take().context("the file to lock is gone")?;
        Ok(match attempt(file, path, share, events) {
            Attempt::Over(lock) => Poll::Ready(lock),
            Attempt::Busy(file) => {
                waiting = Some(file);
                Poll::NotYet(format!("{path} is locked by another process"))
            }
        })
    })
    .await
    .context("if the other process is stopped (Ctrl-Z), continue it with fg, or end it")
}

enum Attempt {
    Over(Lock),
    Busy(File),
}

fn attempt(file: File, path: &Utf8Path, share: Share, events: &Events) -> Attempt {
    let how = match share {
        Share::Alone => FlockArg::LockExclusiveNonblock,
        Share::Shared => FlockArg::LockSharedNonblock,
    };
    match Flock::lock(file, how) {
        Ok(lock) => Attempt::Over(Some(lock)),
        Err((file, Errno::EWOULDBLOCK | Errno::EINTR)) => Attempt::Busy(file),
        Err((_, error)) => {
            events.warn(format_args!(
                "{path} can't be locked ({error}), so nothing keeps another process out of the way: run one at a time"
            ));
            Attempt::Over(None)
        }
    }
}

#[cfg(test)]
mod tests;
