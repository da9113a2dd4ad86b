//! seal.sh: what would tell of the build machine, or make two instances the same, is removed or refused.

use crate::root::Root;

/// A root that seal.sh takes for a build machine.
fn machine() -> Option<Root> {
    let root = Root::new()?;
    root.write("/usr/share/wallaroo/manifest.json", "{}");
    Some(root)
}

/// The id of the machine that the root is.
const MACHINE_ID: &str = "0123456789abcdef0123456789abcdef";

const HOST_KEY: &str = "AAAAC3NzaC1lZDI1NTE5AAAAIHostHostHost";

#[test]
fn a_machine_without_traces_is_sealed() {
    let Some(root) = machine() else { return };
    let ended = root.run("seal.sh", &[]);
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    assert!(ended.stdout.contains("sealed"), "{ended:#?}");
    assert!(ended.stdout.contains(&format!("seal.sh: mark machine id={MACHINE_ID}")), "{ended:#?}");
    assert!(ended.stdout.contains(&format!("seal.sh: mark host key={HOST_KEY}")), "{ended:#?}");
}

#[test]
fn what_programs_make_once_for_a_machine_is_made_anew() {
    let Some(root) = machine() else { return };
    let gone = [
        "/etc/nvme/hostnqn",
        "/etc/nvme/hostid",
        "/etc/openvswitch/system-id.conf",
        "/var/lib/openvswitch/conf.db",
        "/var/lib/snmp/snmpd.conf",
        "/etc/multipath/bindings",
        "/var/lib/dhcpcd/duid",
        "/var/lib/dhcpcd/secret",
        "/etc/dhcpcd.duid",
        "/var/lib/NetworkManager/secret_key",
        "/var/lib/libuuid/clock.txt",
        "/etc/ssl/private/ssl-cert-snakeoil.key",
        "/var/lib/lastlog/lastlog2.db",
        "/var/lib/wtmpdb/wtmp.db",
        "/var/lib/sudo/ts/debian",
        "/home/debian/.sudo_as_admin_successful",
        "/etc/apt/auth.conf",
        "/etc/apt/auth.conf.d/90ubuntu-advantage",
        "/var/lib/ubuntu-advantage/private/machine-token.json",
        "/var/lib/ubuntu-advantage/private/machine-access-esm-infra.json",
        "/var/lib/ubuntu-advantage/machine-token.json",
        "/var/lib/ubuntu-advantage/status.json",
        "/var/snap/canonical-livepatch/common/machine-token",
        "/root/.config/pip/pip.conf",
        "/root/.cargo/credentials.toml",
        "/var/lib/NetworkManager/timestamps",
        "/etc/.resolv.conf.systemd-resolved.bak",
        "/etc/hostname",
        "/etc/netplan/50-cloud-init.yaml",
        "/etc/udev/rules.d/70-persistent-net.rules",
        "/etc/bind/rndc.key",
        "/var/lib/docker/engine-id",
        "/var/lib/docker/network/files/local-kv.db",
        "/var/lib/postfix/prng_exch",
        "/var/spool/cron/crontabs/root",
    ];
    for path in gone {
        root.write(path, "anything\n");
    }
    root.write("/etc/iscsi/initiatorname.iscsi", "InitiatorName=iqn.1993-08.org.debian:01:8a7d6c5b4f3e\n");
    let id = "MY_HOSTID=\"00112233445566778899aabbccddeeff\"\nDAY=\"3\"\n";
    root.write("/etc/popularity-contest.conf", format!("PARTICIPATE=\"no\"\n{id}"));
    let rule = "debian ALL=(ALL) NOPASSWD:ALL\n";
    let dated = format!("# Created by cloud-init v. 25.1.4 on Fri, 27 Nov 2026 21:59:00 +0000\n{rule}");
    root.write("/etc/sudoers.d/90-cloud-init-users", dated);
    let ended = root.run("seal.sh", &[]);
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    assert_eq!(root.read("/etc/sudoers.d/90-cloud-init-users").as_deref(), Some(rule));
    for path in gone {
        assert_eq!(root.read(path), None, "{path}");
    }
    // Its package starts no daemon without the file, and makes a name where this line asks for it.
    assert_eq!(root.read("/etc/iscsi/initiatorname.iscsi").as_deref(), Some("GenerateName=yes\n"));
    let popularity = root.read("/etc/popularity-contest.conf").expect("a file");
    assert!(popularity.contains("PARTICIPATE") && !popularity.contains("MY_HOSTID=\"0"), "{popularity}");
}

