//! Files that are given as a base and are none, each refused by what it is.

use std::process::Command;

use camino::{Utf8Path, Utf8PathBuf};
use tempfile::TempDir;

use super::{Home, folder, missing, recipe, refused, release, sample, skipped, support, write};

/// Makes a file, in a folder with a small system on the whole disk `whole.raw`, and on a partition of `disk.raw`.
fn make(folder: &Utf8Path, script: &str) {
    let path = format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default());
    let output = Command::new("sh").args(["-euc", script]).current_dir(folder).env("PATH", path).output().expect("sh");
    assert!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
}

const SYSTEM: &str = "mkdir -p tree/etc && printf 'ID=debian\\nVERSION_ID=\"12\"\\n' > tree/etc/os-release
    truncate -s 20M whole.raw disk.raw && mke2fs -q -F -t ext4 -d tree whole.raw 14M
    printf 'label: gpt\\nstart=2048, size=2048\\nstart=8192\\n' | sfdisk -q disk.raw
    dd if=whole.raw of=disk.raw bs=4M seek=1 count=3 conv=notrunc status=none
    qemu-img convert -O qcow2 disk.raw disk.qcow2";

/// A home, and a checkout in a folder with disks; none where they cannot be made.
fn disks() -> Option<(Home, TempDir, Utf8PathBuf, Utf8PathBuf)> {
    if skipped(missing(&support::QEMU).or_else(|| missing(&["mke2fs", "mkfs.vfat", "mmd"]))) {
        return None;
    }
    let (home, (guard, folder)) = (Home::new(), folder());
    let root = sample(&folder);
    std::fs::create_dir_all(home.path()).expect("a home");
    make(&folder, SYSTEM);
    Some((home, guard, folder, root))
}

#[test]
fn a_base_of_a_kind_that_cannot_be_taken_is_refused_by_its_kind() {
    let Some((home, _guard, folder, root)) = disks() else { return };
    let cases = [
        ("whole.raw", "true", "it is only a file system (ext4)\n    give the whole disk"),
        ("packed.img.gz", "gzip -c disk.raw > packed.img.gz", "compressed with gzip\n    unpack it first"),
        ("packed.xz", "printf '\\3757zXZ\\0rest' > packed.xz", "compressed with xz\n    unpack it first"),
        ("a.ova", "tar cf a.ova tree", "a tar archive, as an .ova is\n    unpack it first"),
        (
            "backed.qcow2",
            "qemu-img create -q -f qcow2 -b disk.qcow2 -F qcow2 backed.qcow2",
            "it reads another file of this computer, ",
        ),
        (
            "apart.qcow2",
            "qemu-img create -q -f qcow2 -o data_file=apart.raw apart.qcow2 1M",
            "another file of this computer, apart.raw",
        ),
        ("split.vmdk", "qemu-img create -q -f vmdk -o subformat=twoGbMaxExtentSparse split.vmdk 1M", "split-s001.vmdk"),
        (
            "locked.qcow2",
            "qemu-img create -q --object secret,id=s,data=abc -f qcow2 -o encrypt.format=luks,encrypt.key-secret=s \
             locked.qcow2 1M",
            "it is encrypted\n    decrypt it with qemu-img convert",
        ),
        (
            "cut.qcow2",
            "head -c $(($(stat -c %s disk.qcow2) * 2 / 3)) disk.qcow2 > cut.qcow2",
            "a part of it is missing (qemu-img check)\n    get it again",
        ),
        (
            "empty.qcow2",
            "qemu-img create -q -f qcow2 empty.qcow2 1M",
            "it is empty\n    give a disk image that has a system on ext4",
        ),
        (
            "fat.raw",
            "cp disk.raw fat.raw; dd if=/dev/zero of=fat.raw bs=1M seek=4 count=4 conv=notrunc status=none; \
             mkfs.vfat --offset=8192 fat.raw > log",
            "cannot be read: it has to be on ext4, and partition 1 is empty, partition 2 is FAT",
        ),
        // What it would boot comes before what it is made of.
        (
            "large.qcow2",
            "qemu-img convert -O qcow2 disk.raw large.qcow2; qemu-img resize -q large.qcow2 20G",
            "has 20 GiB, but the recipe's root_volume_gib is 8",
        ),
    ];
    for (name, script, words) in cases {
        make(&folder, script);
        let file = folder.join(name);
        refused(&home, &mut home.ami(release(&root, &["--base-image", file.as_str()])), &[file.as_str(), words]);
    }
}

#[test]
fn a_disk_of_another_format_is_read_like_any() {
    let Some((home, _guard, folder, root)) = disks() else { return };
    for format in ["vmdk", "vpc", "vpc -o subformat=fixed", "vhdx", "vdi"] {
        make(&folder, &format!("qemu-img convert -O {format} disk.raw 'disk.{format}'"));
        let file = folder.join(format!("disk.{format}"));
        // The only thing wrong with it is that nothing boots from it.
        let words = [file.as_str(), "neither boot code for BIOS nor an EFI system partition"];
        refused(&home, &mut home.ami(release(&root, &["--base-image", file.as_str()])), &words);
    }
}

#[test]
fn a_base_that_boots_by_uefi_only_needs_a_loader_and_a_firmware() {
    let Some((home, _guard, folder, root)) = disks() else { return };
    make(
        &folder,
        "truncate -s 1M esp; mkfs.vfat esp > log; mmd -i esp ::/EFI ::/EFI/BOOT; cp disk.raw uefi.raw
         sfdisk -q --part-type uefi.raw 1 uefi; dd if=esp of=uefi.raw bs=1M seek=1 conv=notrunc status=none",
    );
    let file = folder.join("uefi.raw");
    let refuses = |words: &[&str]| {
        refused(&home, &mut home.ami(release(&root, &["--base-image", file.as_str()])), words);
    };
    refuses(&["has no EFI/BOOT/BOOTX64.EFI", "run grub-install with --removable"]);
    make(
        &folder,
        "mcopy -i esp log ::/EFI/BOOT/BOOTX64.EFI; dd if=esp of=uefi.raw bs=1M seek=1 conv=notrunc status=none",
    );
    let given = [("[local_base]", "[local_base]\nuefi_firmware = \"/nowhere/OVMF.fd\"")];
    write(&root.join(".release/ami/ami.toml"), recipe(&given));
    refuses(&["boots by UEFI only, and there is no file /nowhere/OVMF.fd", "local_base.uefi_firmware"]);
}

#[test]
fn what_cannot_be_compared_is_told_in_one_sentence() {
    let home = Home::new();
    let words = ["there is no local image `ami-00000000000000001`", "disks on EC2 cannot be compared", "list --local"];
    refused(&home, &mut home.ami(["check", "--deep", "ami-00000000000000001"]), &words);
    refused(&home, &mut home.ami(["check", "--deep", "x", "--json"]), &["prints no JSON"]);
    refused(&home, &mut home.ami(["check"]), &["--version <X>"]);
}
