#!/bin/sh
# Makes the tree of packages in $1 into what a cloud image is: it takes its user, its keys and the size of its disk from
# cloud-init, and it says nothing of the machine that made it. mmdebstrap runs this as root, be it only in a name space.
#
# The environment: BASE_USER (who may log in), BASE_HOSTNAME, BASE_PARTITION (the UUID of the partition with the root).
set -eu
root=$1

# The system's name is the tool's business, not the building machine's.
echo "$BASE_HOSTNAME" > "$root/etc/hostname"
printf '127.0.0.1 localhost\n127.0.1.1 %s\n' "$BASE_HOSTNAME" > "$root/etc/hosts"
echo "PARTUUID=$BASE_PARTITION / ext4 rw,discard,errors=remount-ro 0 0" > "$root/etc/fstab"

# One network card, by DHCP, and no waiting for an IPv6 router that isn't there.
cat > "$root/etc/systemd/network/80-dhcp.network" <<'END'
[Match]
Name=en* eth*

[Network]
DHCP=ipv4
LinkLocalAddressing=no
IPv6AcceptRA=no
END
chroot "$root" systemctl --quiet enable systemd-networkd systemd-resolved ssh
ln -sf ../run/systemd/resolve/stub-resolv.conf "$root/etc/resolv.conf"

# What would use the emulated CPU, or apt's lock, while packages are installed; and what a machine without containers,
# tracing and foreign binaries starts at every boot and doesn't use.
chroot "$root" systemctl --quiet mask apt-daily.timer apt-daily-upgrade.timer e2scrub_all.timer e2scrub_reap.service \
    fstrim.timer dpkg-db-backup.timer systemd-networkd-wait-online.service systemd-binfmt.service \
    proc-sys-fs-binfmt_misc.automount systemd-pstore.service grub-common.service modprobe@drm.service dev-mqueue.mount \
    dev-hugepages.mount sys-kernel-debug.mount sys-kernel-tracing.mount sys-kernel-config.mount \
    sys-fs-fuse-connections.mount
# cloud-config.service only runs modules, below they run at other stages, and its Python alone takes four seconds. Where
# cloud-init is one process for all stages (24.3 and later), that process waits for each of them, and none costs more.
[ -e "$root/usr/lib/systemd/system/cloud-init-main.service" ] ||
    chroot "$root" systemctl --quiet mask cloud-config.service

# NoCloud reads a disk. Any other source would ask 169.254.169.254, and what answers there is the network outside.
echo 'datasource_list: [NoCloud, None]' > "$root/etc/cloud/cloud.cfg.d/90_dpkg.cfg"
printf 'datasource: NoCloud\npolicy: search,found=all,maybe=none,notfound=enabled\n' > "$root/etc/cloud/ds-identify.cfg"
# The modules that an image is tested with, and no others: each one costs an emulated machine a second or more.
cat > "$root/etc/cloud/cloud.cfg.d/95_local.cfg" <<END
system_info:
  default_user:
    name: $BASE_USER
    gecos: $BASE_USER
    groups: [adm, sudo]
    lock_passwd: true
    shell: /bin/bash
    sudo: ["ALL=(ALL) NOPASSWD:ALL"]
network: {config: disabled}
manage_etc_hosts: false
apt_preserve_sources_list: true
locale: false
ssh_deletekeys: true
ssh_genkeytypes: [ed25519]
cloud_init_modules: [bootcmd, write-files, growpart, resizefs, set_hostname, users-groups, ssh]
cloud_config_modules: []
cloud_final_modules: [runcmd, scripts-user, final-message]
END

# The kernel has NVMe and ext4 built in: like EC2's own Ubuntu images it starts without an initial RAM disk.
command="root=PARTUUID=$BASE_PARTITION ro console=ttyS0 net.ifnames=0 mitigations=off quiet"
rm -f "$root"/initrd.img* "$root"/boot/initrd.img*
modules=$root/boot/grub/i386-pc
mkdir -p "$modules"
built=$root/usr/lib/grub/i386-pc
cp "$built"/*.mod "$built"/*.lst "$built/boot.img" "$modules/"
chroot "$root" grub-mkimage --format i386-pc --prefix '(,gpt1)/boot/grub' --output /boot/grub/i386-pc/core.img \
    biosdisk part_gpt ext2 normal linux16 search test echo serial terminal configfile gzio
# Not `linux`: with that, GRUB moves the memory of the kernel, 60 MB, byte by byte, which takes an emulated machine three
# seconds at each boot.
cat > "$root/boot/grub/grub.cfg" <<END
set timeout=0
serial --speed=115200
terminal_output serial
menuentry Debian {
    linux16 /vmlinuz $command
}
END

# No file that says which machine this is, or that two machines would share.
rm -f "$root"/etc/ssh/ssh_host_*_key* "$root/var/lib/dbus/machine-id" "$root/var/lib/systemd/random-seed"
: > "$root/etc/machine-id"
chroot "$root" passwd --quiet --lock root

# What only the making needed, mmdebstrap's guard against starting services among it.
rm -f "$root/etc/dpkg/dpkg.cfg.d/99mmdebstrap" "$root"/etc/apt/apt.conf.d/??mmdebstrap "$root/usr/sbin/policy-rc.d"
[ ! -e "$root/sbin/start-stop-daemon.REAL" ] || mv "$root/sbin/start-stop-daemon.REAL" "$root/sbin/start-stop-daemon"
# apt's lists and its cache of them stay: an emulated machine takes a quarter of a minute to fetch and read them, and a
# second to ask whether they are still the newest.
printf 'Acquire::Languages "none";\nAPT::Install-Recommends "false";\n' > "$root/etc/apt/apt.conf.d/90local"
chroot "$root" apt-get --quiet clean
chroot "$root" apt-cache --quiet gencaches
find "$root/var/log" -type f -delete
rm -rf "$root"/var/lib/apt/lists/auxfiles "$root"/var/cache/debconf/*-old "$root"/var/lib/dpkg/*-old
find "$root/tmp" "$root/var/tmp" "$root/run" -xdev -mindepth 1 -delete
