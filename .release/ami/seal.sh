#!/bin/bash
# The last thing on a machine before it is stopped from outside and imaged: takes away whatever would let somebody in,
# tell something about the build, or make two instances alike. It ends with looking for all of it again.
#
# It runs as root, from a file or from stdin. The session that runs it stays, but nobody can log in any more.

set -Eeuo pipefail
trap 'echo "seal.sh: line $LINENO: failed with exit code $?: $BASH_COMMAND" >&2' ERR

# A base's own cloud-init is done within a minute; on Ubuntu it may wait for snapd, which takes some more.
readonly CLOUD_INIT_LIMIT_SECS=600

# What must not be in an image, of whatever kind it is. With a slash it is a whole path, else a name in any folder.
unwanted=(
    # Login keys, and what else ssh keeps for a user.
    .ssh authorized_keys authorized_keys2
    # Histories.
    '.*_history' .lesshst .viminfo .wget-hsts
    # Credentials.
    .aws .azure .boto .docker .git-credentials .gnupg .kube .my.cnf .netrc .npmrc .pgpass .pypirc .s3cfg .vault-token
    '*/.config/gcloud' '*/.config/gh' '*/.config/git/credentials' /var/lib/amazon/ssm
    # The first boot of an instance is the first one to cloud-init only without these. They hold the user-data, too.
    '/var/lib/cloud/*'
)
# The same for files that may stay if they are empty.
unwanted_files=(
    '/etc/ssh/ssh_host_*'
    # Copies of password hashes.
    /etc/shadow- /etc/gshadow- '/var/backups/*shadow*'
    # Identity, and randomness that must not be the same twice.
    /etc/machine-id /var/lib/systemd/random-seed /var/lib/urandom/random-seed /var/lib/systemd/credential.secret
    '/var/lib/dhcp/*' '/var/lib/dhclient/*' '/var/lib/NetworkManager/*lease*'
    # Logs, mail and dumps.
    '/var/log/*' '/var/mail/*' '/var/spool/mail/*' '/var/crash/*' '/var/lib/systemd/coredump/*' core
    # Package lists and archives, which the next `apt-get update` brings anyway, and temporary files.
    '/var/lib/apt/lists/*' '/var/cache/apt/*' '/tmp/*' '/var/tmp/*'
)
# Nobody's own files are in these folders, and those of packages may have such names. A seed of cloud-init is part of
# the base.
passed_over=(/proc /sys /dev /run /usr /opt /snap /var/lib/cloud/seed)

main() {
    umask 022
    export LC_ALL=C PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin

    [[ $(id -u) == 0 ]] || fail "must run as root"
    # A guard for whoever runs this on a computer that is dear to them.
    [[ -f /usr/share/wallaroo/manifest.json ]] ||
        fail "this machine has no /usr/share/wallaroo/manifest.json, so it is not one to be imaged"

    if [[ -d /run/systemd/system ]]; then
        wait_for_cloud_init
        silence_services
    fi
    lock_passwords
    forbid_password_login
    remove_unwanted

    local remains
    remains=$(unusual_passwords; unwanted | tr '\0' '\n')
    [[ -z $remains ]] || fail "these must not be in an image, and are still there: ${remains//$'\n'/, }"
    ! timed_shutdown_is_pending || fail "a timed shutdown is still pending"

    # Freed blocks need not be in the snapshot. Not every disk can do this.
    fstrim / 2> /dev/null || say "fstrim is not possible on this disk"
    sync
    say "sealed"
}

# One can log in before cloud-init's last stage has begun, and each stage writes below /var/lib/cloud when it begins and
# when it ends. To stop it would make an image of a machine that is half set up.
wait_for_cloud_init() {
    local deadline=$((SECONDS + CLOUD_INIT_LIMIT_SECS)) said=
    while cloud_init_has_jobs; do
        [[ -n $said ]] || say "waiting until cloud-init has ended, at most $CLOUD_INIT_LIMIT_SECS s"
        said=1
        ((SECONDS < deadline)) || fail "waited $CLOUD_INIT_LIMIT_SECS s, and cloud-init still has not ended"
        sleep 1
    done
}

# systemd has a job for each stage that runs or is yet to run, until its process has ended. cloud-init can't be asked:
# `cloud-init status` is missing from older ones, and answers before the process ends.
cloud_init_has_jobs() {
    local jobs
    jobs=$(systemctl list-jobs --full --no-legend) || fail "systemd does not say what it has yet to do"
    [[ $jobs =~ cloud-(init|config|final) ]]
}

