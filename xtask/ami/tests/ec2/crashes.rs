//! The process that drives a build is gone at some call; another one goes on with it, or cleans up.

use std::{collections::BTreeMap, time::Duration};

use xtask::cli::{CommonFlags, LogFormat};
use xtask_ami::{
    cloud::{Imaging as _, ec2::Ec2},
    ground::outcome::Failure,
};

use crate::{
    endpoint::Endpoint,
    faults::{Fault, Plan},
    kit::Ended,
    rig::{HOME, Rig},
};

const REGIONS: [&str; 3] = ["eu-west-1", "sa-east-1", HOME];

/// Each of how many calls is the last one of a process; with `STRIDE=1` in the environment, each one.
fn stride() -> usize {
    std::env::var("STRIDE").ok().and_then(|stride| stride.parse().ok()).unwrap_or(3)
}

/// How many images there are of each region and name.
fn images(endpoint: &Endpoint) -> BTreeMap<(String, String), usize> {
    let mut count = BTreeMap::new();
    for (region, image) in endpoint.images() {
        *count.entry((region, image.name)).or_default() += 1;
    }
    count
}

#[track_caller]
fn is_released(rig: &Rig, ended: &Ended, what: &str) {
    assert!(ended.outcome.is_ok(), "{what}: {}", ended.said);
    assert_eq!(rig.endpoint.public_in(), REGIONS, "{what}");
    let images = images(&rig.endpoint);
    assert!(images.len() == REGIONS.len() && images.values().all(|count| *count == 1), "{what}: {images:?}");
    assert_eq!(rig.endpoint.left(), [""; 0], "{what}");
    assert_eq!(rig.endpoint.snapshots().len(), REGIONS.len(), "{what}");
}

/// How many calls preflight makes, and the whole release.
async fn calls_in_all() -> (usize, usize) {
    let rig = Rig::public(&REGIONS);
    rig.release().await.report();
    let log = rig.endpoint.log();
    let first = log.iter().position(|logged| logged.call.action == "ImportKeyPair" && !logged.call.dry_run);
    (first.expect("an access"), log.len())
}

#[tokio::test(start_paused = true)]
async fn a_build_that_dies_at_any_call_is_gone_on_with() {
    dies_at_any_call_and_is_gone_on_with(|_| {}).await;
}

/// A group that no instance leaves is free half a minute after its instance has terminated; until then EC2 refuses to delete
/// it (`DependencyViolation`).
#[tokio::test(start_paused = true)]
async fn a_build_that_dies_at_any_call_is_gone_on_with_where_groups_are_held_for_a_while() {
    dies_at_any_call_and_is_gone_on_with(|endpoint| {
        endpoint.world(|world| world.delays.group = Duration::from_secs(30));
        let held = Plan::always(Fault::refused("IncorrectInstanceState")).action("ModifyInstanceAttribute");
        endpoint.plan(held.when(|call| call.parameters.get("GroupId.1").is_some()));
    })
    .await;
}

