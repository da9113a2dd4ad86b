//! What goes wrong after the launch: exit code 1, one clear message, nothing running, and nothing public.

use std::{fs::File, os::fd::AsFd as _, process::Command};

use camino::Utf8Path;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use crate::{
    bench::{Bench, DEAF_QEMU, PROVISION, path_with},
    running::Running,
    support::skipped,
};

#[test]
fn make_fails() {
    let Some(bench) = Bench::quick() else { return };
    bench.machida(&["@echo all was well so far", "@echo the compiler broke >&2; exit 3"]);
    let ended = Running::start(&mut bench.release(&[])).end();
    let words = [
        "building machida (`make build-machida",
        "failed (exit status: 2)",
        "make-machida.log",
        "    the compiler broke",
    ];
    ended.expect_error(1, &words);
    bench.expect_nothing_left(&ended);
    bench.journal("failed");
}

#[test]
fn make_ends_well_without_the_binary() {
    let Some(bench) = Bench::quick() else { return };
    bench.machida(&["@true"]);
    let ended = Running::start(&mut bench.release(&[])).end();
    ended.expect_error(
        1,
        &["succeeded, but the file", "machida/build/machida does not exist", "`result` of the binary"],
    );
    bench.expect_nothing_left(&ended);
}

#[test]
fn a_binary_that_cannot_run_ends_the_machine_that_boots_meanwhile() {
    let Some(bench) = Bench::quick() else { return };
    // It is made as soon as this test has seen that the machine was launched.
    let go = bench.root.join("go");
    let wait = format!("@until [ -e {go} ]; do sleep 0.1; done");
    bench.machida(&[&wait, "@mkdir -p machida/build && printf '%s\\n' '#!/bin/sh' > machida/build/machida"]);
    let mut running = Running::start(&mut bench.release(&[]));
    running.wait_for("Launched");
    File::create(&go).expect("a file");
    let ended = running.end();
    ended.expect_error(1, &["the binaries cannot run on debian-12", "machida is a script (`#!/bin/sh`)"]);
    bench.expect_nothing_left(&ended);
}

#[test]
fn a_machine_that_hangs_while_it_boots_is_launched_again() {
    let Some(bench) = Bench::quick() else { return };
    bench.recipe(&[("login = \"10min\"", "login = \"2min\"")]);
    let mut running = Running::start(&mut bench.release(&["--private", "--no-reuse-base"]));
    running.wait_for("Launched");
    let processes = bench.home.processes();
    let (qemu, _) = processes.iter().find(|(_, line)| line.starts_with("qemu-system-")).expect("QEMU");
    // To those who wait for it, a stopped machine is like one that gets no interrupts.
    kill(Pid::from_raw(*qemu), Signal::SIGSTOP).expect("it runs");
    let warning = running.wait_for("failed to boot");
    assert!(warning.contains("nothing on its console for 40s"), "{warning}");
    running.wait_for("Preparing");
    running.signal(Signal::SIGINT);
    let ended = running.end_within(std::time::Duration::from_secs(15));
    ended.expect_error(130, &[]);
    bench.expect_nothing_left(&ended);
}

#[test]
fn provisioning_fails_and_the_machine_is_kept() {
    let Some(bench) = Bench::quick() else { return };
    bench.script(
        "provision.sh",
        "set -e\necho the first half is done\necho no such package >&2\nexit 7\necho after it\n",
    );
    let mut running = Running::start(&mut bench.release(&["--keep-on-failure"]));
    running.wait_for("error: preparing the instance (provision.sh) failed (exit status 7); the last lines");
    running.wait_for("    the first half is done");
    running.wait_for("    no such package");
    running.wait_for("keeps running. To log in:");
    let command = running.wait_for("ssh ");
    let hello = Command::new("sh").args(["-c", &format!("{command} 'id -un; sudo -n id -un'")]).output().expect("ssh");
    let said = String::from_utf8_lossy(&hello.stdout).into_owned();
    assert_eq!(said, "debian\nroot\n", "{command}: {}", String::from_utf8_lossy(&hello.stderr));
    running.wait_for("press Ctrl-C");
    running.signal(Signal::SIGINT);
    let ended = running.end_within(std::time::Duration::from_secs(15));
    ended.expect_error(1, &[]);
    bench.expect_nothing_left(&ended);
    bench.journal("failed");
}

#[test]
fn an_image_that_fails_its_checks_stays_private() {
    let Some(bench) = Bench::quick() else { return };
    // What is installed is altered after it was compared, as a script gone wrong may do it.
    bench.script("provision.sh", &format!("{PROVISION}[ \"$1\" != install ] || echo >> /usr/bin/machida\n"));
    bench.script("check.sh", "echo ok one thing\necho not ok another thing: it is broken\necho checked 2\nexit 1\n");
    let ended = Running::start(&mut bench.release(&["--regions", "us-west-2,eu-west-1"])).end();
    let words = [
        " checks failed on the booted image:",
        "another thing: it is broken",
        "/usr/bin/machida has the bytes that were built: its SHA-256 is ",
        "No instance is running.",
        "These images exist:",
        "eu-west-1: ami-",
        "us-west-2: ami-",
        "To resume: cargo xtask ami resume 2",
        "To clean up: cargo xtask ami clean 2",
    ];
    ended.expect_error(1, &words);
    assert!(ended.stderr.contains("\n  2 of ") || ended.stderr.contains("error: 2 of "), "{ended}");
    assert_eq!(ended.stdout, "");
    assert!(!ended.stderr.contains("PUBLIC"), "{ended}");
    bench.home.expect_nothing_runs(&ended);
    bench.journal("failed");
    let listed = bench.manage(&["list"]);
    assert_eq!(listed.stdout.lines().filter(|line| line.contains(" private ")).count(), 2, "{listed}");
    assert_eq!(bench.manage(&["retire", "--version", "0.6.1"]).code, Some(0));
    assert_eq!(bench.manage(&["list"]).stdout, "");
}

