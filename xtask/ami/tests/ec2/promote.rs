//! A release candidate that is promoted: the same bytes under the release's name, and nothing done to the candidate.

use camino::Utf8PathBuf;
use serde_json::Value;
use tokio::time::timeout;
use xtask::{
    cli::{ParameterFlags, PromoteFlags, RegionFlags},
    region::Region,
};
use xtask_ami::{
    ask::checkout::Checkout,
    catalogue::check,
    ground::{outcome::Failure, partition::Partition, signals::Signals},
    record::unfinished::Unfinished,
    verbs::{App, promote},
};

use crate::{
    books::Image,
    faults::{Fault, Plan},
    kit::{FOR_EVER, desk::said_yes},
    rig::{HOME, Rig},
};

mod refused;

const REGIONS: [&str; 3] = ["eu-west-1", "sa-east-1", HOME];
const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

/// A rig with a release candidate that was released, in its home region alone.
async fn candidate() -> Rig {
    let rig = ordered(Rig::public(&[HOME]));
    rig.release().await.report();
    rig
}

/// The same rig, that is asked for a release candidate.
fn ordered(mut rig: Rig) -> Rig {
    rig.order.version = "0.6.1-rc1".parse().expect("a version");
    rig.order.name = "Wallaroo 0.6.1-rc1".to_owned();
    rig.order.source.commit = Some(COMMIT.to_owned());
    rig
}

fn flags(version: &str, target: &str) -> PromoteFlags {
    PromoteFlags {
        version: version.parse().expect("a version"),
        target: target.parse().expect("a version"),
        build: None,
        published: RegionFlags {
            regions: REGIONS.map(|region| region.parse().expect("a region")).to_vec(),
            region_file: None,
        },
        skip_failed_regions: false,
        unblock_public_access: false,
        parameters: ParameterFlags::default(),
    }
}