/// What waits in a queue, and would be sent or run once more by each instance.
const QUEUED: [&str; 8] = [
    "/var/mail/root",
    "/var/spool/exim4/input/1abcde-000001-AA-D",
    "/var/spool/postfix/maildrop/1A2B3C",
    "/var/spool/postfix/deferred/4/4D5E6F",
    "/var/spool/mqueue-client/df1",
    "/var/spool/nullmailer/queue/1",
    "/var/spool/cron/atjobs/a0000101c5a0f0",
    "/var/spool/cron/atspool/a0000101c5a0f0",
];

#[test]
fn mail_and_jobs_that_wait_are_not_handed_on() {
    let Some(root) = machine() else { return };
    let faults = |root: &Root| {
        let ended = root.run("check.sh", &["ssh-ed25519 AAAAC3NzaLogin me", "/usr/bin/machida"]);
        let line = ended.stdout.lines().find(|line| line.contains("no old mail and jobs"));
        line.unwrap_or_else(|| panic!("{ended:#?}")).to_owned()
    };
    // Those of the base go, too. What a chroot of Postfix needs stays, and the jobs that the base's machines are to do.
    let stay = ["/var/spool/postfix/etc/services", "/var/spool/postfix/lib/x", "/var/spool/cron/crontabs/debian"];
    QUEUED.iter().chain(&stay).for_each(|path| root.write(path, "anything\n"));
    root.reboot();
    let said = faults(&root);
    assert!(QUEUED.iter().all(|path| said.contains(path)), "{said}");
    let ended = root.run("seal.sh", &[]);
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    let left: Vec<_> = QUEUED.iter().filter(|path| root.read(path).is_some()).collect();
    assert!(left.is_empty(), "{left:?}");
    assert!(stay.iter().all(|path| root.read(path).is_some()));
    assert_eq!(faults(&root), "ok no old mail and jobs");
}

/// Of shells, interpreters and pagers, in a home and below it.
const HISTORIES: [&str; 17] = [
    ".bash_history",
    ".zhistory",
    ".histfile",
    ".python_history",
    ".local/share/fish/fish_history",
    ".local/state/python_history",
    ".config/nushell/history.txt",
    ".ipython/profile_default/history.sqlite",
    ".julia/logs/repl_history.jl",
    ".octave_hist",
    ".dbshell",
    ".lldb/lldb-widehistory",
    ".local/state/lesshst",
    ".local/state/nvim/shada/main.shada",
    ".local/share/xonsh/history_json/xonsh-1.json",
    ".cache/erlang-history/erlang-shell-log.1",
    ".mongodb/mongosh/mongosh_repl_history",
];

/// Files of programs, and a user's own.
const NO_HISTORIES: [&str; 5] = [
    "/home/debian/notes/history.txt",
    "/home/debian/.local/lib/python3.13/site-packages/IPython/core/history.json",
    "/home/debian/.vscode-server/extensions/git-history-1.0/package.json",
    "/root/.vim/plugin/history.vim",
    "/srv/wallaroo/.git/refs/heads/history",
];

