//! An image's disk, looked at without booting it.

use std::{
    fs::File,
    io::{Read as _, Seek as _, SeekFrom},
    os::fd::AsRawFd as _,
};

use anyhow::{Context as _, Result, anyhow, bail};
use camino::{Utf8Path, Utf8PathBuf};
use ext4_view::{Ext4, Ext4Error, Ext4Read, FileType};
use nix::sys::signal::Signal;
use serde::Deserialize;

use super::programs;
use crate::{
    cloud::{ClosedDisk, DiskFiles},
    ground::process,
};

/// Where a system says what it is, and so what a partition is recognised by.
const OS_RELEASE: &str = "/etc/os-release";

/// No file that is read from a disk as a whole is larger; where one is, the image is not what it should be.
const LARGEST_FILE_BYTES: u64 = 256 << 20;

/// A walk that comes further down than this goes in circles: on a damaged disk a folder may lie in itself.
const DEEPEST: usize = 100;

/// Linux takes no longer path, and so makes no longer link.
const LONGEST_LINK_BYTES: u64 = 4096;

/// How many parts a path has at most, with those of the links in it.
const MOST_PARTS: usize = 1000;

/// The file system with the system on it. What it is read from has no name, and goes with this.
pub struct Disk {
    root: Ext4,
    image: String,
}

/// A file, folder or link on a disk.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entry {
    /// Its absolute path; bytes that aren't UTF-8 are replaced.
    pub path: String,
    /// Its length in bytes.
    pub length: u64,
    /// What it is.
    pub kind: Kind,
}

/// What an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A regular file.
    File,
    /// A folder.
    Folder,
    /// A symbolic link.
    Link,
    /// A device, a socket or a pipe.
    Other,
}

impl DiskFiles for Disk {
    fn read(&self, path: &str) -> Result<Option<Vec<u8>>> {
        Disk::read(self, path)
    }

    fn files(&self, folder: &str) -> Result<Vec<(String, u64)>> {
        let entries = self.list(folder)?.into_iter().filter(|entry| entry.kind != Kind::Folder);
        let size = |entry: &Entry| if entry.kind == Kind::File { entry.length } else { 0 };
        Ok(entries.map(|entry| (entry.path.clone(), size(&entry))).collect())
    }
}

impl Disk {
    /// Opens an image, qcow2 or raw; a raw copy of it, without a name, is in the folder `scratch` for as long as the disk
    /// is open.
    ///
    /// # Errors
    /// When it is no disk image: not readable by qemu-img, without partitions, or none of them is an ext4 that has
    /// `/etc/os-release`.
    pub async fn open(image: &Utf8Path, scratch: &Utf8Path) -> Result<Disk> {
        RawDisk::of(image, scratch).await?.open()
    }

    /// What the file at `path` holds; nothing when there is none. Links are followed.
    ///
    /// # Errors
    /// When it can't be read.
    pub fn read(&self, path: &str) -> Result<Option<Vec<u8>>> {
        let found = refuse_endless_links(&self.root, path).and_then(|()| self.root.metadata(path));
        let read = found.and_then(|found| {
            if found.len() > LARGEST_FILE_BYTES { Err(Ext4Error::FileTooLarge) } else { self.root.read(path) }
        });
        match read {
            Ok(bytes) => Ok(Some(bytes)),
            Err(Ext4Error::NotFound | Ext4Error::NotADirectory) => Ok(None),
            Err(error) => Err(self.unreadable(path, &error)),
        }
    }

    /// All that lies below `folder`, sorted by path; nothing when there is no such folder. Links aren't followed.
    ///
    /// # Errors
    /// When it can't be read.
    pub fn list(&self, folder: &str) -> Result<Vec<Entry>> {
        refuse_endless_links(&self.root, folder).map_err(|error| self.unreadable(folder, &error))?;
        let mut entries = Vec::new();
        let mut folders = vec![folder.to_owned()];
        while let Some(folder) = folders.pop() {
            let Some(found) = self.read_folder(&folder)? else { continue };
            if folder.split('/').count() > DEEPEST {
                bail!("the disk of {} is damaged: its folders have no end, at {folder}", self.image);
            }
            folders.extend(found.iter().filter(|entry| entry.kind == Kind::Folder).map(|entry| entry.path.clone()));
            entries.extend(found);
        }
        entries.sort();
        Ok(entries)
    }

    /// Which system it is, by the `ID-VERSION_ID` of its /etc/os-release: `debian-12`, `ubuntu-16.04`.
    ///
    /// # Errors
    /// When /etc/os-release doesn't say.
    pub fn system(&self) -> Result<String> {
        let text = self.read(OS_RELEASE)?.with_context(|| format!("{} has no {OS_RELEASE}", self.image))?;
        let text = String::from_utf8_lossy(&text);
        system_of(&text).with_context(|| format!("{OS_RELEASE} of {} has no ID or no VERSION_ID:\n{text}", self.image))
    }

