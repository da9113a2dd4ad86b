//! The store of local images: `images/REGION/ID.qcow2`, with the attributes in `ID.json` beside it.

use std::{fs, io::Write as _};

use anyhow::{Context as _, Result};
use camino::{Utf8Path, Utf8PathBuf};
use serde::{Deserialize, Serialize};
use xtask::region::Region;

use super::folder;
use crate::{
    cloud::{Image, ImageState, NewImage, tags::Tags},
    event::ids::ImageId,
    events::Events,
    ground::locks::{Lock, lock_against_sweep},
    state_dir::StateDir,
};

/// Prefix of files that are being written.
const WRITING: &str = ".writing-";

/// Suffix of disks that are being copied.
const PARTIAL: &str = ".partial";

/// The attributes of an image, as stored in `ID.json`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Attributes {
    /// Unique in its region.
    pub name: String,
    /// The description.
    pub description: String,
    /// The creation date, RFC 3339.
    pub created: String,
    /// The deprecation date, RFC 3339.
    pub deprecate_at: Option<String>,
    /// Whether it is recorded as public.
    pub public: bool,
    /// Whether its snapshots are recorded as public.
    pub snapshots_public: bool,
    /// Pairs of key and value.
    pub tags: Tags,
}

impl Attributes {
    /// The attributes of an image created now.
    #[must_use]
    pub fn of(image: &NewImage) -> Attributes {
        let now = std::time::SystemTime::now();
        Attributes {
            name: image.name.clone(),
            description: image.description.clone(),
            created: humantime::format_rfc3339_seconds(now).to_string(),
            deprecate_at: image.deprecate_at.map(|at| humantime::format_rfc3339_seconds(at).to_string()),
            public: false,
            snapshots_public: false,
            tags: image.tags.clone(),
        }
    }

    /// The image with these attributes, in this state.
    #[must_use]
    pub fn image(&self, id: &ImageId, state: ImageState) -> Image {
        Image {
            id: id.clone(),
            name: self.name.clone(),
            description: self.description.clone(),
            state,
            public: self.public,
            tags: self.tags.clone(),
            created: self.created.clone(),
            deprecate_at: self.deprecate_at.clone(),
            hardware: None,
            snapshots: Vec::new(),
            last_launched: None,
            protected: false,
        }
    }
}

/// The path of an image's disk.
#[must_use]
pub fn disk(state_dir: &StateDir, region: &Region, id: &ImageId) -> Utf8PathBuf {
    state_dir.images(region).join(format!("{id}.qcow2"))
}

fn attributes(state_dir: &StateDir, region: &Region, id: &ImageId) -> Utf8PathBuf {
    state_dir.images(region).join(format!("{id}.json"))
}

/// The regions that have a folder of images.
///
/// # Errors
/// When they can't be listed.
pub fn regions(state_dir: &StateDir) -> Result<Vec<Region>> {
    let folder = state_dir.path().join("images");
    let entries = match folder.read_dir_utf8() {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.with_context(|| format!("failed to read {folder}"))?,
    };
    let mut regions = Vec::new();
    for entry in entries {
        let entry = entry.with_context(|| format!("failed to read {folder}"))?;
        // A folder not named like a region isn't this tool's.
        regions.extend(entry.file_name().parse::<Region>());
    }
    regions.sort();
    Ok(regions)
}

/// The images of a region, sorted by id.
///
/// # Errors
/// When their attributes can't be read.
pub fn list(state_dir: &StateDir, region: &Region) -> Result<Vec<Image>> {
    let folder = state_dir.images(region);
    let entries = match folder.read_dir_utf8() {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.with_context(|| format!("failed to read {folder}"))?,
    };
    let mut images = Vec::new();
    for entry in entries {
        let entry = entry.with_context(|| format!("failed to read {folder}"))?;
        if let Some(id) = entry.file_name().strip_suffix(".json") {
            let id = ImageId(id.to_owned());
            images.extend(read(state_dir, region, &id)?.map(|attributes| attributes.image(&id, ImageState::Available)));
        }
    }
    images.sort_by(|a, b| a.id.cmp(&b.id));
    Ok(images)
}

/// The attributes of an image; `None` when it doesn't exist.
///
/// # Errors
/// When they can't be read.
pub fn read(state_dir: &StateDir, region: &Region, id: &ImageId) -> Result<Option<Attributes>> {
    let path = attributes(state_dir, region, id);
    match fs::read(&path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("failed to read {path}")),
        Ok(bytes) => serde_json::from_slice(&bytes)
            .map(Some)
            .with_context(|| format!("{path} does not contain the attributes of an image")),
    }
}

/// Writes the attributes of an image. With them the image exists, so its disk must be in place before.
///
/// # Errors
/// When they can't be written; the former ones are then kept.
pub async fn write(
    state_dir: &StateDir,
    region: &Region,
    id: &ImageId,
    image: &Attributes,
    events: &Events,
) -> Result<()> {
    let _lock = lock_for_writing(state_dir, events).await?;
    let path = attributes(state_dir, region, id);
    let (failed, bytes) = (format!("failed to write {path}"), serde_json::to_vec_pretty(image)?);
    // On a thread of its own, because it waits for the disk, and this one also serves the logins.
    tokio::task::spawn_blocking(move || replace_file(&path, &bytes)).await?.context(failed)
}