#[test]
fn histories_go_wherever_a_program_keeps_them() {
    let Some(root) = machine() else { return };
    let paths = HISTORIES.iter().flat_map(|name| [format!("/root/{name}"), format!("/home/debian/{name}")]);
    let paths: Vec<String> = paths.collect();
    paths.iter().for_each(|path| root.write(path, "ls\n"));
    NO_HISTORIES.iter().for_each(|path| root.write(path, "of the company\n"));
    // An empty one and one that goes nowhere tell of somebody who used the machine, too.
    root.write("/home/admin/.bash_history", "");
    root.link("/home/admin/.lesshst", "/dev/null");
    let unused = ["/home/admin/.bash_history".to_owned(), "/home/admin/.lesshst".to_owned()];
    root.reboot();
    let histories = |root: &crate::root::Root| {
        let ended = root.run("check.sh", &["ssh-ed25519 AAAAC3NzaLogin me", "/usr/bin/machida"]);
        let line = ended.stdout.lines().find(|line| line.contains("no histories"));
        line.unwrap_or_else(|| panic!("{ended:#?}")).to_owned()
    };
    let faults = histories(&root);
    assert!(paths.iter().chain(&unused).all(|path| faults.contains(path.as_str())), "{faults}");
    let ended = root.run("seal.sh", &[]);
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    let left: Vec<&String> = paths.iter().filter(|path| root.read(path).is_some()).collect();
    assert!(left.is_empty(), "{left:?}");
    let gone: Vec<&&str> = NO_HISTORIES.iter().filter(|path| root.read(path).is_none()).collect();
    assert!(gone.is_empty(), "{gone:?}");
    assert_eq!(histories(&root), "ok no histories");
}

#[test]
fn the_archives_of_a_contract_go_with_it_and_only_with_it() {
    let esm = "deb https://esm.ubuntu.com/infra/ubuntu xenial-infra-security main\n";
    let deb822 = "Types: deb\nURIs: https://esm.ubuntu.com/apps/ubuntu\nSuites: noble-apps-security\n";
    for has_token in [true, false] {
        let Some(root) = machine() else { return };
        root.write("/etc/apt/sources.list.d/ubuntu-esm-infra.list", esm);
        root.write("/etc/apt/sources.list.d/ubuntu-esm-apps.sources", deb822);
        root.write("/etc/apt/sources.list.d/other.list", format!("# {esm}"));
        root.write("/var/lib/ubuntu-advantage/apt-esm/lists", "");
        if has_token {
            root.write("/var/lib/ubuntu-advantage/private/machine-token.json", "{\"machineToken\": \"C1abcdefgh\"}\n");
        }
        let ended = root.run("seal.sh", &[]);
        assert_eq!(ended.code, Some(0), "{ended:#?}");
        for name in ["ubuntu-esm-infra.list", "ubuntu-esm-apps.sources"] {
            assert_eq!(root.read(&format!("/etc/apt/sources.list.d/{name}")).is_none(), has_token, "{name}");
        }
        assert!(root.read("/etc/apt/sources.list.d/other.list").is_some());
        assert_eq!(root.read("/var/lib/ubuntu-advantage/private/machine-token.json"), None);
    }
}

#[test]
fn each_instance_makes_the_names_that_no_program_makes_again() {
    let Some(root) = Root::new() else { return };
    root.program("nvme", "#!/bin/sh\necho nqn.2014-08.org.nvmexpress:uuid:of-the-hardware\n");
    root.program("make-ssl-cert", "#!/bin/sh\necho own > /etc/ssl/private/ssl-cert-snakeoil.key\n");
    for path in ["/etc/nvme/hostnqn", "/etc/ssl/private/ssl-cert-snakeoil.key"] {
        root.write(path, "");
    }
    root.program("rndc-confgen", "#!/bin/sh\necho own > /etc/bind/rndc.key\n");
    root.write("/etc/bind/rndc.key", "");
    root.write("/etc/hostid", "");
    root.write("/etc/popularity-contest.conf", "PARTICIPATE=\"no\"\n");
    let ended = root.run("provision.sh", &["prepare"]);
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    let unit = root.read("/etc/systemd/system/basic.target.wants/wallaroo-identity.service");
    assert!(unit.is_some_and(|unit| unit.contains("ExecStart=/bin/sh /usr/share/wallaroo/identity\n")));
    let key = "/etc/ssl/private/ssl-cert-snakeoil.key";
    let files = ["/etc/nvme/hostnqn", "/etc/nvme/hostid", "/etc/popularity-contest.conf", key, "/etc/bind/rndc.key"];
    let made = || {
        let ended = root.run_own("/usr/share/wallaroo/identity");
        assert_eq!(ended.code, Some(0), "{ended:#?}");
        files.map(|path| root.read(path).expect("a file"))
    };
    let first = made();
    assert!(!first[0].contains("of-the-hardware"), "{first:?}");
    assert!(first[0].starts_with("nqn.") && first[2].contains("MY_HOSTID=\""), "{first:?}");
    assert_eq!(made(), first, "a second boot keeps them");
    assert_eq!(root.length("/etc/hostid"), 4);
    root.write(files[1], "");
    assert_ne!(made()[1], first[1]);
}

