#!/bin/sh
# Boots a machine of the lab, as process 1 of name spaces of its own: what firmware, kernel and systemd would do.
# cloud-init and rc.local are the machine's own.
#
#   boot.sh FOLDER SETPRIV_OPTION...
#
# The folder has `root` (the disk), `seed` (what cloud-init reads), `sys` (the CPUs) and `run`.
set -eu
machine=$1
root=$machine/root
shift

mount --make-rprivate /
mount --bind "$root" "$root"
mount --bind "$machine/run" "$root/run"
mount --bind "$machine/seed" "$root/var/lib/cloud/seed/nocloud"
# The machine's own CPUs, for rc.local takes some of them offline: never those of this computer.
mount --bind "$machine/sys" "$root/sys"
mount -t proc proc "$root/proc"
# The kernel started with the machine.
sed "s/^btime .*/btime $(date +%s)/" /proc/stat > "$machine/stat"
mount --bind "$machine/stat" "$root/proc/stat"
mount -t tmpfs -o mode=755 dev "$root/dev"
for device in null zero full random urandom tty; do
    touch "$root/dev/$device"
    mount --bind "/dev/$device" "$root/dev/$device"
done
mkdir "$root/dev/pts" "$root/dev/shm"
mount -t devpts -o newinstance,ptmxmode=666,mode=620,gid=5 devpts "$root/dev/pts"
ln -s pts/ptmx "$root/dev/ptmx"
ln -s /proc/self/fd "$root/dev/fd"
hostname wallaroo

# As in a container: nothing that reaches beyond the machine, trimming this computer's disk for one.
exec setpriv "$@" chroot "$root" /bin/sh -s << 'END'
set -eu
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8
cd /
mkdir -p /run/lab /run/sshd /run/lock /run/systemd/system
chmod 1777 /dev/shm

# systemd makes a machine's id when it is empty; dbus takes it over.
[ -s /etc/machine-id ] || tr -d - < /proc/sys/kernel/random/uuid > /etc/machine-id

cloud-init init --local
cloud-init init
# sshd starts as soon as the host keys are there.
touch /run/lab/sshd
cloud-init modules --mode=config
cloud-init modules --mode=final

# rc-local.service has rc.local run at the end; the service is there only if the file is executable.
echo "ActiveState=inactive
Result=success" > /run/lab/rc-local.service
if [ -x /etc/rc.local ]; then
    if /etc/rc.local; then result="active success"; else result="failed exit-code"; fi
    echo "ActiveState=${result% *}
Result=${result#* }" > /run/lab/rc-local.service
fi
# The kernel takes a thread that went offline out of its core.
if [ "$(cat /sys/devices/system/cpu/cpu1/online)" = 0 ]; then
    rm -r /sys/devices/system/cpu/cpu1/topology
    echo 0 > /sys/devices/system/cpu/cpu0/topology/thread_siblings_list
fi
touch /run/lab/booted
# As process 1 of any machine, this one buries the processes whose parents have ended: wait does.
while :; do
    sleep infinity &
    wait
done
END
