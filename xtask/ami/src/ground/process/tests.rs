use std::time::Instant;

use nix::{sys::signal, unistd::Pid};

use super::*;
use crate::fixture::folder;

/// Set for the process to kill, which runs the same test, but only starts the stubborn program.
const VICTIM: &str = "WALLAROO_TEST_VICTIM";

/// Much more than the grace period of a second, even on a busy computer.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Runs a program that ignores SIGTERM, and writes its process id to `folder/pid`.
async fn stubborn(folder: &Utf8Path) -> Result<()> {
    let mut command = command("sh", Signal::SIGTERM);
    // Renamed, so that the file is complete when it appears.
    let script = "trap '' TERM; echo $$ > pid.new; mv pid.new pid; exec sleep 120";
    command.args(["-c", script]).current_dir(folder);
    run_in(Group::new(1)?, "a stubborn program", command, &folder.join("log"), &crate::fixture::events()).await
}

/// The process id in `folder/pid`, if it is written.
fn pid(folder: &Utf8Path) -> Option<Pid> {
    let text = std::fs::read_to_string(folder.join("pid")).ok()?;
    Some(Pid::from_raw(text.trim().parse().expect("a number")))
}

fn block_on<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime").block_on(work)
}

/// Waits until a process has exited. It may still be a zombie.
fn expect_end(process: Pid) {
    let deadline = Instant::now() + TIMEOUT;
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
fn a_program_that_ignores_sigterm_is_killed_when_it_is_dropped() {
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
fn a_program_that_ignores_sigterm_is_killed_when_this_process_dies() {
    if let Some(folder) = std::env::var_os(VICTIM) {
        let folder = Utf8Path::from_path(std::path::Path::new(&folder)).expect("a path in UTF-8").to_owned();
        let ended = block_on(stubborn(&folder));
        panic!("not killed: {ended:?}");
    }
    let (_guard, folder) = folder();
    let mut victim = std::process::Command::new(std::env::current_exe().expect("this program"));
    victim.args(["--exact", "ground::process::tests::a_program_that_ignores_sigterm_is_killed_when_this_process_dies"]);
    let mut victim =
        victim.env(VICTIM, &folder).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it starts");
    let pid = block_on(async { tokio::time::timeout(TIMEOUT, started(&folder)).await });
    victim.kill().expect("it is there");
    victim.wait().expect("its end");
    expect_end(pid.expect("it starts the program"));
}

#[test]
fn a_process_left_behind_may_clean_up_and_an_empty_group_ends_at_once() {
    let (_guard, folder) = folder();
    // A grace period much longer than the timeout of the test: neither the slow process nor the leader may use it up.
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
