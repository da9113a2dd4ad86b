//! What is planted on a disk, `check --deep` finds on it and on two of its machines.

use std::{fmt::Write as _, process::Command};

use crate::{
    bench::Bench,
    support::{missing, skipped, write},
};

/// Where the base's root file system begins on its disk, in bytes.
const ROOT_AT: &str = "offset=4194304";

/// A unit that has each machine make the same id.
const UNIT: &str = "[Service]\nType=oneshot\nRemainAfterExit=yes\n\
                    ExecStart=/bin/sh -c 'mkdir -p /var/lib/agent && echo 4f8c2f0e-9d1b-4c6e-8a57-0d2f3b1c9e77 > /var/lib/agent/made'\n\
                    [Install]\nWantedBy=multi-user.target\n";

/// Files, what is in them, and what is said of each.
const PLANTED: [(&str, &str, &str); 8] = [
    ("/etc/agent/id", "5a9d3f1f-0e2c-4d7f-9b68-1e3f4c2d0f88\n", "the same on all machines of the image (a UUID, "),
    (
        "/etc/agent/rndc.key",
        "secret \"8Tq3nYxk0Zr5Jv2LwQ7cDg==\";\n",
        "the same on all machines of the image (something random, ",
    ),
    (
        "/etc/agent/agent.conf",
        "db_password = correct-horse\n",
        "the same on all machines of the image (a secret, db_password)",
    ),
    ("/var/lib/agent/node.db", "\u{1}\u{2}id\0", "the same on all machines of the image (bytes that are no text)"),
    ("/home/debian.notes/todo", "nothing\n", "a user's file or a record, left from the build"),
    ("/var/lib/systemd/random-seed", "not random at all\n", "running machines write it"),
    ("/opt/agent/key", "-----BEGIN OPENSSH PRIVATE KEY-----\n", "(private key)"),
    ("/var/lib/agent/made", "", "each machine makes it, and the same one (a UUID, "),
];

#[test]
fn what_is_planted_in_an_image_is_found_in_it() {
    let Some(bench) = Bench::new() else { return };
    if skipped(missing(&["debugfs", "qemu-img"])) {
        return;
    }
    let disk = bench.root.join("planted.raw");
    let convert = ["convert", "-O", "raw", bench.base.as_str(), disk.as_str()];
    assert!(Command::new("qemu-img").args(convert).status().expect("qemu-img").success());

    // Where a file is there already, it is replaced.
    let mut commands = String::new();
    let mut plant = |path: &str, content: &str| {
        let file = bench.root.join(format!("planted{}", path.replace('/', "-")));
        write(&file, content);
        let folders: Vec<&str> = path.match_indices('/').skip(1).map(|(at, _)| &path[..at]).collect();
        folders.iter().for_each(|folder| writeln!(commands, "mkdir {folder}").expect("a string"));
        writeln!(commands, "rm {path}\nwrite {file} {path}").expect("a string");
    };
    plant("/usr/share/wallaroo/manifest.json", "{\"sha256\": {}}");
    plant("/etc/systemd/system/agent.service", UNIT);
    PLANTED.iter().filter(|(_, content, _)| !content.is_empty()).for_each(|(path, content, _)| plant(path, content));
    let wants = "/etc/systemd/system/multi-user.target.wants/agent.service";
    writeln!(commands, "symlink {wants} /etc/systemd/system/agent.service").expect("a string");
    let script = bench.root.join("planted.debugfs");
    write(&script, &commands);
    let mut debugfs = Command::new("debugfs");
    debugfs.args(["-w", "-f", script.as_str(), &format!("{disk}?{ROOT_AT}")]);
    assert!(debugfs.output().expect("debugfs").status.success());

    let checked = bench.manage(&["check", "--deep", disk.as_str()]);
    assert_eq!(checked.code, Some(1), "{checked}");
    for (path, _, words) in PLANTED {
        let is_told =
            |line: &str| line.contains(&format!("{path}: {words}")) || line.contains(&format!("{path} {words}"));
        assert!(checked.stderr.lines().any(is_told), "{path}: {words}\n{checked}");
    }
}
