#!/bin/bash
# What must not be in an image, for seal.sh, which takes this in and removes it.

# shellcheck disable=SC2034 # The script that takes it in reads the lists.

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
    # Copies of password hashes, and those of former passwords.
    /etc/shadow- /etc/gshadow- '/var/backups/*shadow*' /etc/security/opasswd
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
    # What was installed before. dpkg and a daily job write these copies again, and nothing reads them.
    /var/lib/dpkg/status-old /var/lib/dpkg/available-old /var/lib/dpkg/diversions-old /var/lib/dpkg/statoverride-old
    '/var/backups/dpkg*'
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
# The same of a file that is emptied. dhclient and NetworkManager write over it at each boot, but give it the mode that it had;
# and where it is gone, systemd-tmpfiles links it to a resolver that may not be running.
emptied_at_boot=(/etc/resolv.conf)
# These folders hold no user's files, and packages may have files with such names there. cloud-init's seed belongs to
# the base.
passed_over=(/proc /sys /dev /run /usr /opt /snap /var/lib/cloud/seed)

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
