use serde_json::json;

use super::*;
use crate::fixture::about;

fn region(name: &str) -> Region {
    name.parse().expect("a region")
}

fn step(text: &str) -> Step {
    text.parse().expect("a step")
}

fn intended(text: &str) -> Event {
    Event::Intended { step: step(text), by: "by".into() }
}

fn done(text: &str, result: Value) -> Event {
    Event::Done { step: step(text), result, took_ms: 1 }
}

fn failed(text: &str) -> Event {
    Event::Failed { step: step(text), error: "it did".to_owned() }
}

fn ended(how: How, left: bool) -> Event {
    Event::Ended { how, left }
}

/// The state after a build began and these happened.
fn after(events: impl IntoIterator<Item = Event>) -> State {
    let mut state = State::default();
    let began = Event::Began { format: crate::event::FORMAT, build: Box::new(about()) };
    for event in [began].into_iter().chain(events) {
        state.apply(&Line { at: "2026-11-22T00:00:01.500Z".to_owned(), event });
    }
    state
}

#[test]
fn a_build_is_unfinished_as_long_as_something_may_be_left() {
    let image = || [intended("image us-west-2")];
    assert!(after(image()).is_unfinished() && after(image()).has_image());
    assert!(after([]).is_unfinished(), "a process may work on it");
    let ends = |how, left| after(image().into_iter().chain([ended(how, left)]));
    assert!(ends(How::Failed, false).is_unfinished(), "an image may have been made");
    assert!(!ends(How::Done, false).is_unfinished() && !ends(How::Cleaned, false).is_unfinished());
    assert!(!after([ended(How::Failed, false)]).is_unfinished());
    assert!(after([ended(How::Interrupted, true)]).is_unfinished(), "an instance may run");
    let built = after([done("binaries", json!([])), ended(How::Failed, false)]);
    assert!(!built.is_unfinished() && built.can_be_resumed(), "the binaries are there");
    assert!(!after([done("binaries", json!([])), ended(How::Cleaned, false)]).can_be_resumed());
    assert!(after([ended(How::Failed, false), Event::Resumed {}]).is_unfinished(), "a process works on it again");
}

#[test]
fn results_are_of_the_kind_that_is_asked_for() {
    let state = after([intended("image us-west-2"), done("image us-west-2", json!("ami-1"))]);
    let image = step("image us-west-2");
    assert_eq!(state.result::<ImageId>(&image).expect("an id"), Some(ImageId("ami-1".to_owned())));
    assert!(state.result::<u32>(&image).is_err());
    assert_eq!(state.result::<String>(&step("publish")).expect("nothing"), None);
    assert_eq!(state.timings[0].ended_ms, 1500);
}

#[test]
fn a_block_is_lifted_until_it_is_set_again_after_that() {
    let (lift, lifted) = (intended("unblock us-west-2"), done("unblock us-west-2", Value::Null));
    let (block, blocked) = (intended("block us-west-2"), done("block us-west-2", Value::Null));
    let all = [&lift, &lifted, &block, &blocked, &lift, &block, &blocked].map(Clone::clone);
    for (count, is_lifted) in [false, true, true, true, false, true, true, false].into_iter().enumerate() {
        assert_eq!(!after(all[..count].to_vec()).unblocked().is_empty(), is_lifted, "after {count} events");
    }
}

#[test]
fn images_are_half_open_from_the_intention_to_the_end_of_publishing_or_withdrawing() {
    let copies = [done("image us-west-2", json!("ami-1")), done("copy eu-west-1", json!("ami-2"))];
    let story = [
        (intended("publish"), true),
        (failed("publish"), true),
        (failed("available us-west-2"), true),
        (intended("withdraw"), true),
        (failed("withdraw"), true),
        (Event::Resumed {}, true),
        (done("withdraw", Value::Null), false),
        (intended("publish"), true),
        (done("publish", Value::Null), false),
    ];
    for count in 0..=story.len() {
        let events = story[..count].iter().map(|(event, _)| event.clone());
        let state = after(copies.clone().into_iter().chain(events));
        assert_eq!(state.images.len(), 2, "after {count} events");
        let is_half_open = count > 0 && story[count - 1].1;
        assert_eq!(state.is_half_open(), is_half_open, "after {count} events");
        assert_eq!(state.images.values().all(|image| image.open), count > 0 && count != 7, "after {count} events");
    }
}

