//! What of a system's own files may be the same on all machines of an image, and why.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result};

/// Paths, and why they may stay. A `*` stands for anything.
pub const MAY_STAY: [(&str, &str); 25] = [
    ("/var/lib/dpkg/*", "dpkg's record of packages, the same for the same packages"),
    ("/var/lib/ucf/*", "checksums of configuration files that packages brought"),
    ("/var/lib/apt/extended_states", "apt's record of packages that others need"),
    ("/etc/ssl/certs/ca-certificates.crt", "the certificates of the package ca-certificates in one file"),
    ("*/__pycache__/*", "compiled from files of packages"),
    ("/boot/grub/i386-pc/*", "GRUB's modules, as its package has them, and its core made of them"),
    ("/boot/grub/x86_64-efi/*", "GRUB's modules, as its package has them, and its core made of them"),
    ("/boot/efi/EFI/*", "boot loaders, as their packages have them"),
    ("/boot/grub/grubenv", "GRUB's variables; it counts failed boots there"),
    ("/boot/grub/fonts/*", "fonts, as GRUB's package has them"),
    ("/boot/initrd.img-*", "made of files of packages; seal.sh searches what it is made of"),
    ("/usr/lib/modules/*/modules.*", "indexes of a kernel's modules, made by depmod"),
    ("/usr/lib/udev/hwdb.bin", "the hardware database of the package udev"),
    ("/etc/udev/hwdb.bin", "the hardware database of the package udev"),
    ("/var/lib/systemd/catalog/database", "the messages of systemd's package in one file"),
    ("/usr/lib/locale/locale-archive", "locales, as their package has them"),
    ("/etc/ld.so.cache", "where libraries are, the same for the same packages"),
    ("/var/cache/ldconfig/aux-cache", "where libraries are, with inodes of the disk, which is copied"),
    ("/usr/share/wallaroo/*", "the payload: what the image is made of, and a commit"),
    (
        "/etc/popularity-contest.conf",
        "each machine adds an id of its own at its first boot; seal.sh removed the build's",
    ),
    ("/etc/sudoers.d/90-cloud-init-users", "cloud-init adds the user's rule at a first boot; seal.sh removed the date"),
    ("/etc/networks", "the network of link-local addresses"),
    (
        "/var/spool/cron/crontabs/*",
        "jobs of the base, which each machine is to do; seal.sh removed those that the build wrote",
    ),
    ("/var/spool/mail", "a link to /var/mail, whose files are looked at"),
    ("/var/log/README", "a link of systemd's package"),
];

/// The files that a user's home begins with, as adduser copies them from /etc/skel.
const SKELETON: [&str; 4] = [".bashrc", ".bash_logout", ".profile", ".zshrc"];

/// Why a path may stay; none when it may not. `payload` has the paths of what was installed.
#[must_use]
pub fn reason(path: &str, payload: &BTreeSet<String>) -> Option<&'static str> {
    let listed = MAY_STAY.iter().find(|(pattern, _)| matches(pattern, path)).map(|(_, reason)| *reason);
    listed.or(payload.contains(path).then_some("of the payload, each file of which is compared with what was built"))
}

/// The paths that a manifest lists with their SHA-256.
///
/// # Errors
/// When it is no manifest.
pub fn payload(manifest: &[u8]) -> Result<BTreeSet<String>> {
    let manifest: Manifest = serde_json::from_slice(manifest).context("failed to parse the image's manifest")?;
    Ok(manifest.sha256.into_keys().collect())
}

/// What is read of a manifest.
#[derive(serde::Deserialize)]
struct Manifest {
    sha256: BTreeMap<String, String>,
}

/// Whether a file is one that a home begins with.
#[must_use]
pub fn is_skeleton(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or_default();
    SKELETON.contains(&name)
}

fn matches(pattern: &str, path: &str) -> bool {
    let Some((begin, rest)) = pattern.split_once('*') else { return pattern == path };
    let Some(mut left) = path.strip_prefix(begin) else { return false };
    let parts: Vec<&str> = rest.split('*').collect();
    let Some((last, between)) = parts.split_last() else { return true };
    for part in between {
        let Some((_, after)) = left.split_once(part) else { return false };
        left = after;
    }
    left.ends_with(last)
}
