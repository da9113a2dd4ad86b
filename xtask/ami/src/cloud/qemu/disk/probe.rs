//! What a file or a partition holds, as blkid sees it, and what to do about a file that is no disk.

use std::{
    fs::File,
    io::{Read as _, Seek as _, SeekFrom},
    os::unix::fs::MetadataExt as _,
};

use anyhow::{Context as _, Result};
use camino::Utf8Path;
use nix::sys::signal::Signal;

use crate::{cloud::qemu::programs, ground::process};

/// Blkid's names of what has another one among people.
const NAMES: [(&str, &str); 4] = [
    ("vfat", "FAT"),
    ("crypto_LUKS", "LUKS (encrypted)"),
    ("LVM2_member", "LVM"),
    ("linux_raid_member", "a part of a RAID"),
];

/// The head of a GPT (UEFI specification, "GUID Partition Table Format").
const GPT: &[u8] = b"EFI PART";

/// The largest block of a file system of this computer, in bytes.
const MAX_BLOCK_BYTES: u64 = 64 << 10;

/// What blkid finds in a file, or a part of one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Probe {
    /// The content's name in words: `xfs`, `LVM`.
    pub(super) kind: Option<String>,
    /// Whether it is a file system.
    is_file_system: bool,
    /// Whether there is a partition table.
    has_table: bool,
}

impl Probe {
    /// Looks at a file, from `start`, `length` bytes long; 0 for the rest of it.
    pub(super) async fn of(file: &Utf8Path, start: u64, length: u64) -> Result<Probe> {
        let mut command = process::command(programs::program("blkid"), Signal::SIGKILL);
        command.args(["--probe", "--output", "export", "--offset", &start.to_string()]);
        command.args(["--size", &length.to_string(), file.as_str()]).kill_on_drop(true);
        let output = command.output().await.context("failed to start blkid")?;
        // It has other exit codes for what it does not know, and for what could be several things (its manual page).
        let known = output.status.success();
        Ok(if known { Probe::parse(&String::from_utf8_lossy(&output.stdout)) } else { Probe::default() })
    }

    fn parse(printed: &str) -> Probe {
        let value = |key| printed.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
        let named = |kind: &str| {
            NAMES.iter().find(|(name, _)| *name == kind).map_or(kind.to_owned(), |(_, words)| (*words).to_owned())
        };
        Probe {
            kind: value("TYPE").map(named),
            is_file_system: value("USAGE") == Some("filesystem"),
            has_table: value("PTTYPE").is_some(),
        }
    }
}

/// What a file is if it is no disk with a partition table, with what to do about it.
pub(super) async fn fault_of_file(file: &Utf8Path) -> Result<Option<String>> {
    if let Some(words) = packed(file) {
        return Ok(Some(words));
    }
    let probe = Probe::of(file, 0, 0).await?;
    Ok(match probe.kind.as_deref() {
        // It may have a table besides, to start from a stick.
        Some("iso9660") => {
            Some("it is an ISO image, from which systems are installed: give a disk with a system".to_owned())
        }
        Some(kind) if !probe.has_table => {
            let kind = if probe.is_file_system { format!("a file system ({kind})") } else { kind.to_owned() };
            Some(format!("it is only {kind}; give the whole disk, with its partition table"))
        }
        _ => None,
    })
}

/// The same of a file in which no partition table was found.
pub(super) fn without_table(file: &Utf8Path) -> &'static str {
    if is_empty(file) {
        return "it is empty";
    }
    if is_at(file, 4096, GPT) {
        return "its partition table is for sectors of 4096 bytes, and the machines' disks have sectors of 512 bytes";
    }
    "it has no partition table"
}

/// What a file is if something has to be unpacked first.
fn packed(file: &Utf8Path) -> Option<String> {
    let kinds = [
        (0, b"\x1f\x8b".as_slice(), "compressed with gzip"),
        (0, b"\xfd7zXZ\0", "compressed with xz"),
        (0, b"\x28\xb5\x2f\xfd", "compressed with zstd"),
        (0, b"BZh", "compressed with bzip2"),
        (0, b"\x04\x22\x4d\x18", "compressed with lz4"),
        (0, b"LZIP", "compressed with lzip"),
        (0, b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
        (0, b"PK\x03\x04", "a ZIP archive"),
        (257, b"ustar", "a tar archive, as an .ova is"),
    ];
    let known = kinds.into_iter().find(|(offset, wanted, _)| is_at(file, *offset, wanted));
    known.map(|(_, _, what)| format!("it is {what}; unpack it first"))
}

/// Whether a sparse copy of a disk has nothing in it, but for the first block, which qemu-img always writes.
fn is_empty(raw: &Utf8Path) -> bool {
    let allocated = raw.metadata().map_or(u64::MAX, |found| found.blocks() * 512);
    allocated <= MAX_BLOCK_BYTES && begins_empty(raw, 0, MAX_BLOCK_BYTES)
}

/// Whether a file has these bytes at an offset.
fn is_at(file: &Utf8Path, offset: u64, wanted: &[u8]) -> bool {
    let mut bytes = vec![0; wanted.len()];
    let read = File::open(file).and_then(|mut file| {
        file.seek(SeekFrom::Start(offset))?;
        file.read_exact(&mut bytes)
    });
    read.is_ok() && bytes == wanted
}

/// Whether a part of a file has nothing but zeros in its first MiB.
pub(super) fn begins_empty(file: &Utf8Path, start: u64, length: u64) -> bool {
    let mut bytes = Vec::new();
    let read = File::open(file).and_then(|mut file| {
        file.seek(SeekFrom::Start(start))?;
        file.take(length.min(1 << 20)).read_to_end(&mut bytes)
    });
    read.is_ok() && bytes.iter().all(|&byte| byte == 0)
}
