#!/bin/bash
# The last step on a machine before it is stopped and imaged. It removes everything that would allow a login, reveal
# something about the build, or give two instances the same identity. At the end it searches for all of that again.
#
# It runs as root, from a file or from stdin. The session that runs it stays open; later logins are refused.

set -Eeuo pipefail
trap 'echo "seal.sh: line $LINENO: failed with exit code $?: $BASH_COMMAND" >&2' ERR

# The tool puts its text here.
# shellcheck source=/dev/null
source "${BASH_SOURCE%/*}/cloud-init.sh"
# shellcheck source=/dev/null
source "${BASH_SOURCE%/*}/unwanted.sh"

# Files that all instances may share although they look like one machine's own. Add what seal.sh refuses without need.
same_on_all=()
# In these folders programs keep checksums, which look random.
checksums=(/var/lib/dpkg /var/lib/apt /var/lib/ucf /var/lib/snapd /var/lib/initramfs-tools /var/cache)

# What only the machine may have that an installer wrote a file of cloud-init's settings for: logins, which all instances
# would give, the data of an instance, and hardware addresses.
readonly OF_ONE_MACHINE='^[^#]*(^|[^A-Za-z_-]|\\n)"?(hashed_passwd|hashed-password|passwd|plain_text_passwd|password|ssh_authorized_keys|ssh-authorized-keys|ssh_keys|userdata_raw|user-data|instance-id|macaddress|mac_address|token_key|token_secret|consumer_key)"?[[:space:]]*:'
# What looks like one machine's own, in a file that this boot wrote.
readonly RANDOM_UUID='(^|[^0-9a-z-])[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}([^0-9a-z-]|$)'
readonly RANDOM_ID='(^|[^0-9a-z])[0-9a-f]{32}([^0-9a-z]|$)|([0-9a-f]{2}:){7}[0-9a-f]{2}|0x[0-9a-f]{16}'
readonly RANDOM_NAME='iqn\.[0-9]{4}-[0-9]{2}\.[a-z0-9.-]+:[0-9a-z.:-]*[0-9a-f]{6}'
# How often the disk is closed, if services write to it meanwhile.
readonly CLOSE_ATTEMPTS=3
# What names this machine: regular expressions and kinds, from collect_marks.
declare -A marks=()

main() {
    umask 022
    export LC_ALL=C PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin

    [[ $(id -u) == 0 ]] || fail "must run as root"
    # Protects a computer on which this is run by mistake.
    [[ -f /usr/share/wallaroo/manifest.json ]] ||
        fail "this machine has no /usr/share/wallaroo/manifest.json, so it is not a build machine; nothing was changed"

    # A file written early in the boot can be older than the boot time that the kernel computes.
    boot_time=$(awk '/^btime / { print $2 - 5 }' /proc/stat)

    if [[ -d /run/systemd/system ]]; then
        wait_for_cloud_init
        silence_services
    fi
    lock_passwords
    forbid_password_login
    collect_marks
    local stale_initrds
    stale_initrds=$(initrds_with_identities)
    renew_identities
    forget_contract
    forget_installer
    remove_unwanted
    renew_initrds

    local remains
    remains=$(own_content)
    [[ -z $remains ]] || fail "an image must not have what these files contain: ${remains//$'\n'/, };" \
        "list them in identities of unwanted.sh to remove them, or in same_on_all of seal.sh to keep them"
    ! timed_shutdown_is_pending || fail "a timed shutdown is still pending"
    close_disk
    say "sealed"
}

# Some services write while the machine shuts down, after the disk was checked: logs, a random seed, a line in wtmp for
# each getty, and cloud-init's state when a network card appears or disappears. They are stopped here. So is the timed
# shutdown, which ends a forgotten machine. Not every base has all of them.
silence_services() {
    shutdown -c 2> /dev/null || true
    systemctl stop syslog.socket rsyslog.service cron.service unattended-upgrades.service systemd-random-seed.service \
        systemd-update-utmp.service wtmpdb-update-boot.service 'cloud-init-hotplugd.*' 'getty@*' 'serial-getty@*' \
        'amazon-ssm-agent*' 'snap.amazon-ssm-agent*' 2> /dev/null || true
    mkdir -p /run/systemd/journald.conf.d
    printf '[Journal]\nStorage=volatile\n' > /run/systemd/journald.conf.d/sealed.conf
    systemctl restart systemd-journald.service
}

