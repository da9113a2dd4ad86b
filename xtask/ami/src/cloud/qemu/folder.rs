//! Folders that go with the process that made them: an instance's, and that of a base in the making.
//!
//! Who makes one has its lock for as long as he lives. What a killed process left is known by that its lock is free.

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
        let parent = path.parent().with_context(|| format!("{path} lies nowhere"))?;
        let _no_sweep = hold_off(parent)?;
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

/// Removes what processes that were killed left: of the folders in `parent` those whose name begins like this and that
/// nobody has. Gives back which. What can't be removed, because it is another user's for one, is in nobody's way.
pub fn sweep(parent: &Utf8Path, beginning: &str) -> Vec<Utf8PathBuf> {
    let Some(_alone) = alone(parent) else { return Vec::new() };
    let Ok(folders) = parent.read_dir_utf8() else { return Vec::new() };
    let folders = folders.filter_map(Result::ok).filter(|folder| folder.file_name().starts_with(beginning));
    let mut swept = Vec::new();
    for folder in folders {
        // The lock is free when the process that made the folder is gone.
        if let Ok(Some(_lock)) = lock(folder.path())
            && fs::remove_dir_all(folder.path()).is_ok()
        {
            swept.push(folder.into_path());
        }
    }
    swept
}

/// Keeps whoever sweeps away from a folder, which is made if it isn't there, while something in it isn't whole yet or has
/// no lock yet.
///
/// # Errors
/// When it can't be made.
pub fn hold_off(folder: &Utf8Path) -> Result<Flock<File>> {
    let failed = || format!("failed to make {folder}");
    fs::create_dir_all(folder).with_context(failed)?;
    let file = File::open(folder).with_context(failed)?;
    // Many may write at once. Who sweeps takes no longer than it takes to remove a few files.
    Flock::lock(file, FlockArg::LockShared)
        .map_err(|(_, error)| error)
        .with_context(|| format!("failed to lock {folder}"))
}

/// The right to sweep a folder; none when somebody is writing there, or it isn't there.
pub fn alone(folder: &Utf8Path) -> Option<Flock<File>> {
    Flock::lock(File::open(folder).ok()?, FlockArg::LockExclusiveNonblock).ok()
}

/// Takes a folder's lock; none when a living process has it.
///
/// # Errors
/// When the file can't be made that is locked.
pub fn lock(folder: &Utf8Path) -> Result<Option<Flock<File>>> {
    let path = folder.join("lock");
    let file = File::create(&path).with_context(|| format!("failed to make {path}"))?;
    Ok(Flock::lock(file, FlockArg::LockExclusiveNonblock).ok())
}
