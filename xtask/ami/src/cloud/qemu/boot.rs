//! How a disk boots, and what it consists of, found out before anything boots from it.

use std::{fs::File, ops::Range, os::unix::fs::FileExt as _};

use anyhow::{Context as _, Result, bail};
use camino::Utf8Path;
use nix::sys::signal::Signal;
use serde_json::Value;

use super::programs;
use crate::ground::process;

/// The bytes at a disk's beginning that are looked at: those of the partition table.
const HEAD_BYTES: usize = 1 << 20;

/// The bytes of a disk's sector, by which partition tables count.
const SECTOR_BYTES: u64 = 512;

/// The code that a BIOS runs comes first, then the partition table of old.
const BIOS_CODE_BYTES: usize = 440;
const MBR_ENTRIES: usize = 446;
const MBR_ENTRY_BYTES: usize = 16;
const MBR_EFI_SYSTEM: u8 = 0xef;

/// The second sector is the head of a GPT (UEFI specification, "GUID Partition Table Format").
const GPT: usize = 512;
const GPT_ENTRY_BYTES: usize = 56;

/// The types of partitions as a GPT has them: an EFI system partition, c12a7328-f81f-11d2-ba4b-00a0c93ec93b, and one for
/// the code of a boot loader for BIOS, 21686148-6449-6e6f-744e-656564454649.
const EFI_SYSTEM: [u8; 16] =
    [0x28, 0x73, 0x2a, 0xc1, 0x1f, 0xf8, 0xd2, 0x11, 0xba, 0x4b, 0x00, 0xa0, 0xc9, 0x3e, 0xc9, 0x3b];
const BIOS_BOOT: [u8; 16] = *b"Hah!IdontNeedEFI";

/// The attribute of a partition from which code for BIOS may boot, at an offset in its entry (UEFI specification).
const ATTRIBUTES: usize = 48;
const LEGACY_BOOT: u8 = 1 << 2;

/// The file that a machine starts whose firmware remembers nothing (UEFI specification, "Removable Media Boot Behavior"),
/// as the entry of a folder has its name: BOOTX64.EFI. Entries have 32 bytes.
const LOADER: &[u8] = b"BOOTX64 EFI";
const FAT_ENTRY_BYTES: usize = 32;

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
        let code = head.get(..BIOS_CODE_BYTES)?;
        let has_efi_system = efi_system(head).is_some();
        // Programs that make partition tables write code that says no more than that the disk does not boot.
        let is_bios = code.iter().any(|&byte| byte != 0) && !(has_efi_system && is_gpt_without_bios(head));
        if is_bios { Some(Firmware::Bios) } else { has_efi_system.then_some(Firmware::Uefi) }
    }

    /// The same of a raw disk, whose boot loader for UEFI has to be where a new machine looks for it.
    ///
    /// # Errors
    /// When it can't be read, or nothing boots from it.
    pub fn of_raw(disk: &File) -> Result<Firmware> {
        let mut head = vec![0; HEAD_BYTES];
        let length = read_at_most(disk, &mut head, 0)?;
        head.truncate(length);
        let firmware = Firmware::of_head(&head).context(
            "it does not boot: it has neither boot code for BIOS nor an EFI system partition; \
             give the image of a whole disk that boots",
        )?;
        if firmware == Firmware::Uefi && !efi_system(&head).is_some_and(|bytes| has_loader(disk, &bytes)) {
            bail!(
                "it does not boot on a new machine: its EFI system partition has no EFI/BOOT/BOOTX64.EFI; \
                 on its system, run grub-install with --removable, or bootctl install"
            );
        }
        Ok(firmware)
    }
}

/// Where the EFI system partition is, in bytes.
fn efi_system(head: &[u8]) -> Option<Range<u64>> {
    let of_sectors = |first: u64, end: u64| first.saturating_mul(SECTOR_BYTES)..end.saturating_mul(SECTOR_BYTES);
    let of_mbr = (0..4).find_map(|entry| {
        let entry = head.get(MBR_ENTRIES + entry * MBR_ENTRY_BYTES..)?.get(..MBR_ENTRY_BYTES)?;
        let (first, count) = (number(&entry[8..12]), number(&entry[12..16]));
        (entry[4] == MBR_EFI_SYSTEM).then(|| of_sectors(first, first + count))
    });
    of_mbr.or_else(|| {
        let entry = gpt_entries(head).find(|entry| entry.starts_with(&EFI_SYSTEM))?;
        Some(of_sectors(number(&entry[32..40]), number(&entry[40..48]).saturating_add(1)))
    })
}