async fn dies_at_any_call_and_is_gone_on_with(trouble: impl Fn(&Endpoint)) {
    let (first, all) = calls_in_all().await;
    for last in (first + 1..all).step_by(stride()) {
        let rig = Rig::public(&REGIONS);
        trouble(&rig.endpoint);
        assert!(rig.release_until(last).await.is_none(), "call {last}: it came to its end");
        let made_home = rig
            .endpoint
            .images()
            .iter()
            .any(|(region, image)| region == HOME && rig.endpoint.image_state(image) == "available");
        let before = rig.endpoint.counts();
        let ended = rig.resume().await;
        is_released(&rig, &ended, &format!("call {last}"));
        if made_home {
            let again = rig.endpoint.counts().of("CreateImage") - before.of("CreateImage");
            assert_eq!(again, 0, "call {last}: it was baked again");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_build_may_die_again_and_again() {
    let (first, _) = calls_in_all().await;
    let rig = Rig::public(&REGIONS);
    assert!(rig.release_until(first + 40).await.is_none());
    let mut deaths = 1;
    let ended = loop {
        match rig.resume_until(rig.endpoint.calls() + 60).await {
            Some(ended) => break ended,
            None => deaths += 1,
        }
        assert!(deaths < 50, "it never comes to its end");
    };
    is_released(&rig, &ended, &format!("{deaths} deaths"));
}

/// By then all is made and told, and what nobody needs any more is thrown away.
#[tokio::test(start_paused = true)]
async fn a_build_that_dies_before_its_last_line_is_gone_on_with() {
    let rig = Rig::public(&REGIONS);
    let report = rig.release().await.outcome.expect("a release");
    let journal = camino::Utf8Path::new(&report.folder).join("journal.jsonl");
    let text = std::fs::read_to_string(&journal).expect("a journal");
    let (before, last) = text.trim_end().rsplit_once('\n').expect("lines");
    assert!(last.contains("\"ended\""), "{last}");
    std::fs::write(&journal, format!("{before}\n")).expect("a journal without its last line");
    let instances = rig.endpoint.instances().len();
    let ended = rig.resume().await;
    is_released(&rig, &ended, "the last line");
    assert_eq!(rig.endpoint.instances().len(), instances, "{}", ended.said);
}

#[tokio::test(start_paused = true)]
async fn a_build_that_dies_at_any_call_is_cleaned_away_without_a_trace() {
    let (first, all) = calls_in_all().await;
    for last in (first + 1..all).step_by(stride()) {
        let rig = Rig::public(&REGIONS);
        assert!(rig.release_until(last).await.is_none());
        let id = rig.unfinished();
        clean(&rig, Some(&id), 86_400).await;
        // What is public stays.
        let public = rig.endpoint.public_in();
        let left: Vec<String> = rig.endpoint.images().into_iter().map(|(region, _)| region).collect();
        assert_eq!(left, public, "call {last}");
        assert_eq!(rig.endpoint.left(), [""; 0], "call {last}");
        assert_eq!(rig.endpoint.snapshots().len(), public.len(), "call {last}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_lost_journal_loses_nothing_but_what_can_be_gone_on_with_is_left_alone() {
    let (first, all) = calls_in_all().await;
    let rig = Rig::public(&REGIONS);
    assert!(rig.release_until(first + (all - first) * 3 / 4).await.is_none());
    let images = rig.endpoint.images().len();
    assert!(images > 1, "{images}");
    clean(&rig, None, 0).await;
    assert_eq!(rig.endpoint.images().len(), images, "it can be gone on with");
    std::fs::remove_dir_all(rig.desk.home.path()).expect("to lose all journals");
    clean(&rig, None, 86_400).await;
    assert_eq!(rig.endpoint.images().len(), images, "it is too young");
    clean(&rig, None, 0).await;
    assert!(rig.endpoint.images().is_empty() && rig.endpoint.snapshots().is_empty());
    assert_eq!(rig.endpoint.left(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn what_is_finished_is_no_leftover() {
    for rig in [Rig::public(&REGIONS), Rig::private()] {
        rig.release().await.report();
        let images = rig.endpoint.images().len();
        clean(&rig, None, 0).await;
        std::fs::remove_dir_all(rig.desk.home.path()).expect("to lose all journals");
        clean(&rig, None, 0).await;
        assert_eq!(rig.endpoint.images().len(), images);
    }
}

/// EC2 may show an image minutes after it was made; what is known of it must be known of that one.
#[tokio::test(start_paused = true)]
async fn an_image_that_is_shown_late_is_the_one_that_is_gone_on_with() {
    // It dies before the image is ordered, before it hears of it, and after that: then it knows what to wait for.
    let answer_comes_late = Plan::once(Fault::Late(Duration::from_secs(20))).action("CreateImage");
    for (what, plan, secs, instances) in
        [("not ordered", None, 0, 3), ("not heard of", Some(answer_comes_late), 10, 3), ("heard of", None, 10, 2)]
    {
        let rig = Rig::public(&REGIONS);
        rig.endpoint.world(|world| world.delays.unseen = Duration::from_secs(50));
        plan.into_iter().for_each(|plan| rig.endpoint.plan(plan));
        let death = async {
            rig.endpoint.until_called("CreateImage").await;
            tokio::time::sleep(Duration::from_secs(secs)).await;
        };
        tokio::select! { _ = rig.release() => panic!("it came to its end"), () = death => {} }
        let ended = rig.resume().await;
        is_released(&rig, &ended, what);
        assert_eq!(rig.endpoint.instances().len(), instances, "{what}: {}", ended.said);
    }
}

/// What was seen on an image says nothing of another one.
#[tokio::test(start_paused = true)]
async fn an_image_that_takes_the_place_of_a_verified_one_is_verified_itself() {
    let rig = Rig::public(&REGIONS);
    rig.endpoint.plan(Plan::once(Fault::refused("OperationNotPermitted")).action("ModifyImageAttribute"));
    assert_eq!(rig.release().await.outcome.err(), Some(1));
    let cloud = rig.ec2().await;
    for region in REGIONS {
        let region = region.parse().expect("a region");
        for image in cloud.images(&region).await.expect("images") {
            cloud.deregister(&region, &image.id).await.expect("to go");
        }
    }
    let before = rig.endpoint.instances().len();
    let ended = rig.resume().await;
    is_released(&rig, &ended, "baked again");
    assert_eq!(rig.endpoint.instances().len() - before, 2, "one is baked, one is verified");
}

/// Neither was verified, and nobody but their owner should throw images away that are good.
#[tokio::test(start_paused = true)]
async fn copies_of_a_removed_image_are_not_published() {
    let rig = Rig::public(&REGIONS);
    rig.endpoint.plan(Plan::once(Fault::refused("OperationNotPermitted")).action("ModifyImageAttribute"));
    assert_eq!(rig.release().await.outcome.err(), Some(1));
    let (cloud, home) = (rig.ec2().await, HOME.parse().expect("a region"));
    let image = cloud.images(&home).await.expect("images").pop().expect("the home image").id;
    cloud.deregister(&home, &image).await.expect("to go");
    let ended = rig.resume().await;
    ended.failed(1, &[]);
    for word in ["is a copy of an earlier image of this build", "cargo xtask ami clean 2"] {
        assert!(ended.said.contains(word), "no {word:?} in {}", ended.said);
    }
    assert_eq!((rig.endpoint.images().len(), rig.endpoint.public_in().len()), (REGIONS.len(), 0), "{}", ended.said);
}

#[tokio::test(start_paused = true)]
async fn a_lifted_block_is_restored_by_resume_and_by_clean() {
    for resumes in [true, false] {
        let mut rig = Rig::public(&REGIONS);
        rig.order.unblock_public_access = true;
        rig.endpoint.region("sa-east-1", |region| region.block_public_access.blocked = true);
        let is_lifted = rig.endpoint.until_called("ModifySnapshotAttribute");
        tokio::select! { _ = rig.release() => panic!("it came to its end"), () = is_lifted => {} }
        assert_eq!(rig.endpoint.public_access_blocked_in(), [""; 0]);
        if resumes {
            let ended = rig.resume().await;
            is_released(&rig, &ended, "lifted");
        } else {
            clean(&rig, Some(&rig.unfinished()), 86_400).await;
        }
        tokio::time::sleep(Duration::from_secs(600)).await;
        assert_eq!(rig.endpoint.public_access_blocked_in(), ["sa-east-1"], "resumes: {resumes}");
    }
}

pub async fn clean(rig: &Rig, build: Option<&str>, older_than_secs: u64) {
    try_clean(rig, &rig.ec2().await, build, older_than_secs).await.expect("to clean");
}

/// The same with the credentials that are given; what it says is kept.
pub async fn try_clean(rig: &Rig, cloud: &Ec2, build: Option<&str>, older_than_secs: u64) -> Result<(), Failure> {
    rig.desk.clean(cloud, build, Duration::from_secs(older_than_secs), &rig.events()).await
}

/// The flags of a command on EC2 that confirms nothing.
pub const COMMON: CommonFlags = CommonFlags {
    local: false,
    root: None,
    yes: true,
    json: false,
    profile: None,
    quiet: true,
    verbose: false,
    log_format: LogFormat::Text,
};
