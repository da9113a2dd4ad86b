#!/bin/bash
# What seal.sh removes from a machine, and what check.sh therefore looks for on an instance of the image. Both take this file
# in. Not looked for is what may be the base's own, too: names that this boot wrote, and settings of an installer.

# shellcheck disable=SC2034 # The scripts that take it in read the lists.

# A pattern with a slash matches a whole path, one without matches a name in any folder. Each list is of one kind, so that
# check.sh can say what is wrong with an image.

# Login keys, and everything else that ssh keeps for a user.
login_keys=(.ssh authorized_keys authorized_keys2)
# Histories of shells, interpreters, debuggers and editors, as an extended regular expression for whole paths. They are hidden,
# or lie below a hidden folder, at times several of them in a folder.
readonly HISTORY='.*/\.([^/]+/(.*/)?)?([^/]*history[^/]*|[^/]*history/[^/]*|history_[a-z]+/[^/]*|([^/]*[_.-])?hist(file)?|lesshst|viminfo|[^/]*\.shada|wget-hsts|dbshell)'
# Programs that somebody installed below a hidden folder have files with such names, too, and so have repositories of Git.
no_histories=(
    '*/site-packages/*' '*/node_modules/*' '*/.git/*' '*/.julia/packages/*' '*/.cargo/registry/*' '*/.rustup/*'
    '*.py' '*.pyc' '*.js' '*.ts' '*.rb' '*.go' '*.rs' '*.c' '*.h' '*.lua' '*.vim' '*.el' '*.so' '*.md' '*.html'
)
credential_files=(
    .aws .azure .boto .databrickscfg .docker .git-credentials .gnupg .kaggle .kube .my.cnf .mylogin.cnf .netrc .npmrc .oci
    .pgpass .pypirc .s3cfg .terraformrc .vault-token
    '*/.bundle/config' '*/.cache/huggingface/token' '*/.cargo/credentials*' '*/.composer/auth.json'
    '*/.config/containers/auth.json' '*/.config/doctl' '*/.config/gcloud' '*/.config/gh' '*/.config/git/credentials'
    '*/.config/glab-cli' '*/.config/hcloud' '*/.config/hub' '*/.config/op' '*/.config/pip' '*/.config/rclone'
    '*/.gem/credentials' '*/.pip' '*/.terraform.d/credentials.tfrc.json'
)
# Passwords of package archives, and Ubuntu Pro's: of the machine, of Livepatch, and whose contract it was.
tokens=(
    /etc/apt/auth.conf '/etc/apt/auth.conf.d/*'
    /var/lib/ubuntu-advantage/private '/var/lib/ubuntu-advantage/*token*' '/var/snap/canonical-livepatch/*/*token*'
    /var/lib/ubuntu-advantage/status.json
)
# What programs remember of this machine and of who used it.
memories=(
    # Who logged in, and who used sudo.
    '/var/lib/lastlog/*' '/var/lib/wtmpdb/*' '/var/lib/sudo/*' '/var/db/sudo/*' .sudo_as_admin_successful
    # What the computer that made the base resolved names with, and the proxy of apt that an installer used.
    '/etc/.resolv.conf.*.bak' /etc/apt/apt.conf.d/90curtin-aptproxy
    # With these, cloud-init would not take an instance's first boot for its first. They also hold the user-data.
    '/var/lib/cloud/*'
    # What makes this machine known to Systems Manager.
    /var/lib/amazon/ssm
)
# All of that goes, with its folders.
unwanted=("${login_keys[@]}" "${credential_files[@]}" "${tokens[@]}" "${memories[@]}")

host_keys=('/etc/ssh/ssh_host_*')
identities=(
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
    # What was installed before. dpkg and a daily job write these copies again, and nothing reads them.
    /var/lib/dpkg/status-old /var/lib/dpkg/available-old /var/lib/dpkg/diversions-old /var/lib/dpkg/statoverride-old
    '/var/backups/dpkg*'
)
logs=('/var/log/*' '/var/crash/*' '/var/lib/systemd/coredump/*')
# Mail, also such as waits to be sent, of a Postfix whose chroot has other files beside it, too, and jobs of at. An instance
# would send and run them once more.
mail_and_jobs=(
    '/var/mail/*' '/var/spool/mail/*'
    '/var/spool/exim4/*' '/var/spool/mqueue*/*' '/var/spool/nullmailer/*' '/var/spool/dma/*' /var/lib/postfix/prng_exch
    '/var/spool/postfix/[abcfhimst]*/*' '/var/spool/postfix/defer*/*'
    '/var/spool/cron/atjobs/*' '/var/spool/cron/atspool/*' '/var/spool/at/*'
)
# Package lists and archives, which `apt-get` downloads again, and temporary files.
temporary=('/var/lib/apt/lists/*' '/var/cache/apt/*' '/tmp/*' '/var/tmp/*')
# These files may only stay if they are empty.
unwanted_files=("${host_keys[@]}" "${identities[@]}" "${logs[@]}" "${mail_and_jobs[@]}" "${temporary[@]}")

