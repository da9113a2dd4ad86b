//! Folders that belong to one process: those of an instance, and those of a base being made.
//!
//! A process holds the lock of its folder while it runs, so a folder whose lock is free was left by a killed process.

use std::{
    fs::{self, File},
    os::unix::fs::{DirBuilderExt as _, PermissionsExt as _},
};

use anyhow::{Context as _, Result};
use camino::{Utf8Path, Utf8PathBuf};
use nix::{
    errno::Errno,
    fcntl::{Flock, FlockArg},
};

use crate::{events::Events, ground::locks::lock_against_sweep};

/// The mode of an instance's folder, which contains the machine's private host key.
const OWNER_ONLY: u32 = 0o700;

/// An instance's folder, removed on drop. The sweep of another process skips it until then.
pub struct Folder {
    path: Utf8PathBuf,
    _lock: Flock<File>,
}

impl Folder {
    /// Creates the folder, or takes over one whose lock is free.
    ///
    /// # Errors
    /// When it can't be created, or a running process holds its lock.
    pub async fn make(path: Utf8PathBuf, events: &Events) -> Result<Folder> {
        let parent = path.parent().with_context(|| format!("{path} has no parent folder"))?;
        let _no_sweep = lock_against_sweep(parent, events).await?;
        let failed = || format!("failed to create {path}");
        fs::DirBuilder::new().recursive(true).mode(OWNER_ONLY).create(&path).with_context(failed)?;
        let lock = lock(&path)?.with_context(|| format!("another process uses the machine in {path}"))?;
        // A folder that already existed may have another mode.
        fs::set_permissions(&path, fs::Permissions::from_mode(OWNER_ONLY)).with_context(failed)?;
        Ok(Folder { path, _lock: lock })
    }

    /// Its path.
    #[must_use]
    pub fn path(&self) -> &Utf8Path {
        &self.path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // If this fails, the next build sweeps the folder.
        let _ = fs::remove_dir_all(&self.path);
    }
}

/// The bytes that this user may still write to the file system of a folder.
///
/// # Errors
/// When the folder isn't there.
pub fn free_bytes(folder: &Utf8Path) -> nix::Result<u64> {
    let found = nix::sys::statvfs::statvfs(folder.as_std_path())?;
    Ok(found.blocks_available() * found.fragment_size())
}

/// Removes the folders in `parent` that killed processes left: those with this prefix whose lock is free. Returns the
/// removed ones. Those that can't be removed, for instance because they belong to another user, do no harm.
pub fn sweep(parent: &Utf8Path, prefix: &str) -> Vec<Utf8PathBuf> {
    let Some(_sweeping) = lock_for_sweep(parent) else { return Vec::new() };
    let Ok(folders) = parent.read_dir_utf8() else { return Vec::new() };
    let folders = folders.filter_map(Result::ok).filter(|folder| folder.file_name().starts_with(prefix));
    let mut swept = Vec::new();
    for folder in folders {
        if let Ok(Some(_lock)) = lock(folder.path())
            && fs::remove_dir_all(folder.path()).is_ok()
        {
            swept.push(folder.into_path());
        }
    }
    swept
}

/// Locks a folder to sweep it. `None` when a process is writing there, or the folder doesn't exist.
pub fn lock_for_sweep(folder: &Utf8Path) -> Option<Flock<File>> {
    Flock::lock(File::open(folder).ok()?, FlockArg::LockExclusiveNonblock).ok()
}

/// Locks a folder with a file in it. `None` when a running process holds the lock.
///
/// # Errors
/// When the lock file can't be created, or locking fails.
pub fn lock(folder: &Utf8Path) -> Result<Option<Flock<File>>> {
    let path = folder.join("lock");
    let file = File::create(&path).with_context(|| format!("failed to create {path}"))?;
    match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
        Ok(lock) => Ok(Some(lock)),
        Err((_, Errno::EWOULDBLOCK)) => Ok(None),
        Err((_, error)) => Err(error).with_context(|| format!("failed to lock {path}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{cloud::qemu::seed, fixture::folder};

    fn mode(path: &Utf8Path) -> u32 {
        path.metadata().expect("it is there").permissions().mode() & 0o777
    }

    #[tokio::test]
    async fn the_files_of_a_machine_are_readable_by_their_owner_only() {
        let (_guard, state_dir) = folder();
        let path = state_dir.join("instances/i-1");
        // The second time the folder already exists, readable by all, as a killed process may have left it.
        for _ in 0..2 {
            let made = Folder::make(path.clone(), &crate::fixture::events()).await.expect("a folder");
            assert_eq!(mode(made.path()), 0o700);
            let seed = made.path().join("seed.img");
            seed::write(&seed, "i-1", "ssh-ed25519 AAAA", "#cloud-config\n").expect("a seed");
            assert_eq!(mode(&seed), 0o600);
            drop(made);
            assert!(!path.exists());
            fs::create_dir_all(&path).expect("a folder");
            fs::write(&seed, "readable by all").expect("a file");
            for (path, mode) in [(&path, 0o755), (&seed, 0o644)] {
                fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("a mode");
            }
        }
    }
}
