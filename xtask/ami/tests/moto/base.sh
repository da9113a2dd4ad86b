#!/bin/sh
# Makes the tree of packages in $1 into the base of the lab's machines, as base-customize.sh of the tool does it for
# virtual machines. mmdebstrap runs this as root, be it only in a name space.
#
# The environment: BASE_USER (who may log in).
set -eu
root=$1

echo wallaroo > "$root/etc/hostname"
printf '127.0.0.1 localhost wallaroo\n' > "$root/etc/hosts"
: > "$root/etc/resolv.conf"

# All packages are there already, and nothing can be fetched in the lab: with no sources `apt-get update` and installing
# what is installed end well.
chroot "$root" apt-get --quiet clean
rm -rf "$root"/etc/apt/sources.list.d/* "$root"/var/lib/apt/lists/*
: > "$root/etc/apt/sources.list"

# The seed lies where boot.sh binds it; on EC2 the metadata service has it.
mkdir -p "$root/var/lib/cloud/seed/nocloud"
echo 'datasource_list: [NoCloud, None]' > "$root/etc/cloud/cloud.cfg.d/90_dpkg.cfg"
cat > "$root/etc/cloud/cloud.cfg.d/95_lab.cfg" << END
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
preserve_hostname: true
apt_preserve_sources_list: true
locale: false
ssh_deletekeys: true
ssh_genkeytypes: [ed25519]
cloud_init_modules: [bootcmd, write-files, users-groups, ssh]
cloud_config_modules: []
cloud_final_modules: [runcmd, scripts-user, final-message]
END

# What there is no systemd for: these are in front of all others in everybody's PATH.
cat > "$root/usr/local/sbin/played" << 'END'
#!/bin/sh
# Plays what asks systemd and logind, as far as the recipe's scripts do. /run/lab is of boot.sh's making.
echo "${0##*/} $*" >> /run/lab/played
case "${0##*/} $*" in
    "systemctl is-system-running") if [ -e /run/lab/booted ]; then echo running; else echo starting; fi ;;
    # Jobs are what boot has yet to do, cloud-init's last stage among it.
    "systemctl list-jobs "*) [ -e /run/lab/booted ] || echo "1 cloud-final.service start running" ;;
    "systemctl show -p ActiveState -p Result rc-local.service") cat /run/lab/rc-local.service ;;
    "systemctl show -p ActiveState -p Result wallaroo-rc-local.service") printf 'ActiveState=inactive\nResult=success\n' ;;
    "systemctl show -p WantedBy rc-local.service") echo WantedBy=multi-user.target ;;
    "systemctl stop "* | "systemctl mask "* | "systemctl restart "* | "systemctl daemon-reload" | "systemctl --quiet enable "*) ;;
    "busctl get-property "*" ScheduledShutdown")
        if [ -e /run/lab/shutdown ]; then echo '(st) "poweroff" 1'; else echo '(st) "" 0'; fi
        ;;
    "shutdown -c") rm -f /run/lab/shutdown ;;
    "shutdown "*) touch /run/lab/shutdown ;;
    *) exit 1 ;;
esac
END
chmod 755 "$root/usr/local/sbin/played"
for program in systemctl busctl shutdown; do
    ln -s played "$root/usr/local/sbin/$program"
done

# What only the making needed.
rm -f "$root/etc/dpkg/dpkg.cfg.d/99mmdebstrap" "$root"/etc/apt/apt.conf.d/??mmdebstrap "$root/usr/sbin/policy-rc.d"
[ ! -e "$root/sbin/start-stop-daemon.REAL" ] || mv "$root/sbin/start-stop-daemon.REAL" "$root/sbin/start-stop-daemon"

# No file that says which machine this is, or that two machines would share.
rm -f "$root"/etc/ssh/ssh_host_*_key* "$root/var/lib/dbus/machine-id"
: > "$root/etc/machine-id"
chroot "$root" passwd --quiet --lock root
find "$root/var/log" -type f -delete
find "$root/tmp" "$root/var/tmp" "$root/run" -xdev -mindepth 1 -delete
