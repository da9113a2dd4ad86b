#!/bin/bash
# qemu-utils 7.2+dfsg-7+deb12u18+b3 (Debian 12): `qemu-img info`, and all that looks for the format by itself, takes a VHD of
# fixed size for a raw disk: it looks for `conectix` at the beginning, where only one that grows has it. The footer of 512
# bytes becomes part of the disk, which is larger by it, and `qemu-img convert` keeps it. With `-f vpc` both are right.
#
# Output seen with qemu-img 7.2.22, and the same with 10.0.2 (1:10.0.2+ds-2+deb13u1~bpo12+1):
#   dynamic: vpc 8388608, with -f vpc: vpc 8388608
#   fixed: raw 8389120, with -f vpc: vpc 8388608
#
# It unpacks the package into a temporary folder, and fails when the behaviour is another.
set -euo pipefail

folder=$(mktemp --directory)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
apt-get --quiet=2 -o APT::Sandbox::User=root download qemu-utils=1:7.2+dfsg-7+deb12u18+b3
dpkg-deb --extract qemu-utils_*.deb unpacked
image="unpacked/usr/bin/qemu-img"

seen() {
    "$image" info --output=json "$@" |
        python3 -c 'import json, sys; info = json.load(sys.stdin); print(info["format"], info["virtual-size"])'
}

said=$(for kind in dynamic fixed; do
    "$image" create -q -f vpc -o subformat=$kind,force_size=on $kind.vhd 8M
    echo "$kind: $(seen $kind.vhd), with -f vpc: $(seen -f vpc $kind.vhd)"
done)
echo "$said"
[ "$said" = "dynamic: vpc 8388608, with -f vpc: vpc 8388608
fixed: raw 8389120, with -f vpc: vpc 8388608" ]
