//! What a base brings, read from its disk. The facts of a cached base are kept beside it.

use anyhow::{Context as _, Result};
use camino::{Utf8Path, Utf8PathBuf};

use super::{base::Base, disk::RawDisk};
use crate::elf::{facts::Facts, survey};

/// The file beside a cached base.
fn path_beside(disk: &Utf8Path) -> Utf8PathBuf {
    disk.with_extension("facts.toml")
}

/// The facts of a cached base, if they have been read already.
///
/// # Errors
/// When their file can't be read.
pub fn kept(base: &Base) -> Result<Option<Facts>> {
    let path = path_beside(&base.path);
    if !path.exists() {
        return Ok(None);
    }
    // What another version of this tool wrote is read anew.
    let text = std::fs::read_to_string(&path).with_context(|| format!("failed to read {path}"))?;
    Ok(Facts::parse(&text).ok().filter(|facts| facts.system == base.system))
}

/// The facts of a cached base, read from its disk unless that has been done.
///
/// # Errors
/// When its disk can't be read, or the facts can't be kept.
pub async fn of_base(base: &Base) -> Result<Option<Facts>> {
    if let Some(facts) = kept(base)? {
        return Ok(Some(facts));
    }
    let folder = base.path.parent().context("the base is in a folder")?;
    let disk = RawDisk::of(&base.path, folder).await?;
    let source = base.name.clone();
    let (_, facts) = tokio::task::spawn_blocking(move || on_disk(disk, &source)).await??;
    if let Some(facts) = &facts {
        let path = path_beside(&base.path);
        let file = tempfile::Builder::new().prefix(".writing-").tempfile_in(folder);
        let written = file.and_then(|mut file| {
            std::io::Write::write_all(&mut file, facts.text().as_bytes())?;
            Ok(file.persist(&path)?)
        });
        written.with_context(|| format!("failed to write {path}"))?;
    }
    Ok(facts)
}

/// The name of the system on a disk, and its facts. It takes a while, so give it a thread of its own.
///
/// # Errors
/// When the disk can't be read.
pub fn on_disk(disk: RawDisk, source: &str) -> Result<(String, Option<Facts>)> {
    let disk = disk.open()?;
    let system = disk.system()?;
    let facts = survey::base(&disk, &system, source)?;
    Ok((system, facts))
}
