//! What is on a disk besides the content of packages, for comparing disks with each other.
//!
//! Only files that no package brought are read: each has a digest, and what in it could identify a machine or remember a
//! time. Of the others their size and date tell enough. So a disk is read in seconds, and little of it stays in memory.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;
use sha2::{Digest as _, Sha256};

use super::disk::{Disk, Entry, EntryKind};
use tells::Teller;

mod secrets;
pub mod tells;

/// How much of a file is searched at once, in bytes.
const SEARCHED_BYTES: usize = 256 << 10;

/// The most that is kept of what a file tells.
const MAX_TELLS: usize = 16;

/// Where dpkg keeps what it installed.
const INFO: &str = "/var/lib/dpkg/info";

/// The folders of programs and libraries. What is in them is large, and only packages write it.
const PROGRAMS: [&str; 7] = ["/usr/", "/bin/", "/sbin/", "/lib/", "/lib32/", "/lib64/", "/libx32/"];

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
    let mut tells = BTreeSet::new();
    match entry.kind {
        EntryKind::Link => {
            kept = disk.target(&entry.path).into_bytes();
            hash.update(&kept);
        }
        EntryKind::File => disk.pieces(&entry.path, &mut |piece| {
            hash.update(piece);
            let Some(teller) = teller else { return };
            kept.extend_from_slice(piece);
            if kept.len() >= SEARCHED_BYTES {
                let rest = kept.split_off(place_to_divide(&kept));
                tells.extend(teller.tells(&entry.path, &kept));
                kept = rest;
            }
        })?,
        EntryKind::Folder | EntryKind::Other => {}
    }
    tells.extend(teller.map(|teller| teller.tells(&entry.path, &kept)).unwrap_or_default());
    // Databases and archives have thousands of ids. The first ones are enough to say what a file is.
    let tells = tells.into_iter().take(MAX_TELLS).collect();
    Ok(Item { of_package: false, length: entry.length, digest: hash.finalize().into(), tells })
}

/// Where to divide a text: after its last line, or after its last word where it is one long line, so that nothing that
/// identifies a machine is torn apart.
fn place_to_divide(text: &[u8]) -> usize {
    let is_end_of_line = |&byte: &u8| byte == b'\n' || byte == 0;
    let is_between = |byte: &u8| !byte.is_ascii_alphanumeric() && !b"-:.".contains(byte);
    let found = text.iter().rposition(is_end_of_line).or_else(|| text.iter().rposition(is_between));
    found.map_or(text.len(), |at| at + 1)
}

/// What dpkg knows of files, by their paths as the disk lists them.
#[derive(Default)]
struct Packages {
    links: RootLinks,
    /// The paths that packages have.
    owned: BTreeSet<String>,
    /// The MD5 of each, of most of them.
    sums: BTreeMap<String, String>,
}

impl Packages {
    fn on(disk: &Disk, entries: &[Entry]) -> Result<Packages> {
        let mut packages = Packages { links: RootLinks::on(disk, entries), ..Packages::default() };
        let is_info = |entry: &&Entry| entry.kind == EntryKind::File && entry.path.starts_with(INFO);
        for entry in entries.iter().filter(is_info) {
            if entry.path.ends_with(".list") {
                packages.add_list(&text_of(disk, entry)?);
            } else if entry.path.ends_with(".md5sums") {
                packages.add_sums(&text_of(disk, entry)?);
            }
        }
        let status = disk.read("/var/lib/dpkg/status")?.unwrap_or_default();
        packages.add_conffiles(&String::from_utf8_lossy(&status));
        Ok(packages)
    }

    /// Takes lines `PATH`.
    fn add_list(&mut self, text: &str) {
        self.owned.extend(text.lines().map(|path| self.links.followed(path)));
    }

    /// Takes lines `MD5  PATH`, without the first slash of the path. Of programs they are of no interest.
    fn add_sums(&mut self, text: &str) {
        let pairs = text.lines().filter_map(|line| line.split_once("  "));
        let pairs = pairs.map(|(sum, path)| (self.links.followed(&format!("/{path}")), sum.to_owned()));
        let is_program = |path: &str| PROGRAMS.iter().any(|folder| path.starts_with(folder));
        self.sums.extend(pairs.filter(|(path, _)| !is_program(path)));
    }

    /// Takes lines ` PATH MD5` of the fields Conffiles.
    fn add_conffiles(&mut self, text: &str) {
        let lines = text.lines().filter_map(|line| line.strip_prefix(" /"));
        for (path, rest) in lines.filter_map(|line| line.split_once(' ')) {
            let path = self.links.followed(&format!("/{path}"));
            let sum = rest.split(' ').next().unwrap_or_default();
            self.sums.insert(path.clone(), sum.to_owned());
            self.owned.insert(path);
        }
    }

    /// Whether a file is as a package brought it. What programs wrote into one of [`PROGRAMS`] shows only in its date.
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

/// The links in `/`, each with its target, both with a slash at their end. On systems of today /bin is one to /usr/bin, and
/// packages use either name; before Debian 12 and Ubuntu 20.04 it may be a folder.
#[derive(Default)]
struct RootLinks(Vec<(String, String)>);

impl RootLinks {
    fn on(disk: &Disk, entries: &[Entry]) -> RootLinks {
        let links = entries.iter().filter(|entry| entry.kind == EntryKind::Link && entry.path.rfind('/') == Some(0));
        let pair = |entry: &Entry| {
            let target = disk.target(&entry.path);
            (format!("{}/", entry.path), format!("/{}/", target.trim_matches('/')))
        };
        RootLinks(links.map(pair).collect())
    }

    /// The path by which the disk lists what has this path.
    fn followed(&self, path: &str) -> String {
        let found = self.0.iter().find_map(|(link, target)| Some(format!("{target}{}", path.strip_prefix(link)?)));
        found.unwrap_or_else(|| path.to_owned())
    }
}

/// The text of a file that was listed, so that it is no link: each look for a path reads all folders on its way.
fn text_of(disk: &Disk, entry: &Entry) -> Result<String> {
    let mut bytes = Vec::new();
    disk.pieces(&entry.path, &mut |piece| bytes.extend_from_slice(piece))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests;
