#!/bin/bash
# Brings the base's own packages up to date, keeps the base from doing so meanwhile, and installs packages, for provision.sh,
# which takes this in: it has `say` and `fail`.

# In /run, so that none is in the image.
readonly BASE_PACKAGES=/run/wallaroo-base-packages
readonly SECURITY_PINS=/run/wallaroo-security-pins
# shellcheck disable=SC2034 # provision.sh gives it to use_proxy.
readonly PROXY_SETTINGS=/run/wallaroo-apt-proxy.conf

readonly APT_LOCK_LIMIT_SECS=600
readonly APT_ATTEMPTS=5
# What apt says about a server that it cannot reach.
readonly UNREACHABLE="Could not (connect|resolve)|Temporary failure resolving|Cannot initiate the connection|onnection timed out"
readonly NO_SUCH_PACKAGE="Unable to locate package|has no installation candidate"

# Which of the base's own packages are brought up to date.
upgrade=none
# apt's options for the recipe's proxy.
apt_settings=()

# Notes the base's packages before anything is installed. The tool compares them with those of the image.
note_base_packages() {
    [[ ! -e $BASE_PACKAGES ]] || return 0
    # In braces is what dpkg-query puts in.
    # shellcheck disable=SC2016
    dpkg-query -W -f '${db:Status-Abbrev}\t${Package}\t${Architecture}\t${Version}\n' > "$BASE_PACKAGES.new"
    mv "$BASE_PACKAGES.new" "$BASE_PACKAGES"
}

# Ubuntu updates itself soon after boot, and then holds apt's locks for minutes. Masks in /run last until the next boot,
# so instances of the image still update themselves. An update that already runs is not killed, because that could leave
# packages half installed; install_packages waits for its locks. The tool calls this, too, on an instance of a kept base, for
# which there is nothing else here to do.
hold_back_background_apt() {
    [[ -d /run/systemd/system ]] || return 0
    local timers=(apt-daily.timer apt-daily-upgrade.timer) states
    # Masking anything has systemd read all its units, which takes seconds on an emulated machine. Without a pipe, whose exit
    # status would be that of systemctl, which fails for units that are disabled.
    states=$(systemctl is-enabled "${timers[@]}" 2> /dev/null || true)
    [[ ${states//masked/} == *[a-z]* ]] || return 0
    systemctl stop "${timers[@]}" 2> /dev/null || true
    systemctl mask --runtime --quiet "${timers[@]}" apt-daily.service apt-daily-upgrade.service
}

# Upgrades nothing, what has security updates, or all. No package is ever removed, and one that was put on hold stays.
# Updates that Ubuntu gives only to a part of its machines are left out: which part is by the machine's id.
upgrade_base() {
    local log=$1 pins=()
    case $2 in
        none) return 0 ;;
        security)
            security_pins > "$SECURITY_PINS"
            pins=(-o "Dir::Etc::Preferences=$SECURITY_PINS")
            ;;
    esac
    say "upgrading the base's packages: $2"
    apt_get "$log" ${pins[@]+"${pins[@]}"} -o APT::Get::Never-Include-Phased-Updates=true \
        --no-install-recommends --with-new-pkgs upgrade
}

# Preferences by which apt itself takes a package's newest version among the security updates, even if other sources have
# a newer one. What is installed is `now` to apt and has 100. A version with less loses against it, and still can be
# installed where a security update needs a package that there was not. The base's own preferences come after: the first
# that matches counts.
security_pins() {
    # Debian has a label of its own for them, Ubuntu a suite; archives of both have each.
    pin 500 'release l=Debian-Security' 'release a=*-security' 'release n=*-security'
    pin 100 'release a=now'
    pin 50 'release a=*' 'release n=*' 'release l=*' 'release o=*' 'origin *' 'origin ""'
    cat /etc/apt/preferences 2> /dev/null || true
}

pin() {
    local which
    for which in "${@:2}"; do
        printf 'Package: *\nPin: %s\nPin-Priority: %s\n\n' "$which" "$1"
    done
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
        fail "failed to install packages in $APT_ATTEMPTS attempts: $(grep -E '^[EW]:' "$log" | tail -n 3 || true)$(missing_proxy "$log")"
    rm -f "$log"
    (($# == 0)) || verify_packages "${packages[@]}"
}

# Says what to do if the package sources can be reached from here only by a proxy that this machine was not given.
missing_proxy() {
    ((${#apt_settings[@]} == 0)) && grep -qE "$UNREACHABLE" "$1" || return 0
    echo "; if this machine reaches them by a proxy only, set apt.proxy in ami.toml, or give --apt-proxy URL"
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

has_packages() {
    take_known_names "$@"
    ((${#packages[@]} == $#)) && [[ -z $(missing_packages ${packages[@]+"${packages[@]}"}) ]]
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
