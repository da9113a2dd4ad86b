use std::time::Instant;

use nix::{sys::signal, unistd::Pid};

use super::*;
use crate::fixture::folder;

/// Set for the process that is killed: the same test, which then only runs the stubborn program.
const VICTIM: &str = "WALLAROO_TEST_VICTIM";

/// Far more than a second of grace, however busy this computer is.
const AT_LAST: Duration = Duration::from_secs(30);

/// Runs a program that doesn't hear SIGTERM, and writes its process id to `folder/pid`.
async fn stubborn(folder: &Utf8Path) -> Result<()> {
    let mut command = command("sh", Signal::SIGTERM);
    // It is renamed so that it is there with the whole number.
    let script = "trap '' TERM; echo $$ > pid.new; mv pid.new pid; exec sleep 120";
    command.args(["-c", script]).current_dir(folder);
    run_in(Group::new(1)?, "a stubborn program", command, &folder.join("log"), &crate::fixture::events()).await
}

/// The process id that was written to `folder/pid`, as soon as it is.
fn pid(folder: &Utf8Path) -> Option<Pid> {
    let text = std::fs::read_to_string(folder.join("pid")).ok()?;
    Some(Pid::from_raw(text.trim().parse().expect("a number")))
}

fn block_on<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime").block_on(work)
}

/// Waits until a process runs no more. Whether somebody has taken notice of its end is another matter.
fn expect_end(process: Pid) {
    let deadline = Instant::now() + AT_LAST;
    loop {
        let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
        let state = stat.rsplit_once(") ").and_then(|(_, rest)| rest.chars().next());
        if state.is_none_or(|state| "ZX".contains(state)) {
            return;
        }
        if Instant::now() > deadline {
            let _ = signal::kill(process, Signal::SIGKILL);
            panic!("{process} still runs");
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

async fn started(folder: &Utf8Path) -> Pid {
    loop {
        match pid(folder) {
            Some(pid) => return pid,
            None => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    }
}

#[test]
fn a_program_that_does_not_hear_sigterm_ends_when_it_is_given_up() {
    let (_guard, folder) = folder();
    let pid = block_on(async {
        tokio::select! {
            ended = stubborn(&folder) => panic!("{ended:?}"),
            pid = started(&folder) => pid,
        }
    });
    expect_end(pid);
}

#[test]
fn a_program_that_does_not_hear_sigterm_ends_when_this_one_is_killed() {
    if let Some(folder) = std::env::var_os(VICTIM) {
        let folder = Utf8Path::from_path(std::path::Path::new(&folder)).expect("a path in UTF-8").to_owned();
        let ended = block_on(stubborn(&folder));
        panic!("it should have been killed meanwhile: {ended:?}");
    }
    let (_guard, folder) = folder();
    let mut victim = std::process::Command::new(std::env::current_exe().expect("this program"));
    victim
        .args(["--exact", "ground::process::tests::a_program_that_does_not_hear_sigterm_ends_when_this_one_is_killed"]);
    let mut victim =
        victim.env(VICTIM, &folder).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it starts");
    let pid = block_on(async { tokio::time::timeout(AT_LAST, started(&folder)).await });
    victim.kill().expect("it is there");
    victim.wait().expect("its end");
    expect_end(pid.expect("it starts the program"));
}

#[test]
fn what_a_program_leaves_running_may_clean_up_and_nothing_waits_for_a_group_that_is_gone() {
    let (_guard, folder) = folder();
    // Far more grace than the test has patience: neither the slow program nor the leader may use it up.
    let script =
        "(trap 'sleep 1; echo > cleaned; exit' TERM; echo > trapped; while :; do sleep 0.1; done) > /dev/null 2>&1 &
        while [ ! -e trapped ]; do sleep 0.1; done";
    let leader = block_on(async {
        let group = Group::new(3600).expect("a group");
        let leader = Pid::from_raw(group.id);
        let mut command = command("sh", Signal::SIGTERM);
        command.args(["-c", script]).current_dir(&folder);
        let ended = run_in(group, "a program", command, &folder.join("log"), &crate::fixture::events()).await;
        ended.expect("it ends well");
        leader
    });
    expect_end(leader);
    assert!(folder.join("cleaned").exists());
}
