#!/bin/bash
# Checks an instance of the image before the image is published: it must run Wallaroo, and must contain nothing of the
# build.
#
#   check.sh [--mark=KIND=EXPRESSION]... LOGIN_PUBLIC_KEY BINARY_PATH...
#
# It runs as root, from a file or from stdin, on an instance that was launched with the login key. A mark is a regular
# expression for something that names the machine that the image was made on. Each check prints one
# line on stdout, `ok NAME`, `not ok NAME: FAULT` or `skipped NAME: REASON`, and a failure does not stop the others. The
# last line, `checked N`, shows that all of them ran. The exit code is 1 if any check failed.
# It starts few processes, because starting one is slow on the emulated CPUs that this also runs on.

# shellcheck disable=SC2317 # check() calls the functions by name.
set -Eeuo pipefail
trap 'echo "check.sh: line $LINENO: failed with exit code $?: $BASH_COMMAND" >&2' ERR

# The tool puts its text here.
# shellcheck source=/dev/null
source "${BASH_SOURCE%/*}/cloud-init.sh"
# shellcheck source=/dev/null
source "${BASH_SOURCE%/*}/bill.sh"
# shellcheck source=/dev/null
source "${BASH_SOURCE%/*}/unwanted.sh"

readonly MANIFEST=/usr/share/wallaroo/manifest.json
readonly BOOT_LIMIT_SECS=300
readonly HELP_LIMIT_SECS=20
readonly RC_LOCAL_TRACE=/run/wallaroo/rc.local
readonly SKIPPED=77

main() {
    export LC_ALL=C PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
    cd /

    declare -A marks=()
    while [[ ${1:-} == --mark=*=* ]]; do
        marks[${1#--mark=*=}]=${1#--mark=}
        shift
    done
    if [[ $(id -u) != 0 || $# -lt 2 || $1 != *" AAAA"* ]]; then
        echo "usage, as root: check.sh [--mark=KIND=EXPRESSION]... LOGIN_PUBLIC_KEY BINARY_PATH..." >&2
        exit 2
    fi
    local login_key=$1 binaries=("${@:2}") binary name checked=0 failed=0

    # First, because it waits for the boot to finish, and the other checks look at the result.
    check "system is up" system_is_up

    for binary in "${binaries[@]}"; do
        name=${binary##*/}
        check "$name file" is_program "$binary"
        check "$name libraries" finds_libraries "$binary"
        check "$name help" answers_help "$binary"
    done

    local python manifest_fault='' facts=''
    python=$(type -P python3 python2 python2.7 python | head -n 1 || true)
    facts=$(read_manifest 2>&1) || manifest_fault=${facts:-cannot be read} facts=''
    check "manifest" manifest_is_sound
    check "file sums" files_are_those_built
    check "packages" packages_are_those_listed
    check "bill of materials" bill_lists_what_is_installed
    check "wallaroo python package" wallaroo_can_be_imported

    check "rc.local" rc_local_ran
    check "hyperthreads" one_thread_a_core

    check "root locked" root_is_locked
    check "no passwords" no_account_has_a_password
    check "sshd" sshd_wants_keys

    # Several checks use these. A file written early in the boot can be older than the boot time that the kernel
    # computes, hence the five seconds.
    local old_files boot_time
    boot_time=$(awk '/^btime / { print $2 - 5 }' /proc/stat)
    # find fails when files disappear while it runs.
    old_files=$(find_old_files || true)
    check "login keys" only_the_given_login_key
    check "no histories" none_is_old histories
    check "no credentials" none_is_old credential_files
    check "no tokens" none_is_old tokens
    check "machine-id" machine_id_is_set
    check "cloud-init" cloud_init_saw_one_instance
    check "host keys" host_keys_are_new
    check "identities" identities_are_new
    check "no old logs" none_is_old logs
    check "no old mail and jobs" none_is_old mail_and_jobs
    check "no old temporary files" none_is_old temporary
    check "no traces" no_file_names_the_machine_it_was_made_on
    check "dpkg" dpkg --audit

    echo "checked $checked"
    exit "$failed"
}

# Runs a check: a command that prints one fault a line, or nothing if it passes. With the exit code SKIPPED it prints why it
# cannot be tried on this machine.
check() {
    local name=$1 faults status=0
    checked=$((checked + 1))
    faults=$("${@:2}" 2>&1) || status=$?
    if [[ $status == "$SKIPPED" ]]; then
        echo "skipped $name: ${faults//$'\n'/; }"
        return
    fi
    if [[ -z $faults && $status != 0 ]]; then
        faults="the check itself failed with exit code $status"
    fi
    if [[ -z $faults ]]; then
        echo "ok $name"
    else
        echo "not ok $name: ${faults//$'\n'/; }"
        failed=1
    fi
}

system_is_up() {
    local state deadline=$((SECONDS + BOOT_LIMIT_SECS)) unit
    while state=$(systemctl is-system-running || true); [[ $state == initializing || $state == starting ]]; do
        if ((SECONDS >= deadline)); then
            echo "still $state after $BOOT_LIMIT_SECS s, because of $(systemctl list-jobs --no-legend | awk '{ print $2 }' | paste -s -d ' ')"
            return
        fi
        sleep 0.5
    done
    case $state in
        running) ;;
        degraded)
            for unit in $(systemctl --failed --no-legend --plain | awk '{ print $1 }'); do
                case $unit in
                    # These only download things, and the machine that checks an image need not reach the internet.
                    apt-daily.service | apt-daily-upgrade.service | apt-news.service | esm-cache.service) ;;
                    motd-news.service | ua-timer.service | fwupd-refresh.service) ;;
                    *) echo "$unit failed" ;;
                esac
            done
            ;;
        *) echo "the system is $state" ;;
    esac
}

