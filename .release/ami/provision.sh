#!/bin/bash
# Turns a freshly booted base machine into one that runs Wallaroo applications.
#
#   provision.sh prepare [--upgrade=none|security|all] [--current] WORD...
#                                     waits for cloud-init, upgrades the base, installs packages, writes /etc/rc.local;
#                                     a base that is --current is not upgraded, and not asked about if it has them
#   provision.sh install FOLDER       copies FOLDER/root to /, verified by FOLDER/SHA256SUMS, and removes FOLDER
#
# A word is the name of a package, or LIBRARY:DEVELOPMENT for the package of a library on which a development package
# depends: `libssl:libssl-dev` is libssl1.0.0, libssl3 or libssl3t64. A name that is known already can come before it,
# `libssl3=libssl:libssl-dev`, and is looked up again only where it is wrong. A `?` at the end permits that there is none.
#
# It runs as root, from a file or from stdin: `sudo -n bash -s -- prepare numactl < provision.sh`.
# It must work on Ubuntu 16.04 (bash 4.3, systemd 229, apt 1.2) as well as on current Debian and Ubuntu.

set -Eeuo pipefail
trap 'echo "provision.sh: line $LINENO: failed with exit code $?: $BASH_COMMAND" >&2' ERR

# The tool puts its text here.
# shellcheck source=/dev/null
source "${BASH_SOURCE%/*}/cloud-init.sh"
# shellcheck source=/dev/null
source "${BASH_SOURCE%/*}/packages.sh"

main() {
    umask 022
    # Some apt messages are matched below, so they must not be translated.
    export LC_ALL=C DEBIAN_FRONTEND=noninteractive NEEDRESTART_SUSPEND=1
    export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin

    [[ $(id -u) == 0 ]] || fail "must run as root"
    case "${1:-}" in
        prepare) prepare "${@:2}" ;;
        install) [[ $# == 2 ]] || usage; install_tree "$2" ;;
        *) usage ;;
    esac
}

usage() {
    echo "usage: provision.sh prepare [--upgrade=none|security|all] [--current] PACKAGE... | install FOLDER" >&2
    exit 2
}