# Lets nothing more be written, and sees to it that nothing unwanted is there then. A service may write such a file once more
# from its memory, after it was removed and before the disk is closed, as BIND does.
close_disk() {
    local attempt remains
    for ((attempt = 1; attempt <= CLOSE_ATTEMPTS; attempt++)); do
        remains=$(unusual_passwords; unwanted | tr '\0' '\n')
        if [[ -z $remains ]]; then
            # Freed blocks need not be in the snapshot. Not every disk supports this.
            fstrim / 2> /dev/null || say "this disk does not support fstrim"
            sync
            [[ -d /run/systemd/system ]] || return 0
            forbid_writing
            remains=$(unusual_passwords; unwanted | tr '\0' '\n')
            [[ -n $remains ]] || return 0
            mount -o remount,rw /
        fi
        say "removing what was written again: ${remains//$'\n'/, }"
        remove_unwanted
    done
    fail "these must not be in an image, but could not be removed, or are written again and again:" \
        "${remains//$'\n'/, }; have provision.sh stop what writes them"
}

# Other services write, too, while the machine shuts down: snmpd its engine id, for example. Nothing of that must reach the
# disk after it was searched. Remounting it in the ordinary way is refused as long as a file is open for writing.
forbid_writing() {
    local deadline=$((SECONDS + 30)) options
    if [[ ! -e /proc/sysrq-trigger ]]; then
        say "this kernel has no SysRq, so services may write while the machine shuts down"
        return
    fi
    echo u > /proc/sysrq-trigger
    while options=$(awk '$2 == "/" { last = $4 } END { print last }' /proc/mounts); [[ ,$options, != *,ro,* ]]; do
        ((SECONDS < deadline)) || fail "the root file system is still writable: $options"
        sleep 0.2
    done
}

# It asks logind, because systemd 229 keeps /run/systemd/shutdown/scheduled after a shutdown is cancelled.
timed_shutdown_is_pending() {
    busctl get-property org.freedesktop.login1 /org/freedesktop/login1 org.freedesktop.login1.Manager ScheduledShutdown \
        2> /dev/null | grep -q '"[a-z]'
}

# The hash of a locked password could still be cracked, so it is replaced.
lock_passwords() {
    local account
    for account in $(unusual_passwords); do
        usermod --password '!' "$account"
    done
}

# Prints the accounts whose password is empty, usable, or locked but still has its hash.
unusual_passwords() {
    awk -F : '$2 !~ /^[!*]+$/ { print $1 }' /etc/shadow
}

forbid_password_login() {
    local config=/etc/ssh/sshd_config settings file
    # A drop-in leaves the package's own file unchanged, so that upgrades do not conflict with it.
    if grep -qiE '^[[:space:]]*Include[[:space:]]+"?/etc/ssh/sshd_config\.d/' "$config"; then
        config=/etc/ssh/sshd_config.d/00-wallaroo.conf
    fi
    if ! grep -q '^# Wallaroo:' "$config" 2> /dev/null; then
        settings=$(
            echo "# Wallaroo: sshd uses the first value that it finds, so no later line can allow passwords again."
            echo "PasswordAuthentication no"
            echo "ChallengeResponseAuthentication no"
            echo "PermitEmptyPasswords no"
            echo "PermitRootLogin prohibit-password"
            if [[ -e $config ]]; then cat "$config"; fi
        )
        echo "$settings" > "$config"
    fi

    # Before the host keys are removed, because sshd -T needs them.
    mkdir -p /run/sshd
    local user
    for user in root "${SUDO_USER:-root}"; do
        settings=$(sshd -T -C "user=$user,host=localhost,addr=127.0.0.1")
        if grep -E '^(passwordauthentication|kbdinteractiveauthentication|challengeresponseauthentication|permitemptypasswords|permitrootlogin) yes$' \
            <<< "$settings" >&2; then
            fail "sshd would still allow this for $user, despite $config"
        fi
    done

    # sshd may be configured to keep its keys elsewhere.
    while read -r file; do
        unwanted_files+=("$file" "$file.pub")
    done < <(sed -n 's/^hostkey //p' <<< "$settings")
    while read -r file; do
        unwanted+=("${file//%[a-zA-Z]/*}")
    done < <(sed -n 's/^authorizedkeysfile //p' <<< "$settings" | tr ' ' '\n' | sed -n '/^\//p')
}

