#!/bin/sh
# Writes a disk with the tree in $1: GPT, GRUB for BIOS, one ext4 partition. No loop device, no mounted image, no root.
#
# File descriptor 3 is the disk, an empty file of the right size. It is a descriptor because in a name space this runs
# as a user who may not walk to the file. The environment: BASE_PARTITION (the UUID of the partition with the root).
set -eu
root=$1
disk=/proc/self/fd/3
size=$(stat --dereference --format %s "$disk")

# mmdebstrap has mounted /proc, /sys and /dev in the tree. A bind mount shows it without what is mounted in it.
bare=$(mktemp -d)
empty=$(mktemp -d)
chmod 755 "$empty"
mount --bind "$root" "$bare"
mount --bind "$empty" "$bare/dev"
trap 'umount "$bare/dev" "$bare"; rmdir "$bare" "$empty"' EXIT

# Partition 14 holds GRUB's core, as on other cloud images; 1 is the last on the disk, so that it can grow.
sfdisk --quiet --no-reread --no-tell-kernel "$disk" <<END
label: gpt
first-lba: 34
14: start=2048, size=6144, type=21686148-6449-6E6F-744E-656564454649
1: start=8192, type=4F68BCE3-E8CD-4DB1-96E7-FBCAF984B709, uuid=$BASE_PARTITION
END
# The first 4 MiB are not its own, nor is the last: there lies the second copy of the partition table.
mke2fs -q -F -t ext4 -L root -m 1 -E offset=4194304,lazy_itable_init=1,lazy_journal_init=1,discard \
    -d "$bare" "$disk" $((size / 1024 - 5120))k

# What grub-install does with a device: its first sector says where the core starts (sector 2048), and the core's first
# sector where the rest of it is (2049). Both are little-endian; the higher bytes are zero already.
put() { dd of="$disk" bs=1 seek="$1" conv=notrunc status=none; }
grub=$bare/boot/grub/i386-pc
head -c 440 "$grub/boot.img" | put 0
printf '\000\010\000\000\000\000\000\000' | put 92
dd if="$grub/core.img" of="$disk" bs=512 seek=2048 conv=notrunc status=none
printf '\001\010\000\000\000\000\000\000' | put $((2048 * 512 + 500))
