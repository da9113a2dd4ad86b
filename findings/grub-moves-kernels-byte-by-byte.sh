#!/bin/bash
# grub-pc-bin 2.06-13+deb12u2 (Debian 12): where the memory that a kernel was loaded into is not that which it is to run in, GRUB
# for BIOS moves it with `rep movsb`, a byte at a time, in both directions. A processor does that fast, and QEMU without KVM
# does each byte by itself. The command `linux` loads a kernel as low as it can, and moves all that the kernel will need to its
# preferred address, several times as much as its file; `linux16` moves none of it.
#
# Output seen:
#   std
#   rep movsb
#   cld
#   rep movsb
#
# It unpacks the package into a temporary folder, looks at GRUB's code for that with objdump (binutils), and fails when the
# behaviour is another.
set -euo pipefail

folder=$(mktemp --directory)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
apt-get --quiet=2 -o APT::Sandbox::User=root download grub-pc-bin=2.06-13+deb12u2
dpkg-deb --extract grub-pc-bin_*.deb unpacked
module=unpacked/usr/lib/grub/i386-pc/relocator.mod

end=$(objdump --syms "$module" | awk '$NF == "grub_relocator_forward_end" { print "0x" $1 }')
code=$(objdump --disassemble-all --section=.text --stop-address="$end" "$module")
said=$(grep --only-matching --extended-regexp 'rep [a-z]+|\<(std|cld)\>' <<< "$code")
echo "$said"
[ "$said" = "std
rep movsb
cld
rep movsb" ]