prepare() {
    local current=''
    while [[ ${1:-} == --* ]]; do
        case $1 in
            --upgrade=none | --upgrade=security | --upgrade=all) upgrade=${1#--upgrade=} ;;
            --current) current=1 ;;
            *) usage ;;
        esac
        shift
    done
    note_base_packages
    wait_for_cloud_init
    hold_back_background_apt
    use_proxy "$PROXY_SETTINGS"
    if [[ -n $current ]] && has_packages "$@"; then
        say "the base is current, and has the packages"
    elif [[ $# -gt 0 || $upgrade != none ]]; then
        install_packages "$@"
    fi
    write_rc_local
    write_identity_unit
}

# This replaces the whole file: text appended to the base's file could come after an `exit`, or run in another shell.
# The base's file is kept as a separate program, which runs after our part. Ubuntu's default, which has only comments
# and `exit 0`, is not kept.
write_rc_local() {
    local file=/etc/rc.local base=/etc/rc.local.base new
    if [[ -e $file ]] && ! grep -q '^# Wallaroo:' "$file" && grep -qvE '^[[:space:]]*(#.*|exit( 0)?)?$' "$file"; then
        mv "$file" "$base"
        say "kept the base's rc.local as $base"
    fi
    # A fixed name, so that a run that was killed here leaves nothing that the next one does not replace.
    new=$file.new
    rc_local > "$new"
    chmod 0755 "$new"
    mv "$new" "$file"
    say "wrote $file"
}

# systemd's generator makes /etc/rc.local part of the boot if the file is executable when systemd reads its units. Newer
# versions have no such generator. There the payload's unit runs the file; elsewhere the unit's condition fails. systemctl
# is not asked for anything: it would have systemd read all units anew, which takes seconds on an emulated machine.
have_rc_local_run() {
    local unit=wallaroo-rc-local.service wants=multi-user.target.wants generator units
    [[ -d /run/systemd/system ]] || return 0
    [[ -x /etc/rc.local ]] || fail "/etc/rc.local is missing, or not executable: systemd will not run it at boot"
    mkdir -p "/etc/systemd/system/$wants"
    ln -sf "/etc/systemd/system/$unit" "/etc/systemd/system/$wants/$unit"
    units=$(mktemp -d)
    for generator in {/usr,}/lib/systemd/system-generators/systemd-rc-local-generator; do
        [[ ! -x $generator ]] || "$generator" "$units" "$units" "$units" || true
    done
    if [[ -e $units/$wants/rc-local.service || -L $units/$wants/rc-local.service ]]; then
        say "systemd runs /etc/rc.local at boot"
    else
        say "$unit runs /etc/rc.local at boot"
    fi
    rm -rf "$units"
}

rc_local() {
    cat << 'RC_LOCAL'
#!/bin/sh -e
# Wallaroo: takes every hyperthread offline except the first one of each core, so that each worker thread has a core.
#
# A CPU stays online if it is the first in its own list of siblings, which looks like 0,2 or 0-1. A list gets shorter
# when CPUs go offline. The first in it stays the first as long as it is online, so the order does not matter, and a
# second run changes nothing; if a kernel has it offline, the next one takes its place. Without hyperthreads every CPU is
# the first.

offline=
failed=
for cpu in /sys/devices/system/cpu/cpu[0-9]*; do
    number=${cpu##*/cpu}
    # CPU 0 often has no such file, because it cannot go offline. Others have none without support for hotplug.
    online=1
    [ ! -r "$cpu/online" ] || read -r online < "$cpu/online"
    # Not with `read`: this shell reads byte by byte, and the kernel returns this file only in one read.
    siblings=$(cat "$cpu/topology/thread_siblings_list" 2> /dev/null || true)
    first=${siblings%%[,-]*}
    if [ "$online" = 0 ] || [ "${first:-$number}" = "$number" ]; then
        continue
    elif [ -w "$cpu/online" ] && echo 0 2> /dev/null > "$cpu/online"; then
        offline="$offline $number"
    else
        failed="$failed $number"
    fi
done
# What no CPU's own file can do may be possible for all at once.
if [ -n "$failed" ] && [ -w /sys/devices/system/cpu/smt/control ] && echo off 2> /dev/null > /sys/devices/system/cpu/smt/control; then
    offline="$offline$failed"
    failed=
fi

# check.sh reads this file to see that the script ran in this boot, and what it did.
mkdir -p /run/wallaroo
echo "offline:${offline:- none}${failed:+ failed:$failed}" > /run/wallaroo/rc.local
logger -t rc.local "hyperthreads taken offline:${offline:- none}${failed:+, failed:$failed}" || true

# The rc.local of the image's base.
[ ! -x /etc/rc.local.base ] || /etc/rc.local.base
[ -z "$failed" ]
RC_LOCAL
}

# Some packages make ids and keys when they are installed, and never again. seal.sh removes them from the image. A unit
# makes them anew on each instance, before the services start that use them.
write_identity_unit() {
    local unit=/etc/systemd/system/wallaroo-identity.service
    [[ -e /etc/nvme/hostnqn || -e /etc/nvme/hostid || -e /etc/ssl/private/ssl-cert-snakeoil.key ||
        -e /etc/popularity-contest.conf || -e /etc/hostid || -e /etc/bind/rndc.key ]] || return 0
    mkdir -p /usr/share/wallaroo "${unit%/*}/basic.target.wants"
    cat > /usr/share/wallaroo/identity << 'IDENTITY'
#!/bin/sh -e
# Wallaroo: makes what names this machine and no other. seal.sh removed it from the image.
if [ -d /etc/nvme ] && command -v nvme > /dev/null; then
    # gen-hostnqn would take the id of the hardware, which virtual machines may share.
    [ -s /etc/nvme/hostnqn ] ||
        echo "nqn.2014-08.org.nvmexpress:uuid:$(cat /proc/sys/kernel/random/uuid)" > /etc/nvme/hostnqn
    [ -s /etc/nvme/hostid ] || cat /proc/sys/kernel/random/uuid > /etc/nvme/hostid
fi
if command -v make-ssl-cert > /dev/null && [ ! -s /etc/ssl/private/ssl-cert-snakeoil.key ]; then
    make-ssl-cert generate-default-snakeoil --force-overwrite
fi
if [ -e /etc/hostid ] && [ ! -s /etc/hostid ]; then
    head -c 4 /dev/urandom > /etc/hostid
fi
if command -v rndc-confgen > /dev/null && [ -d /etc/bind ] && [ ! -s /etc/bind/rndc.key ]; then
    rndc-confgen -a -u bind > /dev/null
    chmod 640 /etc/bind/rndc.key
fi
popularity=/etc/popularity-contest.conf
if [ -e "$popularity" ] && ! grep -q '^MY_HOSTID=' "$popularity"; then
    echo "MY_HOSTID=\"$(tr -d - < /proc/sys/kernel/random/uuid)\"" >> "$popularity"
fi
IDENTITY
    cat > "$unit" << 'UNIT'
[Unit]
Description=Wallaroo: make what names this machine
DefaultDependencies=no
After=local-fs.target sysinit.target
Before=basic.target shutdown.target
Conflicts=shutdown.target

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/bin/sh /usr/share/wallaroo/identity

[Install]
WantedBy=basic.target
UNIT
    ln -sf "../${unit##*/}" "${unit%/*}/basic.target.wants/${unit##*/}"
}

# The whole tree is checked against SHA256SUMS before any of it is installed. No file may be missing or extra.
install_tree() {
    local folder root sums file mode
    folder=$(realpath -- "$1")
    root=$folder/root
    sums=$folder/SHA256SUMS
    [[ -d $root && -f $sums ]] || fail "$folder must contain the folder root and the file SHA256SUMS"

    local odd
    odd=$(find "$root" ! -type f ! -type d -print -quit)
    [[ -z $odd ]] || fail "$odd is neither a file nor a folder"
    diff <(sed -E 's/^[0-9a-f]{64} [ *]//' "$sums" | sort) <(cd "$root" && find . -type f -printf '%P\n' | sort) >&2 ||
        fail "SHA256SUMS (<) does not list exactly the files of $root (>)"
    (cd "$root" && sha256sum --check --strict --quiet -- "$sums") || fail "a file of $root differs from SHA256SUMS"

    while IFS= read -r file; do
        mode=0644
        [[ $file != usr/bin/* ]] || mode=0755
        # Folders that exist keep their modes.
        install -D -T -o root -g root -m "$mode" -- "$root/$file" "/$file"
    done < <(cd "$root" && find . -type f -printf '%P\n' | sort)

    (cd / && sha256sum --check --strict -- "$sums") || fail "an installed file differs from SHA256SUMS"
    rm -rf -- "$folder"
    have_rc_local_run
}

say() {
    echo "provision.sh: $*"
}

fail() {
    trap - ERR
    say "$*" >&2
    exit 1
}

# Bash has read the whole script when this line runs, so children cannot consume the rest of it from stdin.
main "$@" < /dev/null
exit
