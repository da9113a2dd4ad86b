//! Names that are taken: whatever has the name, the command that preflight gives frees it.

use std::collections::BTreeSet;

use xtask::cli::RetireFlags;
use xtask_ami::{
    ground::{finding::Finding, outcome::Failure},
    verbs::retire,
};

use crate::{
    books::{ACCOUNT, Image},
    crashes::clean,
    faults::{Fault, Plan},
    kit::desk::said_yes,
    preflight::findings,
    rig::{HOME, Rig},
};

const ELSEWHERE: &str = "eu-west-1";

/// Puts an image of the account's own into a region, with the tags of a build if it is one's.
fn put(rig: &Rig, id: &str, build: Option<&str>, change: impl FnOnce(&mut Image)) {
    let snapshot = rig.endpoint.world(|world| world.id("snap"));
    let mut image = Image::published(id, &snapshot, ACCOUNT, "Wallaroo 0.6.1", "2024-07-01T12:00:00.000Z");
    if let Some(build) = build {
        let tags = [("wallaroo:build", build), ("wallaroo:version", "0.6.1")];
        image.tags = tags.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
    }
    change(&mut image);
    rig.endpoint.put(ELSEWHERE, image);
}

/// `retire --version 0.6.1 --yes`, and what it said.
async fn retire(rig: &Rig) -> (Result<(), Failure>, String) {
    let events = rig.events();
    let flags =
        RetireFlags { version: "0.6.1".parse().expect("a version"), deprecate: None, disable: false, enable: false };
    let (cloud, recipe, home) = (rig.ec2().await, &rig.order.recipe, &rig.desk.home);
    let retired = retire::retire(&cloud, recipe, home, &flags, &BTreeSet::new(), &said_yes(), &events).await;
    (retired, rig.said())
}

/// The one finding of a release: the name is taken.
#[track_caller]
fn taken(findings: &[Finding]) -> &Finding {
    let [finding] = findings else { panic!("{findings:?}") };
    assert!(
        finding.problem.starts_with("the image name `Wallaroo 0.6.1` is already taken: ami-z in eu-west-1"),
        "{finding}"
    );
    assert!(finding.remedy.contains("cargo xtask ami retire --version 0.6.1"), "{finding}");
    finding
}

#[tokio::test(start_paused = true)]
async fn whatever_has_the_name_the_command_that_preflight_gives_frees_it() {
    for (build, disabled) in [(Some("b"), false), (None, false), (Some("b"), true), (None, true)] {
        let rig = Rig::public(&[ELSEWHERE, HOME]);
        put(&rig, "ami-z", build, |image| {
            if disabled {
                image.disable()
            }
        });
        let found = findings(&rig).await;
        let problem = &taken(&found).problem;
        assert_eq!(problem.contains("not made by this tool"), build.is_none(), "{problem}");
        assert_eq!(problem.contains("disabled"), disabled, "{problem}");

        let (retired, said) = retire(&rig).await;
        assert!(retired.is_ok(), "{build:?}, disabled: {disabled}: {retired:?}");
        assert!(said.contains("eu-west-1: ami-z ("), "{said}");
        assert_eq!(said.contains("not made by this tool"), build.is_none(), "{said}");
        assert_eq!(said.contains("disabled"), disabled, "{said}");
        assert!(rig.endpoint.images().is_empty() && rig.endpoint.snapshots().is_empty(), "{said}");
        assert_eq!(findings(&rig).await, []);
    }
}

#[tokio::test(start_paused = true)]
async fn what_may_not_be_removed_comes_with_the_command_for_whoever_may() {
    let rig = Rig::public(&[ELSEWHERE, HOME]);
    put(&rig, "ami-z", None, |_| {});
    rig.endpoint.plan(Plan::always(Fault::refused("UnauthorizedOperation")).action("DeregisterImage"));
    let (retired, said) = retire(&rig).await;
    let Err(Failure::Failed(error)) = retired else { panic!("{retired:?}: {said}") };
    let error = format!("{error:#}");
    let command = "aws ec2 deregister-image --image-id ami-z --delete-associated-snapshots --region eu-west-1";
    assert!(error.contains("UnauthorizedOperation") && error.contains(command), "{error}");
}

#[tokio::test(start_paused = true)]
async fn an_image_that_has_another_version_or_name_stays() {
    let rig = Rig::public(&[ELSEWHERE, HOME]);
    put(&rig, "ami-y", None, |image| "Wallaroo 0.6.10".clone_into(&mut image.name));
    put(&rig, "ami-x", None, |image| "golden".clone_into(&mut image.name));
    let (retired, _) = retire(&rig).await;
    assert!(matches!(retired, Err(Failure::Refused(_))), "{retired:?}");
    assert_eq!(rig.endpoint.images().len(), 2);
    assert_eq!(findings(&rig).await, []);
}

#[tokio::test(start_paused = true)]
async fn a_disabled_image_of_a_build_is_cleaned_away_with_it() {
    let rig = Rig::public(&[ELSEWHERE, HOME]);
    rig.endpoint.plan(Plan::once(Fault::refused("OperationNotPermitted")).action("ModifyImageAttribute"));
    assert_eq!(rig.release().await.outcome.err(), Some(1));
    rig.endpoint.disable_images(ELSEWHERE);
    clean(&rig, Some(&rig.unfinished()), 86_400).await;
    assert!(rig.endpoint.images().is_empty() && rig.endpoint.snapshots().is_empty(), "{:?}", rig.endpoint.images());
}

/// What is disabled can be neither launched nor shared, and a second image of its name must not be made beside it.
#[tokio::test(start_paused = true)]
async fn a_disabled_image_of_a_build_is_not_taken_for_a_good_one_when_it_is_resumed() {
    for region in [ELSEWHERE, HOME] {
        let rig = Rig::public(&[ELSEWHERE, HOME]);
        rig.endpoint.plan(Plan::once(Fault::refused("OperationNotPermitted")).action("ModifyImageAttribute"));
        assert_eq!(rig.release().await.outcome.err(), Some(1));
        rig.endpoint.disable_images(region);
        let ended = rig.resume().await;
        assert_eq!(ended.outcome.err(), Some(1), "{}", ended.said);
        assert!(ended.said.contains("aws ec2 enable-image --image-id ami-"), "{}", ended.said);
        assert!(ended.said.contains(&format!("--region {region}")), "{}", ended.said);
        assert_eq!((rig.endpoint.images().len(), rig.endpoint.public_in().len()), (2, 0), "{}", ended.said);
    }
}
