//! State that another replica tells late: what was seen to be stopped, available or free may not be for the next call.

use std::time::Duration;

use crate::{
    faults::{Fault, Plan},
    rig::{HOME, Rig},
};

/// Each call that follows a change of state, and what a replica says that has not heard of it. The number is of calls of this
/// action that come before.
const TOLD_LATE: [(&str, &str, u32); 17] = [
    ("ModifyInstanceAttribute", "InvalidInstanceID.NotFound", 0),
    ("ModifyInstanceAttribute", "IncorrectInstanceState", 0),
    ("StopInstances", "IncorrectInstanceState", 0),
    ("StopInstances", "InvalidInstanceID.NotFound", 0),
    ("CreateImage", "IncorrectInstanceState", 0),
    ("CreateImage", "IncorrectState", 0),
    ("CreateImage", "InvalidInstanceID.NotFound", 0),
    ("CopyImage", "InvalidAMIID.Unavailable", 0),
    ("RunInstances", "InvalidAMIID.Unavailable", 1),
    ("RunInstances", "InvalidKeyPair.NotFound", 0),
    ("EnableImageDeprecation", "InvalidAMIID.Unavailable", 0),
    ("ModifyImageAttribute", "InvalidAMIID.Unavailable", 0),
    ("ModifySnapshotAttribute", "IncorrectState", 0),
    ("TerminateInstances", "InvalidInstanceID.NotFound", 0),
    ("DeleteSecurityGroup", "DependencyViolation", 0),
    ("DeleteSecurityGroup", "InvalidGroup.InUse", 0),
    ("DescribeInstances", "InvalidInstanceID.NotFound", 4),
];

#[tokio::test(start_paused = true)]
async fn a_state_that_is_told_late_costs_seconds_and_not_the_machine() {
    for (action, code, before) in TOLD_LATE {
        let rig = Rig::public(&["eu-west-1", HOME]);
        rig.endpoint.plan(Plan::always(Fault::refused(code)).action(action).after(before).times(3));
        let ended = rig.release().await;
        assert!(ended.outcome.is_ok(), "{action} {code}: {}", ended.said);
        assert_eq!(rig.endpoint.public_in(), ["eu-west-1", HOME], "{action} {code}");
        assert_eq!(rig.endpoint.instances().len(), 2, "{action} {code}");
        assert_eq!(rig.endpoint.left(), [""; 0], "{action} {code}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_machine_that_is_unknown_while_it_stops_is_not_gone() {
    let rig = Rig::private();
    let endpoint = rig.endpoint.clone();
    let hide = async move {
        endpoint.until_called("StopInstances").await;
        let unknown = Fault::refused("InvalidInstanceID.NotFound");
        endpoint.plan(Plan::always(unknown).action("DescribeInstances").times(5));
        std::future::pending::<()>().await;
    };
    let ended = tokio::select! { ended = rig.release() => ended, () = hide => unreachable!("it waits for ever") };
    assert!(ended.outcome.is_ok(), "{}", ended.said);
    assert_eq!(rig.endpoint.instances().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn public_access_that_was_unblocked_may_be_blocked_for_the_next_call() {
    let mut rig = Rig::public(&[HOME]);
    rig.order.unblock_public_access = true;
    rig.endpoint.region(HOME, |region| region.block_public_access.blocked = true);
    let blocked = Fault::refused("OperationNotPermitted");
    rig.endpoint.plan(Plan::always(blocked).action("ModifyImageAttribute").times(3));
    let ended = rig.release().await;
    assert!(ended.outcome.is_ok(), "{}", ended.said);
    assert_eq!(rig.endpoint.public_in(), [HOME]);
}

#[tokio::test(start_paused = true)]
async fn a_machine_that_does_not_stop_is_asked_again_and_then_its_power_is_cut() {
    let rig = Rig::private();
    rig.endpoint.world(|world| world.delays.stop = Duration::from_secs(86_400));
    let ended = rig.release().await;
    assert!(ended.outcome.is_ok(), "{}", ended.said);
    assert!(ended.said.contains("has not shut down in 10m; its power is cut"), "{}", ended.said);
    let stops = rig.endpoint.log().into_iter().map(|logged| logged.call).filter(|call| call.action == "StopInstances");
    let forced: Vec<bool> = stops.map(|call| call.parameters.flag("Force")).collect();
    assert!(forced.len() > 2 && forced.iter().filter(|forced| **forced).count() == 1, "{forced:?}");
    assert_eq!(rig.endpoint.instances().len(), 2);
    assert_eq!(rig.endpoint.left(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn an_image_that_was_verified_and_is_not_listed_for_a_while_is_published_all_the_same() {
    let rig = Rig::public(&[HOME]);
    let endpoint = rig.endpoint.clone();
    let hide = async move {
        let mut arrivals = endpoint.arrivals();
        // The second machine ends when the image is verified, right before the images are looked at.
        while endpoint.counts().of("TerminateInstances") < 2 {
            arrivals.changed().await.expect("the endpoint is there");
        }
        let id = endpoint.images().pop().expect("the image").1.id;
        let image = endpoint.region(HOME, |region| region.images.remove(&id)).expect("the image");
        tokio::time::sleep(Duration::from_secs(20)).await;
        endpoint.region(HOME, |region| region.images.insert(id, image));
        std::future::pending::<()>().await;
    };
    let ended = tokio::select! { ended = rig.release() => ended, () = hide => unreachable!("it waits for ever") };
    assert!(ended.outcome.is_ok(), "{}", ended.said);
    assert_eq!(rig.endpoint.public_in(), [HOME]);
}