is_program() {
    local found
    found=$(stat -c '%F, %U:%G, %a' "$1") || return
    [[ $found == "regular file, root:root, 755" ]] ||
        echo "$1 is: $found; it must be: regular file, root:root, 755"
}

# ldd itself fails for static programs, which need no libraries.
finds_libraries() {
    { ldd "$1" 2>&1 || true; } | grep -E 'not found|No such file' || true
}

answers_help() {
    local output status=0
    # The braces hide bash's warning about zero bytes in the output.
    { output=$(timeout --kill-after=2 "$HELP_LIMIT_SECS" "$1" --help 2>&1 < /dev/null) || status=$?; } 2> /dev/null
    case $status in
        124 | 137) echo "no answer to --help within $HELP_LIMIT_SECS s" ;;
        126 | 127) echo "cannot be run: $output" ;;
        129 | 1[3-8]? | 19[0-2]) echo "--help crashed with signal $((status - 128))" ;;
        *) [[ -n $output ]] || echo "--help prints nothing" ;;
    esac
}

# Prints a line `sha256 HASH  PATH` for each file, and `package NAME VERSION` for each package.
read_manifest() {
    if [[ -z $python ]]; then
        echo "no python is installed to read it"
        return 1
    fi
    # Without -S and -E python takes much longer to start.
    "$python" -S -E - "$MANIFEST" << 'PYTHON'
import json, sys
try:
    with open(sys.argv[1]) as file:
        manifest = json.load(file)
    for path, digest in sorted(manifest["sha256"].items()):
        sys.stdout.write("sha256 %s  %s\n" % (digest, path))
    for name, version in sorted(manifest["packages"].items()):
        sys.stdout.write("package %s %s\n" % (name, version))
except (IOError, ValueError, KeyError, AttributeError) as error:
    sys.exit("%s: %s" % (type(error).__name__, error))
PYTHON
}

manifest_is_sound() {
    if [[ -n $manifest_fault ]]; then
        echo "$MANIFEST: $manifest_fault"
    elif [[ $(stat -c '%U, %a' "$MANIFEST") != "root, "*[4-7] ]]; then
        echo "$MANIFEST must belong to root and be readable by all users"
    fi
}

files_are_those_built() {
    local sums binary
    sums=$(sed -n 's/^sha256 //p' <<< "$facts")
    for binary in "${binaries[@]}"; do
        [[ $'\n'$sums$'\n' == *"  $binary"$'\n'* ]] || echo "$binary is not in the manifest"
    done
    [[ -z $sums ]] || sha256sum --check --strict --quiet - <<< "$sums" 2> /dev/null || true
}

