//! Jobs go on when the connection breaks, and are followed on from where it broke.

use anyhow::{Error, Result};
use xtask_ami::machine::{Job, Lost, Machine as _, keys::Login, ssh::Ssh};

use crate::{
    server::{DIRECT, Server, destination, events, exists, until},
    wire::Wire,
};

/// Follows a job to its end through as many connections as that takes, and returns how many those were.
async fn follow(server: &Server, wire: &Wire, job: &mut Job) -> (Result<String>, usize) {
    let mut connections = 0;
    loop {
        let Ok(machine) = server.connect(wire.address, None).await else { continue };
        connections += 1;
        match machine.script(job).await {
            Err(error) if error.is::<Lost>() => {}
            done => return (done, connections),
        }
    }
}

/// Prints on both outputs, and notes that it ran.
const CHATTY: &str = "echo run >> runs\nfor i in {1..400}; do echo line $i of the output; echo note $i >&2; done\n";

fn chatter() -> String {
    (1..=400).map(|i| format!("line {i} of the output\n")).collect()
}

#[tokio::test]
async fn a_script_goes_on_while_the_connection_is_cut() {
    let server = Server::start();
    let wire = Wire::to(server.address).await;
    let text = "echo run >> runs\necho before\nuntil [ -e go ]; do sleep 0.1; done\ntouch gone\necho after\n";
    let mut job = server.job("prepare", text);
    let cut = async {
        until("the script", || server.logged().contains("before\n")).await;
        wire.cut(3);
        std::fs::write(server.folder.join("go"), "").expect("a file");
        // With no connection at all.
        until("the rest of the script", || exists(&server.folder, "gone")).await;
    };
    let machine = server.connect(wire.address, None).await.expect("a login");
    let (lost, ()) = tokio::join!(machine.script(&mut job), cut);
    assert!(lost.expect_err("the connection was cut").is::<Lost>());
    let (printed, connections) = follow(&server, &wire, &mut job).await;
    assert_eq!((printed.expect("its output").as_str(), connections), ("before\nafter\n", 1));
    assert_eq!(server.lines("runs"), 1);
    assert_eq!(server.logged().matches("before\n").count(), 1, "{}", server.logged());
}

#[tokio::test]
async fn wherever_the_connection_breaks_the_script_runs_once_and_no_byte_is_lost_or_comes_twice() {
    let server = Server::start();
    let wire = Wire::to(server.address).await;
    for (round, bytes) in (1600..4800).step_by(400).chain([8_000, 16_000]).enumerate() {
        let mut job = server.job(&format!("job-{round}"), CHATTY).has_result();
        wire.break_after(bytes);
        let (printed, _) = follow(&server, &wire, &mut job).await;
        assert_eq!(printed.expect("its output"), chatter(), "broken after {bytes} bytes");
        assert_eq!(server.lines("runs"), round + 1, "broken after {bytes} bytes");
    }
    let notes = server.logged().matches("note 400\n").count();
    assert_eq!(notes, server.lines("runs"), "what is printed on standard error comes once, too");
}

#[tokio::test]
async fn both_outputs_of_a_script_come_in_the_order_in_which_it_printed() {
    let server = Server::start();
    let wire = Wire::to(server.address).await;
    let mut job = server.job("mixed", CHATTY);
    let (printed, _) = follow(&server, &wire, &mut job).await;
    let both: String = (1..=400).map(|i| format!("line {i} of the output\nnote {i}\n")).collect();
    assert_eq!(printed.expect("its output"), both);
}

#[tokio::test]
async fn how_a_script_ended_is_known_whenever_it_did() {
    let server = Server::start();
    let wire = Wire::to(server.address).await;
    let said = |error: Error| format!("{error:#}");
    let mut job = server.job("fails", "echo out; echo 'E: no such package' >&2; exit 3\n");
    let failed = said(follow(&server, &wire, &mut job).await.0.expect_err("status 3"));
    assert!(failed.contains("the job failed (exit status 3); the last lines of "), "{failed}");
    assert!(failed.contains("E: no such package"), "{failed}");
    let mut job = server.job("one", "echo not ok\nexit 1\n").one_is_a_result();
    assert_eq!(follow(&server, &wire, &mut job).await.0.expect("a result"), "not ok\n");
    let mut job = server.job("killed", "echo going\nkill -9 $PPID $$\n");
    let killed = said(follow(&server, &wire, &mut job).await.0.expect_err("a kill"));
    assert!(killed.contains("the job failed") || killed.contains("the job timed out"), "{killed}");
    // Its end is still there for the session that comes after it.
    let mut job = server.job("done", "echo done\n");
    follow(&server, &wire, &mut job).await.0.expect("its output");
    let mut again = server.job("done", "echo done\n");
    assert_eq!(follow(&server, &wire, &mut again).await.0.expect("its output"), "done\n");
}

#[tokio::test]
async fn the_limit_is_the_scripts_own_and_kept_on_the_machine() {
    let server = Server::start();
    let wire = Wire::to(server.address).await;
    let mut job = server.job("slow", "echo begins\nsleep 1000\n");
    job.limit = std::time::Duration::from_secs(1);
    let error = follow(&server, &wire, &mut job).await.0.expect_err("too slow").to_string();
    assert!(error.starts_with("the job timed out after 1s; its output until then is in "), "{error}");
}

#[tokio::test]
async fn another_process_follows_what_the_first_one_began_and_runs_nothing_again() {
    let server = Server::start();
    let text = "echo run >> runs\necho before\nuntil [ -e go ]; do sleep 0.1; done\necho after\n";
    let login = server.folder.join("login");
    server.login.write(&login).expect("a file");
    let machine = server.connect(server.address, None).await.expect("a login");
    let mut job = server.job("prepare", text);
    tokio::select! {
        ended = machine.script(&mut job) => panic!("it came to its end: {ended:?}"),
        () = until("the script", || server.logged().contains("before\n")) => {}
    }
    drop((machine, job));
    // Once while the script runs, and once more when it has ended. The log has its output once all the same.
    for _ in 0..2 {
        let kept = Login::read(&login).expect("the login");
        let again =
            Ssh::connect(&destination(server.address), &kept, DIRECT, &server.log, &events()).await.expect("a login");
        std::fs::write(server.folder.join("go"), "").expect("a file");
        let printed = again.script(&mut server.job("prepare", text)).await.expect("its output");
        assert_eq!((printed.as_str(), server.lines("runs")), ("before\nafter\n", 1));
        for line in ["\nbefore\n", "\nafter\n"] {
            assert_eq!(server.logged().matches(line).count(), 1, "{}", server.logged());
        }
    }
}