# What has the date of what it is a copy of, whenever it was written.
copies=('/etc/*shadow-' '/var/backups/*' '/var/lib/apt/lists/*' '/var/cache/apt/*')
# These must go if this boot wrote them, and then the next instance's boot writes them again. Otherwise they belong to
# the base.
written_at_boot=(
    /etc/hostname '/etc/netplan/*cloud-init*' '/etc/network/interfaces.d/*cloud-init*'
    '/etc/systemd/network/*cloud-init*' '/etc/NetworkManager/*/*cloud-init*' /etc/udev/rules.d/70-persistent-net.rules
    '/var/spool/cron/crontabs/*'
    # Copies for the chroot of Postfix, the name server of this network among them, and what its processes lock.
    '/var/spool/postfix/etc/*' '/var/spool/postfix/lib/*' '/var/spool/postfix/pid/*' /var/lib/postfix/master.lock
)
# The same of a file that is emptied. dhclient and NetworkManager write over it at each boot, but give it the mode that it had;
# and where it is gone, systemd-tmpfiles links it to a resolver that may not be running.
emptied_at_boot=(/etc/resolv.conf)
# These folders hold no user's files, and packages may have files with such names there. cloud-init's seed belongs to
# the base.
passed_over=(/proc /sys /dev /run /usr /opt /snap /var/lib/cloud/seed)

# What no file may contain, except as it came in a package: an extended regular expression, and what it finds.
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
    ['[$](1|apr1)[$][./A-Za-z0-9]{1,8}[$][./A-Za-z0-9]{22}([^./A-Za-z0-9]|$)']='password hash'
    ['[$]5[$](rounds=[0-9]+[$])?[./A-Za-z0-9]{0,16}[$][./A-Za-z0-9]{43}([^./A-Za-z0-9]|$)']='password hash'
    ['[$]6[$](rounds=[0-9]+[$])?[./A-Za-z0-9]{0,16}[$][./A-Za-z0-9]{86}([^./A-Za-z0-9]|$)']='password hash'
    ['[$]2[abxy]?[$][0-9]{2}[$][./A-Za-z0-9]{53}([^./A-Za-z0-9]|$)']='password hash'
    ['[$](y|gy|7)[$][./A-Za-z0-9]+[$]([./A-Za-z0-9]+[$])?[./A-Za-z0-9]{43}([^./A-Za-z0-9]|$)']='password hash'
    ['"(machineToken|contractToken)"[[:space:]]*:[[:space:]]*"[^"]']='machine token'
)

# These folders are not searched for what files contain: what is below /usr came in packages, other than in /usr/local, and
# where a machine gets its data from a seed on its disk, the seed has its keys.
no_content=(/proc /sys /dev /run /usr /snap /var/lib/cloud/seed)

# Sets an array to the starting points and the first arguments with which find goes through all files that may contain what an
# image must not have, other than in these folders. The first argument is the array's name.
all_content() {
    local -n content_arguments=$1
    local passing
    any_of passing "${no_content[@]}" "${@:2}"
    content_arguments=(/)
    # A starting point is not passed over.
    [[ ! -d /usr/local ]] || content_arguments+=(/usr/local)
    content_arguments+=("${passing[@]}" -prune -o)
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

# Sets an array to the arguments with which find matches what a program that crashed left: the kernel writes ELF files of their
# own type. Other files have such names, too. The argument is the array's name.
any_core() {
    local -n core_arguments=$1
    local names
    any_of names core 'core.[0-9]*'
    # shellcheck disable=SC2016 # The other shell expands it.
    core_arguments=("${names[@]}" -type f ! -empty -exec sh -c
        '[ "$(od -An -tx1 -N 4 "$1") $(od -An -tx1 -j 16 -N 1 "$1")" = " 7f 45 4c 46  04" ]' sh "{}" ";")
}

# Sets an array to the arguments with which find matches histories. The argument is the array's name.
any_history() {
    local -n history_arguments=$1
    local programs
    any_of programs "${no_histories[@]}"
    # The path comes first, because an expression takes longer.
    history_arguments=("(" -path '*/.*' -regextype posix-extended -regex "$HISTORY" ! "${programs[@]}" ")")
}