/// Takes all space of the disk with `folder` on it, but for some MiB.
fn fill(folder: &Utf8Path, leave_mib: i64) {
    let file = File::create(folder.join("fill")).expect("a file");
    let free = nix::sys::statvfs::fstatvfs(&file).expect("its space");
    let bytes = i64::try_from(free.blocks_available() * free.fragment_size()).expect("a size") - (leave_mib << 20);
    nix::fcntl::posix_fallocate(file.as_fd(), 0, bytes).expect("the space");
}

#[test]
fn the_disk_is_full_when_the_image_is_made() {
    let works = Command::new("unshare").args(["--map-root-user", "--mount", "true"]).output();
    if skipped((!works.is_ok_and(|output| output.status.success())).then_some("user name spaces")) {
        return;
    }
    let Some(bench) = Bench::quick() else { return };
    bench.script("seal.sh", "sync\n");
    // The disk fills up while make runs, which ends when this test says so.
    let go = bench.root.join("go");
    let wait = format!("@until [ -e {go} ]; do sleep 0.1; done");
    bench.machida(&[
        &wait,
        "@mkdir -p machida/build && echo 'int main(void) { return 0; }' | gcc -x c - -o machida/build/machida",
    ]);
    // The home lies on a small disk that only the run sees.
    let script = "mount -t tmpfs -o size=3g tmpfs \"$WALLAROO_AMI_HOME\" && exec \"$@\"";
    let release = bench.release(&["--base-image", bench.base.as_str()]);
    let mut unshare = Command::new("unshare");
    unshare.args(["--map-root-user", "--mount", "sh", "-c", script, "sh"]);
    unshare.arg(release.get_program()).args(release.get_args()).env("WALLAROO_AMI_HOME", bench.home.path());
    let mut running = Running::start(&mut unshare);
    running.wait_for("Launched");
    // Enough for what the machine writes, and too little for an image.
    fill(Utf8Path::new(&format!("/proc/{}/root{}", running.id(), bench.home.path())), 100);
    File::create(&go).expect("a file");
    let ended = running.end();
    ended.expect_error(1, &["No space left on device", "qemu-img", "us-west-2"]);
    bench.expect_nothing_left(&ended);
}

/// Kills the QEMU of the build's machine.
fn kill_qemu(bench: &Bench) {
    let machines = bench.home.processes();
    let instances = bench.home.path().join("instances");
    let machine =
        machines.iter().find(|(_, line)| line.starts_with("qemu-system-") && line.contains(instances.as_str()));
    let (id, _) = machine.unwrap_or_else(|| panic!("no machine: {machines:?}"));
    kill(Pid::from_raw(*id), Signal::SIGKILL).expect("it is there");
}

#[test]
fn qemu_dies_while_the_machine_boots_and_once_more() {
    let Some(bench) = Bench::quick() else { return };
    let mut running = Running::start(&mut bench.release(&[]));
    running.wait_for("Launched");
    kill_qemu(&bench);
    let warning = running.wait_for("failed to boot");
    assert!(warning.contains("launched again with a fresh disk: QEMU ended (signal: 9 (SIGKILL))"), "{warning}");
    kill_qemu(&bench);
    let ended = running.end();
    ended.expect_error(1, &["is stopped before a login was possible: QEMU ended (signal: 9 (SIGKILL))\n", "console"]);
    bench.expect_nothing_left(&ended);
}

#[test]
fn qemu_does_not_start() {
    let Some(bench) = Bench::quick() else { return };
    let path = path_with(&bench.root, "qemu-system-x86_64", "echo it is out of order >&2\nexit 1\n");
    let ended = Running::start(bench.release(&[]).env("PATH", path)).end();
    ended.expect_error(1, &["failed to launch i-", "QEMU ended (exit status: 1):\n    it is out of order"]);
    bench.expect_nothing_left(&ended);
}

#[test]
fn a_machine_that_refuses_the_login() {
    let Some(bench) = Bench::quick() else { return };
    bench.recipe(&[("login = \"10min\"", "login = \"20s\"")]);
    let path = path_with(&bench.root, "qemu-system-x86_64", DEAF_QEMU);
    let ended = Running::start(bench.release(&[]).env("PATH", path)).end();
    let words = ["timed out after 20s waiting for a login on i-", "\nthe last lines of its console:\n    "];
    ended.expect_error(1, &words);
    bench.expect_nothing_left(&ended);
}

/// The dead-man's switch: a machine terminates by itself. Here the tool leaves it up, and sees it go.
#[test]
fn an_abandoned_machine_shuts_itself_down() {
    let Some(bench) = Bench::quick() else { return };
    bench.recipe(&[("machine_lifetime = \"5h\"", "machine_lifetime = \"1min\"")]);
    bench.script("provision.sh", "while [ ! -e /run/cloud-init/result.json ]; do sleep 1; done; sleep 1000\n");
    let mut running = Running::start(&mut bench.release(&["--keep-on-failure"]));
    // A shutdown ends the script, the connection and the machine. Which of the three is seen first decides whether there is
    // still a machine to keep.
    if running.says("press Ctrl-C") {
        bench.wait_for_no_process("qemu-system-");
        running.signal(Signal::SIGINT);
    }
    let ended = running.end();
    ended.expect_error(1, &["preparing the instance (provision.sh)"]);
    bench.expect_nothing_left(&ended);
}
