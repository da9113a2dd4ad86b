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

# Files and folders that must not be in an image. A pattern with a slash matches a whole path, one without matches a
# name in any folder.
unwanted=(
    # Login keys, and everything else that ssh keeps for a user.
    .ssh authorized_keys authorized_keys2
    # Histories of shells and other interpreters. Some keep theirs below a hidden folder.
    '.*history' .histfile .lesshst .viminfo .wget-hsts
    '*/.local/*history*' '*/.config/*history*' '*/.ipython/*history*' '*/.julia/*history*' '*/.ghc/*history*'
    # Credentials.
    .aws .azure .boto .docker .git-credentials .gnupg .kube .my.cnf .netrc .npmrc .pgpass .pypirc .s3cfg .vault-token
    '*/.config/gcloud' '*/.config/gh' '*/.config/git/credentials' /var/lib/amazon/ssm
    '*/.config/pip' '*/.pip' '*/.cargo/credentials*' '*/.composer/auth.json' '*/.gem/credentials'
    /etc/apt/auth.conf '/etc/apt/auth.conf.d/*'
    # Ubuntu Pro's: of the machine, of Livepatch, and whose contract it was.
    /var/lib/ubuntu-advantage/private '/var/lib/ubuntu-advantage/*token*' '/var/snap/canonical-livepatch/*/*token*'
    /var/lib/ubuntu-advantage/status.json
    # Who logged in, and who used sudo.
    '/var/lib/lastlog/*' '/var/lib/wtmpdb/*' '/var/lib/sudo/*' '/var/db/sudo/*' .sudo_as_admin_successful
    # What the computer that made the base resolved names with.
    '/etc/.resolv.conf.*.bak'
    # With these, cloud-init would not take an instance's first boot for its first. They also hold the user-data.
    '/var/lib/cloud/*'
)
# Files that may only stay if they are empty.
unwanted_files=(
    '/etc/ssh/ssh_host_*'
    # Copies of password hashes.
    /etc/shadow- /etc/gshadow- '/var/backups/*shadow*'
    # The machine's identity, and random seeds that no two instances may share.
    /etc/machine-id /var/lib/systemd/random-seed /var/lib/urandom/random-seed /var/lib/systemd/credential.secret
    '/var/lib/dhcp/*' '/var/lib/dhclient/*' '/var/lib/dhcpcd*/*' /etc/dhcpcd.duid /etc/dhcpcd.secret
    # Leases, a key, and when which connection was last up.
    '/var/lib/NetworkManager/*' /var/lib/libuuid/clock.txt
    # Names and keys that a package makes once for a machine. Its program makes them again, or write_identity_unit does.
    /etc/nvme/hostnqn /etc/nvme/hostid /etc/openvswitch/system-id.conf '/var/lib/openvswitch/conf.db*'
    '/etc/openvswitch/conf.db*' /var/lib/snmp/snmpd.conf /etc/multipath/bindings /etc/multipath/wwids
    /etc/ssl/private/ssl-cert-snakeoil.key /etc/ssl/certs/ssl-cert-snakeoil.pem
    /etc/bind/rndc.key '/var/cache/bind/managed-keys.bind*'
    # Docker's id of this machine, the networks that it found here, and its cache of what was built.
    /var/lib/docker/engine-id /var/lib/docker/network/files/local-kv.db '/var/lib/docker/buildkit/*'
    # Logs, mail and dumps.
    '/var/log/*' '/var/mail/*' '/var/spool/mail/*' '/var/crash/*' '/var/lib/systemd/coredump/*' core 'core.[0-9]*'
    # Mail that waits to be sent, also of a Postfix whose chroot has other files beside it, and jobs of at. An instance would
    # send and run them once more.
    '/var/spool/exim4/*' '/var/spool/mqueue*/*' '/var/spool/nullmailer/*' '/var/spool/dma/*' /var/lib/postfix/prng_exch
    '/var/spool/postfix/[abcfhimst]*/*' '/var/spool/postfix/defer*/*'
    '/var/spool/cron/atjobs/*' '/var/spool/cron/atspool/*' '/var/spool/at/*'
    # Package lists and archives, which `apt-get` downloads again, and temporary files.
    '/var/lib/apt/lists/*' '/var/cache/apt/*' '/tmp/*' '/var/tmp/*'
)
# These must go if this boot wrote them, and then the next instance's boot writes them again. Otherwise they belong to
# the base.
written_at_boot=(
    /etc/hostname '/etc/netplan/*cloud-init*' '/etc/network/interfaces.d/*cloud-init*'
    '/etc/systemd/network/*cloud-init*' '/etc/NetworkManager/*/*cloud-init*' /etc/udev/rules.d/70-persistent-net.rules
    '/var/spool/cron/crontabs/*'
)
# These folders hold no user's files, and packages may have files with such names there. cloud-init's seed belongs to
# the base.
passed_over=(/proc /sys /dev /run /usr /opt /snap /var/lib/cloud/seed)

