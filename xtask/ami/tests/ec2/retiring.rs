//! A version that is retired: for good, gently, or until it is enabled again; and by a process that is killed.

use std::{collections::BTreeSet, time::SystemTime};

use xtask::cli::RetireFlags;
use xtask_ami::{ground::outcome::Failure, verbs::retire};

use crate::{
    books::{ACCOUNT, Image},
    kit::desk::said_yes,
    rig::{HOME, Rig},
};

const REGIONS: [&str; 3] = ["eu-west-1", "sa-east-1", HOME];

/// What is asked for with no more than the version.
fn remove(version: &str) -> RetireFlags {
    RetireFlags { version: version.parse().expect("a version"), deprecate: None, disable: false, enable: false }
}

/// `retire … --yes`, and what it said.
async fn retire(rig: &Rig, flags: &RetireFlags) -> (Result<(), Failure>, String) {
    let before = rig.said().len();
    let (cloud, events, used) = (rig.ec2().await, rig.events(), BTreeSet::new());
    let (recipe, home) = (&rig.order.recipe, &rig.desk.home);
    let retired = retire::retire(&cloud, recipe, home, flags, &used, &said_yes(), &events).await;
    (retired, rig.said()[before..].to_owned())
}

#[track_caller]
fn failed((retired, said): (Result<(), Failure>, String), words: &[&str]) -> String {
    let Err(Failure::Failed(error)) = retired else { panic!("{retired:?}: {said}") };
    let error = format!("{error:#}");
    for word in words {
        assert!(error.contains(word), "no {word:?} in {error}");
    }
    said
}

/// A version that is published, beside another that must stay.
async fn published() -> Rig {
    let rig = Rig::public(&REGIONS);
    for region in REGIONS {
        let (id, snapshot) = rig.endpoint.world(|world| (world.id("ami"), world.id("snap")));
        rig.endpoint
            .put(region, Image::published(&id, &snapshot, ACCOUNT, "Wallaroo 0.6.10", "2024-07-01T12:00:00.000Z"));
    }
    rig.release().await.outcome.expect("a release");
    rig
}

/// The regions of the images of a version that are there.
fn there(rig: &Rig, version: &str) -> Vec<String> {
    let name = format!("Wallaroo {version}");
    rig.endpoint.images().into_iter().filter(|(_, image)| image.name == name).map(|(region, _)| region).collect()
}

/// The id of the version's image in a region.
fn id(rig: &Rig, region: &str) -> String {
    let mut images = rig.endpoint.images().into_iter();
    images.find(|(at, image)| at == region && image.name == "Wallaroo 0.6.1").expect("an image").1.id
}

/// Changes the version's image in a region.
fn change(rig: &Rig, region: &str, change: impl FnOnce(&mut Image)) {
    let id = id(rig, region);
    rig.endpoint.region(region, |region| change(region.images.get_mut(&id).expect("it")));
}

#[tokio::test(start_paused = true)]
async fn it_shows_who_would_lose_what_and_names_what_is_protected_with_the_command() {
    let rig = published().await;
    let lately = humantime::format_rfc3339_millis(SystemTime::now()).to_string();
    change(&rig, "eu-west-1", |image| image.last_launched = Some(lately.clone()));
    change(&rig, "sa-east-1", |image| image.last_launched = Some("2020-01-31T12:00:00.000Z".to_owned()));
    change(&rig, HOME, |image| image.protection = Some("enabled-with-cooldown".to_owned()));
    let home = id(&rig, HOME);
    let unprotect = format!("aws ec2 disable-image-deregistration-protection --image-id {home} --region {HOME}");
    let again = "then: cargo xtask ami retire --version 0.6.1";
    let said = failed(retire(&rig, &remove("0.6.1")).await, &["protected", &unprotect, again]);
    assert!(said.contains(&format!("last launched {}", &lately[..10])), "{said}");
    assert!(said.contains("launched in the last 30 days in eu-west-1: "), "{said}");
    assert!(said.contains("last launched 2020-01-31, ") && said.contains("no launch known"), "{said}");
    assert_eq!((there(&rig, "0.6.1"), there(&rig, "0.6.10").len()), (vec![HOME.to_owned()], 3), "{said}");

    change(&rig, HOME, |image| image.protection = Some("disabled".to_owned()));
    let (retired, said) = retire(&rig, &remove("0.6.1")).await;
    assert!(retired.is_ok(), "{retired:?}: {said}");
    assert_eq!((there(&rig, "0.6.1").len(), rig.endpoint.snapshots().len()), (0, 3), "{said}");
}

#[tokio::test(start_paused = true)]
async fn what_the_recycle_bin_keeps_is_named_with_the_command_that_restores_it() {
    let rig = published().await;
    rig.endpoint.region("eu-west-1", |region| region.recycle_bin = Some(BTreeSet::from(["ami-of-others".to_owned()])));
    let id = id(&rig, "eu-west-1");
    let (retired, said) = retire(&rig, &remove("0.6.1")).await;
    assert!(retired.is_ok(), "{retired:?}: {said}");
    let restore = format!("aws ec2 restore-image-from-recycle-bin --image-id {id} --region eu-west-1");
    assert!(said.contains(&format!("the Recycle Bin keeps {id} until 2026-12-22; to restore it: {restore}")), "{said}");
    assert!(said.contains("aws ec2 restore-snapshot-from-recycle-bin --snapshot-id snap-"), "{said}");
    assert_eq!(said.matches("Recycle Bin").count(), 2, "{said}");
}

