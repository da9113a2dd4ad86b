//! Ctrl-C on EC2, where what was made comes to light late, and what is ended takes its time.

use std::time::Duration;

use nix::sys::signal::{Signal, raise};

use crate::{
    faults::{Fault, Plan},
    rig::{HOME, Rig},
};

/// A signal as soon as a machine is there, whoever knows of it; nothing is left but images.
async fn nothing_is_left_after_an_interruption(rig: &Rig, delay: Duration) {
    let interrupt = async {
        while rig.endpoint.instances().is_empty() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        tokio::time::sleep(delay).await;
        raise(Signal::SIGINT).expect("a signal");
    };
    let (ended, ()) = tokio::join!(rig.release(), interrupt);
    assert_eq!(ended.outcome.err(), Some(130), "{}", ended.said);
    assert_eq!(rig.endpoint.left(), [""; 0], "{}", ended.said);
    assert!(ended.said.contains("No machine runs."), "{}", ended.said);
}

#[tokio::test(start_paused = true)]
async fn no_machine_and_no_way_in_is_left() {
    for seconds in [1, 14, 40] {
        nothing_is_left_after_an_interruption(&Rig::alone(&["eu-west-1", HOME]), Duration::from_secs(seconds)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_launch_that_is_on_its_way_leaves_no_machine() {
    let rig = Rig::alone(&[HOME]);
    rig.endpoint.world(|world| world.delays.unseen = Duration::from_secs(5));
    rig.endpoint.plan(Plan::once(Fault::Late(Duration::from_secs(20))).action("RunInstances"));
    nothing_is_left_after_an_interruption(&rig, Duration::ZERO).await;
}
