//! What is on a disk besides the content of packages, for comparing disks with each other.
//!
//! Only files that no package brought are read: each has a digest, and what in it could identify a machine or remember a
//! time. Of the others their size and date tell enough. So a disk is read in seconds, and little of it stays in memory.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;
use sha2::{Digest as _, Sha256};

use super::disk::{Disk, Entry, EntryKind};
use tells::Teller;

pub mod tells;

/// The largest file whose content is searched, in bytes. A larger one only has a digest.
const MAX_SEARCHED_BYTES: u64 = 256 << 10;

/// Where dpkg keeps what it installed.
const INFO: &str = "/var/lib/dpkg/info";

/// The folders of which `/` has links to those in /usr, on all systems of today: packages use either name.
const MERGED: [&str; 5] = ["/bin/", "/sbin/", "/lib/", "/lib32/", "/lib64/"];

/// What is on a disk.
#[derive(Clone, Debug, Default)]
pub struct Inventory {
    /// By path. Folders are left out.
    pub items: BTreeMap<String, Item>,
    /// When the newest of its files was written, in seconds since 1970.
    pub newest_secs: i64,
}

/// A file, a link, or something else that is no folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// Whether it is as a package brought it.
    pub of_package: bool,
    /// Its length in bytes; a link's is that of its target's name.
    pub length: u64,
    /// The same for the same content.
    pub digest: [u8; 32],
    /// What in it could identify a machine or remember a time; nothing is looked for in content of packages.
    pub tells: BTreeSet<String>,
}

/// Where to look for what tells of a machine: `stays` says of a path whether it may tell anything. Times are those of the
/// two days before `made_secs`; without it no time is looked for.
pub struct Search<'a> {
    /// Whether a path is left out.
    pub stays: &'a dyn Fn(&str) -> bool,
    /// When the image was made, in seconds since 1970, if times are looked for: 0 for the time of the newest file.
    pub made_secs: Option<i64>,
}

impl Inventory {
    /// Reads a disk.
    ///
    /// # Errors
    /// When it can't be read.
    pub fn of(disk: &Disk, search: &Search<'_>) -> Result<Inventory> {
        let entries = disk.list("/")?;
        // A file with a date in the future has it from its package.
        let newest_secs = newest_of_logs(&entries);
        let made = search.made_secs.map(|secs| if secs == 0 { newest_secs } else { secs });
        let teller = Teller::new(&names_of_disks(disk)?, made);
        let packages = Packages::on(disk, &entries)?;
        let mut items = BTreeMap::new();
        for entry in entries.into_iter().filter(|entry| entry.kind != EntryKind::Folder) {
            let item = if packages.brought(disk, &entry)? {
                let seen = format!("{} {:?}", entry.modified_secs, entry.kind);
                let digest = Sha256::digest(seen).into();
                Item { of_package: true, length: entry.length, digest, tells: BTreeSet::new() }
            } else {
                let searched = !(search.stays)(&entry.path);
                own_item(disk, &entry, searched.then_some(&teller))?
            };
            items.insert(entry.path, item);
        }
        Ok(Inventory { items, newest_secs })
    }
}

/// When the newest file was written where machines write: below /var and /etc.
fn newest_of_logs(entries: &[Entry]) -> i64 {
    let written = entries.iter().filter(|entry| entry.path.starts_with("/var/") || entry.path.starts_with("/etc/"));
    written.map(|entry| entry.modified_secs).max().unwrap_or_default()
}

/// The ids by which the system names its disks. They are copied with the disk.
fn names_of_disks(disk: &Disk) -> Result<String> {
    let mut names = String::new();
    for path in ["/etc/fstab", "/boot/grub/grub.cfg", "/etc/default/grub.d/40-force-partuuid.cfg", "/etc/crypttab"] {
        names.push_str(&String::from_utf8_lossy(&disk.read(path)?.unwrap_or_default()));
    }
    Ok(names)
}

