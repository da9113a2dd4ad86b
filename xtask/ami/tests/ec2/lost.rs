//! Answers that are lost, errors that come after the deed, throttling, and things that are not visible yet: none of them
//! makes a second instance, image or copy, and none ends the build.

use std::{fmt, time::Duration};

use crate::{
    books::ACCOUNT,
    endpoint::Endpoint,
    faults::{Fault, Plan},
    rig::{HOME, Rig},
};

const REGIONS: [&str; 3] = ["eu-west-1", "sa-east-1", HOME];

/// The release is as it would be without what was planned, and nothing was made twice.
async fn all_is_well(what: impl fmt::Debug, plan: impl FnOnce(&Endpoint)) {
    let rig = Rig::public(&REGIONS);
    plan(&rig.endpoint);
    let ended = rig.release().await;
    assert!(ended.outcome.is_ok(), "{what:?}: {}", ended.said);
    assert_eq!(rig.endpoint.public_in(), REGIONS, "{what:?}");
    let images: Vec<String> = rig.endpoint.images().into_iter().map(|(region, _)| region).collect();
    assert_eq!(images, REGIONS, "{what:?}");
    assert_eq!(rig.endpoint.snapshots().len(), REGIONS.len(), "{what:?}");
    assert_eq!(rig.endpoint.instances().len(), 2, "{what:?}");
    assert_eq!(rig.endpoint.left(), [""; 0], "{what:?}");
}

/// A test that all is well with each of these.
macro_rules! all_is_well {
    ($($(#[$why:meta])* $name:ident: $of:pat in $all:expr => $plan:expr;)*) => {$(
        $(#[$why])*
        #[tokio::test(start_paused = true)]
        async fn $name() {
            for one in $all {
                let ($of, what) = (one.clone(), one);
                all_is_well(what, $plan).await;
            }
        }
    )*};
}

all_is_well! {
    an_answer_that_is_lost_makes_nothing_twice: (action, fault) in {
        let creations = ["ImportKeyPair", "CreateSecurityGroup", "AuthorizeSecurityGroupIngress", "RunInstances"];
        let faults = [Fault::AnswerLost, Fault::Dropped, Fault::DoneAndHangs];
        let creations = creations.into_iter().chain(["CreateImage", "CopyImage"]);
        creations.flat_map(move |action| faults.clone().map(|fault| (action, fault)))
    } => |endpoint| endpoint.plan(Plan::once(fault).action(action));
    /// However often it is tried again, no answer comes; so it is looked for by its name and its build's tag.
    an_image_whose_answers_are_all_lost_is_adopted: action in ["CreateImage", "CopyImage"]
        => |endpoint| endpoint.plan(Plan::always(Fault::AnswerLost).action(action));
    the_order_to_end_a_machine_or_to_publish_may_be_lost_too: action in
        ["TerminateInstances", "DeleteSecurityGroup", "DeleteKeyPair", "ModifyImageAttribute", "StopInstances"]
        => |endpoint| endpoint.plan(Plan::once(Fault::AnswerLost).action(action));
    a_group_that_its_machine_holds_for_a_while_after_its_end_goes_all_the_same: secs in [120]
        => |endpoint| endpoint.world(|world| world.delays.group = Duration::from_secs(secs));
    one_request_in_five_is_throttled: seed in 0..10
        => |endpoint| endpoint.plan(Plan::always(Fault::Throttled).chance(0.2, seed));
    one_request_in_ten_is_answered_by_an_error_after_it_was_done: seed in 0..10
        => |endpoint| endpoint.plan(Plan::always(Fault::AnswerLost).chance(0.1, seed));
    what_was_created_may_be_unknown_for_a_while: secs in [1, 20, 60]
        => |endpoint| endpoint.world(|world| world.delays.unseen = Duration::from_secs(secs));
    /// The SDK's clients would wait for an answer for ever, had they no time-outs.
    a_call_that_is_never_answered_is_made_again: action in
        ["DescribeInstances", "DescribeImages", "ModifySnapshotAttribute", "GetCallerIdentity"]
        => |endpoint| endpoint.plan(Plan::once(Fault::Hangs).action(action));
}

#[tokio::test(start_paused = true)]
async fn an_image_of_that_name_from_elsewhere_is_not_adopted() {
    let rig = Rig::public(&REGIONS);
    // Another computer of this account makes it while ours is baked, so preflight can't see it.
    let endpoint = rig.endpoint.clone();
    let make = async move {
        endpoint.until_called("StopInstances").await;
        let id = endpoint.add_published(HOME, ACCOUNT, "Wallaroo 0.6.1", "2026-01-01T00:00:00.000Z");
        endpoint.region(HOME, |region| {
            let image = region.images.get_mut(&id).expect("it");
            image.tags.insert("wallaroo:build".to_owned(), "of another computer".to_owned());
        });
        std::future::pending::<()>().await;
    };
    let ended = tokio::select! { ended = rig.release() => ended, () = make => unreachable!("it waits for ever") };
    ended.failed(1, &["CreateImage in us-west-2", "InvalidAMIName.Duplicate"]);
    assert_eq!(rig.endpoint.left(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn an_order_to_end_a_machine_that_is_not_taken_for_long_is_told() {
    let rig = Rig::public(&REGIONS);
    rig.endpoint.plan(Plan::always(Fault::InternalError).action("TerminateInstances"));
    let ended = rig.release().await;
    assert!(ended.said.contains("waiting for us-west-2 to take the order to terminate i-"), "{}", ended.said);
}

/// Eventual consistency: what is available already may be unknown to the call that changes it.
#[tokio::test(start_paused = true)]
async fn what_was_shown_may_still_be_unknown_to_the_call_that_changes_it() {
    for (action, code) in [
        ("EnableImageDeprecation", "InvalidAMIID.NotFound"),
        ("ModifyImageAttribute", "InvalidAMIID.NotFound"),
        ("ModifySnapshotAttribute", "InvalidSnapshot.NotFound"),
        ("DescribeSnapshotAttribute", "InvalidSnapshot.NotFound"),
        ("CopyImage", "InvalidAMIID.NotFound"),
    ] {
        let rig = Rig::public(&REGIONS);
        rig.endpoint.plan(Plan::once(Fault::refused(code)).action(action));
        let ended = rig.release().await;
        assert!(ended.outcome.is_ok(), "{action}: {}", ended.said);
    }
}
