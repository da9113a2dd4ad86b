//! Reads files from an image's disk without booting it.

use std::{fs::File, os::fd::AsRawFd as _, process::Stdio};

use anyhow::{Context as _, Result, anyhow, bail};
use camino::{Utf8Path, Utf8PathBuf};
use ext4_view::{Ext4, Ext4Error, FileType};
use nix::sys::signal::Signal;

use super::{
    boot::{Firmware, refuse_other_files},
    format::Info,
    programs,
};
use crate::{
    cloud::{ClosedDisk, DiskFiles},
    elf::survey::Tree,
    ground::process,
};
use partitions::{Table, partition_table};

mod mounts;
mod partitions;
mod probe;

/// The file that names the system. The partition that has it is the root partition.
const OS_RELEASE: &str = "/etc/os-release";

/// The file that says which folders are on other file systems.
const FSTAB: &str = "/etc/fstab";

/// The largest file that is read, in bytes. No file of interest comes near it.
const MAX_FILE_BYTES: u64 = 256 << 20;

/// The depth at which a walk is given up: on a damaged disk a folder may contain itself.
const MAX_DEPTH: usize = 100;

/// The longest target of a link: the longest path that Linux accepts (`PATH_MAX`), in bytes.
const MAX_LINK_BYTES: u64 = 4096;

/// The most components of a path, those of links in it included.
const MAX_PATH_PARTS: usize = 1000;

/// The exit code of `qemu-img check` for a damaged image (its manual page).
const DAMAGED: i32 = 2;

/// An image's root file system. Its raw copy is an unnamed file, deleted on drop.
pub struct Disk {
    root: Ext4,
    image: String,
}

/// An entry of a folder.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entry {
    /// The absolute path; bytes that aren't UTF-8 are replaced.
    pub path: String,
    /// The length in bytes.
    pub length: u64,
    /// When its content last changed, in seconds since 1970.
    pub modified_secs: i64,
    /// The kind of entry.
    pub kind: EntryKind,
}

/// The kind of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum EntryKind {
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
        let entries = self.list(folder)?.into_iter().filter(|entry| entry.kind != EntryKind::Folder);
        let size = |entry: &Entry| if entry.kind == EntryKind::File { entry.length } else { 0 };
        Ok(entries.map(|entry| (entry.path.clone(), size(&entry))).collect())
    }
}

impl Tree for Disk {
    fn names(&self, folder: &str) -> Result<Vec<String>> {
        refuse_endless_links(&self.root, folder).map_err(|error| self.unreadable(folder, &error))?;
        let entries = self.read_folder(folder)?.unwrap_or_default();
        Ok(entries.into_iter().filter_map(|entry| Some(entry.path.rsplit_once('/')?.1.to_owned())).collect())
    }

    fn content(&self, path: &str) -> Result<Option<Vec<u8>>> {
        let is_other = |found: ext4_view::Metadata| !found.file_type().is_regular_file();
        let found = refuse_endless_links(&self.root, path).and_then(|()| self.root.metadata(path));
        if found.is_ok_and(is_other) { Ok(None) } else { self.read(path) }
    }
}

impl Disk {
    /// Opens an image, qcow2 or raw. While the disk is open, the folder `scratch` contains an unnamed raw copy of it.
    ///
    /// # Errors
    /// When it is not a disk image: qemu-img can't read it, or no partition is ext4 with `/etc/os-release`.
    pub async fn open(image: &Utf8Path, scratch: &Utf8Path) -> Result<Disk> {
        RawDisk::of(image, scratch).await?.open()
    }

    /// Reads a file; `None` when it doesn't exist. Links are followed.
    ///
    /// # Errors
    /// When it can't be read.
    pub fn read(&self, path: &str) -> Result<Option<Vec<u8>>> {
        let found = refuse_endless_links(&self.root, path).and_then(|()| self.root.metadata(path));
        let read = found.and_then(|found| {
            if found.len() > MAX_FILE_BYTES { Err(Ext4Error::FileTooLarge) } else { self.root.read(path) }
        });
        match read {
            Ok(bytes) => Ok(Some(bytes)),
            Err(Ext4Error::NotFound | Ext4Error::NotADirectory) => Ok(None),
            Err(error) => Err(self.unreadable(path, &error)),
        }
    }

    /// Lists all entries below `folder`, sorted by path; empty when it doesn't exist. Links are not followed.
    ///
    /// # Errors
    /// When it can't be read.
    pub fn list(&self, folder: &str) -> Result<Vec<Entry>> {
        refuse_endless_links(&self.root, folder).map_err(|error| self.unreadable(folder, &error))?;
        let mut entries = Vec::new();
        let mut folders = vec![folder.to_owned()];
        while let Some(folder) = folders.pop() {
            let Some(found) = self.read_folder(&folder)? else { continue };
            if folder.split('/').count() > MAX_DEPTH {
                bail!("the disk of {} is damaged: its folders are nested endlessly, at {folder}", self.image);
            }
            folders
                .extend(found.iter().filter(|entry| entry.kind == EntryKind::Folder).map(|entry| entry.path.clone()));
            entries.extend(found);
        }
        entries.sort();
        Ok(entries)
    }

