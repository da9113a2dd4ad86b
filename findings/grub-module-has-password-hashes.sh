#!/bin/bash
# grub-pc-bin 2.06-13+deb12u2 (Debian 12): one of GRUB's modules, a self-test that no menu loads, has whole hashes of crypt(3)
# in it. grub-install copies all modules to /boot/grub/i386-pc, so that a search for password hashes on the disk of any image
# that boots by BIOS finds them there, in a file that no package lists. Its content is the package's, which tells it apart from
# a person's hash.
#
# Output seen:
#   usr/lib/grub/i386-pc/legacy_password_test.mod: 3 hashes
#   its MD5 is the one that the package lists
#
# It unpacks the package into a temporary folder, and fails when the behaviour is another.
set -euo pipefail

folder=$(mktemp --directory)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
apt-get --quiet=2 -o APT::Sandbox::User=root download grub-pc-bin=2.06-13+deb12u2
dpkg-deb --extract grub-pc-bin_*.deb unpacked
dpkg-deb --control grub-pc-bin_*.deb control
cd unpacked

hash='[$]1[$][./A-Za-z0-9]{1,8}[$][./A-Za-z0-9]{22}'
said=$(grep --recursive --files-with-matches --text --extended-regexp "$hash" usr | while read -r file; do
    echo "$file: $(grep --text --only-matching --extended-regexp "$hash" "$file" | wc --lines) hashes"
    if grep --quiet "^$(md5sum < "$file" | cut --delimiter=' ' --fields=1)  $file$" ../control/md5sums; then
        echo "its MD5 is the one that the package lists"
    fi
done)
echo "$said"
[ "$said" = "usr/lib/grub/i386-pc/legacy_password_test.mod: 3 hashes
its MD5 is the one that the package lists" ]
