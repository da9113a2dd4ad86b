//! What unwanted.sh lists: seal.sh removes it, and check.sh finds it on an image.

use crate::root::Root;

/// A path for each pattern of a list of unwanted.sh. A name without a folder is put in a home.
fn paths(list: &str) -> Vec<String> {
    let text = include_str!("../../../../.release/ami/unwanted.sh");
    let (_, rest) = text.split_once(&format!("\n{list}=(")).expect("the list");
    let (words, _) = rest.split_once(')').expect("its end");
    let lines = words.lines().filter(|line| !line.trim_start().starts_with('#'));
    lines.flat_map(str::split_whitespace).map(|word| path(word.trim_matches('\''))).collect()
}

/// A path that a pattern matches.
fn path(pattern: &str) -> String {
    let mut path = String::new();
    let mut rest = match pattern {
        _ if pattern.starts_with('/') => pattern.to_owned(),
        _ if pattern.contains('/') => pattern.replacen('*', "/home/debian", 1),
        _ => format!("/home/debian/{pattern}"),
    };
    while let Some((before, after)) = rest.split_once(['*', '[']) {
        path.push_str(before);
        let is_set = rest.as_bytes()[before.len()] == b'[';
        path.push_str(if is_set { &after[..1] } else { "x" });
        rest = if is_set { after.split_once(']').expect("a set").1.to_owned() } else { after.to_owned() };
    }
    path + &rest
}

/// What check.sh says, of lines with a fault.
fn faults(root: &Root) -> String {
    let ended = root.run("check.sh", &["ssh-ed25519 AAAAC3NzaLogin me", "/usr/bin/machida"]);
    assert!(ended.stdout.contains("\nchecked "), "{ended:#?}");
    ended.stdout.lines().filter(|line| line.starts_with("not ok ")).collect::<Vec<_>>().join("\n")
}

fn machine() -> Option<(Root, Vec<String>)> {
    let root = Root::new()?;
    root.write("/usr/share/wallaroo/manifest.json", "{}");
    // Only seal.sh knows when the other machine booted, so that it alone can tell those of `written_at_boot` from the base's.
    let paths: Vec<String> = LISTS.into_iter().flat_map(paths).collect();
    assert!(paths.len() > 70, "{paths:?}");
    for path in &paths {
        // Some patterns are for the same folder, or for what is in it.
        if root.read(path).is_none() {
            root.write(path, "anything\n");
        }
    }
    root.write("/etc/popularity-contest.conf", "MY_HOSTID=\"00112233445566778899aabbccddeeff\"\n");
    Some((root, paths))
}

const LISTS: [&str; 9] = [
    "login_keys",
    "credential_files",
    "tokens",
    "memories",
    "host_keys",
    "identities",
    "logs",
    "mail_and_jobs",
    "temporary",
];

#[test]
fn whatever_is_to_be_removed_is_a_fault_of_an_image_that_has_it() {
    let Some((root, paths)) = machine() else { return };
    root.reboot();
    let faults = faults(&root);
    let missed: Vec<&String> = paths.iter().filter(|path| !faults.contains(path.as_str())).collect();
    assert!(missed.is_empty(), "{missed:#?}\n{faults}");
    assert!(faults.contains("/etc/popularity-contest.conf"), "{faults}");
}

#[test]
fn what_is_left_of_a_crash_goes_and_a_file_that_is_only_called_so_stays() {
    let Some(root) = Root::new() else { return };
    root.write("/usr/share/wallaroo/manifest.json", "{}");
    let core = [b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x04\0", &[0; 64][..]].concat();
    root.write("/srv/app/core.4711", &core);
    root.write("/srv/app/core", "#!/bin/sh\n");
    root.reboot();
    let said = faults(&root);
    assert!(said.contains("not ok no old logs: /srv/app/core.4711"), "{said}");
    assert_eq!(root.run("seal.sh", &[]).code, Some(0));
    assert_eq!((root.length("/srv/app/core.4711"), root.read("/srv/app/core").is_some()), (0, true));
}

#[test]
fn what_the_boot_of_the_instance_wrote_is_none() {
    let Some((root, _)) = machine() else { return };
    let faults = faults(&root);
    assert!(!faults.contains("not ok identities"), "{faults}");
    for name in ["no tokens", "no old logs", "no old mail and jobs", "no old temporary files", "host keys"] {
        assert!(!faults.contains(&format!("not ok {name}: /")), "{faults}");
    }
}

#[test]
fn whatever_is_to_be_removed_is() {
    let Some((root, paths)) = machine() else { return };
    let ended = root.run("seal.sh", &[]);
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    let left: Vec<&String> = paths.iter().filter(|path| root.read(path).is_some_and(|text| !text.is_empty())).collect();
    assert!(left.is_empty(), "{left:#?}");
}

#[test]
fn a_backup_with_the_date_of_what_it_is_a_copy_of_is_this_boots() {
    let Some(root) = Root::new() else { return };
    for path in ["/etc/shadow-", "/var/backups/shadow.bak"] {
        root.write(path, "root:*:19000:0:99999:7:::\n");
        let file = std::fs::File::options().write(true).open(root.folder().join(&path[1..])).expect("a file");
        file.set_modified(std::time::UNIX_EPOCH).expect("a date");
    }
    assert!(!faults(&root).contains("shadow"));
}
