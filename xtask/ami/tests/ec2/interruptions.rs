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
async fn nothing_is_left_after_an_interruption(rig: &Rig, delay: Duration) {
    let began = Instant::now();
    let interrupted = Cell::new(Duration::ZERO);
    let interrupt = async {
        while rig.endpoint.instances().is_empty() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        tokio::time::sleep(delay).await;
        interrupted.set(began.elapsed());
        raise(Signal::SIGINT).expect("a signal");
    };
    let (ended, ()) = tokio::join!(rig.release(), interrupt);
    assert_eq!(ended.outcome.err(), Some(130), "{}", ended.said);
    let took = ended.took - interrupted.get();
    assert!(took < ENDS_WITHIN, "{delay:?}: {took:?}: {}", ended.said);
    assert_eq!(rig.endpoint.left(), [""; 0], "{}", ended.said);
    assert!(ended.said.contains("No machine runs."), "{}", ended.said);
}

#[tokio::test(start_paused = true)]
async fn no_machine_and_no_way_in_is_left() {
    // While it starts, is prepared, is stopped, and is imaged; while the image is copied; while it is verified.
    for seconds in [1, 4, 10, 14, 30, 40, 55, 65] {
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