#[test]
fn a_machine_without_such_packages_gets_no_unit() {
    let Some(root) = Root::new() else { return };
    assert_eq!(root.run("provision.sh", &["prepare"]).code, Some(0));
    assert_eq!(root.read("/usr/share/wallaroo/identity"), None);
}

#[test]
fn a_file_of_any_name_that_names_this_machine_is_refused() {
    let uuid = "01234567-89ab-cdef-0123-456789abcdef";
    for (path, text, kind) in [
        ("/etc/agent/id", format!("id: {MACHINE_ID}\n"), "machine id"),
        ("/var/lib/agent/state.db", format!("\0\u{1}host{uuid}x"), "machine id"),
        ("/etc/agent/known_hosts", format!("[localhost] ssh-ed25519 {HOST_KEY} x\n"), "host key"),
        ("/srv/agent", "authorized: AAAAC3NzaC1lZDI1NTE5AAAAILoginLogin".to_owned(), "login key"),
        ("/home/debian/notes", "I am i-0aa11bb22cc33dd44.\n".to_owned(), "instance id"),
    ] {
        let Some(root) = machine() else { return };
        root.write("/home/debian/.ssh/authorized_keys", "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILoginLogin me\n");
        root.write("/var/lib/cloud/data/instance-id", "i-0aa11bb22cc33dd44\n");
        root.write(path, &text);
        let ended = root.run("seal.sh", &[]);
        assert_eq!(ended.code, Some(1), "{path}: {ended:#?}");
        assert!(ended.stderr.contains(&format!("{path} ({kind})")), "{path}: {ended:#?}");
        assert!(ended.stderr.contains("same_on_all"), "{ended:#?}");
    }
}

#[test]
fn what_this_boot_wrote_at_random_is_refused_unless_it_may_be_shared() {
    for (path, text) in [
        ("/etc/agent/id", "4f8c2f0e-9d1b-4c6e-8a57-0d2f3b1c9e77\n"),
        ("/var/lib/agent/install-id", "d41d8cd98f00b204e9800998ecf8427e\n"),
        ("/var/lib/agent/duid", "00:01:00:01:2e:11:22:33:52:54:00:12:34:56\n"),
        ("/etc/agent/name", "iqn.2004-10.com.example:01:9f8e7d6c5b4a\n"),
        ("/var/lib/agent/engine", "oldEngineID 0x80001f8880e7c14a2b9d3c5f6500000000\n"),
    ] {
        let Some(root) = machine() else { return };
        root.write(path, text);
        let ended = root.run("seal.sh", &[]);
        assert_eq!(ended.code, Some(1), "{path}: {ended:#?}");
        assert!(ended.stderr.contains(path), "{path}: {ended:#?}");
        // As a package has it, or as dpkg notes it, it is nothing that this machine thought of.
        root.write("/var/lib/dpkg/info/agent.list", format!("{path}\n"));
        let sum = std::process::Command::new("sh").args(["-c", &format!("printf '{text}' | md5sum")]).output();
        let sum = String::from_utf8(sum.expect("md5sum").stdout).expect("UTF-8");
        let sum = sum.split(' ').next().expect("a sum");
        root.write("/var/lib/dpkg/info/agent.md5sums", format!("{sum}  {}\n", path.trim_start_matches('/')));
        let ended = root.run("seal.sh", &[]);
        assert_eq!(ended.code, Some(0), "{path}: {ended:#?}");
    }
}

