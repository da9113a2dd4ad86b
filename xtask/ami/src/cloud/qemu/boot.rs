//! How a disk boots, and what it consists of, found out before anything boots from it.

use std::{
    fs::File,
    io::{Read as _, Seek as _, SeekFrom},
};

use anyhow::{Context as _, Result, bail};
use camino::{Utf8Path, Utf8PathBuf};
use nix::sys::signal::Signal;
use serde_json::Value;

use super::{packages::ByPackage, programs};
use crate::ground::process;

/// The firmware for machines that boot by UEFI, and its Debian package. QEMU itself contains one for BIOS.
pub const UEFI: ByPackage = ("/usr/share/ovmf/OVMF.fd", "ovmf");

/// The bytes at a disk's beginning that are looked at: those of the partition table.
const HEAD_BYTES: usize = 1 << 20;

/// The code that a BIOS runs comes first, then the partition table of old.
const BIOS_CODE_BYTES: usize = 440;
const MBR_ENTRIES: usize = 446;
const MBR_ENTRY_BYTES: usize = 16;
const MBR_EFI_SYSTEM: u8 = 0xef;

/// The second sector is the head of a GPT (UEFI specification, "GUID Partition Table Format").
const GPT: usize = 512;

/// The type of an EFI system partition, c12a7328-f81f-11d2-ba4b-00a0c93ec93b, as a GPT has it.
const EFI_SYSTEM: [u8; 16] =
    [0x28, 0x73, 0x2a, 0xc1, 0x1f, 0xf8, 0xd2, 0x11, 0xba, 0x4b, 0x00, 0xa0, 0xc9, 0x3e, 0xc9, 0x3b];

/// How file systems, and other contents of partitions, begin: a name, an offset in bytes, and what is there.
const KINDS: [(&str, u64, &[u8]); 11] = [
    ("xfs", 0, b"XFSB"),
    ("encrypted (LUKS)", 0, b"LUKS\xba\xbe"),
    ("squashfs", 0, b"hsqs"),
    ("erofs", 1024, b"\xe2\xe1\xf5\xe0"),
    ("f2fs", 1024, b"\x10\x20\xf5\xf2"),
    ("LVM", 512, b"LABELONE"),
    ("btrfs", 0x10040, b"_BHRfS_M"),
    ("swap", 4086, b"SWAPSPACE2"),
    ("FAT", 54, b"FAT"),
    ("FAT", 82, b"FAT32"),
    ("a part of a RAID", 4096, b"\xfc\x4e\x2b\xa9"),
];

/// What a machine needs to boot from a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Firmware {
    /// The disk has code for BIOS.
    Bios,
    /// It boots by UEFI only.
    Uefi,
}

impl Firmware {
    /// What boots a disk, qcow2 or raw.
    ///
    /// # Errors
    /// When it can't be read, or nothing boots from it.
    pub async fn of(disk: &Utf8Path) -> Result<Firmware> {
        let guard = tempfile::tempdir().context("failed to make a folder")?;
        let head = Utf8Path::from_path(guard.path()).context("set TMPDIR to a path in UTF-8")?.join("head");
        let mut command = process::command(programs::program("qemu-img"), Signal::SIGKILL);
        command.args(["dd", "-O", "raw", &format!("bs={HEAD_BYTES}"), "count=1", &format!("if={disk}")]);
        command.arg(format!("of={head}"));
        process::output(&format!("reading the beginning of {disk}"), command).await?;
        let bytes = std::fs::read(&head).with_context(|| format!("failed to read {head}"))?;
        Firmware::of_head(&bytes).with_context(|| {
            format!("{disk} does not boot: it has neither boot code for BIOS nor an EFI system partition")
        })
    }

    fn of_head(head: &[u8]) -> Option<Firmware> {
        if head.get(..BIOS_CODE_BYTES)?.iter().any(|&byte| byte != 0) {
            return Some(Firmware::Bios);
        }
        (has_mbr_efi_system(head) || has_gpt_efi_system(head)).then_some(Firmware::Uefi)
    }

    /// The file that QEMU has to load; none for its own.
    #[must_use]
    pub fn file(self) -> Option<Utf8PathBuf> {
        (self == Firmware::Uefi).then(|| UEFI.0.into())
    }
}

fn has_mbr_efi_system(head: &[u8]) -> bool {
    (0..4).any(|entry| head.get(MBR_ENTRIES + entry * MBR_ENTRY_BYTES + 4) == Some(&MBR_EFI_SYSTEM))
}

