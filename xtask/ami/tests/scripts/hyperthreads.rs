//! /etc/rc.local leaves one thread of each core online, on whatever CPUs, and check.sh says the same of it.

use crate::root::Root;

const CPUS: &str = "/sys/devices/system/cpu";

/// A root with these CPUs: what `online` and `thread_siblings_list` say of each; without `online` there is no such file.
fn machine(cpus: &[(Option<&str>, &str)]) -> Option<Root> {
    let root = Root::with_own_sys()?;
    for (number, (online, siblings)) in cpus.iter().enumerate() {
        if let Some(online) = online {
            root.write(&format!("{CPUS}/cpu{number}/online"), format!("{online}\n"));
        }
        if !siblings.is_empty() {
            root.write(&format!("{CPUS}/cpu{number}/topology/thread_siblings_list"), format!("{siblings}\n"));
        }
    }
    let ended = root.run("provision.sh", &["prepare"]);
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    Some(root)
}

/// The CPUs that are online after rc.local, what it noted, and whether it succeeded.
fn after(root: &Root, cpus: usize) -> (Vec<usize>, String, bool) {
    let ended = root.run_own("/etc/rc.local");
    let online = |number: &usize| {
        let online = root.read(&format!("{CPUS}/cpu{number}/online"));
        online.is_none_or(|online| online.trim() == "1")
    };
    let noted = root.read("/run/wallaroo/rc.local").unwrap_or_else(|| panic!("{ended:#?}"));
    ((0..cpus).filter(online).collect(), noted.trim().to_owned(), ended.code == Some(0))
}

#[test]
fn one_thread_of_each_core_stays_online() {
    let on = Some("1");
    let off = Some("0");
    type Cpus<'a> = &'a [(Option<&'a str>, &'a str)];
    let cases: [(Cpus, &[usize], &str); 7] = [
        // As EC2 has them: a core's threads apart, CPU 0 without a file.
        (&[(None, "0,2"), (on, "1,3"), (on, "0,2"), (on, "1,3")], &[0, 1], "offline: 2 3"),
        (&[(None, "0-1"), (on, "0-1"), (on, "2-3"), (on, "2-3")], &[0, 2], "offline: 1 3"),
        // Four threads a core, and three.
        (&[(None, "0-3"), (on, "0-3"), (on, "0-3"), (on, "0-3")], &[0], "offline: 1 2 3"),
        (
            &[(on, "0,2,4"), (on, "1,3,5"), (on, "0,2,4"), (on, "1,3,5"), (on, "0,2,4"), (on, "1,3,5")],
            &[0, 1],
            "offline: 2 3 4 5",
        ),
        // Booted with nosmt: offline CPUs have no topology, and the others are alone.
        (&[(None, "0"), (on, "1"), (off, ""), (off, "")], &[0, 1], "offline: none"),
        (&[(None, ""), (on, "")], &[0, 1], "offline: none"),
        (&[(None, "0-1"), (off, "")], &[0], "offline: none"),
    ];
    for (cpus, online, noted) in cases {
        let Some(root) = machine(cpus) else { return };
        assert_eq!(after(&root, cpus.len()), (online.to_vec(), noted.to_owned(), true), "{cpus:?}");
        let again = after(&root, cpus.len());
        assert_eq!((again.0.as_slice(), again.2), (online, true), "{cpus:?}");
    }
}

#[test]
fn a_thread_that_cannot_go_offline_is_a_failure_that_is_named() {
    let on = Some("1");
    // Without its file, and with one that takes nothing.
    let Some(root) = machine(&[(None, "0-1"), (None, "0-1"), (on, "2-3"), (on, "2-3")]) else { return };
    assert_eq!(after(&root, 4), (vec![0, 1, 2], "offline: 3 failed: 1".to_owned(), false));
    let checked = root.run("check.sh", &["ssh-ed25519 AAAAC3NzaLogin me", "/usr/bin/machida"]);
    let fault = "not ok hyperthreads: CPUs 0-1 share a core, and all of them are online";
    assert!(checked.stdout.contains(fault) && checked.stdout.contains("failed: 1"), "{checked:#?}");
    let Some(root) = machine(&[(None, "0-1"), (on, "0-1")]) else { return };
    root.read_only(&format!("{CPUS}/cpu1/online"));
    assert_eq!(after(&root, 1), (vec![0], "offline: none failed: 1".to_owned(), false));
    // The kernel's switch for all of them does what a CPU's own file cannot.
    root.write(&format!("{CPUS}/smt/control"), "on\n");
    assert_eq!(after(&root, 1), (vec![0], "offline: 1".to_owned(), true));
    assert_eq!(root.read(&format!("{CPUS}/smt/control")).as_deref(), Some("off\n"));
}

#[test]
fn a_machine_without_hyperthreads_shows_nothing_of_rc_local_and_the_check_says_so() {
    let on = Some("1");
    let checked = |root: &Root| root.run("check.sh", &["ssh-ed25519 AAAAC3NzaLogin me", "/usr/bin/machida"]).stdout;
    for cpus in [&[(None, "0"), (on, "1")][..], &[(None, "0"), (on, "1"), (Some("0"), "")], &[(None, "0")]] {
        let Some(root) = machine(cpus) else { return };
        assert!(after(&root, cpus.len()).2);
        let printed = checked(&root);
        let line = "\nskipped hyperthreads: no core of this machine has a second thread";
        assert!(printed.contains(line), "{cpus:?}: {printed}");
        let count = printed.lines().filter(|line| !line.starts_with("checked ")).count();
        assert!(printed.ends_with(&format!("\nchecked {count}\n")), "{printed}");
    }
    let Some(root) = machine(&[(None, "0-1"), (on, "0-1")]) else { return };
    after(&root, 1);
    // The kernel shortens a list when a CPU of it goes offline, which has none any more.
    root.write(&format!("{CPUS}/cpu1/topology/thread_siblings_list"), "");
    root.write(&format!("{CPUS}/cpu0/topology/thread_siblings_list"), "0\n");
    assert!(checked(&root).contains("\nok hyperthreads\n"));
}