/// What a process that promotes is about.
#[derive(Clone, Copy)]
enum Work<'a> {
    Begin(&'a PromoteFlags),
    Resume(&'a str),
}

/// Runs a process until the endpoint has had so many calls; none when it was gone by then.
async fn run(rig: &Rig, work: Work<'_>, calls: usize) -> Option<Result<(), Failure>> {
    let (cloud, events) = (rig.ec2().await, rig.events());
    let root = rig.order.source.root.clone();
    let checkout = Checkout { workspace: root.clone(), root, recipe: rig.order.recipe.clone() };
    let partition = Some(Partition::of(&HOME.parse().expect("a region")));
    let app = App { cloud: &cloud, checkout: &checkout, partition, state_dir: &rig.desk.home, events: &events };
    let mut signals = Signals::listen().expect("signals");
    let plain = flags("0.6.1-rc1", "0.6.1");
    let common = said_yes();
    let work = async {
        let ended = match work {
            Work::Begin(flags) => promote::promote(&app, flags, &common, &mut signals).await,
            Work::Resume(id) => promote::resume(&app, &plain, &common, id, &mut signals).await,
        };
        if let Err(failure) = &ended {
            failure.report(&events);
        }
        ended
    };
    let ended = tokio::select! {
        ended = timeout(FOR_EVER, Box::pin(work)) => ended.expect("every wait is bounded"),
        () = rig.endpoint.until(calls) => return None,
    };
    assert_eq!(rig.endpoint.violations(), [""; 0], "{}", rig.said());
    Some(ended)
}

async fn promoted(rig: &Rig) {
    let ended = run(rig, Work::Begin(&flags("0.6.1-rc1", "0.6.1")), usize::MAX).await.expect("it comes to its end");
    assert!(ended.is_ok(), "{}", rig.said());
}

/// The images with this name.
fn named(rig: &Rig, name: &str) -> Vec<(String, Image)> {
    rig.endpoint.images().into_iter().filter(|(_, image)| image.name == name).collect()
}

fn candidates(rig: &Rig) -> Vec<(String, Image)> {
    named(rig, "Wallaroo 0.6.1-rc1")
}

#[track_caller]
fn is_promoted(rig: &Rig, what: &str) {
    let images = named(rig, "Wallaroo 0.6.1");
    assert_eq!(images.iter().map(|(region, _)| region.as_str()).collect::<Vec<_>>(), REGIONS, "{what}: {}", rig.said());
    assert!(images.iter().all(|(_, image)| image.is_public()), "{what}");
    assert_eq!(rig.endpoint.left(), [""; 0], "{what}");
    assert_eq!(rig.endpoint.snapshots().len(), REGIONS.len() + 1, "{what}");
}

fn report(rig: &Rig) -> (Utf8PathBuf, Value) {
    let builds = rig.desk.home.path().join("builds").read_dir_utf8().expect("builds");
    let folders = builds.map(|entry| entry.expect("a build").into_path());
    let folder = folders.filter(|folder| !folder.as_str().contains("-rc1-")).max().expect("a promotion");
    let text = std::fs::read_to_string(folder.join("report.json")).expect("a report");
    (folder, serde_json::from_str(&text).expect("JSON"))
}

#[tokio::test(start_paused = true)]
async fn a_candidate_is_published_under_its_release_name_with_its_bytes_and_its_provenance() {
    let rig = candidate().await;
    let before = rig.endpoint.counts();
    let (_, rc) = candidates(&rig).pop().expect("a candidate");
    promoted(&rig).await;
    is_promoted(&rig, "promoted");
    assert_eq!(candidates(&rig), [(HOME.to_owned(), rc.clone())], "the candidate is as it was");
    for action in ["RunInstances", "CreateImage", "ImportKeyPair"] {
        assert_eq!(rig.endpoint.counts().of(action), before.of(action), "{action}");
    }
    let sums: Vec<_> = rc.tags.iter().filter(|(key, _)| key.starts_with("wallaroo:sha256:")).collect();
    assert_eq!(sums.len(), rig.order.recipe.binaries.len(), "{:?}", rc.tags);
    for (region, image) in named(&rig, "Wallaroo 0.6.1") {
        assert!(sums.iter().all(|(key, sum)| image.tags.get(*key) == Some(*sum)), "{region}: {:?}", image.tags);
        assert_eq!(
            (image.tags["wallaroo:version"].as_str(), image.tags["wallaroo:commit"].as_str()),
            ("0.6.1", COMMIT)
        );
        assert_eq!(image.tags["wallaroo:verified"], rc.tags["wallaroo:verified"]);
        assert!(image.tags["wallaroo:promoted-from"].contains(&rc.id), "{:?}", image.tags);
        assert_ne!(image.tags["wallaroo:build"], rc.tags["wallaroo:build"]);
        assert_eq!(image.description, rc.description.replace("0.6.1-rc1", "0.6.1"), "{region}");
        assert!(image.deprecated_at.is_some() && !image.tags.contains_key("wallaroo:expires"), "{region}");
    }
    let (folder, report) = report(&rig);
    assert_eq!(report["promoted_from"]["image"], rc.id.as_str(), "{report}");
    assert!(report["verification"]["checks"].as_array().is_some_and(|checks| !checks.is_empty()), "{report}");
    for name in ["manifest.json", "sbom.cdx.json", "provenance.intoto.json"] {
        assert!(folder.join(name).exists(), "{name}");
    }
    let kept = folder.join(format!("provenance-of-{}.intoto.json", rc.tags["wallaroo:build"]));
    assert!(kept.exists(), "{kept}");
    let provenance = std::fs::read_to_string(folder.join("provenance.intoto.json")).expect("a provenance");
    let made = named(&rig, "Wallaroo 0.6.1").into_iter().map(|(_, image)| image.id);
    for id in made.chain([format!("ec2:image/{}", rc.id)]) {
        assert!(provenance.contains(&id), "no {id} in {provenance}");
    }
    let regions = REGIONS.map(|region| region.parse::<Region>().expect("a region"));
    let version = "0.6.1".parse().expect("a version");
    let cloud = rig.ec2().await;
    let faults = async || {
        let checked = check::check(&cloud, &rig.order.recipe, (&version, None), &regions).await.expect("an answer");
        checked.regions.into_iter().flat_map(|seen| seen.faults).map(|fault| fault.message).collect::<Vec<_>>()
    };
    assert_eq!(faults().await, [""; 0]);
    rig.endpoint.region("eu-west-1", |region| {
        let image = region.images.values_mut().next().expect("an image");
        image.tags.insert("wallaroo:sha256:machida".to_owned(), "other".to_owned());
    });
    assert!(
        faults().await.join("").contains("has the tag wallaroo:sha256:machida other, not "),
        "{:?}",
        faults().await
    );
}

/// Another computer has no journal of the candidate: what the image's tags say is enough.
#[tokio::test(start_paused = true)]
async fn a_candidate_is_promoted_from_another_computer() {
    let rig = candidate().await;
    std::fs::remove_dir_all(rig.desk.home.path()).expect("to lose all journals");
    promoted(&rig).await;
    is_promoted(&rig, "promoted");
    let (_, report) = report(&rig);
    assert!(report["sha256"]["/usr/bin/machida"].is_string() && report["commit"] == COMMIT, "{report}");
    assert!(report["promoted_from"]["verified"].as_str().is_some_and(|it| it.ends_with(" checks")), "{report}");
}

#[tokio::test(start_paused = true)]
async fn a_candidate_is_promoted_beside_a_private_image_of_its_version() {
    let rig = candidate().await;
    twin(&rig, HOME, |it| {
        it.name = "Wallaroo 0.6.1-rc1 (private alice 3f2a91bc 5d0c9e1a)".to_owned();
        it.tags.extend([("wallaroo:build", "p"), ("wallaroo:expires", "2099-01-01T00:00:00Z")].map(owned));
        it.tags.remove("wallaroo:verified");
        it.launch_permissions.clear();
    });
    promoted(&rig).await;
    assert_eq!(named(&rig, "Wallaroo 0.6.1").len(), REGIONS.len(), "{}", rig.said());
}

fn owned((key, value): (&str, &str)) -> (String, String) {
    (key.to_owned(), value.to_owned())
}

fn each_candidate(rig: &Rig, change: impl Fn(&mut Image)) {
    rig.endpoint.region(HOME, |region| {
        region.images.values_mut().filter(|image| image.name.contains("rc1")).for_each(&change);
    });
}

fn twin(rig: &Rig, region: &str, change: impl FnOnce(&mut Image)) {
    let (_, mut image) = candidates(rig).pop().expect("a candidate");
    image.id = "ami-00000000000000abc".to_owned();
    change(&mut image);
    rig.endpoint.region(region, |region| drop(region.images.insert(image.id.clone(), image)));
}

#[tokio::test(start_paused = true)]
async fn a_release_that_may_not_mark_its_image_is_published_with_a_warning() {
    let rig = ordered(Rig::public(&[HOME]));
    rig.endpoint.plan(Plan::always(Fault::refused("UnauthorizedOperation")).action("CreateTags"));
    let ended = rig.release().await;
    assert_eq!(ended.report().warnings.len(), 1, "{ended}");
    assert!(ended.report().warnings[0].contains("`promote` would refuse it"), "{ended}");
    assert_eq!(rig.endpoint.public_in(), [HOME]);
}

/// The call in which a promotion begins to change something, and how many there are in all.
async fn calls() -> (usize, usize) {
    let rig = candidate().await;
    promoted(&rig).await;
    let log = rig.endpoint.log();
    let first = log.iter().position(|logged| logged.call.action == "CopyImage" && !logged.call.dry_run);
    (first.expect("a copy"), log.len())
}

#[tokio::test(start_paused = true)]
async fn a_promotion_that_dies_at_any_call_is_resumed_or_cleaned_up() {
    let (first, all) = calls().await;
    for (number, last) in (first + 1..all).enumerate().step_by(2) {
        let rig = candidate().await;
        let rc = candidates(&rig);
        assert!(run(&rig, Work::Begin(&flags("0.6.1-rc1", "0.6.1")), last).await.is_none(), "call {last}");
        let id = rig.unfinished();
        if number % 4 == 0 {
            let ended = run(&rig, Work::Resume(&id), usize::MAX).await.expect("it comes to its end");
            assert!(ended.is_ok(), "call {last}: {}", rig.said());
            is_promoted(&rig, &format!("call {last}"));
        } else {
            crate::crashes::clean(&rig, Some(&id), 0).await;
            let images = named(&rig, "Wallaroo 0.6.1");
            let public = images.iter().filter(|(_, image)| image.is_public()).count();
            assert!(images.len() == public && [0, REGIONS.len()].contains(&public), "call {last}: {}", rig.said());
            assert_eq!(rig.endpoint.left(), [""; 0], "call {last}");
        }
        assert_eq!(candidates(&rig), rc, "call {last}: the candidate is as it was");
    }
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_copied_everywhere_is_public_nowhere_and_says_what_to_type() {
    let rig = candidate().await;
    rig.endpoint.plan(
        Plan::always(Fault::refused("UnauthorizedOperation"))
            .action("CopyImage")
            .region("eu-west-1")
            .when(|call| !call.dry_run),
    );
    let ended = run(&rig, Work::Begin(&flags("0.6.1-rc1", "0.6.1")), usize::MAX).await.expect("an end");
    assert_eq!(ended.map_err(|failure| failure.exit_code()), Err(1), "{}", rig.said());
    let said = rig.said();
    for word in ["could not be copied to 1 of 3 regions", "cargo xtask ami resume 2", "cargo xtask ami clean 2"] {
        assert!(said.contains(word), "no `{word}` in {said}");
    }
    assert!(!said.contains("instance"), "it launches none: {said}");
    assert!(named(&rig, "Wallaroo 0.6.1").iter().all(|(_, image)| !image.is_public()), "{said}");
}
