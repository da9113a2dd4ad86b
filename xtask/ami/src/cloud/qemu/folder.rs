//! Folders that go with the process that made them: an instance's, and that of a base in the making.
//!
//! Who makes one has its lock for as long as he lives. What a killed process left is known by that its lock is free.

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

/// The mode of an instance's folder: the machine's private host key lies in it.
const OWNER_ALONE: u32 = 0o700;

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
    pub async fn make(path: Utf8PathBuf, events: &Events) -> Result<Folder> {
        let parent = path.parent().with_context(|| format!("{path} lies nowhere"))?;
        let _no_sweep = lock_against_sweep(parent, events).await?;
        let failed = || format!("failed to make {path}");
        fs::DirBuilder::new().recursive(true).mode(OWNER_ALONE).create(&path).with_context(failed)?;
        let lock = lock(&path)?.with_context(|| format!("another process runs the machine of {path}"))?;
        // One that is taken over may be open to others.
        fs::set_permissions(&path, fs::Permissions::from_mode(OWNER_ALONE)).with_context(failed)?;
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

/// The right to sweep a folder; none when somebody is writing there, or it isn't there.
pub fn alone(folder: &Utf8Path) -> Option<Flock<File>> {
    Flock::lock(File::open(folder).ok()?, FlockArg::LockExclusiveNonblock).ok()
}

/// Takes a folder's lock; none when a living process has it.
///
/// # Errors
/// When the file that is locked can't be made, or locked at all.
pub fn lock(folder: &Utf8Path) -> Result<Option<Flock<File>>> {
    let path = folder.join("lock");
    let file = File::create(&path).with_context(|| format!("failed to make {path}"))?;
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
    async fn what_a_machine_has_is_for_nobody_else_to_read() {
        let (_guard, home) = folder();
        let path = home.join("instances/i-1");
        // The second time it lies there already, as a killed process left it, open to all.
        for _ in 0..2 {
            let made = Folder::make(path.clone(), &crate::fixture::events()).await.expect("a folder");
            assert_eq!(mode(made.path()), 0o700);
            let seed = made.path().join("seed.img");
            seed::write(&seed, "i-1", "ssh-ed25519 AAAA", "#cloud-config\n").expect("a seed");
            assert_eq!(mode(&seed), 0o600);
            drop(made);
            assert!(!path.exists());
            fs::create_dir_all(&path).expect("a folder");
            fs::write(&seed, "open to all").expect("a file");
            for (path, mode) in [(&path, 0o755), (&seed, 0o644)] {
                fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("a mode");
            }
        }
    }
}
