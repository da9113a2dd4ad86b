//! The folder with an instance's files.

use std::fs::{self, File};

use anyhow::{Context as _, Result};
use camino::{Utf8Path, Utf8PathBuf};
use nix::fcntl::{Flock, FlockArg};

/// An instance's folder. Another process's sweep passes it over while this is there; it goes with this.
pub struct Folder {
    path: Utf8PathBuf,
    _lock: Flock<File>,
}

impl Folder {
    /// Makes the folder, or takes over one that nobody has.
    ///
    /// # Errors
    /// When it can't be made, or a living process has it.
    pub fn make(path: Utf8PathBuf) -> Result<Folder> {
        fs::create_dir_all(&path).with_context(|| format!("failed to make {path}"))?;
        let lock = lock(&path)?.with_context(|| format!("another process runs the machine of {path}"))?;
        Ok(Folder { path, _lock: lock })
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Utf8Path {
        &self.path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What stays, if it can't be removed, the next build sweeps.
        let _ = fs::remove_dir_all(&self.path);
    }
}

/// Removes what processes that were killed left of their machines. What can't be removed, because it is another user's
/// for one, is in nobody's way.
pub fn sweep(instances: &Utf8Path) {
    let Ok(folders) = instances.read_dir_utf8() else { return };
    for folder in folders.filter_map(Result::ok) {
        // The lock is free when the process that made the folder is gone.
        if let Ok(Some(_lock)) = lock(folder.path()) {
            let _ = fs::remove_dir_all(folder.path());
        }
    }
}

/// Takes a folder's lock; none when a living process has it.
fn lock(folder: &Utf8Path) -> Result<Option<Flock<File>>> {
    let path = folder.join("lock");
    let file = File::create(&path).with_context(|| format!("failed to make {path}"))?;
    Ok(Flock::lock(file, FlockArg::LockExclusiveNonblock).ok())
}