fn is_gpt_without_bios(head: &[u8]) -> bool {
    let boots_by_bios = |entry: &[u8]| entry.starts_with(&BIOS_BOOT) || entry[ATTRIBUTES] & LEGACY_BOOT != 0;
    head.get(GPT..).is_some_and(|table| table.starts_with(b"EFI PART")) && !gpt_entries(head).any(boots_by_bios)
}

/// The entries of a GPT, without their names.
fn gpt_entries(head: &[u8]) -> impl Iterator<Item = &[u8]> {
    let table = head.get(GPT..GPT + 92).filter(|table| table.starts_with(b"EFI PART"));
    let place = |table: &[u8]| {
        let first = number(&table[72..80]).saturating_mul(SECTOR_BYTES);
        let (count, length) = (number(&table[80..84]).min(1024), number(&table[84..88]));
        (0..count).map(move |entry| first.saturating_add(entry.saturating_mul(length)))
    };
    let places = table.map(place).into_iter().flatten();
    places.filter_map(|at| head.get(usize::try_from(at).ok()?..)?.get(..GPT_ENTRY_BYTES))
}

fn number(little_endian: &[u8]) -> u64 {
    little_endian.iter().rev().fold(0, |number, &byte| (number << 8) | u64::from(byte))
}

/// Whether a file of the loader's name is in a file system within these bytes of a disk. What is not in the folder where
/// it belongs counts as well: to follow folders, more of the file system would have to be trusted.
fn has_loader(disk: &File, bytes: &Range<u64>) -> bool {
    let mut piece = vec![0; HEAD_BYTES];
    let mut at = bytes.start;
    while at < bytes.end {
        let Ok(length @ 1..) = read_at_most(disk, &mut piece, at) else { return false };
        if piece[..length].chunks_exact(FAT_ENTRY_BYTES).any(|entry| entry.starts_with(LOADER)) {
            return true;
        }
        at = at.saturating_add(length as u64);
    }
    false
}

/// Fills `piece` from an offset in a file, as far as the file goes.
fn read_at_most(file: &File, piece: &mut [u8], start: u64) -> Result<usize> {
    let mut length = 0;
    while length < piece.len() {
        match file
            .read_at(&mut piece[length..], start.saturating_add(length as u64))
            .context("failed to read the disk")?
        {
            0 => break,
            more => length += more,
        }
    }
    Ok(length)
}