    /// What the system calls itself, see [`system_of`].
    ///
    /// # Errors
    /// When /etc/os-release does not say.
    pub fn system(&self) -> Result<String> {
        let text = self.read(OS_RELEASE)?.with_context(|| format!("{} has no {OS_RELEASE}", self.image))?;
        let text = String::from_utf8_lossy(&text);
        system_of(&text).with_context(|| {
            format!("{OS_RELEASE} of {} has no ID, or neither VERSION_ID nor VERSION_CODENAME:\n{text}", self.image)
        })
    }

    /// The direct entries of a folder; `None` when it doesn't exist.
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
            let path = entry.path().display().to_string();
            // Of the entry itself: looking for its path would read the folder once more for each.
            let metadata = entry.metadata().map_err(|error| self.unreadable(&path, &error))?;
            let (length, modified_secs) = (metadata.len(), metadata.modified().seconds());
            entries.push(Entry { path, length, modified_secs, kind: EntryKind::of(metadata.file_type()) });
        }
        Ok(Some(entries))
    }

    /// Hands the content of a file to `take`, piece by piece. Nothing comes of what is no file, or can't be named in UTF-8.
    ///
    /// # Errors
    /// When it can't be read.
    pub fn pieces(&self, path: &str, take: &mut impl FnMut(&[u8])) -> Result<()> {
        let mut file = match self.root.open(path) {
            Ok(file) => file,
            Err(Ext4Error::NotFound | Ext4Error::IsASpecialFile | Ext4Error::IsADirectory) => return Ok(()),
            Err(error) => return Err(self.unreadable(path, &error)),
        };
        let mut piece = [0; 64 << 10];
        loop {
            match file.read_bytes(&mut piece).map_err(|error| self.unreadable(path, &error))? {
                0 => return Ok(()),
                length => take(&piece[..length]),
            }
        }
    }

    /// The target of a link; empty when it can't be read.
    #[must_use]
    pub fn target(&self, link: &str) -> String {
        let sound = self.root.symlink_metadata(link).is_ok_and(|found| found.len() <= MAX_LINK_BYTES);
        let target = sound.then(|| self.root.read_link(link).ok()).flatten();
        target.map(|target| target.display().to_string()).unwrap_or_default()
    }

    fn unreadable(&self, path: &str, error: &Ext4Error) -> anyhow::Error {
        anyhow!("failed to read {path} on the disk of {}: {error}", self.image)
    }
}

/// A raw copy of an image's disk whose file system has not been read yet. It can be sent to another thread.
pub struct RawDisk {
    raw: File,
    table: Table,
    image: String,
}

impl RawDisk {
    /// Makes the copy, an unnamed file in the folder `scratch`.
    ///
    /// # Errors
    /// When it is not a disk image: qemu-img can't read it, it is not whole, or it has no partition table.
    pub async fn of(image: &Utf8Path, scratch: &Utf8Path) -> Result<RawDisk> {
        // qemu-img's own message would say what it tried, not what is wrong.
        let found = std::fs::metadata(image).with_context(|| format!("failed to open the disk image {image}"))?;
        if !found.is_file() {
            bail!("{image} is not a disk image: it is not a file");
        }
        let format = check_readable(image).await.map_err(|why| anyhow!("{image} is not a disk image: {why:#}"))?;
        RawDisk::of_format(image, &format, scratch).await
    }

    /// The same of a stopped machine's own disk, which stands on another file.
    ///
    /// # Errors
    /// As [`RawDisk::of`].
    pub async fn of_machine(image: &Utf8Path, scratch: &Utf8Path) -> Result<RawDisk> {
        RawDisk::of_format(image, "qcow2", scratch).await
    }

    async fn of_format(image: &Utf8Path, format: &str, scratch: &Utf8Path) -> Result<RawDisk> {
        // Without a name, the file disappears with this process, however that ends. Child processes open it by its
        // number.
        let raw = tempfile::tempfile_in(scratch).with_context(|| format!("failed to make a file in {scratch}"))?;
        let path = &path_of(&raw);
        make_raw_copy(image, format, path).await?;
        let table = partition_table(path).await.map_err(|why| anyhow!("{image} is not a disk image: {why:#}"))?;
        Ok(RawDisk { raw, table, image: image.to_string() })
    }

    /// Its content, which stays as long as this file is open.
    ///
    /// # Errors
    /// When this process has too many files open.
    pub fn file(&self) -> Result<File> {
        self.raw.try_clone().context("failed to open a file once more")
    }

    /// What boots it.
    ///
    /// # Errors
    /// When it can't be read, or nothing boots from it.
    pub fn boots(&self) -> Result<Firmware> {
        Firmware::of_raw(&self.raw)
    }

