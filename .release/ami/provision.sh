#!/bin/bash
# Turns a freshly booted base machine into one that runs Wallaroo applications.
#
#   provision.sh prepare [--upgrade=none|security|all] WORD...
#                                     waits for cloud-init, upgrades the base, installs packages, writes /etc/rc.local
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
source "${BASH_SOURCE%/*}/upgrade.sh"

readonly APT_LOCK_LIMIT_SECS=600
readonly APT_ATTEMPTS=5
readonly NO_SUCH_PACKAGE="Unable to locate package|has no installation candidate"
# In /run, so it is not in the image.
readonly PROXY_SETTINGS=/run/wallaroo-apt-proxy.conf

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
    echo "usage: provision.sh prepare [--upgrade=none|security|all] PACKAGE... | install FOLDER" >&2
    exit 2
}

prepare() {
    upgrade=none
    if [[ ${1:-} == --upgrade=* ]]; then
        upgrade=${1#--upgrade=}
        [[ $upgrade =~ ^(none|security|all)$ ]] || usage
        shift
    fi
    note_base_packages
    wait_for_cloud_init
    hold_back_background_apt
    use_proxy "$PROXY_SETTINGS"
    if [[ $# -gt 0 || $upgrade != none ]]; then
        install_packages "$@"
    fi
    write_rc_local
    write_identity_unit
}

# Ubuntu updates itself soon after boot, and then holds apt's locks for minutes. Masks in /run last until the next boot,
# so instances of the image still update themselves. An update that already runs is not killed, because that could leave
# packages half installed; install_packages waits for its locks.
hold_back_background_apt() {
    [[ -d /run/systemd/system ]] || return 0
    local timers=(apt-daily.timer apt-daily-upgrade.timer)
    systemctl stop "${timers[@]}" 2> /dev/null || true
    systemctl mask --runtime --quiet "${timers[@]}" apt-daily.service apt-daily-upgrade.service
}

# The recipe's apt.proxy is in WALLAROO_APT_PROXY. Packages that download something while they are installed get it,
# too.
use_proxy() {
    local settings=$1 proxy=${WALLAROO_APT_PROXY:-}
    unset WALLAROO_APT_PROXY
    [[ -n $proxy ]] || return 0
    printf 'Acquire::http::Proxy "%s";\nAcquire::https::Proxy "%s";\n' "$proxy" "$proxy" > "$settings"
    export http_proxy=$proxy https_proxy=$proxy
    apt_settings=(-c "$settings")
}

install_packages() {
    local attempt pause=5 log looked_up='' packages=()
    log=$(mktemp)
    take_known_names "$@"
    for ((attempt = 1; attempt <= APT_ATTEMPTS; attempt++)); do
        wait_until "$APT_LOCK_LIMIT_SECS" "apt's locks are free" apt_is_free
        if update_lists "$log" && upgrade_base "$log" "$upgrade" &&
                { (($# == 0)) || ((${#packages[@]} > 0)) || look_up "$@"; }; then
            if (($# == 0)); then
                break
            elif apt_get "$log" install --no-install-recommends -- "${packages[@]}"; then
                # apt also takes a name for which another package stands.
                [[ -z $looked_up && -n $(missing_packages "${packages[@]}") ]] || break
                packages=()
                continue
            elif grep -qE "$NO_SUCH_PACKAGE" "$log"; then
                # A package that is missing from the lists stays missing, so another attempt under its name is useless.
                [[ -z $looked_up ]] || fail "some packages are not in the base's package sources"
                packages=()
                continue
            fi
        fi
        if ((attempt < APT_ATTEMPTS)); then
            say "attempt $attempt of $APT_ATTEMPTS to install packages failed; the next one begins in $pause s"
            sleep "$pause"
            pause=$((pause * 2))
            dpkg --configure -a || true
        fi
    done
    ((attempt <= APT_ATTEMPTS)) ||
        fail "failed to install packages in $APT_ATTEMPTS attempts: $(grep -E '^[EW]:' "$log" | tail -n 3 || true)"
    rm -f "$log"
    (($# == 0)) || verify_packages "${packages[@]}"
}

# Sets `packages` to the names, or to none if one is not known.
take_known_names() {
    local word
    packages=()
    for word in "$@"; do
        word=${word%\?}
        if [[ ${word%%=*} == *:* ]]; then
            packages=()
            return
        fi
        packages+=("${word%%=*}")
    done
}

# Sets `packages` to the names that they have in the lists. Few processes, because each is slow on an emulated machine.
look_up() {
    local word known wanted name names=() available missing=()
    packages=() looked_up=1
    for word in "$@"; do
        known=${word%%=*}
        [[ $known == *:* ]] || names+=("${known%\?}")
    done
    # Names for which others only stand are not printed.
    available=$({ apt-cache show --no-all-versions -- "${names[@]}" 2> /dev/null || true; } | sed -n 's/^Package: //p')
    for word in "$@"; do
        wanted=${word%\?}
        known=${wanted%%=*}
        name=''
        if [[ $'\n'$available$'\n' == *$'\n'$known$'\n'* ]]; then
            name=$known
        elif [[ $wanted == *:* ]]; then
            wanted=${wanted#*=}
            name=$(package_of_library "${wanted%:*}" "${wanted#*:}")
        fi
        if [[ -n $name ]]; then
            packages+=("$name")
            [[ $name == "${word%\?}" ]] || say "the package for $wanted is $name"
        elif [[ $word == *\? ]]; then
            say "there is no package $wanted, so it is left out"
        else
            missing+=("$wanted")
        fi
    done
    ((${#missing[@]} == 0)) || fail "some packages are not in the base's package sources: ${missing[*]}"
}

# Prints the package of a library: the one on which the development package depends, directly or not.
package_of_library() {
    local name number
    while read -r name; do
        number=${name#"$1"}
        number=${number#-}
        if [[ $name == "$1"* && $number =~ ^[0-9][a-z0-9.]*$ ]]; then
            echo "$name"
            return
        fi
    done < <(apt-cache depends --recurse --important -- "$2" 2> /dev/null || true)
}

# apt-get exits with 0 even if it could not fetch some of the lists. An image made that way might lack security updates,
# so it is a failure here. Newer versions have an option for this; for older ones the warnings are read.
update_lists() {
    local log=$1
    apt_get "$log" -o APT::Update::Error-Mode=any -o Acquire::Languages=none update &&
        ! grep -qE '^W: (Failed to fetch|Some index files failed)' "$log"
}

apt_get() {
    local log=$1
    # Versions that do not know an option ignore it. seal.sh syncs the whole disk, so dpkg need not sync each file.
    apt-get ${apt_settings[@]+"${apt_settings[@]}"} -q -y -o DPkg::Lock::Timeout="$APT_LOCK_LIMIT_SECS" \
        -o Acquire::Retries=3 -o Dpkg::Use-Pty=0 \
        -o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold \
        -o Dpkg::Options::=--force-unsafe-io "${@:2}" 2>&1 | tee "$log"
}

# shellcheck disable=SC2317 # wait_until calls it.
# It reads /proc/locks, because apt before 1.9.11 cannot wait for locks, and not every base has fuser.
apt_is_free() {
    local file inode
    for file in /var/lib/dpkg/lock-frontend /var/lib/dpkg/lock /var/lib/apt/lists/lock /var/cache/apt/archives/lock; do
        if inode=$(stat -c %i "$file" 2> /dev/null) && grep -q " WRITE .*:$inode " /proc/locks; then
            return 1
        fi
    done
}

verify_packages() {
    local missing
    missing=$(missing_packages "$@")
    dpkg-query -W -f 'provision.sh: package ${Package} ${Version}\n' -- "$@" 2> /dev/null || true
    [[ -z $missing ]] || fail "apt-get succeeded, but these packages are not installed: ${missing//$'\n'/ }"
}

# Prints the packages that are not installed.
missing_packages() {
    local installed package
    installed=$({ dpkg-query -W -f '${db:Status-Abbrev} ${Package}\n' -- "$@" 2> /dev/null || true; } | sed -n 's/^.i *//p')
    for package in "$@"; do
        [[ $'\n'$installed$'\n' == *$'\n'$package$'\n'* ]] || echo "$package"
    done
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
# versions have no such generator. There the payload's unit runs the file; elsewhere the unit's condition fails.
have_rc_local_run() {
    local unit=wallaroo-rc-local.service
    [[ -d /run/systemd/system ]] || return 0
    [[ -x /etc/rc.local ]] || fail "/etc/rc.local is missing, or not executable: systemd will not run it at boot"
    systemctl daemon-reload
    systemctl --quiet enable "$unit"
    if systemctl show -p WantedBy rc-local.service | grep -q multi-user.target; then
        say "systemd runs /etc/rc.local at boot"
    else
        systemctl show -p WantedBy "$unit" | grep -q multi-user.target ||
            fail "systemd will not run /etc/rc.local at boot: $unit is not part of multi-user.target"
        say "$unit runs /etc/rc.local at boot"
    fi
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

# Runs a command once a second until it succeeds. Arguments: the limit in seconds, the condition in words, the command.
wait_until() {
    local limit_secs=$1 what=$2 deadline=$((SECONDS + $1)) said=
    until "${@:3}"; do
        [[ -n $said ]] || say "waiting until $what, at most $limit_secs s"
        said=1
        ((SECONDS < deadline)) || fail "timed out after $limit_secs s of waiting until $what"
        sleep 1
    done
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