packages_are_those_listed() {
    local wanted names=() name version installed
    wanted=$(sed -n 's/^package //p' <<< "$facts")
    if [[ -z $wanted ]]; then
        [[ -z $manifest_fault ]] || echo "the manifest cannot be read"
        return
    fi
    while read -r name _; do
        names+=("$name")
    done <<< "$wanted"
    installed=$(dpkg-query -W -f '${db:Status-Abbrev} ${Package} ${Version}\n' "${names[@]}" 2> /dev/null || true)
    while read -r name version; do
        [[ $installed$'\n' == *"i  ${name%:*} $version"$'\n'* ]] || echo "$name $version is not installed"
    done <<< "$wanted"
}

# Importing it is what each application does first. A part of it that is for the other Python need not compile.
wallaroo_can_be_imported() {
    local init folder interpreter
    init=$(grep -m 1 -o '/.*/wallaroo/__init__\.py$' <<< "$facts" || true)
    [[ -n $init ]] || return 0
    folder=${init%/wallaroo/__init__.py}
    interpreter=$python
    if [[ $folder/ =~ /(python[0-9.]*)/ ]]; then
        interpreter=${BASH_REMATCH[1]}
    fi
    # -B, so that python writes no compiled file, which the manifest would not list.
    "$interpreter" -B -S -E -W ignore -c 'import sys; sys.path.insert(0, sys.argv[1]); import wallaroo' "$folder" 2>&1 |
        tail -n 1
}

rc_local_ran() {
    local trace=$RC_LOCAL_TRACE unit state states=
    [[ -x /etc/rc.local ]] || echo "/etc/rc.local is missing, or not executable"
    # systemd's own unit, or the image's where systemd has none that boots.
    for unit in rc-local.service wallaroo-rc-local.service; do
        state=$(systemctl show -p ActiveState -p Result "$unit" | sort | paste -s -d ' ')
        states+="${states:+, }$unit has $state"
    done
    [[ $states == *"ActiveState=active Result=success"* ]] || echo "$states"
    if [[ ! -e $trace ]]; then
        echo "it did not finish in this boot"
    elif grep -q failed "$trace"; then
        echo "it could not take all hyperthreads offline: $(< "$trace")"
    fi
}

one_thread_a_core() {
    local file siblings seen=
    for file in /sys/devices/system/cpu/cpu[0-9]*/topology/thread_siblings_list; do
        [[ -r $file ]] || continue
        siblings=$(< "$file")
        if [[ $siblings == *[,-]* && $seen != *" $siblings "* ]]; then
            echo "CPUs $siblings share a core, and all of them are online"
            seen+=" $siblings "
        fi
    done
    if [[ -z $seen ]] && grep -qsx 'offline: none' "$RC_LOCAL_TRACE"; then
        echo "no core of this machine has a second thread that /etc/rc.local could have taken offline"
        return "$SKIPPED"
    fi
}

root_is_locked() {
    grep -q '^root:[!*]' /etc/shadow || echo "root has a password, or needs none"
}

no_account_has_a_password() {
    awk -F : '$1 != "root" && $2 !~ /^[!*]/ { print $1 " has a password, or needs none" }' /etc/shadow
}

sshd_wants_keys() {
    local user settings
    for user in root "${SUDO_USER:-nobody}"; do
        settings=$(sshd -T -C "user=$user,host=localhost,addr=127.0.0.1" 2> /dev/null) ||
            echo "sshd rejects its own configuration"
        grep -E '^(passwordauthentication|kbdinteractiveauthentication|challengeresponseauthentication|permitemptypasswords|permitrootlogin) yes$' \
            <<< "$settings" | sed "s/\$/, for $user/" || true
    done
    grep -E '^authorizedkeysfile ' <<< "$settings" |
        grep -vE '^authorizedkeysfile \.ssh/authorized_keys( \.ssh/authorized_keys2)?$' || true
}