fn has_gpt_efi_system(head: &[u8]) -> bool {
    let Some(table) = head.get(GPT..GPT + 92).filter(|table| table.starts_with(b"EFI PART")) else { return false };
    let number = |at: usize, bytes: usize| {
        let little_endian = table[at..at + bytes].iter().rev();
        little_endian.fold(0_usize, |number, &byte| (number << 8) | usize::from(byte))
    };
    let (first, count, length) = (number(72, 4).saturating_mul(512), number(80, 4), number(84, 4));
    let mut entries = (0..count.min(1024)).map(|entry| first.saturating_add(entry.saturating_mul(length)));
    entries.any(|at| head.get(at..at.saturating_add(16)) == Some(&EFI_SYSTEM))
}

/// What is in a file without a partition table, with what to do about it; `None` when it isn't known.
pub fn kind_of_file(file: &Utf8Path) -> Option<String> {
    let unpack = |what: &str| format!("it is {what}: unpack it first");
    let kinds = [
        (0, b"\x1f\x8b".as_slice(), unpack("compressed with gzip")),
        (0, b"\xfd7zXZ\0", unpack("compressed with xz")),
        (0, b"\x28\xb5\x2f\xfd", unpack("compressed with zstd")),
        (0, b"BZh", unpack("compressed with bzip2")),
        (0, b"PK\x03\x04", unpack("a ZIP archive")),
        (257, b"ustar", unpack("a tar archive, as an .ova is")),
        (
            0x8001,
            b"CD001",
            "it is an ISO image, from which systems are installed: give a disk with a system".to_owned(),
        ),
        (1080, b"\x53\xef", "it is only a file system: give the whole disk, with its partition table".to_owned()),
    ];
    let mut file = File::open(file).ok()?;
    let known = kinds.into_iter().find(|(offset, wanted, _)| is_at(&mut file, Some(*offset), wanted));
    known.map(|(_, _, words)| words)
}

/// Whether a file has these bytes at an offset.
fn is_at(file: &mut File, offset: Option<u64>, wanted: &[u8]) -> bool {
    let mut bytes = vec![0; wanted.len()];
    let there = offset.is_some_and(|offset| file.seek(SeekFrom::Start(offset)).is_ok());
    there && file.read_exact(&mut bytes).is_ok() && bytes == wanted
}

/// What a partition has instead of ext4, by its first bytes; `None` when it isn't known.
pub fn kind_of_partition(disk: &Utf8Path, start: u64) -> Option<&'static str> {
    let mut file = File::open(disk).ok()?;
    let mut kinds = KINDS.iter().filter(|(_, offset, wanted)| is_at(&mut file, start.checked_add(*offset), wanted));
    kinds.next().map(|(name, _, _)| *name)
}

/// Refuses an image whose content is partly in other files: it would take them from this computer, or lack them elsewhere.
///
/// # Errors
/// When it is such an image, or encrypted; or when `printed`, the output of `qemu-img info`, can't be parsed.
pub fn refuse_other_files(printed: &str) -> Result<()> {
    let info: Value = serde_json::from_str(printed).context("failed to parse the output of qemu-img info")?;
    if let Some(backing) = info["backing-filename"].as_str() {
        bail!("it is only what differs from {backing}; make it whole with qemu-img convert");
    }
    if let Some(data) = info["format-specific"]["data"]["data-file"].as_str() {
        bail!("its content is in another file, {data}; make it whole with qemu-img convert");
    }
    let extents = info["format-specific"]["data"]["extents"].as_array();
    let mut extents = extents.into_iter().flatten().filter_map(|extent| extent["filename"].as_str());
    if let Some(extent) = extents.find(|extent| info["filename"] != *extent) {
        bail!("its content is in another file, {extent}; make it whole with qemu-img convert");
    }
    if info["encrypted"] == true {
        bail!("it is encrypted: decrypt it with qemu-img convert");
    }
    Ok(())
}