/// Locks out sweeps, from when a disk is put in place until its attributes are written.
///
/// # Errors
/// When the folder of images can't be created, or waiting for a sweep times out.
pub async fn lock_for_writing(state_dir: &StateDir, events: &Events) -> Result<Lock> {
    lock_against_sweep(&state_dir.path().join("images"), events).await
}

/// Removes the incomplete files of killed processes: disks without attributes, and files that were being written.
/// Returns the removed ones.
pub fn sweep(state_dir: &StateDir) -> Vec<Utf8PathBuf> {
    let Some(_sweeping) = folder::lock_for_sweep(&state_dir.path().join("images")) else { return Vec::new() };
    let folders = regions(state_dir).unwrap_or_default().into_iter().map(|region| state_dir.images(&region));
    let files = folders.filter_map(|folder| folder.read_dir_utf8().ok()).flatten().filter_map(Result::ok);
    let incomplete = files.map(camino::Utf8DirEntry::into_path).filter(|path| is_incomplete(path));
    incomplete.filter(|path| fs::remove_file(path).is_ok()).collect()
}

fn is_incomplete(path: &Utf8Path) -> bool {
    let name = path.file_name().unwrap_or_default();
    let is_disk = |name: &str| name.starts_with("ami-") && name.ends_with(".qcow2");
    name.starts_with(WRITING)
        || name.strip_suffix(PARTIAL).is_some_and(is_disk)
        || is_disk(name) && !path.with_extension("json").exists()
}

/// Moves a finished disk into the store.
///
/// # Errors
/// When it can't be moved.
pub async fn place(state_dir: &StateDir, region: &Region, id: &ImageId, finished: Utf8PathBuf) -> Result<()> {
    let to = place_of(state_dir, region, id)?;
    let failed = format!("failed to put {finished} at {to}");
    // Synced: once its attributes exist the image must be complete, even after a power cut. On a thread of its own: that
    // takes a while, and this thread also serves the logins.
    let moved = tokio::task::spawn_blocking(move || {
        fs::File::open(&finished)?.sync_all()?;
        fs::rename(&finished, &to)
    });
    moved.await?.context(failed)
}

/// Places another image's disk as the disk of this image: a hard link, or a copy where links aren't possible.
///
/// # Errors
/// When it can't be copied.
pub async fn place_copy(state_dir: &StateDir, region: &Region, id: &ImageId, from: Utf8PathBuf) -> Result<()> {
    let to = place_of(state_dir, region, id)?;
    // An interrupted copy may have left an incomplete disk.
    remove_if_there(&to)?;
    let failed = format!("failed to put {from} at {to}");
    // On a thread of its own: a copy takes a while, and this thread also serves the logins.
    let copied = tokio::task::spawn_blocking(move || {
        if fs::hard_link(&from, &to).is_ok() {
            return Ok(());
        }
        let partial = Utf8PathBuf::from(format!("{to}{PARTIAL}"));
        fs::copy(&from, &partial)?;
        fs::File::open(&partial)?.sync_all()?;
        fs::rename(&partial, &to)
    });
    copied.await?.context(failed)
}

fn place_of(state_dir: &StateDir, region: &Region, id: &ImageId) -> Result<Utf8PathBuf> {
    let folder = state_dir.images(region);
    fs::create_dir_all(&folder).with_context(|| format!("failed to create {folder}"))?;
    Ok(disk(state_dir, region, id))
}

/// Removes an image. Does nothing when it is already gone.
///
/// # Errors
/// When it can't be removed.
pub fn remove(state_dir: &StateDir, region: &Region, id: &ImageId) -> Result<()> {
    // The attributes first: without them the disk is no image, and the next sweep removes it.
    remove_if_there(&attributes(state_dir, region, id))?;
    remove_if_there(&disk(state_dir, region, id))
}

fn remove_if_there(path: &Utf8Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("failed to remove {path}"))
        }
        _ => Ok(()),
    }
}

/// Replaces the content of a file atomically.
fn replace_file(path: &Utf8Path, bytes: &[u8]) -> Result<()> {
    let folder = path.parent().context("the path has no parent folder")?;
    fs::create_dir_all(folder)?;
    let mut file = tempfile::Builder::new().prefix(WRITING).tempfile_in(folder)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_sweep_removes_incomplete_files_only_and_none_while_writing() {
        let folder = tempfile::tempdir().expect("a folder");
        let state_dir = StateDir::at(Utf8Path::from_path(folder.path()).expect("a path in UTF-8"));
        let region: Region = "us-west-2".parse().expect("a region");
        let images = state_dir.images(&region);
        fs::create_dir_all(&images).expect("a folder");
        let incomplete = [".writing-AbCdEf", "ami-2.qcow2", "ami-3.qcow2.partial"];
        let others = ["ami-1.json", "ami-1.qcow2", "notes.txt", "other.qcow2", "ami-4.json"];
        for name in incomplete.into_iter().chain(others) {
            fs::write(images.join(name), name).expect("a file");
        }
        {
            let _lock = lock_for_writing(&state_dir, &crate::fixture::events()).await.expect("a lock");
            assert_eq!(sweep(&state_dir), [] as [Utf8PathBuf; 0]);
        }
        let mut swept = sweep(&state_dir);
        swept.sort();
        assert_eq!(swept, incomplete.map(|name| images.join(name)));
        assert!(others.iter().all(|name| images.join(name).exists()));
        assert_eq!(sweep(&state_dir), [] as [Utf8PathBuf; 0]);
    }
}
