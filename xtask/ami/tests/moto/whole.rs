//! The whole job.

use std::collections::BTreeSet;

use serde_json::json;

use crate::{
    lab::{FROM, Lab, each, expect_nothing_runs},
    support::workspace,
};

/// Where the parameters are that name the image.
const PREFIX: &str = "/wallaroo/ami";

#[test]
fn a_release_in_all_regions() {
    let Some(lab) = Lab::new() else { return };
    let ended = lab.follow_guide("moto release", &["--ssm-prefix", PREFIX]).pop().expect("the release");

    let regions = std::fs::read_to_string(workspace().join("regions")).expect("the regions");
    let mut regions: Vec<&str> = regions.lines().collect();
    regions.sort_unstable();
    let images: Vec<(&str, &str)> = ended.stdout.lines().map(|line| line.split_once(": ").expect("an id")).collect();
    assert_eq!(images.iter().map(|(region, _)| *region).collect::<Vec<_>>(), regions, "{ended}");

    let books = lab.books(&regions);
    expect_nothing_runs(&books);
    let mut descriptions = BTreeSet::new();
    for (region, id) in images {
        let (images, snapshots) = (&books[region]["images"], &books[region]["snapshots"]);
        let counts = (each(images, "ImageId").len(), each(snapshots, "SnapshotId").len());
        assert_eq!(counts, (1, 1), "{region}: {images} {snapshots}");
        let (image, snapshot) = (&images[0], &snapshots[0]);
        assert_eq!((&image["ImageId"], &image["Name"]), (&id.into(), &"Wallaroo 0.6.1".into()), "{region}");
        assert_eq!((&image["State"], &image["Public"]), (&"available".into(), &true.into()), "{region}: {image}");
        assert_eq!(image["Permissions"], json!([{ "Group": "all" }]), "{region}");
        assert_eq!(snapshot["Permissions"], json!([{ "Group": "all" }]), "{region}");
        assert_eq!(image["BlockDeviceMappings"][0]["Ebs"]["SnapshotId"], snapshot["SnapshotId"], "{region}");
        assert_eq!(image["BlockDeviceMappings"][0]["Ebs"]["VolumeType"], "gp3", "{region}");
        assert!(image["DeprecationTime"].is_string(), "{region}: {image}");
        for tags in [&image["Tags"], &snapshot["Tags"]] {
            assert!(tags["wallaroo:build"].is_string(), "{region}: {tags}");
        }
        let mut named: Vec<_> = each(&books[region]["parameters"], "Name");
        named.sort_by_key(|name| name.to_string());
        assert_eq!(named, ["/wallaroo/ami/0.6.1", "/wallaroo/ami/latest"], "{region}");
        for parameter in books[region]["parameters"].as_array().expect("parameters") {
            let expected = (&json!(id), &json!("aws:ec2:image"));
            assert_eq!((&parameter["Value"], &parameter["DataType"]), expected, "{region}");
        }
        descriptions.insert(image["Description"].as_str().expect("a description"));
    }
    assert_eq!(descriptions.len(), 1, "{descriptions:?}");
    assert!(descriptions.iter().all(|text| text.contains("0.6.1") && text.contains("debian-12")), "{descriptions:?}");

    // One machine to bake it and one to look at it, both in the build region, and both tagged and guarded.
    let count = |region: &str| each(&books[region]["instances"], "InstanceId").len();
    assert!(regions.iter().all(|region| count(region) == if *region == "us-west-2" { 2 } else { 0 }));
    for instance in books["us-west-2"]["instances"].as_array().expect("instances") {
        assert_eq!(instance["MetadataOptions"]["HttpTokens"], "required", "{instance}");
        assert!(instance["Tags"]["wallaroo:build"].is_string(), "{instance}");
    }
    // Its image must not end machines that shut down, so the one that is imaged is set back before.
    let behaviors = each(&books["us-west-2"]["instances"], "ShutdownBehavior");
    assert!(behaviors.contains(&&json!("stop")), "{behaviors:?}");

    look_after_it(&lab, &regions);
}

/// What one does with a release.
fn look_after_it(lab: &Lab, regions: &[&str]) {
    let listed = lab.ami(&["list"]);
    assert_eq!((listed.code, listed.stdout.lines().count()), (Some(0), regions.len()), "{listed}");
    let line = |line: &str| line.contains("Wallaroo 0.6.1 ") && line.contains(" public ");
    assert!(listed.stdout.lines().all(line), "{listed}");
    for format in ["terraform", "csv", "markdown"] {
        let read = lab.listed(format, &["--version", "0.6.1"]);
        assert_eq!(read.as_object().expect("a map").keys().collect::<Vec<_>>(), regions, "{format}");
        let agrees =
            |line: &str| regions.iter().any(|region| read[region].as_str().is_some_and(|id| line.contains(id)));
        assert!(listed.stdout.lines().all(agrees), "{format}: {read} {listed}");
    }
    let shown = lab.follow_guide("moto look", &[]).pop().expect("a list");
    assert!(regions.iter().all(|region| shown.stdout.contains(region)), "{shown}");
    let checked = lab.ami(&["check", "--version", "0.6.1"]);
    assert_eq!(checked.code, Some(0), "{checked}");
    let words = ["--version", "0.6.1", "--yes", "--ssh-from", FROM];
    lab.ami(&words).expect_error(2, &["the image name `Wallaroo 0.6.1` is already taken"]);

    lab.follow_guide("moto retire", &[]);
    for (region, books) in lab.books(regions).as_object().expect("regions") {
        let left = ["images", "snapshots", "parameters"].map(|kind| &books[kind]);
        assert_eq!(left, [&json!([]); 3], "{region}");
    }
    lab.ami(&["check", "--version", "0.6.1"]).expect_error(1, &["there is no image `Wallaroo 0.6.1` in any"]);
}
