//! The end of a release: once the result is told, nothing is waited for that the cloud ends by itself.

use crate::{
    faults::{Fault, Plan},
    kit::Ended,
    request::Call,
    rig::{HOME, Rig, all_regions},
    speed::FLOOR_SECS,
};

/// How long the command may go on after the result is told, as a part of the floor.
const TAIL: f64 = 0.02;

fn tail_secs(ended: &Ended) -> f64 {
    (ended.took - ended.told.expect("a result")).as_secs_f64()
}

/// Whether a call moves an instance into another security group.
fn moves(call: &Call) -> bool {
    call.action == "ModifyInstanceAttribute" && call.parameters.get("GroupId.1").is_some()
}

/// The machines that have not terminated when the command has ended.
fn terminating(rig: &Rig) -> Vec<String> {
    let instances = rig.endpoint.instances().into_iter().map(|(_, instance)| instance);
    let there = instances.filter(|instance| rig.endpoint.instance_state(instance).called().1 != "terminated");
    there.map(|instance| instance.id).collect()
}

#[tokio::test(start_paused = true)]
async fn the_command_ends_with_the_result_and_leaves_only_what_terminates() {
    for (regions, floor_secs) in [(vec![HOME], FLOOR_SECS.0), (all_regions(), FLOOR_SECS.1)] {
        let rig = Rig::public(&regions);
        let ended = rig.release().await;
        let bound_secs = TAIL * floor_secs;
        assert!(tail_secs(&ended) <= bound_secs, "{:.2} s, not {bound_secs:.2}: {}", tail_secs(&ended), ended.said);
        assert_eq!(rig.endpoint.left(), [""; 0], "{}", ended.said);
        // The machine that the image was verified on was told to terminate just now.
        assert!(regions.len() > 1 || !terminating(&rig).is_empty(), "nothing was waited for");
    }
}

#[tokio::test(start_paused = true)]
async fn a_kept_base_does_not_keep_the_command() {
    let mut rig = Rig::private();
    rig.order.reuse_base = true;
    let ended = rig.release().await;
    let bound_secs = TAIL * FLOOR_SECS.0;
    assert!(tail_secs(&ended) <= bound_secs, "{:.2} s, not {bound_secs:.2}: {}", tail_secs(&ended), ended.said);
    assert_eq!(rig.endpoint.left(), [""; 0], "{}", ended.said);
}

/// The default group of the VPC can't be used: a policy of the organization denies it, or there is none.
#[tokio::test(start_paused = true)]
async fn a_machine_that_cannot_leave_its_group_is_waited_for() {
    let denied = Rig::public(&[HOME]);
    denied.endpoint.plan(Plan::always(Fault::refused("UnauthorizedOperation")).when(moves));
    let missing = Rig::public(&[HOME]);
    missing.endpoint.region(HOME, |region| region.groups.retain(|_, group| group.name != "default"));
    for rig in [denied, missing] {
        let ended = rig.release().await;
        ended.report();
        assert_eq!(rig.endpoint.left(), [""; 0], "{}", ended.said);
        assert_eq!(terminating(&rig).len(), 0, "its group was deleted, so it let go of it: {}", ended.said);
    }
}

/// The order to terminate is refused until the result is told, so the machine is ended by the cleanup.
#[tokio::test(start_paused = true)]
async fn an_order_to_terminate_that_is_not_taken_is_given_again() {
    let rig = Rig::public(&[HOME]);
    rig.endpoint.plan(Plan::always(Fault::refused("OperationNotPermitted")).action("TerminateInstances").times(2));
    let ended = rig.release().await;
    ended.report();
    assert!(ended.said.contains("failed to terminate i-"), "{}", ended.said);
    assert_eq!(rig.endpoint.left(), [""; 0], "{}", ended.said);
}

/// The process is gone between any two calls of the end; what it leaves is found by its tags.
#[tokio::test(start_paused = true)]
async fn a_kill_in_the_end_leaves_nothing_that_clean_does_not_find() {
    let whole = Rig::public(&[HOME]);
    whole.release().await.report();
    let calls = whole.endpoint.calls();
    let first = whole.endpoint.log().iter().position(|logged| moves(&logged.call)).expect("a machine leaves its group");
    for kill in first + 1..=calls {
        let rig = Rig::public(&[HOME]);
        assert!(rig.release_until(kill).await.is_none(), "{kill}");
        crate::crashes::clean(&rig, Some(&rig.unfinished()), 0).await;
        assert_eq!(rig.endpoint.left(), [""; 0], "killed at call {kill} of {calls}");
    }
}