# Files that all instances may share although they look like one machine's own. Add what seal.sh refuses without need.
same_on_all=()
# In these folders programs keep checksums, which look random.
checksums=(/var/lib/dpkg /var/lib/apt /var/lib/ucf /var/lib/snapd /var/lib/initramfs-tools /var/cache)

# What no file may contain, except as it came in a package: an extended regular expression, and what it finds.
# shellcheck disable=SC2034 # containing() reads it by its name.
declare -A credentials=(
    ['-----BEGIN ([A-Z0-9]+ )*PRIVATE KEY( BLOCK)?-----|PuTTY-User-Key-File-|AGE-SECRET-KEY-1']='private key'
    ['^[[:space:]]*(PrivateKey|PresharedKey)[[:space:]]*=[[:space:]]*[A-Za-z0-9+/]{43}=']='private key'
    ['^[^#;]*[A-Za-z][A-Za-z0-9+.-]*://[^] /:@%"<>{}$*[]+:[^] /@"<>{}$*[]+@']='password in a URL'
    ['(^|[^A-Za-z0-9])(AKIA|ASIA)[A-Z0-9]{16}([^A-Za-z0-9]|$)']='AWS access key'
    ['aws_(secret_access_key|session_token)[" ]*[=:][" ]*[A-Za-z0-9+/]{16}']='AWS secret key'
    ['(^|[^A-Za-z0-9])(gh[opsur]_[A-Za-z0-9]{36}|github_pat_[A-Za-z0-9_]{22}|glpat-[A-Za-z0-9_-]{20})']='token'
    ['(^|[^A-Za-z0-9])(xox[abprs]-[A-Za-z0-9-]{10}|hvs\.[A-Za-z0-9_-]{20}|AIza[A-Za-z0-9_-]{35})']='token'
    ['(^|[^A-Za-z0-9])_auth(Token)?[[:space:]]*=|(dckr_pat_|npm_|pypi-AgE)[A-Za-z0-9_-]{20}']='registry token'
    ['"(auth|identitytoken)"[[:space:]]*:[[:space:]]*"[A-Za-z0-9+/]{8}']='registry token'
    ['^[[:space:]]*(machine[[:space:]]+[^[:space:]]+|default)[[:space:]]+login[[:space:]]']='netrc'
    ['"(machineToken|contractToken)"[[:space:]]*:[[:space:]]*"[^"]']='machine token'
)
# What looks like one machine's own, in a file that this boot wrote.
readonly RANDOM_UUID='(^|[^0-9a-z-])[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}([^0-9a-z-]|$)'
readonly RANDOM_ID='(^|[^0-9a-z])[0-9a-f]{32}([^0-9a-z]|$)|([0-9a-f]{2}:){7}[0-9a-f]{2}|0x[0-9a-f]{16}'
readonly RANDOM_NAME='iqn\.[0-9]{4}-[0-9]{2}\.[a-z0-9.-]+:[0-9a-z.:-]*[0-9a-f]{6}'
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
    renew_identities
    forget_contract
    remove_unwanted

    local remains
    remains=$(unusual_passwords; unwanted | tr '\0' '\n')
    [[ -z $remains ]] || fail "these must not be in an image, but could not be removed: ${remains//$'\n'/, }"
    remains=$(own_content)
    [[ -z $remains ]] || fail "an image must not have what these files contain: ${remains//$'\n'/, };" \
        "list them in seal.sh, in unwanted_files to remove them or in same_on_all to keep them"
    ! timed_shutdown_is_pending || fail "a timed shutdown is still pending"

    # Freed blocks need not be in the snapshot. Not every disk supports this.
    fstrim / 2> /dev/null || say "this disk does not support fstrim"
    sync
    [[ ! -d /run/systemd/system ]] || forbid_writing
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