/// Refuses an image whose content is partly in other files: it would take them from this computer, or lack them elsewhere.
///
/// # Errors
/// When it is such an image, or encrypted; or when `printed`, the output of `qemu-img info`, can't be parsed.
pub fn refuse_other_files(printed: &str) -> Result<()> {
    let info: Value = serde_json::from_str(printed).context("failed to parse the output of qemu-img info")?;
    if let Some(backing) = info["backing-filename"].as_str() {
        bail!("it reads another file of this computer, {backing}, so it is no base; give an image that is whole");
    }
    if let Some(data) = info["format-specific"]["data"]["data-file"].as_str() {
        bail!("its content is in another file of this computer, {data}, so it is no base; give an image that is whole");
    }
    let extents = info["format-specific"]["data"]["extents"].as_array();
    let mut extents = extents.into_iter().flatten().filter_map(|extent| extent["filename"].as_str());
    if let Some(extent) = extents.find(|extent| info["filename"] != *extent) {
        bail!(
            "its content is in another file of this computer, {extent}, so it is no base; give an image that is whole"
        );
    }
    if info["encrypted"] == true {
        bail!("it is encrypted; decrypt it with qemu-img convert");
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
    use camino::Utf8PathBuf;

    use super::*;
    use crate::fixture::{missing, skipped};
    use crate::ground::untrusted::{bytes, check};

    fn run<T>(work: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime").block_on(work)
    }

    /// Makes `disk.raw` with this partition table, and `esp` at 1 MiB of it, and does what `script` says.
    fn disk(table: &str, script: &str) -> (tempfile::TempDir, Utf8PathBuf) {
        let (guard, folder) = crate::fixture::folder();
        let script = format!(
            "truncate -s 20M disk.raw; printf '{}' | sfdisk -q disk.raw; truncate -s 1M esp; mkfs.vfat esp > log
             {script}
             dd if=esp of=disk.raw bs=1M seek=1 conv=notrunc status=none; qemu-img convert -O qcow2 disk.raw disk.qcow2",
            table.replace('\n', "\\n")
        );
        let path = format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default());
        let mut shell = std::process::Command::new("sh");
        let made = shell.args(["-euc", &script]).current_dir(&folder).env("PATH", path).output().expect("sh");
        assert!(made.status.success(), "{made:?}");
        (guard, folder)
    }

    /// Code of a boot loader, or of a program that made the partition table.
    const CODE: &str = "printf '\\353\\143' | dd of=disk.raw conv=notrunc status=none;";
    const LOADER_IS_THERE: &str = "mmd -i esp ::/EFI ::/EFI/BOOT; echo x | mcopy -i esp - ::/EFI/BOOT/bootx64.efi;";

    #[test]
    fn what_boots_a_real_disk_is_read_from_its_partition_table() {
        if skipped(missing(&["qemu-img", "sfdisk", "mkfs.vfat"])) {
            return;
        }
        let efi = "start=2048, size=2048, type=uefi\n";
        for (table, code, firmware) in [
            (format!("label: gpt\n{efi}start=8192\n"), "", Some(Firmware::Uefi)),
            (format!("label: gpt\nstart=8192\n{efi}"), CODE, Some(Firmware::Uefi)),
            (
                format!("label: gpt\nstart=8192, type=21686148-6449-6E6F-744E-656564454649\n{efi}"),
                CODE,
                Some(Firmware::Bios),
            ),
            (format!("label: gpt\nstart=8192, attrs=LegacyBIOSBootable\n{efi}"), CODE, Some(Firmware::Bios)),
            ("label: gpt\nstart=2048\n".to_owned(), CODE, Some(Firmware::Bios)),
            ("label: dos\nstart=2048, size=2048, type=ef\nstart=8192\n".to_owned(), "", Some(Firmware::Uefi)),
            ("label: dos\nstart=2048\n".to_owned(), CODE, Some(Firmware::Bios)),
            ("label: gpt\nstart=2048\n".to_owned(), "", None),
        ] {
            let (_guard, folder) = disk(&table, code);
            for image in ["disk.raw", "disk.qcow2"] {
                let found = run(Firmware::of(&folder.join(image)));
                assert_eq!(found.as_ref().ok().copied(), firmware, "{table}{code}: {found:?}");
            }
        }
    }

    #[test]
    fn a_loader_that_only_the_machine_knows_on_which_it_was_installed_boots_no_other() {
        if skipped(missing(&["qemu-img", "sfdisk", "mkfs.vfat", "mmd"])) {
            return;
        }
        let elsewhere = "mmd -i esp ::/EFI ::/EFI/debian; echo x | mcopy -i esp - ::/EFI/debian/grubx64.efi;";
        for table in ["label: gpt\nstart=2048, size=2048, type=uefi\n", "label: dos\nstart=2048, size=2048, type=ef\n"]
        {
            for (loader, boots) in [(LOADER_IS_THERE, true), (elsewhere, false), ("", false)] {
                let (_guard, folder) = disk(table, loader);
                let file = File::open(folder.join("disk.raw")).expect("the disk");
                match Firmware::of_raw(&file) {
                    Ok(firmware) => assert!(boots && firmware == Firmware::Uefi, "{table}{loader}"),
                    Err(error) => {
                        assert!(!boots && error.to_string().contains("grub-install with --removable"), "{error}")
                    }
                }
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
        let (_guard, folder) = crate::fixture::folder();
        check(1000, bytes(&head), |head| {
            let is_uefi = Firmware::of_head(&head) == Some(Firmware::Uefi);
            let has_mbr =
                (0..4).any(|entry| head.get(MBR_ENTRIES + entry * MBR_ENTRY_BYTES + 4) == Some(&MBR_EFI_SYSTEM));
            assert!(!is_uefi || has_mbr || head.windows(16).any(|bytes| bytes == EFI_SYSTEM));
            std::fs::write(folder.join("disk"), &head).expect("a disk");
            let _ = Firmware::of_raw(&File::open(folder.join("disk")).expect("a disk"));
        });
    }

    #[test]
    fn an_image_that_is_not_whole_is_refused_with_the_other_file() {
        for (info, words) in [
            (
                r#"{"format": "qcow2", "backing-filename": "/srv/base.raw"}"#,
                "another file of this computer, /srv/base.raw, so it is no base",
            ),
            (
                r#"{"format": "qcow2", "format-specific": {"data": {"data-file": "x.raw"}}}"#,
                "another file of this computer, x.raw",
            ),
            (r#"{"format": "qcow2", "encrypted": true}"#, "encrypted"),
            (
                r#"{"filename": "a.vmdk", "format-specific": {"data": {"extents": [{"filename": "a-s001.vmdk"}]}}}"#,
                "another file of this computer, a-s001.vmdk",
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
