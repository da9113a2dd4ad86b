//! Local images: `images/REGION/ID.qcow2`, with their attributes beside them in `ID.json`.

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

/// How the names of files begin that are being written.
const WRITING: &str = ".writing-";

/// How the names of disks end that are being copied.
const PARTIAL: &str = ".partial";

/// What lies beside an image.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Attributes {
    /// The image's name.
    pub name: String,
    /// What it is.
    pub description: String,
    /// When it was made, RFC 3339.
    pub created: String,
    /// When it is deprecated, RFC 3339.
    pub deprecate_at: Option<String>,
    /// Everybody may launch it.
    pub public: bool,
    /// Everybody may make volumes of its snapshots.
    pub snapshots_public: bool,
    /// Key and value of each tag.
    pub tags: Tags,
}

impl Attributes {
    /// The attributes of an image that is made now.
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

    /// The image that they belong to, in this state.
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
        }
    }
}

/// Where an image's disk lies.
#[must_use]
pub fn disk(home: &StateDir, region: &Region, id: &ImageId) -> Utf8PathBuf {
    home.images(region).join(format!("{id}.qcow2"))
}

fn attributes(home: &StateDir, region: &Region, id: &ImageId) -> Utf8PathBuf {
    home.images(region).join(format!("{id}.json"))
}

/// The regions that have a folder of images.
///
/// # Errors
/// When they can't be listed.
pub fn regions(home: &StateDir) -> Result<Vec<Region>> {
    let folder = home.path().join("images");
    let entries = match folder.read_dir_utf8() {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.with_context(|| format!("failed to read {folder}"))?,
    };
    let mut regions = Vec::new();
    for entry in entries {
        let entry = entry.with_context(|| format!("failed to read {folder}"))?;
        // A folder that is named like no region is somebody else's.
        regions.extend(entry.file_name().parse::<Region>());
    }
    regions.sort();
    Ok(regions)
}

/// The available images of a region, in the order of their ids.
///
/// # Errors
/// When their attributes can't be read.
pub fn list(home: &StateDir, region: &Region) -> Result<Vec<Image>> {
    let folder = home.images(region);
    let entries = match folder.read_dir_utf8() {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.with_context(|| format!("failed to read {folder}"))?,
    };
    let mut images = Vec::new();
    for entry in entries {
        let entry = entry.with_context(|| format!("failed to read {folder}"))?;
        if let Some(id) = entry.file_name().strip_suffix(".json") {
            let id = ImageId(id.to_owned());
            images.extend(read(home, region, &id)?.map(|attributes| attributes.image(&id, ImageState::Available)));
        }
    }
    images.sort_by(|a, b| a.id.cmp(&b.id));
    Ok(images)
}

/// An available image's attributes; none when it isn't there.
///
/// # Errors
/// When they can't be read.
pub fn read(home: &StateDir, region: &Region, id: &ImageId) -> Result<Option<Attributes>> {
    let path = attributes(home, region, id);
    match fs::read(&path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("failed to read {path}")),
        Ok(bytes) => {
            serde_json::from_slice(&bytes).map(Some).with_context(|| format!("{path} has no image's attributes in it"))
        }
    }
}

/// Writes an image's attributes. With them the image is there, so its disk has to be in place before.
///
/// # Errors
/// When they can't be written; the former ones are then still there.
pub async fn write(home: &StateDir, region: &Region, id: &ImageId, image: &Attributes, events: &Events) -> Result<()> {
    let _writing = writing(home, events).await?;
    let path = attributes(home, region, id);
    write_whole(&path, &serde_json::to_vec_pretty(image)?).with_context(|| format!("failed to write {path}"))
}

/// Keeps whoever sweeps away, from when a disk is put in its place until its attributes are there, too.
///
/// # Errors
/// When the folder of images can't be made, or is being swept for too long.
pub async fn writing(home: &StateDir, events: &Events) -> Result<Lock> {
    lock_against_sweep(&home.path().join("images"), events).await
}