# Finds out what names this machine, while it is still there, and prints it: the image is searched for it later.
collect_marks() {
    local value file
    mark "machine id" "$(cat /etc/machine-id 2> /dev/null || true)"
    for file in "${unwanted_files[@]}"; do
        [[ $file == *.pub && -r $file ]] && mark "host key" "$(awk '{ print $2; exit }' "$file")"
    done
    while read -r value; do
        mark "login key" "$value"
    done < <(find / -xdev "(" -path /proc -o -path /usr ")" -prune -o -name 'authorized_keys*' -type f \
        -exec grep -ohE 'AAAA[A-Za-z0-9+/]{20,}={0,2}' {} +)
    mark "instance id" "$(cat /var/lib/cloud/data/instance-id 2> /dev/null || true)"
    # Names such as `wallaroo` or `debian` are no machine's own. EC2 names machines after an address or an id.
    value=$(hostname)
    [[ $value =~ ^(ip|i)-[0-9a-f] ]] && mark "host name" "${value%%.*}"
    for file in /sys/class/net/*; do
        [[ -e $file/device ]] && mark "hardware address" "$(< "$file/address")"
    done
    mark "system id" "$({ cat /sys/class/dmi/id/product_uuid || true; } 2> /dev/null | tr '[:upper:]' '[:lower:]')"
    for value in $(hostname -I 2> /dev/null || true); do
        mark "address" "$value"
    done
    # Where the logins come from. sudo clears this variable, but other processes of the login have it.
    for value in $({ cat /proc/[0-9]*/environ 2> /dev/null || true; } | tr '\0' '\n' |
        sed -n 's/^SSH_CONNECTION=\([^ ]*\) .*/\1/p' | sort -u); do
        mark "address" "$value"
    done
}

# Notes something that names this machine, in every form in which programs write it.
mark() {
    local kind=$1 value=$2 pattern
    [[ $value =~ ^[][A-Za-z0-9.:=+/_%-]{6,}$ && ! $value =~ ^[0:-]*$ ]] || return 0
    # shellcheck disable=SC2001 # Bash's own replacement cannot repeat what it found.
    pattern=$(sed 's/[][\.*^$+?(){}|]/\\&/g' <<< "$value")
    case $kind in
        "machine id" | "system id")
            pattern=$(sed -E 's/-//g; s/^(.{8})(.{4})(.{4})(.{4})/\1-?\2-?\3-?\4-?/' <<< "$value") ;;
        "hardware address") pattern="${value//:/[:-]?}" ;;
        # A database may have other words right before and after it.
        "address") [[ $value == *:* ]] || pattern="(^|[^.])$pattern(\$|[^0-9])" ;;
        "instance id" | "host name") pattern="$pattern(\$|[^0-9a-z])" ;;
    esac
    # Hexadecimal digits are written either way.
    [[ $kind == *key ]] || pattern=$(sed 's/[a-f]/[&\U&]/g; s/\[^0-9\[aA\]-z\]/[^0-9a-zA-Z]/' <<< "$pattern")
    # shellcheck disable=SC2034 # containing() reads it by its name.
    marks[$pattern]=$kind
    say "mark $kind=$value"
}