#[test]
fn a_credential_in_a_file_of_any_name_is_refused() {
    let begin = "-----BEGIN";
    let cases = [
        ("/etc/agent/key", format!("{begin} OPENSSH PRIVATE KEY-----\nb3Bl\n"), "private key"),
        ("/etc/ssl/private/own.pem", format!("{begin} PRIVATE KEY-----\nMIIE\n"), "private key"),
        ("/var/lib/agent/ring.asc", format!("{begin} PGP PRIVATE KEY BLOCK-----\n\nlQ\n"), "private key"),
        (
            "/etc/apt/sources.list",
            "deb https://bearer:s3cret@esm.example/apps xenial main\n".to_owned(),
            "password in a URL",
        ),
        (
            "/etc/pip.conf",
            "[global]\nindex-url = https://me:t0ken@pypi.example/simple\n".to_owned(),
            "password in a URL",
        ),
        ("/srv/agent/env", format!("AWS_ACCESS_KEY_ID={}{}\n", "AKIA", "IOSFODNN7EXAMPLE"), "AWS access key"),
        ("/etc/agent.ini", format!("aws_secret_access_key = {}\n", "a".repeat(40)), "AWS secret key"),
        ("/root/build/npmrc", "//registry.example/:_authToken=abcdef\n".to_owned(), "registry token"),
        ("/opt/agent/docker.json", "{\"auths\": {\"x\": {\"auth\": \"bWU6c2VjcmV0\"}}}\n".to_owned(), "registry token"),
        ("/usr/local/etc/agent.key", format!("{begin} RSA PRIVATE KEY-----\nMIIE\n"), "private key"),
        ("/etc/agent/git", format!("token: ghp_{}\n", "a1B2".repeat(9)), "token"),
        ("/home/debian/netrc.old", "machine git.example login me password s3cret\n".to_owned(), "netrc"),
        ("/var/lib/pro/token.json", "{\"machineToken\": \"C1abcdefgh\"}\n".to_owned(), "machine token"),
        ("/etc/wireguard/wg0.conf", format!("[Interface]\nPrivateKey = {}=\n", "A".repeat(43)), "private key"),
    ];
    for (path, text, kind) in cases {
        let Some(root) = machine() else { return };
        root.write(path, &text);
        let ended = root.run("seal.sh", &[]);
        assert_eq!(ended.code, Some(1), "{path}: {ended:#?}");
        assert!(ended.stderr.contains(&format!("{path} ({kind})")), "{path}: {ended:#?}");
    }
}

#[test]
fn what_only_looks_like_a_credential_stays() {
    let Some(root) = machine() else { return };
    for (path, text) in [
        ("/etc/agent/example.conf", "# http_proxy = http://user:password@proxy.example:3128/\n"),
        ("/etc/agent/template", "url = https://%s:%s@mirror.example/ ${user}:${password}@host\n"),
        ("/etc/ssl/certs/own.pem", "-----BEGIN CERTIFICATE-----\nMIIE\n-----BEGIN PUBLIC KEY-----\n"),
        ("/etc/apt/sources.list", "deb http://mirror.example:3142/debian bookworm main\n"),
        ("/etc/hosts", "127.0.0.1 localhost\n"),
        ("/var/lib/exim4/config.autogenerated", "  hosts_try_auth = <; ${if exists{CONFDIR/passwd.client}\n"),
        ("/var/lib/dpkg/info/x.md5sums", "d41d8cd98f00b204e9800998ecf8427e  usr/share/x\n"),
    ] {
        root.write(path, text);
    }
    let ended = root.run("seal.sh", &[]);
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    assert!(root.read("/etc/apt/sources.list").is_some() && root.read("/etc/agent/template").is_some());
}