    /// What lies in a folder itself; nothing when it isn't there.
    fn read_folder(&self, folder: &str) -> Result<Option<Vec<Entry>>> {
        let listing = match self.root.read_dir(folder) {
            Ok(listing) => listing,
            Err(Ext4Error::NotFound | Ext4Error::NotADirectory) => return Ok(None),
            Err(error) => return Err(self.unreadable(folder, &error)),
        };
        let mut entries = Vec::new();
        for entry in listing {
            let entry = entry.map_err(|error| self.unreadable(folder, &error))?;
            if matches!(entry.file_name().as_ref(), b"." | b"..") {
                continue;
            }
            let path = entry.path();
            let metadata = self.root.symlink_metadata(&path);
            let path = path.display().to_string();
            let metadata = metadata.map_err(|error| self.unreadable(&path, &error))?;
            entries.push(Entry { path, length: metadata.len(), kind: Kind::of(metadata.file_type()) });
        }
        Ok(Some(entries))
    }

    fn unreadable(&self, path: &str, error: &Ext4Error) -> anyhow::Error {
        anyhow!("failed to read {path} on the disk of {}: {error}", self.image)
    }
}

/// A raw copy of an image's disk that has not been read yet: it goes to whichever thread reads it.
pub struct RawDisk {
    raw: File,
    table: Table,
    image: String,
}

impl RawDisk {
    /// Makes the copy; it has no name, and lies in the folder `scratch`.
    ///
    /// # Errors
    /// As [`Disk::open`], an ext4 aside.
    pub async fn of(image: &Utf8Path, scratch: &Utf8Path) -> Result<RawDisk> {
        // Without this, qemu-img would say what it tried, not what is wrong.
        let found = std::fs::metadata(image).with_context(|| format!("failed to open the disk image {image}"))?;
        if !found.is_file() {
            bail!("{image} is not a disk image: it is not a file");
        }
        // It never has a name, so it goes with this process, however and whenever that ends; others open it by its number.
        let raw = tempfile::tempfile_in(scratch).with_context(|| format!("failed to make a file in {scratch}"))?;
        let path = &path_of(&raw);
        readable(image).await.map_err(|why| anyhow!("{image} is not a disk image: {why:#}"))?;
        convert(image, path).await?;
        let table = partition_table(path).await.map_err(|why| anyhow!("{image} is not a disk image: {why:#}"))?;
        Ok(RawDisk { raw, table, image: image.to_string() })
    }

    /// Reads the file system.
    ///
    /// # Errors
    /// When none of its partitions is an ext4 that has `/etc/os-release`.
    pub fn open(self) -> Result<Disk> {
        let RawDisk { raw, table, image } = self;
        let root = table.root(&path_of(&raw)).map_err(|why| anyhow!("{image} is not a disk image: {why:#}"))?;
        Ok(Disk { root, image })
    }
}

impl ClosedDisk for RawDisk {
    fn open(self: Box<Self>) -> Result<Box<dyn DiskFiles>> {
        Ok(Box::new(RawDisk::open(*self)?))
    }
}

/// Where other processes find an open file that has no name.
fn path_of(file: &File) -> Utf8PathBuf {
    format!("/proc/{}/fd/{}", std::process::id(), file.as_raw_fd()).into()
}

impl Kind {
    fn of(file_type: FileType) -> Kind {
        match file_type {
            FileType::Regular => Kind::File,
            FileType::Directory => Kind::Folder,
            FileType::Symlink => Kind::Link,
            _ => Kind::Other,
        }
    }
}

/// Asks qemu-img to open an image. It takes anything for a raw one, so this only refuses damaged ones of other formats.
async fn readable(image: &Utf8Path) -> Result<()> {
    let mut command = process::command(programs::program("qemu-img"), Signal::SIGKILL);
    command.args(["info", "--output=json", image.as_str()]);
    process::output("qemu-img info", command).await.map(drop)
}

/// Makes a sparse raw copy of an image.
async fn convert(image: &Utf8Path, raw: &Utf8Path) -> Result<()> {
    let mut command = process::command(programs::program("qemu-img"), Signal::SIGKILL);
    command.args(["convert", "-O", "raw", image.as_str(), raw.as_str()]);
    process::output(&format!("making a raw copy of {image}"), command).await.map(drop)
}

/// What sfdisk says of a disk.
#[derive(Deserialize)]
struct Table {
    #[serde(default)]
    partitions: Vec<Partition>,
    #[serde(default = "usual_sector_bytes", rename = "sectorsize")]
    sector_bytes: u64,
}

