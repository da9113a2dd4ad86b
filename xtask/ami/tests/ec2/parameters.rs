//! The SSM parameters that name a published image: when they are written, and what becomes of them.

use std::collections::BTreeSet;

use xtask::{cli::RetireFlags, parameter::Choice};
use xtask_ami::{
    catalogue::check::{self, Seen},
    ground::outcome::Failure,
    verbs::retire,
};

use crate::{
    books::{ACCOUNT, Image},
    faults::{Fault, Plan},
    kit::desk::said_yes,
    rig::{HOME, Rig},
};

const REGIONS: [&str; 3] = ["eu-west-1", "sa-east-1", HOME];
const NAMES: [&str; 2] = ["/wallaroo/ami/0.6.1", "/wallaroo/ami/latest"];

/// Retires the version, and says yes.
async fn try_to_retire(rig: &Rig, disable: bool, enable: bool) -> Result<(), Failure> {
    let flags = RetireFlags { version: "0.6.1".parse().expect("a version"), deprecate: None, disable, enable };
    let (cloud, events, used) = (rig.ec2().await, rig.events(), BTreeSet::new());
    let (recipe, home) = (&rig.order.recipe, &rig.desk.home);
    retire::retire(&cloud, recipe, home, &flags, &used, &said_yes(), &events).await
}

/// The same, which comes to its good end, and what was said.
async fn retire(rig: &Rig, disable: bool, enable: bool) -> String {
    let retired = try_to_retire(rig, disable, enable).await;
    assert!(retired.is_ok(), "{retired:?}: {}", rig.said());
    rig.said()
}

/// What `check` finds wrong, each fault with its region.
async fn faults(rig: &Rig) -> Vec<String> {
    faults_with(rig, None).await
}

/// The same with `--ssm-prefix`.
async fn faults_with(rig: &Rig, prefix: Option<&str>) -> Vec<String> {
    let prefix: Option<Choice> = prefix.map(|prefix| prefix.parse().expect("a prefix"));
    let regions = REGIONS.map(|region| region.parse().expect("a region"));
    let (cloud, version) = (rig.ec2().await, "0.6.1".parse().expect("a version"));
    let checked =
        check::check(&cloud, &rig.order.recipe, (&version, prefix.as_ref()), &regions).await.expect("a check");
    let told =
        |seen: &Seen| seen.faults.iter().map(|it| format!("{}: {}", seen.region, it.message)).collect::<Vec<_>>();
    checked.regions.iter().flat_map(told).collect()
}

/// A release in these regions that parameters are to name. Nothing of it is in the endpoint yet.
fn rig() -> Rig {
    let mut rig = Rig::public(&REGIONS);
    rig.order.parameters = Some("/wallaroo/ami".parse().expect("a prefix"));
    rig
}

/// What a parameter names in a region; empty where there is none.
fn value(rig: &Rig, region: &str, name: &str) -> String {
    rig.endpoint.world(|world| {
        let now = world.now();
        let parameter = world.region_called(region).parameters.get(name);
        parameter.map(|parameter| parameter.value(now).to_owned()).unwrap_or_default()
    })
}

/// The id of the image of this name in a region.
fn image(rig: &Rig, region: &str, name: &str) -> String {
    let mut images = rig.endpoint.images().into_iter();
    images.find(|(at, image)| at == region && image.name == name).map(|(_, image)| image.id).expect("an image")
}

/// The account publishes another version in a region, which the parameter of the newest release names there.
fn publish_as_latest(rig: &Rig, region: &str, version: &str) -> String {
    let (id, snapshot) = rig.endpoint.world(|world| (world.id("ami"), world.id("snap")));
    let name = format!("Wallaroo {version}");
    rig.endpoint.put(region, Image::published(&id, &snapshot, ACCOUNT, &name, "2024-07-01T12:00:00.000Z"));
    rig.endpoint.name(region, NAMES[1], &id);
    id
}

