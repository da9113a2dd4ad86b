#!/bin/bash
# The last step on a machine before it is stopped and imaged. It removes everything that would allow a login, reveal
# something about the build, or give two instances the same identity. At the end it searches for all of that again.
#
# It runs as root, from a file or from stdin. The session that runs it stays open; later logins are refused.

set -Eeuo pipefail
trap 'echo "seal.sh: line $LINENO: failed with exit code $?: $BASH_COMMAND" >&2' ERR

# cloud-init of the base ends within a minute. On Ubuntu it may wait for snapd, which takes longer.
readonly CLOUD_INIT_LIMIT_SECS=600

# Files and folders that must not be in an image. A pattern with a slash matches a whole path, one without matches a
# name in any folder.
unwanted=(
    # Login keys, and everything else that ssh keeps for a user.
    .ssh authorized_keys authorized_keys2
    # Histories.
    '.*_history' .lesshst .viminfo .wget-hsts
    # Credentials.
    .aws .azure .boto .docker .git-credentials .gnupg .kube .my.cnf .netrc .npmrc .pgpass .pypirc .s3cfg .vault-token
    '*/.config/gcloud' '*/.config/gh' '*/.config/git/credentials' /var/lib/amazon/ssm
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
    '/var/lib/dhcp/*' '/var/lib/dhclient/*' '/var/lib/NetworkManager/*lease*'
    # Logs, mail and dumps.
    '/var/log/*' '/var/mail/*' '/var/spool/mail/*' '/var/crash/*' '/var/lib/systemd/coredump/*' core
    # Package lists and archives, which `apt-get` downloads again, and temporary files.
    '/var/lib/apt/lists/*' '/var/cache/apt/*' '/tmp/*' '/var/tmp/*'
)
# These folders hold no user's files, and packages may have files with such names there. cloud-init's seed belongs to
# the base.
passed_over=(/proc /sys /dev /run /usr /opt /snap /var/lib/cloud/seed)

main() {
    umask 022
    export LC_ALL=C PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin

    [[ $(id -u) == 0 ]] || fail "must run as root"
    # Protects a computer on which this is run by mistake.
    [[ -f /usr/share/wallaroo/manifest.json ]] ||
        fail "this machine has no /usr/share/wallaroo/manifest.json, so it is not a build machine; nothing was changed"

    if [[ -d /run/systemd/system ]]; then
        wait_for_cloud_init
        silence_services
    fi
    lock_passwords
    forbid_password_login
    remove_unwanted

    local remains
    remains=$(unusual_passwords; unwanted | tr '\0' '\n')
    [[ -z $remains ]] || fail "these must not be in an image, but could not be removed: ${remains//$'\n'/, }"
    ! timed_shutdown_is_pending || fail "a timed shutdown is still pending"

    # Freed blocks need not be in the snapshot. Not every disk supports this.
    fstrim / 2> /dev/null || say "this disk does not support fstrim"
    sync
    say "sealed"
}

# Logins are possible before cloud-init's last stage begins, and each stage writes below /var/lib/cloud when it begins
# and when it ends. Stopping cloud-init instead would image a machine that is half set up.
wait_for_cloud_init() {
    local deadline=$((SECONDS + CLOUD_INIT_LIMIT_SECS)) said=
    while cloud_init_has_jobs; do
        [[ -n $said ]] || say "waiting until cloud-init has finished, at most $CLOUD_INIT_LIMIT_SECS s"
        said=1
        ((SECONDS < deadline)) || fail "timed out after $CLOUD_INIT_LIMIT_SECS s of waiting until cloud-init has finished"
        sleep 1
    done
}

# systemd has a job for each stage until the stage's process has ended. `cloud-init status` does not help: older
# versions lack it, and it reports the end before the process ends.
cloud_init_has_jobs() {
    local jobs
    jobs=$(systemctl list-jobs --full --no-legend) || fail "failed to list systemd's jobs"
    [[ $jobs =~ cloud-(init|config|final) ]]
}

# Some services write while the machine shuts down, after the disk was checked: logs, a random seed, a line in wtmp for
# each getty, and cloud-init's state when a network card appears or disappears. They are stopped here. So is the timed
# shutdown, which ends a forgotten machine. Not every base has all of them.
silence_services() {
    shutdown -c 2> /dev/null || true
    systemctl stop syslog.socket rsyslog.service cron.service unattended-upgrades.service systemd-random-seed.service \
        systemd-update-utmp.service 'cloud-init-hotplugd.*' 'getty@*' 'serial-getty@*' 'amazon-ssm-agent*' \
        'snap.amazon-ssm-agent*' 2> /dev/null || true
    mkdir -p /run/systemd/journald.conf.d
    printf '[Journal]\nStorage=volatile\n' > /run/systemd/journald.conf.d/sealed.conf
    systemctl restart systemd-journald.service
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
    local passing anything files
    any_of passing "${passed_over[@]}"
    any_of anything "${unwanted[@]}"
    any_of files "${unwanted_files[@]}"
    find / "${passing[@]}" -prune -o "${anything[@]}" -prune -print0 -o ! -type d ! -empty "${files[@]}" -print0
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
