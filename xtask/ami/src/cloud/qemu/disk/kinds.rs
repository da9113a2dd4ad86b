//! Disks of every kind, made by the programs that users make them with: what is read of each, and why not of others.

use super::{
    tests::{made, open, refusal},
    *,
};
use crate::fixture::{folder, missing, skipped};

/// What makes other contents of disks, beside the programs that the tool itself needs.
const MAKERS: [&str; 7] = ["mkfs.xfs", "mkfs.btrfs", "mkfs.vfat", "mkswap", "cryptsetup", "pvcreate", "genisoimage"];

/// Functions of sh. `part KIND` makes the file `part` of that kind, and `disk NAME TABLE OFFSET_MIB` a disk with a
/// partition table and this file in it.
const FUNCTIONS: &str = r#"
part() {
    rm -f part
    truncate -s 20M part
    case $1 in
    xfs) truncate -s 300M part && mkfs.xfs -q part ;;
    btrfs) truncate -s 110M part && mkfs.btrfs -q part > log ;;
    vfat) mkfs.vfat part > log ;;
    swap) mkswap -q part ;;
    luks) echo x | cryptsetup luksFormat -q --pbkdf pbkdf2 --pbkdf-force-iterations 1000 part - ;;
    lvm) device=$(losetup --find --show part); pvcreate -q "$device" > log 2>&1 || cat log >&2; losetup -d "$device" ;;
    empty) ;;
    system) shift; mke2fs -q -F -t ext4 "$@" -d tree part ;;
    esac
}
disk() {
    truncate -s "$(($3 + $(stat -c %s part) / 1048576 + 2))M" "$1"
    printf "$2" | sfdisk -q "$1"
    dd if=part of="$1" bs=1M seek="$3" conv=notrunc,sparse status=none
}
mkdir -p scratch tree/etc tree/boot
printf 'ID=debian\nVERSION_ID="13"\n' > tree/etc/os-release
"#;

/// A table with a partition of 1 MiB, and one with the rest, 4 MiB from the beginning.
const TWO: &str = r"label: gpt\nstart=2048, size=2048\nstart=8192\n";

fn makes(folder: &Utf8Path, script: &str) -> bool {
    made(folder, &format!("{FUNCTIONS}{script}"))
}

/// Whether the programs are there that make the disks.
fn has_makers() -> bool {
    !skipped(missing(&MAKERS))
}

#[test]
fn what_a_disk_has_instead_of_a_system_on_ext4_is_named() {
    if !has_makers() {
        return;
    }
    let (_guard, folder) = folder();
    let beside = "cannot be read: it has to be on ext4, and partition 1 is empty, partition 2 is ";
    let whole = "is not a disk image: it is only";
    for (kind, in_partition, on_whole) in [
        ("xfs", "xfs", "a file system (xfs); give the whole disk"),
        ("btrfs", "btrfs", "a file system (btrfs); give the whole disk"),
        ("vfat", "FAT", "a file system (FAT); give the whole disk"),
        ("swap", "swap", "swap; give the whole disk"),
        ("luks", "LUKS (encrypted)", "LUKS (encrypted); give the whole disk"),
        ("lvm", "LVM", "LVM; give the whole disk"),
    ] {
        // A volume of LVM is made on a device, and only root can make a device of a file.
        if kind == "lvm" && !nix::unistd::geteuid().is_root() {
            continue;
        }
        if !makes(&folder, &format!("part {kind}; disk disk.raw '{TWO}' 4; cp --sparse=always part whole.raw")) {
            return;
        }
        for (image, words) in
            [("disk.raw", format!("{beside}{in_partition}")), ("whole.raw", format!("{whole} {on_whole}"))]
        {
            let message = refusal(&folder.join(image), &folder.join("scratch"));
            assert!(message.contains(&words), "{kind}: {message}");
        }
        makes(&folder, "rm *.raw");
    }
}