# Prints `KIND PATH` for each file that seal.sh removes and that this boot did not write, with the list in unwanted.sh that names
# it as its kind, and last `searched`. A login key may be the one that was given, so that its date does not matter.
# shellcheck disable=SC2154 # unwanted.sh has the lists.
find_old_files() {
    local kind pattern passing copied history core may_be_empty matching kinds=()
    # The largest folder has the names of packages.
    any_of passing "${passed_over[@]}" /var/lib/dpkg/info
    any_of copied "${copies[@]}"
    any_history history
    any_core core
    any_of may_be_empty "${unwanted_files[@]}"
    for kind in login_keys credential_files tokens memories host_keys identities logs mail_and_jobs temporary; do
        local -n patterns=$kind
        local inside=()
        for pattern in "${patterns[@]}"; do
            if [[ $pattern == */* ]]; then inside+=("$pattern/*"); else inside+=("*/$pattern/*"); fi
        done
        any_of matching "${patterns[@]}" "${inside[@]}"
        kinds+=(-o "${matching[@]}" -printf "$kind %p\n")
    done
    find / "${passing[@]}" -prune -o -name 'authorized_keys*' -printf 'login_keys %p\n' \
        -o ! -type d ! "(" -newerct "@$boot_time" "(" -newermt "@$boot_time" -o "${copied[@]}" ")" ")" \
        ! "(" -empty "${may_be_empty[@]}" ")" "(" "${history[@]}" -printf 'histories %p\n' \
        -o "${core[@]}" -printf 'logs %p\n' "${kinds[@]}" ")"
    echo searched
}

none_is_old() {
    local kind
    [[ $old_files == *searched ]] || echo "the search for files that are older than this boot failed"
    for kind in "$@"; do
        sed -n "s/^$kind //p" <<< "$old_files" | sort
    done
}

only_the_given_login_key() {
    local file blob
    blob=$(cut -d ' ' -f 2 <<< "$login_key")
    while read -r file; do
        # A line may begin with options and end with a comment.
        awk -v file="$file" -v blob="$blob" '
            /^[ \t]*(#|$)/ { next }
            {
                given = others = 0
                for (i = 1; i <= NF; i++) if ($i == blob) given = 1; else if ($i ~ /^AAAA/) others = 1
                if (others || !given) print file " line " NR " has another key than the one given"
            }' "$file"
    done < <(none_is_old login_keys | grep '/authorized_keys[^/]*$')
    none_is_old login_keys | grep -v '/authorized_keys[^/]*$' || true
}

machine_id_is_set() {
    grep -qxE '[0-9a-f]{32}' /etc/machine-id || echo "/etc/machine-id is not set"
    if [[ -e /var/lib/dbus/machine-id ]] && ! cmp -s /etc/machine-id /var/lib/dbus/machine-id; then
        echo "/var/lib/dbus/machine-id differs from it"
    fi
}

cloud_init_saw_one_instance() {
    local instances
    [[ $(cloud_init_state) != off ]] || return 0
    instances=$(find /var/lib/cloud/instances -mindepth 1 -maxdepth 1 -printf '%f ')
    [[ $instances =~ ^[^\ ]+\ $ ]] || echo "more or fewer than one instance: $instances"
    cloud_init_faults
}

host_keys_are_new() {
    none_is_old host_keys | sed 's/$/ is older than this boot/'
    compgen -G '/etc/ssh/ssh_host_*_key' > /dev/null || echo "there are none"
}

# Not every base has any of it.
identities_are_new() {
    local file
    none_is_old identities memories
    # Without a name of its own, open-iscsi makes one when it starts.
    file=/etc/iscsi/initiatorname.iscsi
    [[ ! -s $file ]] || grep -q '^GenerateName=yes' "$file" || no_file_before_the_boot "$file"
    [[ ! -s /etc/hostid ]] || no_file_before_the_boot /etc/hostid
    file=/etc/popularity-contest.conf
    ! grep -qs '^MY_HOSTID=' "$file" || no_file_before_the_boot "$file"
}

no_file_before_the_boot() {
    find "$@" -type f ! -empty ! -newermt "@$boot_time" -printf '%p\n'
}

# A file that this boot wrote may name this machine, and virtual machines can have the same addresses. A file of the image
# may not. dpkg and apt keep versions, which can look like addresses.
no_file_names_the_machine_it_was_made_on() {
    local content expression file patterns=()
    for expression in "${!marks[@]}"; do
        patterns+=(-e "$expression")
    done
    ((${#patterns[@]} > 0)) || return 0
    all_content content /var/lib/dpkg /var/lib/apt
    find "${content[@]}" -type f ! -empty ! -newerct "@$boot_time" -print0 |
        { xargs -0 --no-run-if-empty grep -lZaE "${patterns[@]}" -- || true; } |
        while IFS= read -r -d '' file; do
            for expression in "${!marks[@]}"; do
                ! grep -qaE -e "$expression" -- "$file" || echo "$file has its ${marks[$expression]%%=*}"
            done
        done
}

# Bash has read the whole script when this line runs, so children cannot consume the rest of it from stdin.
main "$@" < /dev/null
exit
