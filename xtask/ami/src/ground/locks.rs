//! Locks between processes of this tool, also of different users.
//!
//! The kernel releases the locks of a process that has ended in any way, but not those of a stopped one. So no call
//! here blocks in the kernel, deaf to Ctrl-C: a lock held by another process is retried in the wait loop, which shows
//! what it waits for and times out.

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

/// The timeout for locks that are held only for a moment: to begin a build, or to remove a few files.
const LOCK_LIMIT: Duration = Duration::from_secs(60);

/// The interval of retries while another process holds a lock.
const INTERVAL: Duration = Duration::from_millis(500);

/// A lock, released on drop. `None` where the file system has no locks.
pub type Lock = Option<Flock<File>>;

/// Whether others may hold a lock at the same time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Share {
    /// No other process may hold it.
    Exclusive,
    /// Other processes may share it.
    Shared,
}

/// Keeps other processes from beginning or resuming a build meanwhile.
///
/// # Errors
/// When the lock file can't be created, or another process holds the lock for more than a minute.
pub async fn lock_builds(state_dir: &StateDir, events: &Events) -> Result<Lock> {
    // A file, not the folder: NFS only locks files that are open for writing (flock(2)).
    let path = state_dir.builds_lock();
    let failed = || format!("failed to create the lock file {path}");
    std::fs::create_dir_all(state_dir.path()).with_context(failed)?;
    let file = File::options().create(true).truncate(false).write(true).open(&path).with_context(failed)?;
    acquire(file, &path, Share::Exclusive, "another process to begin its build", LOCK_LIMIT, events).await
}

/// Locks sweeps out of a folder, while something in it is incomplete or has no lock yet. Creates the folder.
///
/// # Errors
/// When it can't be created, or another process sweeps it for more than a minute.
pub async fn lock_against_sweep(folder: &Utf8Path, events: &Events) -> Result<Lock> {
    let failed = || format!("failed to create {folder}");
    std::fs::create_dir_all(folder).with_context(failed)?;
    let file = File::open(folder).with_context(failed)?;
    let what = format!("another process to clean up {folder}");
    acquire(file, folder, Share::Shared, &what, LOCK_LIMIT, events).await
}

/// Locks a file or a folder. Waits until `limit` while another process holds the lock, and shows that it waits for
/// `what`.
///
/// Where the file system has no locks, this warns and continues: a user who reads the warning can run one process at a
/// time, and an error would make the tool unusable there.
///
/// # Errors
/// When another process still holds the lock at the limit.
pub async fn acquire(
    file: File,
    path: &Utf8Path,
    share: Share,
    what: &str,
    limit: Duration,
    events: &Events,
) -> Result<Lock> {
    let mut waiting = match attempt(file, path, share, events) {
        Attempt::Done(lock) => return Ok(lock),
        Attempt::Busy(file) => Some(file),
    };
    events.say(Progress::Queued { on: what.to_owned() });
    let patience = Patience { limit, pace: Pace::new(INTERVAL, INTERVAL) };
    wait::until(what, patience, events, async || {
        let file = waiting.take().context("the file to lock is missing")?;
        Ok(match attempt(file, path, share, events) {
            Attempt::Done(lock) => Poll::Ready(lock),
            Attempt::Busy(file) => {
                waiting = Some(file);
                Poll::NotYet(format!("{path} is locked by another process"))
            }
        })
    })
    .await
    .context("if the other process is stopped (Ctrl-Z), continue it with fg, or terminate it")
}

enum Attempt {
    Done(Lock),
    Busy(File),
}

fn attempt(file: File, path: &Utf8Path, share: Share, events: &Events) -> Attempt {
    let how = match share {
        Share::Exclusive => FlockArg::LockExclusiveNonblock,
        Share::Shared => FlockArg::LockSharedNonblock,
    };
    match Flock::lock(file, how) {
        Ok(lock) => Attempt::Done(Some(lock)),
        Err((file, Errno::EWOULDBLOCK | Errno::EINTR)) => Attempt::Busy(file),
        Err((_, error)) => {
            events.warn(format_args!("cannot lock {path} ({error}): run only one process at a time"));
            Attempt::Done(None)
        }
    }
}

#[cfg(test)]
mod tests;
