//! The folder of one build.

use std::fs::File;

use anyhow::{Context as _, Result, anyhow};
use camino::Utf8Path;
use nix::{
    errno::Errno,
    fcntl::{Flock, FlockArg},
};

/// The name of the journal in the build's folder.
pub const JOURNAL: &str = "journal.jsonl";

/// The name of the log in the build's folder: all that was said, one line each, for people.
pub const LOG: &str = "build.log";

/// Makes sure that no other process works on a build. The system frees the lock of one that has ended.
///
/// # Errors
/// When another one does.
pub fn lock(folder: &Utf8Path) -> Result<Flock<File>> {
    let path = folder.join("lock");
    let file = File::options().create(true).truncate(false).write(true).open(&path);
    let file = file.with_context(|| format!("failed to open {path}"))?;
    Flock::lock(file, FlockArg::LockExclusiveNonblock).map_err(|(_, error)| match error {
        Errno::EWOULDBLOCK => anyhow!("another process works on the build in {folder}: let it end, or end it"),
        error => anyhow!(error).context(format!("failed to lock {path}")),
    })
}

/// Removes the files in a build's folder whose names begin like this.
pub fn delete(folder: &Utf8Path, beginning: &str) {
    let Ok(entries) = folder.read_dir_utf8() else { return };
    for entry in entries.filter_map(Result::ok).filter(|entry| entry.file_name().starts_with(beginning)) {
        // Keys open nothing any more, and all else only takes space.
        let _ = std::fs::remove_file(entry.path());
    }
}