# Programs that do not run without an id, and do not make one if the file is gone.
renew_identities() {
    local file=/etc/iscsi/initiatorname.iscsi name
    # open-iscsi makes a name when it starts, if the file says so.
    [[ ! -e $file ]] || echo "GenerateName=yes" > "$file"
    # Empty, it tells the image's unit to make another.
    [[ ! -e /etc/hostid ]] || : > /etc/hostid
    file=/etc/popularity-contest.conf
    [[ ! -e $file ]] || sed -i '/^MY_HOSTID=/d' "$file"
    # cloud-init notes when it wrote them. It takes the files for its own without that, too.
    find /etc/sudoers.d -type f -exec sed -i '/^# Created by cloud-init/d' {} + 2> /dev/null || true
    # The base's other lines stay. cloud-init adds the next instance's name again, if it added this one's.
    name=$(hostname)
    if [[ $name =~ ^(ip|i)-[0-9a-f] ]]; then
        sed -i "/[[:space:]]${name%%.*}\([[:space:].]\|\$\)/d" /etc/hosts
    fi
}

# Prints the initrds that have a copy of what identifies this machine.
initrds_with_identities() {
    local file initrd list=lsinitramfs files=()
    for file in /etc/hostid /etc/iscsi/initiatorname.iscsi /etc/nvme/hostnqn /etc/nvme/hostid \
        /etc/multipath/bindings /etc/multipath/wwids; do
        [[ ! -s $file ]] || files+=(-e "${file#/}")
    done
    # dracut, unlike initramfs-tools, copies this one, too.
    [[ ! -x $(type -P lsinitrd) ]] || { list=lsinitrd && files+=(-e etc/machine-id); }
    # Listing one takes seconds.
    ((${#files[@]} > 0)) || return 0
    for initrd in /boot/initrd.img-*; do
        [[ -f $initrd ]] || continue
        { "$list" "$initrd" 2> /dev/null || true; } | grep -F "${files[@]}" > /dev/null && echo "$initrd"
    done
    return 0
}

# They are made anew of what is left.
renew_initrds() {
    local initrd
    for initrd in $stale_initrds; do
        update-initramfs -u -k "${initrd#/boot/initrd.img-}" ||
            fail "failed to make $initrd anew, which identifies this machine: log in and run update-initramfs to see why"
        say "made $initrd anew, which had a copy of what identifies this machine"
    done
}

# The archives that a machine reads by its contract with Ubuntu Pro. An image gets no contract, and apt would fail.
forget_contract() {
    local token
    token=$(find /var/lib/ubuntu-advantage -name '*token*' -print -quit 2> /dev/null || true)
    [[ -n $token && -d /etc/apt/sources.list.d ]] || return 0
    find /etc/apt/sources.list.d -type f -exec grep -qE '^[^#]*esm\.ubuntu\.com' {} \; -delete
    say "this machine had a contract with Ubuntu Pro; the image does not get it"
}

# What cloud-init was told of the machine that an installer set up: a password's hash, keys, the data of one instance. A file
# that has such a thing goes as a whole. If it pins a data source, too, that is the source of what went: the image is to find
# the one that its instances have. Files that only have settings stay, also those of no package: the base may need them.
forget_installer() {
    local file
    while IFS= read -r -d '' file; do
        # The payload is compared with what was built.
        if ! grep -qsF "\"$file\"" /usr/share/wallaroo/manifest.json && ! is_of_a_package "$file"; then
            rm -f -- "$file"
            say "removed $file, which is for one machine"
        fi
    done < <(find /etc/cloud/cloud.cfg.d -type f -exec grep -lZE "$OF_ONE_MACHINE" {} + 2> /dev/null || true)
}

# shellcheck disable=SC2154 # unwanted.sh has the list.
remove_unwanted() {
    local file
    # These must exist, because the programs that write to them do not create them.
    for file in /etc/machine-id /etc/security/opasswd \
        /var/log/wtmp /var/log/btmp /var/log/lastlog /var/log/faillog /var/log/tallylog; do
        [[ ! -e $file ]] || : > "$file"
    done
    for file in "${emptied_at_boot[@]}"; do
        [[ ! -f $file || -L $file || -z $(find "$file" -newerct "@$boot_time") ]] || : > "$file"
    done
    # A separate file here would keep the old machine id: systemd would copy it into the empty /etc/machine-id.
    [[ ! -d /var/lib/dbus ]] || ln -sf /etc/machine-id /var/lib/dbus/machine-id

    unwanted | xargs -0 --no-run-if-empty rm -rf --
    # Folders that are in use may stay if they are empty.
    find /tmp /var/tmp /var/log/journal -mindepth 1 -empty -delete 2> /dev/null || true
}

# Prints every unwanted path, each followed by a zero byte.
# shellcheck disable=SC2154 # unwanted.sh has the lists.
unwanted() {
    local passing anything history core files of_boot emptied
    any_of passing "${passed_over[@]}"
    any_of anything "${unwanted[@]}"
    any_history history
    any_core core
    any_of files "${unwanted_files[@]}"
    any_of of_boot "${written_at_boot[@]}"
    any_of emptied "${emptied_at_boot[@]}"
    find / "${passing[@]}" -prune -o "${anything[@]}" -prune -print0 \
        -o ! -type d "${history[@]}" -print0 -o ! -type d ! -empty "${files[@]}" -print0 \
        -o "${core[@]}" -print0 \
        -o ! -type d "${of_boot[@]}" -newerct "@$boot_time" -print0 \
        -o -type f ! -empty "${emptied[@]}" -newerct "@$boot_time" -print0
}

# Prints a line `FILE (KIND)` for each file that tells of this machine, would be shared by mistake, or has a credential.
own_content() {
    local not_searched=()
    # dpkg and apt keep versions, which can look like addresses.
    containing marks -newerct "@$boot_time" ! -path '/var/lib/dpkg/*' ! -path '/var/lib/apt/*' | sort -u
    containing credentials | sort -u
    # shellcheck disable=SC2034 # containing() reads it by its name.
    local -A random=([$RANDOM_UUID]='random id' [$RANDOM_ID]='random id' [$RANDOM_NAME]='random name')
    not_searched=("${checksums[@]}")
    containing random -newerct "@$boot_time" | sort -u
}

# Prints `FILE (KIND)` for files in which something matches. The array maps regular expressions to kinds. More arguments
# are tests of find.
containing() {
    local -n kinds=$1
    local content expression patterns=() file
    all_content content "${same_on_all[@]}" "${not_searched[@]}"
    for expression in "${!kinds[@]}"; do
        patterns+=(-e "$expression")
    done
    ((${#patterns[@]} > 0)) || return 0
    find "${content[@]}" -type f ! -empty "${@:2}" -print0 |
        { xargs -0 --no-run-if-empty grep -lZaE "${patterns[@]}" -- || true; } |
        while IFS= read -r -d '' file; do
            ! is_of_a_package "$file" || continue
            for expression in "${!kinds[@]}"; do
                if names_no_disk "$file" "$expression"; then echo "$file (${kinds[$expression]})"; fi
            done
        done
}

# Whether a file has something that matches, apart from the ids of this machine's disks, which are copied with them.
names_no_disk() {
    local disks
    disks=$(find /dev/disk/by-uuid /dev/disk/by-partuuid -type l -printf '%f\n' 2> /dev/null || true)
    { grep -aoE -e "$2" -- "$1" || true; } | { grep -qvF -e "${disks:-no disk}" || return 1; }
}

# Whether dpkg knows exactly this content, as part of a package. Some programs copy files of packages, as GRUB does with its
# modules.
is_of_a_package() {
    local sum
    sum=$(md5sum < "$1")
    sum=${sum%% *}
    grep -qsxF -e " $1 $sum" /var/lib/dpkg/status && return
    grep -rqs --include='*.md5sums' -e "^$sum  " /var/lib/dpkg/info
}

say() {
    echo "seal.sh: $*"
}

fail() {
    trap - ERR
    say "$*" >&2
    exit 1
}

# Bash has read the whole script when this line runs, so children cannot consume the rest of it from stdin, and its own
# file may be removed.
main "$@" < /dev/null
exit
