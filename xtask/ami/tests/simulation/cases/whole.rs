//! Releases that come to their end.

use std::time::Duration;

use super::rig::{HOME, NAME, REGIONS, Rig};
use crate::fate::Verb;

#[tokio::test(start_paused = true)]
async fn a_release_is_public_everywhere_and_leaves_nothing_else() {
    let rig = Rig::public();
    let ended = rig.release().await;
    let report = ended.report();
    assert_eq!(ended.said, "");

    let regions: Vec<&str> = report.images.iter().map(|image| image.region.as_str()).collect();
    assert_eq!(regions, REGIONS);
    for (region, image) in rig.cloud.all_images() {
        assert!(image.public, "{region}: {image:?}");
        assert_eq!((image.name.as_str(), Some(image.id)), (NAME, rig.made(&region)), "{region}");
    }
    assert!(report.public);
    assert_eq!(rig.cloud.copyable(), REGIONS);
    let sums = &report.sha256;
    assert_eq!(
        sums.len(),
        8,
        "four binaries, rc.local, a unit for it, the manifest and the bill of materials: {sums:?}"
    );
    let manifest = std::fs::read_to_string(rig.build.folder.join("manifest.json")).expect("a manifest");
    let manifest: serde_json::Value = serde_json::from_str(&manifest).expect("JSON");
    for path in ["/etc/rc.local", "/etc/systemd/system/wallaroo-rc-local.service"] {
        assert_eq!(manifest["sha256"][path], sums[path].as_str(), "{path}");
    }
    assert!(report.packages.contains_key("libpython2.7"), "{:?}", report.packages);
    assert!(report.verification.checks.len() > 5, "{:?}", report.verification);
    assert!(rig.build.folder.join("report.json").exists());
    let provenance = std::fs::read_to_string(rig.build.folder.join("provenance.intoto.json")).expect("a provenance");
    for image in &report.images {
        assert!(provenance.contains(&image.id.0), "no {image:?} in {provenance}");
    }
    assert_eq!(rig.cloud.left(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn two_releases_of_the_same_parts_have_the_same_manifest_and_bill_of_materials() {
    let documents = async |rig: Rig| {
        let report = rig.release().await.report().clone();
        let texts = ["manifest.json", "sbom.cdx.json"];
        let texts = texts.map(|name| std::fs::read_to_string(rig.build.folder.join(name)).expect(name));
        (rig.build.id.clone(), texts, report.sha256)
    };
    let of = |who: &str, branch: Option<&str>| {
        let (name, branch) = (format!("Wallaroo 0.6.1 (private {who})"), branch.map(str::to_owned));
        Rig::changed(|order| (order.name, order.source.branch) = (name, branch))
    };
    let releases = [documents(Rig::public()).await, documents(Rig::public()).await];
    let images = [documents(of("alice 5d0c", Some("main"))).await, documents(of("bob 3f9a", None)).await];
    for [(first, first_documents, first_sums), (second, second_documents, second_sums)] in [releases, images] {
        assert_ne!(first, second, "they are two builds");
        assert_eq!((first_documents, first_sums), (second_documents, second_sums));
    }
}

#[tokio::test(start_paused = true)]
async fn a_build_that_was_killed_when_its_image_was_made_has_all_documents_in_the_end() {
    let rig = Rig::public().killed_during("check").await;
    rig.release().await.report();
    for name in ["manifest.json", "sbom.cdx.json", "provenance.intoto.json"] {
        assert!(rig.build.folder.join(name).exists(), "{name}");
    }
}

/// That it was verified, and that every copy is available, the cloud itself looks after.
#[tokio::test(start_paused = true)]
async fn all_snapshots_are_public_before_any_image_is_and_all_copies_before_any_snapshot() {
    let rig = Rig::public();
    // What is slow must be waited for, whichever it is.
    rig.cloud.slowly(Verb::CopyImage, "eu-west-1", Duration::from_secs(1800));
    rig.cloud.slowly(Verb::SnapshotsPublic, "sa-east-1", Duration::from_secs(60));
    rig.release().await.report();

    let (snapshots, images) = (rig.cloud.positions(Verb::SnapshotsPublic), rig.cloud.positions(Verb::ImagePublic));
    assert_eq!((snapshots.len(), images.len()), (REGIONS.len(), REGIONS.len()));
    assert!(snapshots.iter().max() < images.iter().min());
    let verified = rig.cloud.positions(Verb::Terminate).into_iter().max();
    assert!(verified < snapshots.iter().min().copied());
}

#[tokio::test(start_paused = true)]
async fn a_slow_verification_is_waited_for() {
    let rig = Rig::public();
    rig.cloud.slowly(Verb::Run, "check", Duration::from_secs(1500));
    rig.release().await.report();
}

#[tokio::test(start_paused = true)]
async fn copies_and_verification_go_side_by_side() {
    let rig = Rig::public();
    rig.cloud.slowly(Verb::Run, "check", Duration::from_secs(1000));
    for region in ["eu-west-1", "sa-east-1", "us-east-1"] {
        rig.cloud.slowly(Verb::CopyImage, region, Duration::from_secs(1000));
    }
    let ended = rig.release().await;
    ended.report();
    assert!(ended.took < Duration::from_secs(1800), "{:?}", ended.took);
}

#[tokio::test(start_paused = true)]
async fn a_private_image_is_in_one_region_and_never_public() {
    let rig = Rig::private(&[]);
    let ended = rig.release().await;
    let report = ended.report();
    assert!(!report.public);
    assert_eq!(rig.regions_with_an_image(), [HOME]);
    for verb in [Verb::SnapshotsPublic, Verb::ImagePublic, Verb::CopyImage] {
        rig.cloud.never(verb);
    }
    let (_, image) = rig.cloud.all_images().remove(0);
    assert!(image.tag("wallaroo:expires").is_some(), "{image:?}");
    assert_eq!(rig.cloud.left(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn in_the_log_of_a_job_the_result_is_in_no_group() {
    let rig = Rig::in_a_job();
    let said = rig.said_before_the_result().await;
    let count = |command| said.lines().filter(|line| line.starts_with(command)).count();
    assert_eq!((count("::group::"), count("::endgroup::")), (3, 3), "{said}");
}

#[tokio::test(start_paused = true)]
async fn a_check_that_is_skipped_is_not_counted_on_the_image_and_does_not_fail_it() {
    let rig = Rig::public();
    rig.cloud.check_prints(&["ok the system is up", "skipped hyperthreads: the machine has none"]);
    let ended = rig.release().await;
    let verification = &ended.report().verification;
    assert_eq!(verification.passed(), verification.checks.len() - 1, "{verification:?}");
    let images = rig.cloud.all_images();
    let (_, image) = images.iter().find(|(region, _)| region == HOME).expect("an image");
    let tag = image.tag("wallaroo:verified").expect("a tag");
    assert!(tag.ends_with(&format!(", {} checks", verification.passed())), "{tag}");
}

#[tokio::test(start_paused = true)]
async fn the_page_of_a_build_whose_verification_failed_has_its_checks_until_all_is_cleaned_up() {
    let rig = Rig::public();
    rig.cloud.check_prints(&["ok the system is up", "not ok hyperthreads: cpu1 is online"]);
    rig.fails(&["hyperthreads: cpu1 is online"]).await;
    let page = std::fs::read_to_string(rig.build.folder.join("report.html")).expect("a page");
    let image = rig.made(HOME).expect("an image").to_string();
    assert!(page.contains(">Failed<") && page.contains(&format!("The image in {HOME}")), "{image}");
    assert!(page.contains("the system is up") && page.contains("cpu1 is online"));
    let page = rig.cleaned_up().await;
    assert!(page.contains(">Cleaned up<") && !page.contains("<h2 id=\"images\">"));
    assert!(page.contains("the system is up"));
}
