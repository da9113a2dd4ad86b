//! Ctrl-C on EC2, where what was made comes to light late, and what is ended takes its time.

use std::{cell::Cell, time::Duration};

use nix::sys::signal::{Signal, raise};
use tokio::time::Instant;

use crate::{
    faults::{Fault, Plan},
    rig::{HOME, Rig},
};

/// How soon an interrupted release has ended.
const ENDS_WITHIN: Duration = Duration::from_secs(15);

/// A signal as soon as a machine is there, whoever knows of it; nothing is left but images, and that soon.
async fn nothing_is_left_after_an_interruption(rig: &Rig, delay: Duration, signal: Signal) {
    let began = Instant::now();
    let interrupted = Cell::new(Duration::ZERO);
    let interrupt = async {
        while rig.endpoint.instances().is_empty() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        tokio::time::sleep(delay).await;
        interrupted.set(began.elapsed());
        raise(signal).expect("a signal");
    };
    let (ended, ()) = tokio::join!(rig.release(), interrupt);
    ended.failed(130, &[]);
    let took = ended.took - interrupted.get();
    assert!(took < ENDS_WITHIN, "{delay:?}: {took:?}: {}", ended.said);
    assert_eq!(rig.endpoint.left(), [""; 0], "{}", ended.said);
    assert!(ended.said.contains("No instance is running."), "{}", ended.said);
}

#[tokio::test(start_paused = true)]
async fn no_machine_and_no_way_in_is_left() {
    // While it starts, is prepared, is stopped, and is imaged; while the image is copied; while it is verified.
    for seconds in [1, 4, 10, 14, 30, 40, 55, 65] {
        let rig = Rig::alone(&["eu-west-1", HOME]);
        nothing_is_left_after_an_interruption(&rig, Duration::from_secs(seconds), Signal::SIGINT).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_terminal_that_is_closed_and_a_polite_kill_are_answered_as_tidily() {
    for signal in [Signal::SIGHUP, Signal::SIGTERM] {
        nothing_is_left_after_an_interruption(&Rig::alone(&[HOME]), Duration::from_secs(14), signal).await;
    }
}

/// What let in to a machine that is told to end while it starts is held until it is gone; that is said, and found later.
#[tokio::test(start_paused = true)]
async fn what_cannot_be_taken_away_in_time_is_said() {
    let rig = Rig::alone(&[HOME]);
    rig.endpoint.world(|world| world.delays.running = Duration::from_secs(60));
    let began = Instant::now();
    let interrupt = async {
        rig.endpoint.until_called("RunInstances").await;
        tokio::time::sleep(Duration::from_secs(1)).await;
        raise(Signal::SIGINT).expect("a signal");
        began.elapsed()
    };
    let (ended, interrupted) = tokio::join!(rig.release(), interrupt);
    assert!(ended.took - interrupted < ENDS_WITHIN, "{}", ended.said);
    assert_eq!(rig.endpoint.live_instances().len(), 0, "the machine itself is told to end: {}", ended.said);
    assert!(ended.said.contains("may still exist") && ended.said.contains("cargo xtask ami clean 2"), "{}", ended.said);
    tokio::time::sleep(Duration::from_secs(60)).await;
    crate::crashes::clean(&rig, Some(&rig.unfinished()), 0).await;
    assert_eq!(rig.endpoint.left(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_launch_that_is_on_its_way_leaves_no_machine() {
    let rig = Rig::alone(&[HOME]);
    rig.endpoint.world(|world| world.delays.unseen = Duration::from_secs(5));
    rig.endpoint.plan(Plan::once(Fault::Late(Duration::from_secs(20))).action("RunInstances"));
    nothing_is_left_after_an_interruption(&rig, Duration::ZERO, Signal::SIGINT).await;
}
