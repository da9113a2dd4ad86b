//! The folder of one build.

use std::fs::File;

use anyhow::{Context as _, Result, anyhow};
use camino::Utf8Path;
use nix::errno::Errno;

use crate::state_dir;

/// The name of the journal in the build's folder.
pub const JOURNAL: &str = "journal.jsonl";

/// The name of the log in the build's folder: its events, one line each, for people.
pub const LOG: &str = "build.log";

/// The name of the build's page in its folder.
pub const PAGE: &str = "report.html";

/// The file in a build's folder that a process locks while it works on the build.
const LOCK: &str = "lock";

/// The lock of a build. Dropping it unlocks the build, and so does the end of the process.
#[derive(Debug)]
pub struct Lock(File);

impl Drop for Lock {
    fn drop(&mut self) {
        // Closing the file is not enough while a child process that is being started still has it open.
        let _ = system::unlock(&self.0);
    }
}

/// Locks a build, so that no other process works on it.
///
/// # Errors
/// When another process works on it, or the file system does not support locks.
pub fn lock(folder: &Utf8Path) -> Result<Lock> {
    let path = folder.join(LOCK);
    let file = File::options().create(true).truncate(false).write(true).open(&path);
    let file = file.with_context(|| format!("failed to open {path}"))?;
    match system::lock(&file) {
        Ok(()) => Ok(Lock(file)),
        Err(Errno::EAGAIN | Errno::EACCES) => {
            Err(anyhow!("another process works on the build in {folder}: wait for it, or stop it"))
        }
        Err(error) => Err(anyhow!(error).context(format!(
            "failed to lock {path}; set {} to a folder on a file system that supports locks",
            state_dir::VARIABLE
        ))),
    }
}

/// Whether a process works on a build. This takes no lock and creates no file, so it disturbs no other process.
#[must_use]
pub fn is_locked(folder: &Utf8Path) -> bool {
    // Without the file, no process has worked on it. If the file cannot be read, locking the build will report that.
    File::open(folder.join(LOCK)).is_ok_and(|file| system::is_locked(&file))
}

/// Linux's open file description locks. Only these can be queried without being taken, and also exclude two parts of one
/// process. See fcntl(2) on `F_OFD_GETLK`.
#[cfg(target_os = "linux")]
mod system {
    use std::fs::File;

    use nix::{
        Result,
        fcntl::{FcntlArg, fcntl},
        libc,
    };

    /// A lock on a whole file.
    fn whole(kind: libc::c_int) -> libc::flock {
        // Both are small numbers, which fcntl(2) takes in these types.
        let (kind, whence) = (kind as libc::c_short, libc::SEEK_SET as libc::c_short);
        libc::flock { l_type: kind, l_whence: whence, l_start: 0, l_len: 0, l_pid: 0 }
    }

    pub fn lock(file: &File) -> Result<()> {
        fcntl(file, FcntlArg::F_OFD_SETLK(&whole(libc::F_WRLCK))).map(drop)
    }

    pub fn unlock(file: &File) -> Result<()> {
        fcntl(file, FcntlArg::F_OFD_SETLK(&whole(libc::F_UNLCK))).map(drop)
    }

    pub fn is_locked(file: &File) -> bool {
        let mut found = whole(libc::F_WRLCK);
        let asked = fcntl(file, FcntlArg::F_OFD_GETLK(&mut found));
        asked.is_ok() && found.l_type != libc::F_UNLCK as libc::c_short
    }
}

/// On other systems a lock can only be queried by trying to take it, which briefly blocks other processes.
#[cfg(not(target_os = "linux"))]
mod system {
    use std::fs::File;

    use nix::{Result, errno::Errno};

    pub fn lock(file: &File) -> Result<()> {
        file.try_lock().map_err(|error| match error {
            std::fs::TryLockError::WouldBlock => Errno::EAGAIN,
            std::fs::TryLockError::Error(error) => error.try_into().unwrap_or(Errno::UnknownErrno),
        })
    }

    pub fn unlock(file: &File) -> Result<()> {
        file.unlock().map_err(|error| error.try_into().unwrap_or(Errno::UnknownErrno))
    }

    pub fn is_locked(file: &File) -> bool {
        matches!(file.try_lock_shared(), Err(std::fs::TryLockError::WouldBlock))
    }
}

/// Removes the files in a build's folder whose names begin with `prefix`.
pub fn delete(folder: &Utf8Path, prefix: &str) {
    let Ok(entries) = folder.read_dir_utf8() else { return };
    for entry in entries.filter_map(Result::ok).filter(|entry| entry.file_name().starts_with(prefix)) {
        // A file that stays does no harm: the keys open nothing by now, and the rest only takes space.
        let _ = std::fs::remove_file(entry.path());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;

    #[test]
    fn a_look_at_a_build_leaves_no_trace() {
        let (_guard, folder) = fixture::folder();
        assert!(!is_locked(&folder));
        assert_eq!(folder.read_dir_utf8().expect("the folder").count(), 0);
    }

    #[test]
    fn a_build_is_locked_from_when_it_is_taken_until_it_is_let_go() {
        let (_guard, folder) = fixture::folder();
        let taken = lock(&folder).expect("a free build");
        assert!(is_locked(&folder));
        let error = lock(&folder).map(drop).expect_err("it is taken").to_string();
        assert!(error.contains("another process works on the build"), "{error}");
        drop(taken);
        assert!(!is_locked(&folder));
        lock(&folder).expect("a free build");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn looking_at_a_build_does_not_lock_it() {
        let (_guard, folder) = fixture::folder();
        let is_over = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !is_over.load(std::sync::atomic::Ordering::Relaxed) {
                    let _ = is_locked(&folder);
                }
            });
            let refused = (0..20_000).filter(|_| lock(&folder).is_err()).count();
            is_over.store(true, std::sync::atomic::Ordering::Relaxed);
            assert_eq!(refused, 0);
        });
    }
}