/// Removes what processes that were killed left half-made: disks without attributes, and what was being written. No image
/// is among it, so nothing else tells whose it was. Gives back what was removed.
pub fn sweep(home: &StateDir) -> Vec<Utf8PathBuf> {
    let Some(_alone) = folder::alone(&home.path().join("images")) else { return Vec::new() };
    let folders = regions(home).unwrap_or_default().into_iter().map(|region| home.images(&region));
    let files = folders.filter_map(|folder| folder.read_dir_utf8().ok()).flatten().filter_map(Result::ok);
    let half_made = files.map(camino::Utf8DirEntry::into_path).filter(|path| is_half_made(path));
    half_made.filter(|path| fs::remove_file(path).is_ok()).collect()
}

fn is_half_made(path: &Utf8Path) -> bool {
    let name = path.file_name().unwrap_or_default();
    let is_disk = |name: &str| name.starts_with("ami-") && name.ends_with(".qcow2");
    name.starts_with(WRITING)
        || name.strip_suffix(PARTIAL).is_some_and(is_disk)
        || is_disk(name) && !path.with_extension("json").exists()
}

/// Puts a finished disk in its place.
///
/// # Errors
/// When it can't be put there.
pub fn place(home: &StateDir, region: &Region, id: &ImageId, finished: &Utf8Path) -> Result<()> {
    let to = place_of(home, region, id)?;
    // With its attributes the image counts as whole, also after the power was cut.
    let moved = fs::File::open(finished).and_then(|file| file.sync_all()).and_then(|()| fs::rename(finished, &to));
    moved.with_context(|| format!("failed to put {finished} at {to}"))
}

/// Puts another image's disk in an image's place, too: linked, or copied where that can't be.
///
/// # Errors
/// When it can't be put there.
pub async fn place_copy(home: &StateDir, region: &Region, id: &ImageId, from: Utf8PathBuf) -> Result<()> {
    let to = place_of(home, region, id)?;
    // A disk that an interrupted copy left is not known to be whole.
    remove_if_there(&to)?;
    let failed = format!("failed to put {from} at {to}");
    // A copy may take a while, and a machine's login waits on this thread, too.
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

fn place_of(home: &StateDir, region: &Region, id: &ImageId) -> Result<Utf8PathBuf> {
    let folder = home.images(region);
    fs::create_dir_all(&folder).with_context(|| format!("failed to make {folder}"))?;
    Ok(disk(home, region, id))
}

/// Removes an image. One that isn't there is fine.
///
/// # Errors
/// When it can't be removed.
pub fn remove(home: &StateDir, region: &Region, id: &ImageId) -> Result<()> {
    // The attributes first: without them a disk is no image, whatever happens next.
    remove_if_there(&attributes(home, region, id))?;
    remove_if_there(&disk(home, region, id))
}

fn remove_if_there(path: &Utf8Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("failed to remove {path}"))
        }
        _ => Ok(()),
    }
}

/// Writes a file so that at any moment it has either its former bytes or all the new ones.
fn write_whole(path: &Utf8Path, bytes: &[u8]) -> Result<()> {
    let folder = path.parent().context("a file lies in a folder")?;
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
    async fn what_is_half_made_goes_and_what_is_an_image_or_somebody_elses_stays() {
        let folder = tempfile::tempdir().expect("a folder");
        let home = StateDir::at(Utf8Path::from_path(folder.path()).expect("a path in UTF-8"));
        let region: Region = "us-west-2".parse().expect("a region");
        let images = home.images(&region);
        fs::create_dir_all(&images).expect("a folder");
        let half_made = [".writing-AbCdEf", "ami-2.qcow2", "ami-3.qcow2.partial"];
        let others = ["ami-1.json", "ami-1.qcow2", "notes.txt", "other.qcow2", "ami-4.json"];
        for name in half_made.into_iter().chain(others) {
            fs::write(images.join(name), name).expect("a file");
        }
        {
            let _somebody = writing(&home, &crate::fixture::events()).await.expect("a lock");
            assert_eq!(sweep(&home), [] as [Utf8PathBuf; 0]);
        }
        let mut swept = sweep(&home);
        swept.sort();
        assert_eq!(swept, half_made.map(|name| images.join(name)));
        assert!(others.iter().all(|name| images.join(name).exists()));
        assert_eq!(sweep(&home), [] as [Utf8PathBuf; 0]);
    }
}