# Some services write while the machine goes down, after the last look at the disk: logs, a random seed, for a getty a
# line in wtmp, and cloud-init's state when a network card comes or goes. They stop now, and so does the timer that ends
# a forgotten machine. Not all of them exist everywhere.
silence_services() {
    shutdown -c 2> /dev/null || true
    systemctl stop syslog.socket rsyslog.service cron.service unattended-upgrades.service systemd-random-seed.service \
        systemd-update-utmp.service 'cloud-init-hotplugd.*' 'getty@*' 'serial-getty@*' 'amazon-ssm-agent*' \
        'snap.amazon-ssm-agent*' 2> /dev/null || true
    mkdir -p /run/systemd/journald.conf.d
    printf '[Journal]\nStorage=volatile\n' > /run/systemd/journald.conf.d/sealed.conf
    systemctl restart systemd-journald.service
}

# systemd 229 leaves /run/systemd/shutdown/scheduled behind when it cancels one, so logind is asked.
timed_shutdown_is_pending() {
    busctl get-property org.freedesktop.login1 /org/freedesktop/login1 org.freedesktop.login1.Manager ScheduledShutdown \
        2> /dev/null | grep -q '"[a-z]'
}

# A locked password's hash could still be guessed, so it is replaced.
lock_passwords() {
    local account
    for account in $(unusual_passwords); do
        usermod --password '!' "$account"
    done
}

# Accounts with a password that is empty, usable, or locked with its hash still there.
unusual_passwords() {
    awk -F : '$2 !~ /^[!*]+$/ { print $1 }' /etc/shadow
}

forbid_password_login() {
    local config=/etc/ssh/sshd_config settings file
    # With a drop-in, upgrades of the package find their own file unchanged.
    if grep -qiE '^[[:space:]]*Include[[:space:]]+"?/etc/ssh/sshd_config\.d/' "$config"; then
        config=/etc/ssh/sshd_config.d/00-wallaroo.conf
    fi
    if ! grep -q '^# Wallaroo:' "$config" 2> /dev/null; then
        settings=$(
            echo "# Wallaroo: sshd takes the first value that it finds, so nothing below allows passwords again."
            echo "PasswordAuthentication no"
            echo "ChallengeResponseAuthentication no"
            echo "PermitEmptyPasswords no"
            echo "PermitRootLogin prohibit-password"
            if [[ -e $config ]]; then cat "$config"; fi
        )
        echo "$settings" > "$config"
    fi

    # sshd answers only as long as it has its host keys.
    mkdir -p /run/sshd
    local user
    for user in root "${SUDO_USER:-root}"; do
        settings=$(sshd -T -C "user=$user,host=localhost,addr=127.0.0.1")
        if grep -E '^(passwordauthentication|kbdinteractiveauthentication|challengeresponseauthentication|permitemptypasswords|permitrootlogin) yes$' \
            <<< "$settings" >&2; then
            fail "sshd would still do this for $user, in spite of $config"
        fi
    done

    # The keys that this sshd knows may lie elsewhere.
    while read -r file; do
        unwanted_files+=("$file" "$file.pub")
    done < <(sed -n 's/^hostkey //p' <<< "$settings")
    while read -r file; do
        unwanted+=("${file//%[a-zA-Z]/*}")
    done < <(sed -n 's/^authorizedkeysfile //p' <<< "$settings" | tr ' ' '\n' | sed -n '/^\//p')
}

remove_unwanted() {
    local file
    # These must exist, for what writes to them doesn't make them.
    for file in /etc/machine-id /var/log/wtmp /var/log/btmp /var/log/lastlog /var/log/faillog /var/log/tallylog; do
        [[ ! -e $file ]] || : > "$file"
    done
    # A separate file here would outlive the empty machine-id: systemd would take the old one from it.
    [[ ! -d /var/lib/dbus ]] || ln -sf /etc/machine-id /var/lib/dbus/machine-id

    unwanted | xargs -0 --no-run-if-empty rm -rf --
    # Folders that are in use may stay, as long as nothing is in them.
    find /tmp /var/tmp /var/log/journal -mindepth 1 -empty -delete 2> /dev/null || true
}

# Prints everything that is unwanted, each followed by a zero byte.
unwanted() {
    local passing anything files
    any_of passing "${passed_over[@]}"
    any_of anything "${unwanted[@]}"
    any_of files "${unwanted_files[@]}"
    find / "${passing[@]}" -prune -o "${anything[@]}" -prune -print0 -o ! -type d ! -empty "${files[@]}" -print0
}

# Sets an array, whose name comes first, to what find needs to match any of the patterns.
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

# All has been read when this line runs, so children can't eat the script from stdin, and its own file may be removed.
main "$@" < /dev/null
exit
