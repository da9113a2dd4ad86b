//! check.sh: what an image may not have of the machine that it was made on.

use crate::root::Root;

/// What check.sh says of traces, given marks.
fn traces(root: &Root, marks: &[&str]) -> String {
    let words = [marks, &["ssh-ed25519 AAAAC3NzaLogin me", "/usr/bin/machida"]].concat();
    let ended = root.run("check.sh", &words);
    let line = ended.stdout.lines().find(|line| line.contains("no traces"));
    line.unwrap_or_else(|| panic!("{ended:#?}")).to_owned()
}

#[test]
fn a_file_of_the_image_that_names_the_other_machine_is_a_fault() {
    let Some(root) = Root::new() else { return };
    let marks = [r"--mark=address=(^|[^.])10\.0\.1\.25($|[^0-9])", "--mark=machine id=[aA]0[bB]1-?2233"];
    root.write("/var/lib/dpkg/status", "Version: 10.0.1.25-1\n");
    root.write("/var/lib/agent/state.db", "\0pts/010.0.1.25sshd");
    // The boot of this machine wrote it.
    assert_eq!(traces(&root, &marks), "ok no traces");
    root.reboot();
    assert_eq!(traces(&root, &marks), "not ok no traces: /var/lib/agent/state.db has its address");
    root.write("/home/debian/id", "A0B12233");
    let both = traces(&root, &marks);
    assert!(both.contains("state.db has its address") && both.contains("/home/debian/id has its machine id"), "{both}");
    assert_eq!(traces(&root, &[]), "ok no traces");
}

#[test]
fn an_identity_that_is_older_than_the_boot_is_a_fault() {
    let Some(root) = Root::new() else { return };
    root.write("/etc/machine-id", "");
    for path in ["/etc/nvme/hostid", "/var/lib/dhcpcd/secret", "/var/lib/lastlog/lastlog2.db"] {
        root.write(path, "own\n");
    }
    root.write("/etc/iscsi/initiatorname.iscsi", "GenerateName=yes\n");
    let identities = || {
        let ended = root.run("check.sh", &["ssh-ed25519 AAAAC3NzaLogin me", "/usr/bin/machida"]);
        let line = ended.stdout.lines().find(|line| line.contains("identities"));
        line.unwrap_or_else(|| panic!("{ended:#?}")).to_owned()
    };
    assert_eq!(identities(), "ok identities");
    root.reboot();
    let fault = "not ok identities: /etc/nvme/hostid; /var/lib/dhcpcd/secret; /var/lib/lastlog/lastlog2.db";
    assert_eq!(identities(), fault);
    root.write("/etc/iscsi/initiatorname.iscsi", "InitiatorName=iqn.1993-08.org.debian:01:8a7d6c5b4f3e\n");
    assert_eq!(identities(), format!("{fault}; /etc/iscsi/initiatorname.iscsi"));
}

#[test]
fn a_token_or_a_password_of_an_archive_that_is_older_than_the_boot_is_a_fault() {
    let tokens = || {
        let root = Root::new()?;
        let line = |root: &Root| {
            let ended = root.run("check.sh", &["ssh-ed25519 AAAAC3NzaLogin me", "/usr/bin/machida"]);
            let line = ended.stdout.lines().find(|line| line.contains("no tokens"));
            line.unwrap_or_else(|| panic!("{ended:#?}")).to_owned()
        };
        Some((root, line))
    };
    for path in [
        "/var/lib/ubuntu-advantage/private/machine-token.json",
        "/var/lib/ubuntu-advantage/private/machine-access-esm-infra.json",
        "/var/lib/ubuntu-advantage/machine-token.json",
        "/var/snap/canonical-livepatch/common/machine-token",
        "/etc/apt/auth.conf.d/90ubuntu-advantage",
        "/etc/apt/auth.conf",
    ] {
        let Some((root, line)) = tokens() else { return };
        assert_eq!(line(&root), "ok no tokens");
        root.write(path, "anything\n");
        // A machine of a Pro base got it in this boot.
        assert_eq!(line(&root), "ok no tokens", "{path}");
        root.reboot();
        assert_eq!(line(&root), format!("not ok no tokens: {path}"));
    }
}

#[test]
fn a_mark_that_is_none_is_bad_usage() {
    let Some(root) = Root::new() else { return };
    for words in [&["--mark=x", "ssh-ed25519 AAAA", "/x"][..], &["--other=a=b", "ssh-ed25519 AAAA", "/x"]] {
        let ended = root.run("check.sh", words);
        assert_eq!(ended.code, Some(2), "{ended:#?}");
    }
}

#[test]
fn a_bill_of_materials_that_is_not_what_is_installed_is_a_fault() {
    let Some(root) = Root::new() else { return };
    let line = || {
        let ended = root.run("check.sh", &["ssh-ed25519 AAAAC3NzaLogin me", "/usr/bin/machida"]);
        let line = ended.stdout.lines().find(|line| line.contains("bill of materials"));
        line.unwrap_or_else(|| panic!("{ended:#?}")).to_owned()
    };
    assert!(line().starts_with("not ok bill of materials: /usr/share/wallaroo/sbom.cdx.json: "));
    let package = |name: &str, version: &str| {
        format!(
            r#"{{"name": "{name}", "version": "{version}", "purl": "pkg:deb/debian/{name}@{version}?arch=amd64&distro=x"}}"#
        )
    };
    let bill = |packages: &[String]| {
        root.write("/usr/share/wallaroo/sbom.cdx.json", format!("{{\"components\": [{}]}}", packages.join(", ")));
    };
    root.write("/usr/share/wallaroo/sbom.cdx.json", "{\"components\": []}");
    assert!(line().ends_with("it lists no packages"));
    root.program("dpkg-query", "#!/bin/sh\nprintf 'ii  apt amd64 3.0\\nhi  libc6 amd64 2.41\\nrc  old amd64 1\\n'\n");
    bill(&[package("libc6", "2.41"), package("apt", "3.0")]);
    assert_eq!(line(), "ok bill of materials");
    bill(&[package("libc6", "2.40"), package("gone", "1")]);
    let faults = [
        "gone amd64 1 is listed, and not installed",
        "libc6 amd64 2.40 is listed, and not installed",
        "apt amd64 3.0 is installed, and not listed",
        "libc6 amd64 2.41 is installed, and not listed",
    ];
    assert_eq!(line(), format!("not ok bill of materials: {}", faults.join("; ")));
    // The machine upgraded these itself.
    let log = "2026-11-28 06:00:00 upgrade libc6:amd64 2.40 2.41\n2026-11-28 06:00:01 remove gone:amd64 1 <none>\n";
    root.write("/var/log/dpkg.log", log);
    assert_eq!(line(), "not ok bill of materials: apt amd64 3.0 is installed, and not listed");
}
