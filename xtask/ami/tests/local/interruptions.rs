//! Ctrl-C, and worse, in each phase: the machines end, nothing runs, and what remains is said.

use std::time::Duration;

use camino::Utf8PathBuf;
use nix::sys::signal::Signal;

use crate::{
    bench::{Bench, path_with},
    running::Running,
    support::{Ended, files},
};

/// How soon Ctrl-C has to have its effect.
const AT_ONCE: Duration = Duration::from_secs(15);

/// Makes a program that is never done, in more processes than make knows of.
const ENDLESS: [&str; 1] = ["@sleep 1000 & sleep 1000; wait"];

fn interrupt(running: Running) -> Ended {
    running.signal(Signal::SIGINT);
    let ended = running.end_within(AT_ONCE);
    ended.expect_error(130, &["interrupted by Ctrl-C"]);
    assert_eq!(ended.stdout, "");
    ended
}

/// Interrupts a run, which leaves nothing but a journal that says so.
fn is_interrupted(bench: &Bench, running: Running) {
    bench.expect_nothing_left(&interrupt(running));
    bench.journal("interrupted");
}

#[test]
fn while_make_runs_and_the_machine_boots() {
    let Some(bench) = Bench::quick() else { return };
    bench.machida(&ENDLESS);
    let mut running = Running::start(&mut bench.release(&[]));
    running.wait_for("Launched");
    bench.wait_for_processes(&["make ", "sleep 1000", "qemu-system-"]);
    is_interrupted(&bench, running);
}

#[test]
fn twice() {
    let Some(bench) = Bench::quick() else { return };
    bench.machida(&ENDLESS);
    let mut running = Running::start(&mut bench.release(&[]));
    running.wait_for("Launched");
    running.signal(Signal::SIGINT);
    running.signal(Signal::SIGTERM);
    let ended = running.end_within(Duration::from_secs(5));
    assert_eq!(ended.code, Some(130), "{ended}");
    bench.home.expect_nothing_runs(&ended);
}

#[test]
fn a_kill_ends_the_machine_and_make_and_resume_sweeps() {
    let Some(bench) = Bench::quick() else { return };
    bench.machida(&ENDLESS);
    let mut running = Running::start(&mut bench.release(&[]));
    running.wait_for("Launched");
    running.signal(Signal::SIGKILL);
    let ended = running.end_within(AT_ONCE);
    assert_eq!(ended.code, Some(-9), "{ended}");
    bench.home.expect_nothing_runs(&ended);
    let instances = bench.home.path().join("instances");
    let folders = || files(&instances).into_iter().filter(|path| path.is_dir()).collect::<Vec<Utf8PathBuf>>();
    let left = folders();
    assert_eq!(left.len(), 1, "{left:?}");

    let second = Running::start(&mut bench.release(&[])).end();
    second.expect_error(2, &["is unfinished", "cargo xtask ami resume 2", "cargo xtask ami clean 2"]);

    let mut running = Running::start(&mut bench.home.ami(["resume", "--local"]));
    running.wait_for("Launched");
    let now = folders();
    assert!(now.len() == 1 && now != left, "{left:?}, then {now:?}");
    let ended = interrupt(running);
    bench.expect_nothing_left(&ended);
}

#[test]
fn a_kill_while_the_image_is_verified_loses_nothing_that_was_made() {
    let Some(bench) = Bench::quick() else { return };
    let mut running = Running::start(&mut bench.release(&[]));
    running.wait_for("to verify the image");
    running.signal(Signal::SIGKILL);
    let ended = running.end_within(AT_ONCE);
    assert_eq!(ended.code, Some(-9), "{ended}");
    bench.home.expect_nothing_runs(&ended);
    let made = bench.images();
    let ended = Running::start(&mut bench.home.ami(["resume", "--local"])).end();
    assert_eq!(ended.code, Some(0), "{ended}");
    assert!(ended.stderr.contains("Found") && !ended.stderr.contains("to bake the image"), "{ended}");
    assert!(made.iter().all(|image| bench.images().contains(image)), "{made:?}: {ended}");
    assert_eq!(bench.images().len(), ended.stdout.lines().count(), "one image in each region: {ended}");
    bench.home.expect_nothing_runs(&ended);
    let ended = Running::start(&mut bench.home.ami(["resume", "--local"])).end();
    ended.expect_error(2, &["no build is unfinished"]);
}

#[test]
fn while_the_machine_is_provisioned() {
    let Some(bench) = Bench::quick() else { return };
    bench.script("provision.sh", "sleep 1000\n");
    let mut running = Running::start(&mut bench.release(&[]));
    running.wait_for("Preparing");
    is_interrupted(&bench, running);
}

#[test]
fn while_the_image_is_made() {
    let Some(bench) = Bench::quick() else { return };
    bench.script("seal.sh", "sync\n");
    // At this rate, a byte each second, no computer is done with the image before it is interrupted.
    let slow =
        "case \"$*\" in convert*\" -O qcow2 \"*) shift; set -- convert -r 1 \"$@\" ;; esac\nexec qemu-img \"$@\"\n";
    let mut running = Running::start(bench.release(&[]).env("PATH", path_with(&bench.root, "qemu-img", slow)));
    running.wait_for("Imaging");
    is_interrupted(&bench, running);
}

#[test]
fn while_the_image_is_verified() {
    let Some(bench) = Bench::quick() else { return };
    bench.script("seal.sh", "sync\n");
    let mut running = Running::start(&mut bench.release(&["--regions", "us-west-2,eu-west-1"]));
    running.wait_for("to verify the image");
    let ended = interrupt(running);
    bench.home.expect_nothing_runs(&ended);
    assert_eq!(files(&bench.home.path().join("instances")), [] as [Utf8PathBuf; 0], "{ended}");
    for word in ["These images exist:", "us-west-2: ami-", "(private)", "ami resume 2", "ami clean 2", " --local\n"] {
        assert!(ended.stderr.contains(word), "no {word:?} in {ended}");
    }
    bench.journal("interrupted");

    // The image that there is can be booted, and this ended, too.
    let mut running = Running::start(&mut bench.home.ami(["boot", "0.6.1", "--root", bench.root.as_str()]));
    running.wait_for("Booting");
    let ended = interrupt(running);
    bench.home.expect_nothing_runs(&ended);
    assert_eq!(files(&bench.home.path().join("instances")), [] as [Utf8PathBuf; 0], "{ended}");
    assert_eq!(bench.manage(&["retire", "--version", "0.6.1"]).code, Some(0));
    assert!(files(&bench.home.path().join("images")).iter().all(|path| path.is_dir()));
}
