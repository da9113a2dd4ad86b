#!/bin/bash
# qemu-utils 7.2+dfsg-7+deb12u18+b3 (Debian 12): `qemu-img convert -c -W`, the quick way to compress a disk with several
# coroutines, gives another file at each run: which cluster comes where is a matter of which one was compressed first. All of
# them have the same content. So the SHA-256 of such a qcow2 says nothing of the image; that of its content does. Without -W
# the file is the same each time.
#
# Output seen:
#   in order: 1 file of 4
#   out of order: several files of 4, with one content
#
# It unpacks the package into a temporary folder, and fails when the behaviour is another.
set -euo pipefail

folder=$(mktemp --directory)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
apt-get --quiet=2 -o APT::Sandbox::User=root download qemu-utils=1:7.2+dfsg-7+deb12u18+b3
dpkg-deb --extract qemu-utils_*.deb unpacked
image="unpacked/usr/bin/qemu-img"

# 64 MiB that compress to about half, each MiB in another time.
python3 - <<'END'
import random

made = random.Random(1)
words = [made.randbytes(made.randint(3, 9)) for _ in range(4000)]
with open("disk.raw", "wb") as disk:
    for _ in range(64):
        piece = bytearray()
        while len(piece) < 1 << 20:
            piece += made.choice(words)
        disk.write(piece[: 1 << 20])
END

for number in 1 2 3 4; do
    "$image" convert -q -c -m 16 -O qcow2 disk.raw "in-order-$number"
    "$image" convert -q -c -m 16 -W -O qcow2 disk.raw "out-of-order-$number"
    "$image" compare -q disk.raw "out-of-order-$number"
done
different() {
    sha256sum "$@" | cut --delimiter=' ' --fields=1 | sort --unique | wc --lines
}
echo "in order: $(different in-order-*) file of 4"
[ "$(different in-order-*)" = 1 ]
[ "$(different out-of-order-*)" -gt 1 ]
echo "out of order: several files of 4, with one content"