#[test]
fn a_launch_that_was_cut_short_is_waited_for_and_an_access_is_its_process_own() {
    let launch = [intended("bake access"), done("bake access", Value::Null), intended("bake launch")];
    let state = after(launch.clone());
    assert!(state.is_launching() && state.access(Role::Bake) == Some(1) && state.access(Role::Verify).is_none());
    let state = after(launch.into_iter().chain([Event::Resumed {}]));
    assert!(state.is_launching() && state.access(Role::Bake).is_none());
    let launch = || [intended("bake launch"), failed("bake launch")];
    assert!(!after(launch()).is_launching());
    assert!(after(launch().into_iter().chain([Event::InDoubt { step: step("bake launch") }])).is_launching());
    let launched = [intended("bake launch"), done("bake launch", json!("i-1"))];
    let state = after(launched.clone());
    assert!(!state.is_launching() && state.launched() == [InstanceId("i-1".to_owned())]);
    let revoked = [intended("bake revoke"), done("bake revoke", Value::Null)];
    assert_eq!(after(launched.iter().cloned().chain(revoked.clone())).launched(), []);
    assert_eq!(after(revoked.into_iter().chain(launched)).launched(), [InstanceId("i-1".to_owned())]);
    let state = after([intended("verify access"), intended("verify revoke"), done("verify revoke", Value::Null)]);
    assert!(state.access(Role::Verify).is_none());
}

#[test]
fn images_are_those_that_the_build_or_the_cloud_last_told_of() {
    let made = || done("image us-west-2", json!("ami-1"));
    assert_eq!(after([made()]).image_ids().len(), 1);
    assert!(after([made(), failed("available us-west-2")]).image_ids().is_empty());
    assert!(after([made(), intended("remove us-west-2 ami-1")]).image_ids().is_empty());
    let seen = |image: Option<&str>, open| Event::Seen {
        region: region("us-west-2"),
        image: image.map(|id| ImageId(id.to_owned())),
        open,
    };
    assert!(after([made(), seen(None, false)]).image_ids().is_empty());
    let state = after([made(), seen(Some("ami-3"), true)]);
    assert_eq!(state.images.values().next(), Some(&RegionImage { id: ImageId("ami-3".to_owned()), open: true }));
    let gave_up = Event::GaveUp { region: region("us-west-2"), why: "it failed".to_owned() };
    let state = after([made(), gave_up]);
    assert!(state.image_ids().is_empty() && state.gave_up.len() == 1);
}

/// A build whose instance was reached by the process that launched it, which was killed then; and what else happened.
fn provisioning(events: impl IntoIterator<Item = Event>) -> Option<baking::Baking> {
    let base = json!({ "id": "ami-0", "name": "a base", "system": "debian-12" });
    let launch = [intended("base"), done("base", base), intended("bake access"), done("bake access", Value::Null)];
    let launch = launch.into_iter().chain([intended("bake launch"), done("bake launch", json!("i-1"))]);
    let reached = [intended("bake login"), done("bake login", Value::Null), intended("bake packages")];
    after(launch.chain(reached).chain(events)).baking().expect("a state")
}

#[test]
fn an_instance_is_known_with_what_was_done_on_it_until_it_is_gone() {
    let killed = provisioning([]).expect("an instance");
    assert_eq!((killed.instance.0.as_str(), killed.attempt, killed.spoilt), ("i-1", 1, None));
    assert!(killed.was_reached && !killed.begun.has_packages && killed.begun.install.is_none());
    assert_eq!(killed.launched_ms, 1500);
    let packages =
        || [done("bake packages", Value::Null), Event::Resumed {}, intended("bake login"), intended("bake install")];
    let later = provisioning(packages()).expect("an instance");
    assert!(later.begun.has_packages && later.begun.install == Some("by".into()) && later.attempt == 1);
    for (spoils, why) in [
        (failed("bake packages"), "a step on it failed"),
        (failed("bake login"), "a step on it failed"),
        (intended("bake seal"), "it was being sealed"),
    ] {
        assert_eq!(provisioning([spoils]).expect("an instance").spoilt, Some(why));
    }
    // Another process swept it away, and launches another one.
    assert_eq!(provisioning([Event::Resumed {}, intended("bake launch")]), None);
    let again =
        provisioning(packages().into_iter().chain([intended("bake launch"), done("bake launch", json!("i-2"))]));
    let again = again.expect("an instance");
    assert_eq!((again.instance.0.as_str(), again.attempt, again.was_reached), ("i-2", 2, false));
    assert_eq!(again.begun, baking::Begun::default());
    assert_eq!(provisioning([intended("bake revoke"), done("bake revoke", Value::Null)]), None);
}

#[test]
fn a_process_that_resumes_an_instance_has_the_access_of_the_one_that_launched_it() {
    let resumed = || [intended("bake access"), Event::Resumed {}, Event::Resumed {}];
    assert_eq!(after(resumed()).access(Role::Bake), None);
    let login = || resumed().into_iter().chain([intended("bake login")]);
    assert_eq!(after(login()).access(Role::Bake), Some(1));
    assert_eq!(after(login().chain([intended("bake access")])).access(Role::Bake), Some(3));
    assert_eq!(after(login().chain([done("bake revoke", Value::Null)])).access(Role::Bake), None);
}