# The archives that a machine reads by its contract with Ubuntu Pro. An image gets no contract, and apt would fail.
forget_contract() {
    local token
    token=$(find /var/lib/ubuntu-advantage -name '*token*' -print -quit 2> /dev/null || true)
    [[ -n $token && -d /etc/apt/sources.list.d ]] || return 0
    find /etc/apt/sources.list.d -type f -exec grep -qE '^[^#]*esm\.ubuntu\.com' {} \; -delete
    say "this machine had a contract with Ubuntu Pro; the image does not get it"
}

remove_unwanted() {
    local file
    # These must exist, because the programs that write to them do not create them.
    for file in /etc/machine-id /var/log/wtmp /var/log/btmp /var/log/lastlog /var/log/faillog /var/log/tallylog; do
        [[ ! -e $file ]] || : > "$file"
    done
    # A separate file here would keep the old machine id: systemd would copy it into the empty /etc/machine-id.
    [[ ! -d /var/lib/dbus ]] || ln -sf /etc/machine-id /var/lib/dbus/machine-id

    unwanted | xargs -0 --no-run-if-empty rm -rf --
    # Folders that are in use may stay if they are empty.
    find /tmp /var/tmp /var/log/journal -mindepth 1 -empty -delete 2> /dev/null || true
}

# Prints every unwanted path, each followed by a zero byte.
unwanted() {
    local passing anything files of_boot
    any_of passing "${passed_over[@]}"
    any_of anything "${unwanted[@]}"
    any_of files "${unwanted_files[@]}"
    any_of of_boot "${written_at_boot[@]}"
    find / "${passing[@]}" -prune -o "${anything[@]}" -prune -print0 -o ! -type d ! -empty "${files[@]}" -print0 \
        -o ! -type d "${of_boot[@]}" -newerct "@$boot_time" -print0
}

# Prints a line `FILE (KIND)` for each file that tells of this machine, would be shared by mistake, or has a credential.
own_content() {
    # dpkg and apt keep versions, which can look like addresses.
    containing marks -newerct "@$boot_time" ! -path '/var/lib/dpkg/*' ! -path '/var/lib/apt/*' | sort -u
    containing credentials | sort -u
    # shellcheck disable=SC2034 # containing() reads it by its name.
    local -A random=([$RANDOM_UUID]='random id' [$RANDOM_ID]='random id' [$RANDOM_NAME]='random name')
    passed_over+=("${checksums[@]}")
    containing random -newerct "@$boot_time" | sort -u
}

# Prints `FILE (KIND)` for files in which something matches. The array maps regular expressions to kinds. More arguments
# are tests of find.
containing() {
    local -n kinds=$1
    local passing expression patterns=() file
    any_of passing "${passed_over[@]}" "${same_on_all[@]}"
    for expression in "${!kinds[@]}"; do
        patterns+=(-e "$expression")
    done
    ((${#patterns[@]} > 0)) || return 0
    find / "${passing[@]}" -prune -o -type f ! -empty "${@:2}" -print0 |
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

# Whether dpkg knows exactly this content, as part of a package.
is_of_a_package() {
    local sum
    sum=$(md5sum < "$1")
    sum=${sum%% *}
    grep -qsxF -e " $1 $sum" /var/lib/dpkg/status && return
    find /var/lib/dpkg/info -name '*.md5sums' -exec grep -qsxF -e "$sum  ${1#/}" {} + -print -quit | grep -q .
}

# Sets an array to the arguments with which find matches any of the patterns. The first argument is the array's name.
any_of() {
    local -n condition=$1
    local pattern test
    condition=(-false)
    for pattern in "${@:2}"; do
        test=-name
        [[ $pattern != */* ]] || test=-path
        condition+=(-o "$test" "$pattern")
    done
    condition=("(" "${condition[@]}" ")")
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