#[test]
fn a_disk_from_which_nothing_can_be_read_is_named_by_its_kind() {
    if !has_makers() {
        return;
    }
    let (_guard, folder) = folder();
    let second = |words: &str| format!("disk.raw cannot be read: {words}");
    for (script, words) in [
        ("truncate -s 20M disk.raw", "is not a disk image: it is empty".to_owned()),
        ("cp /bin/sh disk.raw", "is not a disk image: it has no partition table".to_owned()),
        ("genisoimage -quiet -o disk.raw tree", "it is an ISO image, from which systems are installed".to_owned()),
        // One that boots from a stick, too, has a partition table.
        (
            "genisoimage -quiet -o disk.raw tree; printf 'label: dos\\nstart=64\\n' | sfdisk -q --wipe never disk.raw",
            "it is an ISO image, from which systems are installed".to_owned(),
        ),
        (
            "part system; truncate -s 26M disk.raw; dd if=part of=disk.raw bs=1M seek=4 conv=notrunc status=none; \
             printf 'EFI PART' | dd of=disk.raw bs=4096 seek=1 conv=notrunc status=none",
            "its partition table is for sectors of 4096 bytes".to_owned(),
        ),
        (
            "part system -O casefold; disk disk.raw 'label: gpt\\nstart=8192\\n' 4",
            second("it has to be on ext4, and partition 1 is ext4 that cannot be read (incompatible filesystem"),
        ),
        (
            "part system -O inline_data; disk disk.raw 'label: dos\\nstart=8192\\n' 4",
            second("it has to be on ext4, and partition 1 is ext4 that cannot be read (incompatible filesystem"),
        ),
        (
            "printf 'LABEL=root / ext4\\nUUID=x /home/ xfs\\nUUID=y /var ext4\\ntmpfs /tmp tmpfs\\n' > tree/etc/fstab; \
             part system; disk disk.raw 'label: gpt\\nstart=8192\\n' 4; rm tree/etc/fstab",
            second("its /home and /var are file systems of their own (/etc/fstab)"),
        ),
        (
            "part system; disk disk.raw 'label: gpt\\nstart=8192, size=40960\\nstart=53248, size=40960\\n' 26; \
             truncate -s 48M disk.raw; dd if=part of=disk.raw bs=1M seek=4 conv=notrunc status=none",
            second("partitions 1 and 2 have a system each"),
        ),
    ] {
        if !makes(&folder, script) {
            return;
        }
        let message = refusal(&folder.join("disk.raw"), &folder.join("scratch"));
        assert!(message.contains(&words), "{script}: {message}");
        makes(&folder, "rm disk.raw");
    }
}

#[test]
fn a_system_on_ext4_is_read_whatever_else_is_on_the_disk() {
    if !has_makers() {
        return;
    }
    let (_guard, folder) = folder();
    let fstab = "UUID=a /boot xfs\\nUUID=b /boot/efi vfat\\n/dev/sr0 /media/cdrom0 iso9660\\nLABEL=c none swap\\n";
    for script in [
        // A /boot of its own, as the first partition by place and the second by number.
        "part xfs; cp part boot; part system; disk disk.raw 'label: gpt\\n1: start=643072\\n2: start=8192, size=614400\\n' 314; \
         dd if=boot of=disk.raw bs=1M seek=4 conv=notrunc,sparse status=none",
        // A logical partition, and a table of both kinds.
        "part system; disk disk.raw 'label: dos\\nstart=4096, type=5\\n5: start=8192\\n' 4",
        "part system; disk disk.raw 'label: gpt\\n3: start=8192\\n' 4; \
         printf '\\200\\0\\0\\0\\203\\0\\0\\0\\0\\040\\0\\0\\0\\200' | dd of=disk.raw bs=1 seek=462 conv=notrunc status=none",
        // A disk that was made larger: the second copy of its table is not at its end.
        "part system; disk disk.raw 'label: gpt\\nstart=8192\\n' 4; truncate -s 80M disk.raw",
        "part system -O ^has_journal,^metadata_csum,^64bit; disk disk.raw 'label: gpt\\nstart=8192\\n' 4",
        "part system -O ^extent,^64bit,uninit_bg,^metadata_csum; disk disk.raw 'label: gpt\\nstart=8192\\n' 4",
        "part system -O metadata_csum_seed,orphan_file,quota,verity,fast_commit; \
         disk disk.raw 'label: gpt\\nstart=8192\\n' 4",
    ] {
        if !makes(&folder, &format!("printf '{fstab}' > tree/etc/fstab; {script}")) {
            return;
        }
        let disk = open(&folder.join("disk.raw"), &folder.join("scratch")).expect(script);
        assert_eq!(disk.system().expect(script), "debian-13");
        makes(&folder, "rm disk.raw");
    }
}