/// Why a program, by its first bytes, doesn't run on the machines; `None` if it does.
pub fn other_architecture(program: &[u8]) -> Option<String> {
    let name = |machine| match machine {
        3 => "x86 with 32 bits".to_owned(),
        40 => "arm".to_owned(),
        183 => "aarch64".to_owned(),
        243 => "riscv64".to_owned(),
        number => format!("ELF machine {number}"),
    };
    let machine = program.get(18..20).filter(|_| program.starts_with(b"\x7fELF"))?;
    let machine = u16::from_le_bytes([machine[0], machine[1]]);
    (machine != 62).then(|| format!("its programs are for {}, not x86_64", name(machine)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{missing, skipped};
    use crate::ground::untrusted::{bytes, check};

    fn run<T>(work: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime").block_on(work)
    }

    #[test]
    fn what_boots_a_real_disk_is_read_from_its_partition_table() {
        if skipped(missing(&["qemu-img", "sfdisk"])) {
            return;
        }
        let code = "printf '\\353\\143' | dd of=disk.raw conv=notrunc status=none;";
        for (table, code, firmware) in [
            ("label: gpt\nstart=2048, size=2048, type=uefi\nstart=8192\n", "", Some(Firmware::Uefi)),
            ("label: gpt\nstart=8192\nstart=2048, size=2048, type=uefi\n", code, Some(Firmware::Bios)),
            ("label: dos\nstart=2048, size=2048, type=ef\nstart=8192\n", "", Some(Firmware::Uefi)),
            ("label: dos\nstart=2048\n", code, Some(Firmware::Bios)),
            ("label: gpt\nstart=2048\n", "", None),
        ] {
            let (_guard, folder) = crate::fixture::folder();
            let script = format!(
                "truncate -s 20M disk.raw; printf '{}' | sfdisk -q disk.raw; {code}
                 qemu-img convert -O qcow2 disk.raw disk.qcow2",
                table.replace('\n', "\\n")
            );
            let path = format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default());
            let mut shell = std::process::Command::new("sh");
            let made = shell.args(["-euc", &script]).current_dir(&folder).env("PATH", path).output().expect("sh");
            assert!(made.status.success(), "{made:?}");
            for image in ["disk.raw", "disk.qcow2"] {
                let found = run(Firmware::of(&folder.join(image)));
                assert_eq!(found.as_ref().ok().copied(), firmware, "{table}{code}: {found:?}");
            }
        }
    }

    #[test]
    fn any_beginning_of_a_disk_is_read_without_leaving_it() {
        let mut head = vec![0; 4096];
        head[GPT..GPT + 8].copy_from_slice(b"EFI PART");
        head[GPT + 72] = 2;
        head[GPT + 80] = 128;
        head[GPT + 84] = 128;
        head[1024 + 128..1024 + 144].copy_from_slice(&EFI_SYSTEM);
        assert_eq!(Firmware::of_head(&head), Some(Firmware::Uefi));
        check(1000, bytes(&head), |head| {
            let is_uefi = Firmware::of_head(&head) == Some(Firmware::Uefi);
            let has_system = head.windows(16).any(|bytes| bytes == EFI_SYSTEM) || has_mbr_efi_system(&head);
            assert!(!is_uefi || has_system && head.iter().take(BIOS_CODE_BYTES).all(|&byte| byte == 0));
        });
    }

    #[test]
    fn what_a_partition_has_instead_of_ext4_is_named() {
        let (_guard, folder) = crate::fixture::folder();
        for (kind, offset, magic) in KINDS {
            let mut disk = vec![0; 80 << 10];
            let at = 4096 + usize::try_from(offset).expect("an offset");
            disk[at..at + magic.len()].copy_from_slice(magic);
            let path = folder.join("disk");
            std::fs::write(&path, disk).expect("a disk");
            assert_eq!(kind_of_partition(&path, 4096), Some(kind));
            assert_eq!(kind_of_partition(&path, 40 << 10), None);
            assert_eq!(kind_of_partition(&path, u64::MAX), None);
        }
    }

    #[test]
    fn an_image_that_is_not_whole_is_refused_with_the_other_file() {
        for (info, words) in [
            (r#"{"format": "qcow2", "backing-filename": "/srv/base.raw"}"#, "differs from /srv/base.raw"),
            (r#"{"format": "qcow2", "format-specific": {"data": {"data-file": "x.raw"}}}"#, "another file, x.raw"),
            (r#"{"format": "qcow2", "encrypted": true}"#, "encrypted"),
            (
                r#"{"filename": "a.vmdk", "format-specific": {"data": {"extents": [{"filename": "a-s001.vmdk"}]}}}"#,
                "another file, a-s001.vmdk",
            ),
        ] {
            let error = refuse_other_files(info).expect_err("a refusal").to_string();
            assert!(error.contains(words), "{error}");
        }
        refuse_other_files(r#"{"format": "qcow2", "encrypted": false}"#).expect("a whole image");
    }

    #[test]
    fn a_system_of_another_architecture_is_named() {
        let program = |machine: u8| [b"\x7fELF\x02\x01\x01".as_slice(), &[0; 11], &[machine, 0]].concat();
        assert_eq!(other_architecture(&program(62)), None);
        assert_eq!(other_architecture(b"#!/bin/sh\n"), None);
        let fault = other_architecture(&program(183)).expect("a fault");
        assert_eq!(fault, "its programs are for aarch64, not x86_64");
    }
}