#[tokio::test(start_paused = true)]
async fn parameters_of_the_version_and_of_the_newest_release_name_the_image_once_it_is_public() {
    let rig = rig();
    let ended = rig.release().await;
    let images = &ended.report().images;
    assert!(images.iter().all(|image| image.parameters == NAMES), "{images:?}");
    let calls = rig.endpoint.log();
    let last = |action: &str| calls.iter().rposition(|it| it.call.action == action).expect(action);
    let first = calls.iter().position(|it| it.call.action == "PutParameter").expect("a parameter");
    assert!(last("ModifyImageAttribute") < first && last("ModifySnapshotAttribute") < first, "{ended}");
    for region in REGIONS {
        let id = image(&rig, region, "Wallaroo 0.6.1");
        assert_eq!(NAMES.map(|name| value(&rig, region, name)), [id.as_str(); 2], "{region}");
        let tags = rig.endpoint.region(region, |region| region.parameters[NAMES[0]].tags.clone());
        assert_eq!(tags["wallaroo:version"], "0.6.1", "{region}");
        assert!(tags.contains_key("wallaroo:build"), "{region}: {tags:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn no_parameter_is_written_where_publication_fails_or_none_is_asked_for() {
    let failing = rig();
    let plan = Plan::once(Fault::refused("OperationNotPermitted")).action("ModifyImageAttribute");
    failing.endpoint.plan(plan.region("sa-east-1"));
    failing.release().await.failed(1, &["nothing is public"]);
    let plain = Rig::public(&REGIONS);
    plain.release().await.report();
    for rig in [failing, plain] {
        assert_eq!(rig.endpoint.counts().of("PutParameter"), 0);
        assert_eq!(rig.endpoint.counts().of("GetParameters"), if rig.order.parameters.is_some() { 3 } else { 0 });
    }
}

/// A good image is never destroyed because something else failed.
#[tokio::test(start_paused = true)]
async fn an_image_stays_public_where_a_parameter_fails_and_the_build_is_resumed() {
    let rig = rig();
    let denial = Fault::refused("AccessDeniedException");
    rig.endpoint.plan(Plan::always(denial).action("PutParameter").region("sa-east-1").times(2));
    let words = ["the image is public", NAMES[0], NAMES[1], "sa-east-1: PutParameter", "--ssm-prefix /wallaroo/ami"];
    rig.release().await.failed(1, &words);
    assert_eq!(rig.endpoint.public_in(), REGIONS);
    assert_eq!(rig.endpoint.left(), [""; 0]);
    assert_eq!(value(&rig, "sa-east-1", NAMES[0]), "");
    let opened = rig.endpoint.counts().of("ModifyImageAttribute");
    // What is public is not withdrawn by whoever resumes, whatever else is wrong meanwhile.
    rig.endpoint.plan(Plan::always(Fault::refused("OperationNotPermitted")).action("ModifyImageAttribute"));
    rig.resume().await.failed(1, &["sa-east-1"]);
    rig.resume().await.report();
    assert_eq!(rig.endpoint.counts().of("ModifyImageAttribute"), opened);
    assert_eq!(rig.endpoint.public_in(), REGIONS);
    for region in REGIONS {
        assert_eq!(value(&rig, region, NAMES[1]), image(&rig, region, "Wallaroo 0.6.1"), "{region}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_newest_release_stays_the_newest_and_a_candidate_never_is() {
    let rig = rig();
    let newer = publish_as_latest(&rig, "eu-west-1", "0.6.10");
    publish_as_latest(&rig, "sa-east-1", "0.6.0");
    rig.endpoint.name(HOME, NAMES[1], "what someone wrote");
    rig.release().await.report();
    let own = |region| image(&rig, region, "Wallaroo 0.6.1");
    let latest = |region| value(&rig, region, NAMES[1]);
    assert_eq!(REGIONS.map(latest), [newer, own("sa-east-1"), own(HOME)]);
    assert_eq!(REGIONS.map(|region| value(&rig, region, NAMES[0])), REGIONS.map(own));

    let mut candidate = self::rig();
    candidate.order.version = "0.6.2-rc1".parse().expect("a version");
    candidate.order.name = "Wallaroo 0.6.2-rc1".to_owned();
    candidate.release().await.report();
    for region in REGIONS {
        let names = candidate.endpoint.region(region, |region| region.parameters.keys().cloned().collect::<Vec<_>>());
        assert_eq!(names, ["/wallaroo/ami/0.6.2-rc1"], "{region}");
    }
}

/// SSM answers well, and leaves the parameter as it was where it does not find the image.
#[tokio::test(start_paused = true)]
async fn a_parameter_that_is_not_changed_after_all_is_told() {
    let rig = rig();
    let endpoint = rig.endpoint.clone();
    let undo = async move {
        loop {
            tokio::time::sleep(std::time::Duration::from_secs(1)).await;
            endpoint.region("sa-east-1", |region| region.parameters.clear());
        }
    };
    let ended = tokio::select! { ended = rig.release() => ended, () = undo => unreachable!("it goes on for ever") };
    ended.failed(1, &["the image is public", "timed out", NAMES[0], "do not yet"]);
    assert_eq!(rig.endpoint.public_in(), REGIONS);
}

#[tokio::test(start_paused = true)]
async fn check_compares_the_parameters_by_the_tag_of_the_images() {
    let rig = rig();
    rig.release().await.report();
    assert_eq!(faults(&rig).await, [""; 0]);
    let other = publish_as_latest(&rig, "eu-west-1", "0.6.0");
    publish_as_latest(&rig, HOME, "0.6.2");
    rig.endpoint.region("sa-east-1", |region| region.parameters.remove(NAMES[0]));
    let own = image(&rig, "sa-east-1", "Wallaroo 0.6.1");
    let found = faults(&rig).await;
    let [older, missing] = found.as_slice() else { panic!("a newer release is no fault: {found:?}") };
    assert!(
        older.starts_with(&format!("eu-west-1: the parameter {} names {other}, the image of 0.6.0", NAMES[1])),
        "{older}"
    );
    let missed =
        format!("sa-east-1: there is no parameter {}, which should name {own}; to mend it: aws ssm ", NAMES[0]);
    assert!(missing.starts_with(&missed) && missing.contains(" Key=wallaroo:build,Value=2"), "{missing}");
    assert!(older.contains(" --overwrite --region eu-west-1"), "{older}");
}

#[tokio::test(start_paused = true)]
async fn check_compares_parameters_of_the_prefix_that_is_given_or_of_none_and_never_of_the_recipes() {
    let mut rig = rig();
    rig.release().await.report();
    rig.order.recipe.publish.ssm_prefix = Some("/other/ami".parse().expect("a prefix"));
    assert_eq!(faults(&rig).await, [""; 0], "the images' tags say which prefix it was");
    let missing = faults_with(&rig, Some("/other/ami")).await;
    assert_eq!((missing.len(), missing[0].contains("no parameter /other/ami/0.6.1")), (6, true), "{missing:?}");
    rig.endpoint.region("sa-east-1", |region| region.parameters.clear());
    assert_eq!(faults(&rig).await.len(), 2);
    assert_eq!(faults_with(&rig, Some("")).await, [""; 0]);

    let mut plain = Rig::public(&REGIONS);
    plain.release().await.report();
    plain.order.recipe.publish.ssm_prefix = Some("/wallaroo/ami".parse().expect("a prefix"));
    assert_eq!(faults(&plain).await, [""; 0], "it was released without parameters");
}

#[tokio::test(start_paused = true)]
async fn no_parameter_names_an_image_that_is_retired_and_the_newest_release_is_another() {
    let rig = rig();
    let older = publish_as_latest(&rig, "eu-west-1", "0.6.0");
    rig.release().await.report();
    let own = image(&rig, "eu-west-1", "Wallaroo 0.6.1");
    let names = |region| NAMES.map(|name| value(&rig, region, name));
    for disable in [true, false] {
        let said = retire(&rig, disable, false).await;
        assert_eq!(names("eu-west-1"), [String::new(), older.clone()], "{said}");
        assert_eq!(names(HOME), ["", ""], "{said}");
        if disable {
            let said = retire(&rig, false, true).await;
            assert_eq!(names("eu-west-1"), [own.as_str(); 2], "{said}");
        }
    }
    assert_eq!(rig.endpoint.images().len(), 1, "the older release");
}

/// The image is public again before its parameters are written.
#[tokio::test(start_paused = true)]
async fn an_image_that_is_enabled_and_that_no_parameter_names_yet_is_enabled_to_the_end_by_the_next_run() {
    let rig = rig();
    rig.release().await.report();
    retire(&rig, true, false).await;
    rig.endpoint.plan(Plan::once(Fault::refused("AccessDeniedException")).action("PutParameter").region("sa-east-1"));
    let enabled = try_to_retire(&rig, false, true).await;
    let Err(Failure::Failed(error)) = enabled else { panic!("{enabled:?}") };
    let error = format!("{error:#}");
    assert!(error.contains("sa-east-1: ami-") && error.contains("0.6.1 --enable"), "{error}");
    assert_eq!(rig.endpoint.public_in(), REGIONS);
    let named = |region| NAMES.map(|name| value(&rig, region, name) == image(&rig, region, "Wallaroo 0.6.1"));
    assert_eq!(REGIONS.map(named), [[true; 2], [false; 2], [true; 2]]);

    let said = retire(&rig, false, true).await;
    assert_eq!(REGIONS.map(named), [[true; 2]; 3], "{said}");
    let writes = rig.endpoint.counts().of("PutParameter");
    retire(&rig, false, true).await;
    assert_eq!(rig.endpoint.counts().of("PutParameter"), writes, "all is as it should be");
}

#[tokio::test(start_paused = true)]
async fn an_enabling_that_is_killed_at_any_call_is_continued_by_the_next() {
    let mut kills = 0;
    for calls in 1.. {
        let rig = rig();
        rig.release().await.report();
        retire(&rig, true, false).await;
        let arrived = rig.endpoint.calls();
        let ended = tokio::select! {
            biased;
            () = rig.endpoint.until(arrived + calls) => false,
            enabled = try_to_retire(&rig, false, true) => { assert!(enabled.is_ok(), "{enabled:?}"); true }
        };
        let said = retire(&rig, false, true).await;
        assert_eq!(rig.endpoint.public_in(), REGIONS, "{calls}: {said}");
        for region in REGIONS {
            let own = image(&rig, region, "Wallaroo 0.6.1");
            assert_eq!(NAMES.map(|name| value(&rig, region, name)), [own.as_str(); 2], "{calls}: {region}: {said}");
        }
        if ended {
            break;
        }
        kills = calls;
    }
    assert!(kills > 10, "it is killed at {kills} calls only");
}