/// The cloud shows no snapshot of an image that is gone: the journal does.
#[tokio::test(start_paused = true)]
async fn a_removal_that_is_killed_at_any_call_is_continued_by_the_next() {
    let mut runs = 0;
    for calls in 1.. {
        let rig = published().await;
        for region in REGIONS {
            rig.endpoint.region(region, |region| region.keeps_snapshots = true);
        }
        let flags = remove("0.6.1");
        let arrived = rig.endpoint.log().len();
        let ended = tokio::select! {
            biased;
            () = rig.endpoint.until(arrived + calls) => false,
            (retired, said) = retire(&rig, &flags) => { assert!(retired.is_ok(), "{retired:?}: {said}"); true }
        };
        let begun = there(&rig, "0.6.1").len() < 3;
        let (retired, said) = retire(&rig, &flags).await;
        match retired {
            Ok(()) => assert!(!ended || !begun, "{calls}: {said}"),
            Err(Failure::Refused(_)) => assert!(ended || said.is_empty(), "{calls}: {said}"),
            Err(other) => panic!("{calls}: {other:?}: {said}"),
        }
        assert_eq!(there(&rig, "0.6.1"), [""; 0], "{calls}: {said}");
        let left = rig.endpoint.snapshots().len();
        assert_eq!((there(&rig, "0.6.10").len(), left), (3, 3), "{calls}: {said}");
        if ended {
            break;
        }
        runs = calls;
    }
    assert!(runs > 10, "it is killed at {runs} calls only");
}

#[tokio::test(start_paused = true)]
async fn a_date_deprecates_every_image_and_removes_none() {
    let rig = published().await;
    let at = humantime::parse_rfc3339("2028-01-31T12:00:00Z").expect("a date");
    let flags = RetireFlags { deprecate: Some(at), ..remove("0.6.1") };
    for stays in [false, true] {
        let (retired, said) = retire(&rig, &flags).await;
        assert!(retired.is_ok() && said.contains(", and stays as it is") == stays, "{retired:?}: {said}");
        let dates: Vec<_> = rig.endpoint.images().into_iter().map(|(_, it)| (it.name, it.deprecated_at)).collect();
        for (name, date) in dates {
            let expected = (name == "Wallaroo 0.6.1").then_some("2028-01-31T12:00:00.000Z");
            assert_eq!(date.as_deref(), expected, "{name}");
        }
        assert_eq!(rig.endpoint.public_in().len(), 6);
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_disabled_is_enabled_again_and_public_where_it_was() {
    let rig = published().await;
    change(&rig, "sa-east-1", |image| image.launch_permissions.clear());
    let (retired, said) = retire(&rig, &RetireFlags { disable: true, ..remove("0.6.1") }).await;
    assert!(retired.is_ok(), "{retired:?}: {said}");
    assert!(said.contains("to undo this: cargo xtask ami retire --version 0.6.1 --enable"), "{said}");
    let disabled = || rig.endpoint.images().into_iter().filter(|(_, image)| image.disabled).count();
    assert_eq!((disabled(), rig.endpoint.public_in().len()), (3, 3), "{said}");
    let enable = RetireFlags { enable: true, ..remove("0.6.1") };
    let (retired, said) = retire(&rig, &enable).await;
    assert!(retired.is_ok(), "{retired:?}: {said}");
    let is_public = |region| {
        rig.endpoint.images().into_iter().any(|(at, it)| at == region && it.name == "Wallaroo 0.6.1" && it.is_public())
    };
    assert_eq!((disabled(), REGIONS.map(is_public)), (0, [true, false, true]), "{said}");

    // On a computer without the journal, what was public is not known.
    rig.endpoint.disable_images(HOME);
    std::fs::remove_dir_all(rig.desk.home.path()).expect("to lose the journals");
    let (retired, said) = retire(&rig, &enable).await;
    assert!(retired.is_ok() && !is_public(HOME), "{retired:?}: {said}");
    assert!(said.contains("aws ec2 modify-image-attribute --image-id ami-"), "{said}");
}

#[tokio::test(start_paused = true)]
async fn a_change_that_fails_in_a_region_is_made_in_the_others_and_can_be_continued() {
    use crate::faults::{Fault, Plan};
    let rig = published().await;
    rig.endpoint.plan(Plan::once(Fault::refused("UnauthorizedOperation")).action("DisableImage").region("sa-east-1"));
    let flags = RetireFlags { disable: true, ..remove("0.6.1") };
    let again = "to continue when this is solved: cargo xtask ami retire --version 0.6.1 --disable";
    failed(retire(&rig, &flags).await, &["sa-east-1: ami-", "UnauthorizedOperation", again]);
    let disabled = || rig.endpoint.images().into_iter().filter(|(_, image)| image.disabled).count();
    assert_eq!(disabled(), 2);
    assert!(retire(&rig, &flags).await.0.is_ok());
    assert_eq!(disabled(), 3);
    // Both journals say what was public.
    assert!(retire(&rig, &RetireFlags { enable: true, ..remove("0.6.1") }).await.0.is_ok());
    assert_eq!(rig.endpoint.public_in().len(), 6);
}

#[tokio::test(start_paused = true)]
async fn an_unknown_version_is_refused_with_the_nearest_known_one() {
    let rig = published().await;
    for (version, near) in [("0.6.11", "did you mean 0.6.1"), ("0.61", "did you mean 0.6.1"), ("nightly", "ami list")] {
        let (retired, said) = retire(&rig, &remove(version)).await;
        let Err(Failure::Refused(error)) = retired else { panic!("{retired:?}: {said}") };
        let error = error.to_string();
        assert!(error.contains(&format!("there is no image `Wallaroo {version}`")) && error.contains(near), "{error}");
    }
    assert_eq!(rig.endpoint.images().len(), 6);
}
