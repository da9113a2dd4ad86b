//! One region's trouble: the others are looked after all the same, and what could not be asked is told.

use std::{collections::BTreeSet, time::Duration};

use xtask::{
    cli::{CleanFlags, RetireFlags},
    region::Region,
};
use xtask_ami::{
    catalogue::{self, Catalogue, check, regions::Looked},
    cloud::Account as _,
    ground::outcome::Failure,
    record::unfinished::Unfinished,
    verbs::{clean, retire},
};

use crate::{
    books::{ACCOUNT, Image},
    faults::{Fault, Plan},
    kit::desk::said_yes,
    rig::{HOME, Rig},
};

const REGIONS: [&str; 3] = ["eu-west-1", "sa-east-1", HOME];

/// A region that is enabled and that no release was ever in.
const NEVER_USED: &str = "ap-south-1";

/// What a region can be in, and whether that means that the account may not use it.
fn troubles() -> [(&'static str, Fault, bool); 4] {
    [
        ("denied", Fault::refused("UnauthorizedOperation"), true),
        ("not enabled", Fault::refused("OptInRequired"), true),
        ("hanging", Fault::Hangs, false),
        ("throttled", Fault::Throttled, false),
    ]
}

/// The commands that look after all regions.
const COMMANDS: [&str; 5] = ["list", "retire", "clean", "clean BUILD", "clean --expired"];

/// Runs a command with `listed` as the file `regions`. What it says is kept.
async fn run(rig: &Rig, command: &str, listed: &[&str], build: &str) -> Result<usize, Failure> {
    let (cloud, events, common) = (rig.ec2().await, rig.events(), said_yes());
    let (home, recipe) = (&rig.desk.home, &rig.order.recipe);
    let listed: Vec<Region> = listed.iter().map(|region| region.parse().expect("a region")).collect();
    let identity = cloud.identity().await.expect("whose the credentials are");
    let used = catalogue::regions::used(&listed, home, &identity).expect("the journals");
    if command == "list" {
        let Looked { found, unanswered } =
            Catalogue::look(&cloud, recipe, &used, &events).await.map_err(Failure::Failed)?;
        return unanswered.all("list the images").map_err(Failure::Failed).map(|()| found.entries.len());
    }
    if command == "retire" {
        let version = "0.6.1".parse().expect("a version");
        let flags = RetireFlags { version, deprecate: None, disable: false, enable: false };
        return retire::retire(&cloud, recipe, home, &flags, &used, &common, &events).await.map(|()| 0);
    }
    let flags = CleanFlags {
        build: (command == "clean BUILD").then(|| build.to_owned()),
        older_than: Duration::ZERO.into(),
        expired: command == "clean --expired",
    };
    clean::clean(&cloud, home, &used, &flags, &common, &events).await.map(|()| 0)
}

/// Builds that are not public yet, whose journal is lost where `lost`, and an image that has expired in each region.
async fn left_behind(lost: bool) -> (Rig, String) {
    let rig = Rig::public(&REGIONS);
    rig.endpoint.plan(Plan::once(Fault::refused("OperationNotPermitted")).action("ModifyImageAttribute"));
    assert_eq!(rig.release().await.outcome.err(), Some(1));
    let id = rig.unfinished();
    for region in REGIONS {
        let (id, snapshot) = rig.endpoint.world(|world| (world.id("ami"), world.id("snap")));
        let mut image = Image::published(&id, &snapshot, ACCOUNT, "Wallaroo 0.5.0-me", "2024-07-01T12:00:00.000Z");
        image.launch_permissions.clear();
        let tags = [("wallaroo:build", "20240701T120000Z-old"), ("wallaroo:expires", "2024-07-08T12:00:00Z")];
        image.tags = tags.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
        rig.endpoint.put(region, image);
    }
    if lost {
        std::fs::remove_dir_all(rig.desk.home.path()).expect("to lose the journal");
    }
    (rig, id)
}

fn regions_with(rig: &Rig, part: &str) -> BTreeSet<String> {
    let images = rig.endpoint.images().into_iter();
    images.filter(|(_, image)| image.name.contains(part)).map(|(region, _)| region).collect()
}

#[tokio::test(start_paused = true)]
async fn a_region_that_is_closed_and_was_never_used_is_passed_over_with_one_line() {
    for (what, fault, closed) in troubles() {
        for command in COMMANDS {
            let (rig, id) = left_behind(command == "clean").await;
            rig.endpoint.plan(Plan::always(fault.clone()).region(NEVER_USED));
            let done = run(&rig, command, &REGIONS, &id).await;
            let said = rig.said();
            // A build's own regions are known from its journal.
            let passes = closed || command == "clean BUILD";
            assert_eq!(done.is_ok(), passes, "{command}, {what}: {done:?}");
            // Where no answer comes for a while, that is said, too.
            let told = said.lines().filter(|line| !line.contains("waiting for answers"));
            let lines = told.filter(|line| line.contains(NEVER_USED)).count();
            assert_eq!(lines, usize::from(passes), "{command}, {what}: {said}");
            if let Err(failure) = done {
                let Failure::Failed(error) = &failure else { panic!("{command}, {what}: {failure:?}") };
                assert!(format!("{error:#}").contains(&format!("\n  {NEVER_USED}: ")), "{command}, {what}: {error:#}");
            }
            let left = match command {
                "list" => (3, 3),
                "retire" | "clean BUILD" => (0, 3),
                "clean --expired" => (3, 0),
                // Where a region's answer is missing, its builds may be public there.
                _ if closed => (0, 3),
                _ => (3, 3),
            };
            let there = (regions_with(&rig, "0.6.1").len(), regions_with(&rig, "0.5.0").len());
            assert_eq!(there, left, "{command}, {what}: {said}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_region_in_use_that_does_not_answer_is_told_and_the_others_are_looked_after() {
    for (what, fault, _) in troubles() {
        for command in COMMANDS {
            let (rig, id) = left_behind(command == "clean").await;
            rig.endpoint.plan(Plan::always(fault.clone()).region("sa-east-1"));
            let done = run(&rig, command, &REGIONS, &id).await;
            let Err(Failure::Failed(error)) = done else { panic!("{command}, {what}: {done:?}") };
            let error = format!("{error:#}");
            assert!(error.contains("\n  sa-east-1: "), "{command}, {what}: {error}");
            assert!(!error.contains("eu-west-1"), "{command}, {what}: {error}");
            let alone = BTreeSet::from(["sa-east-1".to_owned()]);
            match command {
                "retire" | "clean BUILD" => assert_eq!(regions_with(&rig, "0.6.1"), alone, "{command}, {what}"),
                "clean --expired" => assert_eq!(regions_with(&rig, "0.5.0"), alone, "{command}, {what}"),
                _ => assert_eq!(regions_with(&rig, "0.6.1").len(), 3, "{command}, {what}"),
            }
        }
    }
}

/// Its images in that region would be forgotten.
#[tokio::test(start_paused = true)]
async fn a_build_is_not_marked_as_cleaned_up_before_all_its_regions_were_asked() {
    let (rig, id) = left_behind(false).await;
    rig.endpoint.plan(Plan::always(Fault::refused("UnauthorizedOperation")).region("sa-east-1").times(4));
    let done = run(&rig, "clean BUILD", &[], &id).await;
    assert!(matches!(done, Err(Failure::Failed(_))), "{done:?}");
    assert_eq!(Unfinished::pick(&rig.desk.home, Some(&id), false).expect("it is unfinished").id, id);
    run(&rig, "clean BUILD", &[], &id).await.expect("to clean the rest");
    assert!(regions_with(&rig, "0.6.1").is_empty());
    assert!(Unfinished::pick(&rig.desk.home, Some(&id), false).is_err());
}

/// A count of public images without those of that region says that the build is public in some regions only.
#[tokio::test(start_paused = true)]
async fn what_is_public_stays_where_a_region_of_its_build_does_not_answer() {
    for lost in [false, true] {
        let rig = Rig::public(&REGIONS);
        // All is public, and the process is gone before it says so.
        let public = async {
            while rig.endpoint.public_in().len() < REGIONS.len() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::select! { _ = rig.release() => panic!("it came to its end"), () = public => {} }
        let id = rig.unfinished();
        if lost {
            std::fs::remove_dir_all(rig.desk.home.path()).expect("to lose the journal");
            rig.endpoint.region("eu-west-1", |region| {
                region.images.values_mut().for_each(|image| image.launch_permissions.clear());
            });
        }
        rig.endpoint.plan(Plan::always(Fault::Unreachable).region("sa-east-1"));
        rig.endpoint.plan(Plan::always(Fault::Unreachable).region(HOME).action("DescribeImages"));
        let command = if lost { "clean" } else { "clean BUILD" };
        let done = run(&rig, command, &REGIONS, &id).await;
        assert!(matches!(done, Err(Failure::Failed(_))), "{done:?}");
        assert_eq!(regions_with(&rig, "0.6.1").len(), REGIONS.len(), "{command}: {}", rig.said());
    }
}

/// A build whose process is gone while it is being published.
async fn abandoned() -> (Rig, String) {
    let mut rig = Rig::public(&REGIONS);
    rig.order.unblock_public_access = true;
    for region in ["eu-west-1", "sa-east-1"] {
        rig.endpoint.region(region, |region| region.block_public_access.blocked = true);
    }
    let is_lifted = rig.endpoint.until_called("ModifySnapshotAttribute");
    tokio::select! { _ = rig.release() => panic!("it came to its end"), () = is_lifted => {} }
    let id = rig.unfinished();
    (rig, id)
}

#[tokio::test(start_paused = true)]
async fn trouble_while_something_is_removed_does_not_keep_the_rest() {
    for (fault, command) in
        [(Fault::Throttled, "retire"), (Fault::Hangs, "clean BUILD"), (Fault::refused("AccessDenied"), "clean BUILD")]
    {
        let (rig, id) = if command == "retire" { left_behind(false).await } else { abandoned().await };
        rig.endpoint.plan(Plan::always(fault).region("eu-west-1").when(|call| !call.action.starts_with("Describe")));
        let done = run(&rig, command, &REGIONS, &id).await;
        let Err(Failure::Failed(error)) = done else { panic!("{command}: {done:?}") };
        let error = format!("{error:#}");
        assert!(error.contains("eu-west-1: ") && !error.contains("sa-east-1"), "{command}: {error}");
        assert_eq!(regions_with(&rig, "0.6.1"), BTreeSet::from(["eu-west-1".to_owned()]), "{command}");
        if command == "clean BUILD" {
            tokio::time::sleep(Duration::from_secs(600)).await;
            assert_eq!(rig.endpoint.public_access_blocked_in(), ["sa-east-1"], "{error}");
            assert!(Unfinished::pick(&rig.desk.home, Some(&id), false).is_ok(), "{error}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn where_the_build_region_does_not_tell_the_regions_another_one_does() {
    for fault in [Fault::refused("UnauthorizedOperation"), Fault::Hangs] {
        let (rig, id) = left_behind(false).await;
        rig.endpoint.plan(Plan::always(fault.clone()).action("DescribeRegions").region(HOME));
        assert_eq!(run(&rig, "list", &REGIONS, &id).await.expect("a list"), 6);
        // Where none does, those in use are looked after, and the others are told.
        rig.endpoint.plan(Plan::always(fault).action("DescribeRegions"));
        let listed = run(&rig, "clean --expired", &REGIONS, &id).await;
        let Err(Failure::Failed(error)) = listed else { panic!("{listed:?}") };
        let error = format!("{error:#}");
        assert!(error.contains("\n  all other regions: DescribeRegions in us-west-2: "), "{error}");
        assert!(regions_with(&rig, "0.5.0").is_empty(), "{error}");
    }
}

/// A build may have used a region that the account has disabled since, or that another list of regions had.
#[tokio::test(start_paused = true)]
async fn a_region_that_is_disabled_by_now_is_told_where_a_build_was_in_it() {
    let (rig, id) = left_behind(false).await;
    rig.endpoint.region("sa-east-1", |region| region.opt_in = "not-opted-in");
    for (command, told) in [("list", true), ("retire", true), ("clean BUILD", true)] {
        let done = run(&rig, command, &[], &id).await;
        let Err(Failure::Failed(error)) = done else { panic!("{command}: {done:?}") };
        assert_eq!(format!("{error:#}").contains("\n  sa-east-1: "), told, "{error:#}");
    }
}

/// The SDK's own patience with a call is 180 s.
#[tokio::test(start_paused = true)]
async fn commands_that_only_look_give_a_region_up_after_40_seconds() {
    for (is_brief, secs) in [(true, 40), (false, 180)] {
        for command in ["list", "check"] {
            let mut rig = left_behind(false).await.0;
            rig.settings.is_brief = is_brief;
            rig.endpoint.plan(Plan::always(Fault::Hangs).region("sa-east-1"));
            let began = tokio::time::Instant::now();
            let told = match command {
                "list" => format!("{:#?}", run(&rig, command, &REGIONS, "").await.expect_err("a silent region")),
                _ => {
                    let version = "0.6.1".parse().expect("a version");
                    let regions = REGIONS.map(|region| region.parse().expect("a region"));
                    let checked = check::check(&rig.ec2().await, &rig.order.recipe, (&version, None), &regions).await;
                    let seen = checked.expect("a version's name").regions;
                    assert!(
                        seen.iter().all(|it| it.images.is_empty() == (it.region.as_str() == "sa-east-1")),
                        "{seen:?}"
                    );
                    format!("{:#?}", seen)
                }
            };
            assert_eq!(began.elapsed().as_secs(), secs, "{command}");
            assert!(told.contains("timed out") && told.contains("sa-east-1"), "{command}: {told}");
        }
    }
}