/// A partition, in sectors.
#[derive(Deserialize)]
struct Partition {
    start: u64,
    size: u64,
}

fn usual_sector_bytes() -> u64 {
    512
}

/// The partitions of a raw disk, by GPT or MBR.
async fn partition_table(raw: &Utf8Path) -> Result<Table> {
    let mut command = process::command(programs::program("sfdisk"), Signal::SIGKILL);
    command.args(["--json", raw.as_str()]);
    command.kill_on_drop(true);
    let output = command.output().await.context("failed to start sfdisk")?;
    if !output.status.success() {
        // It only says that it found none, of a file whose name means nothing to the user.
        bail!("it has no partition table");
    }
    Table::parse(&output.stdout)
}

impl Table {
    fn parse(printed: &[u8]) -> Result<Table> {
        #[derive(Deserialize)]
        struct Answer {
            #[serde(rename = "partitiontable")]
            table: Table,
        }
        let answer: Answer = serde_json::from_slice(printed).context("failed to understand what sfdisk says")?;
        Ok(answer.table)
    }

    /// The first partition's file system that has a system on it.
    fn root(&self, raw: &Utf8Path) -> Result<Ext4> {
        let mut faults = Vec::new();
        for (index, partition) in self.partitions.iter().enumerate() {
            let file = File::open(raw).with_context(|| format!("failed to open {raw}"))?;
            let start = partition.start.saturating_mul(self.sector_bytes);
            let window = Window { file, start, length: partition.size.saturating_mul(self.sector_bytes) };
            let looked_at = Ext4::load(Box::new(window)).and_then(|root| {
                refuse_endless_links(&root, OS_RELEASE)?;
                Ok((root.exists(OS_RELEASE)?, root))
            });
            match looked_at {
                Ok((true, root)) => return Ok(root),
                Ok((false, _)) => faults.push(format!("partition {} has no {OS_RELEASE}", index + 1)),
                Err(error) => faults.push(format!("partition {} is no ext4 ({error})", index + 1)),
            }
        }
        if faults.is_empty() {
            bail!("its partition table is empty");
        }
        bail!("none of its partitions has a system on ext4: {}", faults.join(", "));
    }
}

/// Refuses a path through a damaged link: following it, ext4-view would read into memory as much as its inode says.
/// Whatever else is wrong with the path, whoever follows it sees.
fn refuse_endless_links(root: &Ext4, path: &str) -> Result<(), Ext4Error> {
    let parts = |path: &str| path.rsplit('/').map(str::to_owned).collect::<Vec<String>>();
    let (mut at, mut left) = (String::new(), parts(path));
    for _ in 0..MOST_PARTS {
        let Some(part) = left.pop() else { break };
        match part.as_str() {
            "" | "." => continue,
            ".." => at.truncate(at.rfind('/').unwrap_or_default()),
            _ => at = format!("{at}/{part}"),
        }
        let Ok(found) = root.symlink_metadata(if at.is_empty() { "/" } else { &at }) else { break };
        if !found.is_symlink() {
            continue;
        }
        if found.len() > LONGEST_LINK_BYTES {
            return Err(Ext4Error::FileTooLarge);
        }
        let Ok(target) = root.read_link(at.as_str()) else { break };
        let Ok(target) = target.to_str() else { break };
        at.truncate(if target.starts_with('/') { 0 } else { at.rfind('/').unwrap_or_default() });
        left.extend(parts(target));
    }
    Ok(())
}

/// A partition's bytes within a disk's file.
struct Window {
    file: File,
    start: u64,
    length: u64,
}

impl Ext4Read for Window {
    fn read(
        &mut self,
        start_byte: u64,
        target: &mut [u8],
    ) -> Result<(), Box<dyn std::error::Error + Send + Sync + 'static>> {
        let end = start_byte.checked_add(u64::try_from(target.len())?);
        if end.is_none_or(|end| end > self.length) {
            return Err("the file system is larger than its partition".into());
        }
        self.file.seek(SeekFrom::Start(self.start.saturating_add(start_byte)))?;
        self.file.read_exact(target)?;
        Ok(())
    }
}

/// The system that a text of /etc/os-release names.
fn system_of(text: &str) -> Option<String> {
    let value = |key: &str| {
        let line = text.lines().find_map(|line| line.trim().strip_prefix(key)?.strip_prefix('='))?;
        // The file is made for a shell to read, so values may be quoted.
        let value = shlex::split(line)?.into_iter().next()?;
        (!value.is_empty()).then_some(value)
    };
    Some(format!("{}-{}", value("ID")?, value("VERSION_ID")?))
}

#[cfg(test)]
mod tests;