    /// The size of the disk, in bytes, of which much may be empty.
    ///
    /// # Errors
    /// When the copy can't be looked at.
    pub fn size_bytes(&self) -> Result<u64> {
        Ok(self.raw.metadata().with_context(|| format!("failed to look at the copy of {}", self.image))?.len())
    }

    /// Reads the file system.
    ///
    /// # Errors
    /// When no partition is ext4 with `/etc/os-release`.
    pub fn open(self) -> Result<Disk> {
        let RawDisk { raw, table, image } = self;
        let root =
            table.root(&path_of(&raw)).map_err(|why| anyhow!("the system on {image} cannot be read: {why:#}"))?;
        let disk = Disk { root, image };
        let fstab = disk.read(FSTAB)?.unwrap_or_default();
        let fstab = String::from_utf8_lossy(&fstab);
        let apart = mounts::apart(&fstab);
        if !apart.is_empty() {
            bail!(
                "the system on {} cannot be read: its {} ({FSTAB}), where programs and what a build leaves would be missed",
                disk.image,
                mounts::in_words(&apart)
            );
        }
        Ok(disk)
    }
}

impl ClosedDisk for RawDisk {
    fn open(self: Box<Self>) -> Result<Box<dyn DiskFiles>> {
        Ok(Box::new(RawDisk::open(*self)?))
    }
}

/// The path by which other processes can open an unnamed file.
fn path_of(file: &File) -> Utf8PathBuf {
    format!("/proc/{}/fd/{}", std::process::id(), file.as_raw_fd()).into()
}

impl EntryKind {
    fn of(file_type: FileType) -> EntryKind {
        match file_type {
            FileType::Regular => EntryKind::File,
            FileType::Directory => EntryKind::Folder,
            FileType::Symlink => EntryKind::Link,
            _ => EntryKind::Other,
        }
    }
}

/// Checks that qemu-img can open an image. It accepts any file as a raw image, so this only refuses damaged files of
/// other formats. Returns its format.
async fn check_readable(image: &Utf8Path) -> Result<String> {
    let Info { format, printed, .. } = Info::of(image).await?;
    refuse_other_files(&printed)?;
    // A file whose end is missing is found here: what is read beyond it would be zeros. Formats without such a check give
    // another exit code, and so does space that is lost, which does no harm.
    let mut command = process::command(programs::program("qemu-img"), Signal::SIGKILL);
    command
        .args(["check", "-f", &format, image.as_str()])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true);
    let status = command.status().await.context("failed to start qemu-img")?;
    if status.code() == Some(DAMAGED) {
        bail!("it is damaged, or a part of it is missing (qemu-img check); get it again");
    }
    Ok(format)
}

/// Makes a sparse raw copy of an image.
async fn make_raw_copy(image: &Utf8Path, format: &str, raw: &Utf8Path) -> Result<()> {
    let mut command = process::command(programs::program("qemu-img"), Signal::SIGKILL);
    command.args(["convert", "-f", format, "-O", "raw", image.as_str(), raw.as_str()]);
    process::output(&format!("making a raw copy of {image}"), command).await.map(drop)
}

/// Refuses a path through a damaged link: to follow it, ext4-view would allocate the length in its inode. Other faults
/// of the path are left to the caller's own access.
fn refuse_endless_links(root: &Ext4, path: &str) -> Result<(), Ext4Error> {
    let parts = |path: &str| path.rsplit('/').map(str::to_owned).collect::<Vec<String>>();
    let (mut at, mut left) = (String::new(), parts(path));
    for _ in 0..MAX_PATH_PARTS {
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
        if found.len() > MAX_LINK_BYTES {
            return Err(Ext4Error::FileTooLarge);
        }
        let Ok(target) = root.read_link(at.as_str()) else { break };
        let Ok(target) = target.to_str() else { break };
        at.truncate(if target.starts_with('/') { 0 } else { at.rfind('/').unwrap_or_default() });
        left.extend(parts(target));
    }
    Ok(())
}

/// What a text of /etc/os-release calls its system: `ID-VERSION_ID`, such as `debian-12` or `ubuntu-16.04`; or where it has no
/// version yet, as Debian's testing has none, `ID-VERSION_CODENAME`, such as `debian-forky`.
#[must_use]
pub fn system_of(text: &str) -> Option<String> {
    let value = |key: &str| {
        let line = text.lines().find_map(|line| line.trim().strip_prefix(key)?.strip_prefix('='))?;
        // Values may be quoted, as in a shell script (os-release(5)).
        let value = shlex::split(line)?.into_iter().next()?;
        (!value.is_empty()).then_some(value)
    };
    let version = value("VERSION_ID").or_else(|| value("VERSION_CODENAME"));
    Some(format!("{}-{}", value("ID")?, version?))
}

#[cfg(test)]
mod kinds;
#[cfg(test)]
pub(super) mod tests;
