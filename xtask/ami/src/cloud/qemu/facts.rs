//! What a base brings, read from its disk, and what packages bring that are installed on it, read from those. The facts
//! of a cached base are kept beside it.

use anyhow::{Context as _, Result, bail};
use camino::{Utf8Path, Utf8PathBuf};

use super::{
    base::Base,
    boot,
    debs::{ARCHITECTURE, Apt, State},
    disk::RawDisk,
};
use crate::{
    elf::{facts::Facts, survey},
    events::Events,
    recipe::Package,
    record::partial,
};

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

/// The facts of a cached base with packages on it, read from its disk and the packages unless that has been done.
///
/// # Errors
/// When its disk can't be read, or the facts can't be kept.
pub async fn of_base(base: &Base, packages: &[Package], events: &Events) -> Result<Option<Facts>> {
    if let Some(facts) = kept(base)?.filter(|facts| facts.know(packages)) {
        return Ok(Some(facts));
    }
    let folder = base.path.parent().context("the base is in a folder")?;
    let disk = RawDisk::of(&base.path, folder).await?;
    let (system, source) = (base.system.clone(), base.name.clone());
    let read = tokio::task::spawn_blocking(move || {
        let disk = disk.open()?;
        anyhow::Ok((survey::base(&disk, &system, &source)?, State::on(&disk)?))
    });
    let (facts, state) = read.await??;
    let Some(facts) = facts else { return Ok(None) };
    match with_packages(&facts, &state, packages).await {
        Ok(facts) => {
            keep(base, &facts)?;
            Ok(Some(facts))
        }
        Err(error) => {
            events.warn(format_args!("what the recipe's packages bring is taken from .release/ami/systems: {error:#}"));
            Ok(Some(facts))
        }
    }
}

async fn with_packages(facts: &Facts, state: &State, packages: &[Package]) -> Result<Facts> {
    if packages.is_empty() {
        return Ok(facts.clone());
    }
    let scratch = tempfile::tempdir().context("failed to make a temporary folder")?;
    let scratch = Utf8Path::from_path(scratch.path()).context("set TMPDIR to a path in UTF-8")?;
    Apt::new(scratch, ARCHITECTURE, state).await?.on_base(facts.clone(), packages).await
}

fn keep(base: &Base, facts: &Facts) -> Result<()> {
    let path = path_beside(&base.path);
    let written = partial::file(&path).and_then(|mut file| {
        std::io::Write::write_all(&mut file, facts.text().as_bytes())?;
        Ok(file.persist(&path)?)
    });
    written.map(drop).with_context(|| format!("failed to write {path}"))
}

/// The name of the system on a disk, which `name` gives for what the system calls itself, and its facts. It takes a while, so
/// give it a thread of its own.
///
/// # Errors
/// When the disk can't be read, or its programs are for another architecture.
pub fn on_disk(disk: RawDisk, source: &str, name: impl FnOnce(String) -> String) -> Result<(String, Option<Facts>)> {
    let disk = disk.open()?;
    // Links are followed, so this is a shell or none.
    if let Some(fault) = disk.read("/bin/sh")?.and_then(|shell| boot::other_architecture(&shell)) {
        bail!("{source} cannot be the base: {fault}");
    }
    let system = name(disk.system()?);
    let facts = survey::base(&disk, &system, source)?;
    Ok((system, facts))
}