fn own_item(disk: &Disk, entry: &Entry, teller: Option<&Teller>) -> Result<Item> {
    let mut hash = Sha256::new();
    let mut kept = Vec::new();
    match entry.kind {
        EntryKind::Link => {
            kept = disk.target(&entry.path).into_bytes();
            hash.update(&kept);
        }
        EntryKind::File => disk.pieces(&entry.path, &mut |piece| {
            hash.update(piece);
            if entry.length <= MAX_SEARCHED_BYTES {
                kept.extend_from_slice(piece);
            }
        })?,
        EntryKind::Folder | EntryKind::Other => {}
    }
    let tells = teller.map(|teller| teller.tells(&entry.path, &kept)).unwrap_or_default();
    Ok(Item { of_package: false, length: entry.length, digest: hash.finalize().into(), tells })
}

/// What dpkg knows of files.
#[derive(Default)]
struct Packages {
    /// The paths that packages have.
    owned: BTreeSet<String>,
    /// The MD5 of each, of most of them.
    sums: BTreeMap<String, String>,
}

impl Packages {
    fn on(disk: &Disk, entries: &[Entry]) -> Result<Packages> {
        let mut packages = Packages::default();
        let is_info = |entry: &&Entry| entry.kind == EntryKind::File && entry.path.starts_with(INFO);
        for entry in entries.iter().filter(is_info) {
            if entry.path.ends_with(".list") {
                packages.owned.extend(text_of(disk, entry)?.lines().map(merged));
            } else if entry.path.ends_with(".md5sums") {
                packages.add_sums(&text_of(disk, entry)?);
            }
        }
        let status = disk.read("/var/lib/dpkg/status")?.unwrap_or_default();
        packages.add_conffiles(&String::from_utf8_lossy(&status));
        Ok(packages)
    }

    /// Takes lines `MD5  PATH`, without the first slash of the path. Of files in /usr they are of no interest.
    fn add_sums(&mut self, text: &str) {
        let pairs = text.lines().filter_map(|line| line.split_once("  "));
        let pairs = pairs.map(|(sum, path)| (merged(&format!("/{path}")), sum.to_owned()));
        self.sums.extend(pairs.filter(|(path, _)| !path.starts_with("/usr/")));
    }

    /// Takes lines ` PATH MD5` of the fields Conffiles.
    fn add_conffiles(&mut self, text: &str) {
        let lines = text.lines().filter_map(|line| line.strip_prefix(" /"));
        for (path, rest) in lines.filter_map(|line| line.split_once(' ')) {
            let sum = rest.split(' ').next().unwrap_or_default();
            self.owned.insert(format!("/{path}"));
            self.sums.insert(format!("/{path}"), sum.to_owned());
        }
    }

    /// Whether a file is as a package brought it. What programs wrote into one in /usr shows only in its date.
    fn brought(&self, disk: &Disk, entry: &Entry) -> Result<bool> {
        if !self.owned.contains(&entry.path) {
            return Ok(false);
        }
        let Some(sum) = self.sums.get(&entry.path).filter(|_| entry.kind == EntryKind::File) else { return Ok(true) };
        let mut context = md5::Context::new();
        disk.pieces(&entry.path, &mut |piece| context.consume(piece))?;
        Ok(format!("{:x}", context.finalize()) == *sum)
    }
}

/// The text of a file that was listed, so that it is no link: each look for a path reads all folders on its way.
fn text_of(disk: &Disk, entry: &Entry) -> Result<String> {
    let mut bytes = Vec::new();
    disk.pieces(&entry.path, &mut |piece| bytes.extend_from_slice(piece))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// The path of a package's file on a system whose /bin is a link to /usr/bin.
fn merged(path: &str) -> String {
    if MERGED.iter().any(|folder| path.starts_with(folder)) { format!("/usr{path}") } else { path.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_dpkg_says_of_files_is_understood() {
        let mut packages = Packages::default();
        packages.add_sums("0123  etc/own\n4567  usr/bin/own\nnonsense\n");
        packages
            .add_conffiles("Package: a\nConffiles:\n /etc/a.conf 89ab\n /etc/gone cdef obsolete\nDescription: /x y\n");
        let sums: Vec<_> = packages.sums.iter().map(|(path, sum)| (path.as_str(), sum.as_str())).collect();
        assert_eq!(sums, [("/etc/a.conf", "89ab"), ("/etc/gone", "cdef"), ("/etc/own", "0123")]);
        assert_eq!((merged("/lib/a"), merged("/etc/lib/a")), ("/usr/lib/a".to_owned(), "/etc/lib/a".to_owned()));
    }
}
