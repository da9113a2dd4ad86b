//! Images of a version that are not all a release's: private ones beside them, public ones that are old, or none.

use serde_json::{Value, json};

use crate::*;

const ID: &str = "ami-00000000000000001";
const HERS: &str = "ami-00000000000000002";

/// Puts an image of 0.6.1 into a home: as a release left it, with these differences.
fn put(home: &Home, region: &str, id: &str, differences: &Value) {
    let mut image = json!({
        "name": "Wallaroo 0.6.1", "description": "A test's", "created": "2026-11-22T00:00:00Z", "deprecate_at": null,
        "public": true, "snapshots_public": true, "tags": [["wallaroo:build", "b"], ["wallaroo:version", "0.6.1"]],
    });
    for (key, value) in differences.as_object().expect("differences") {
        image[key] = value.clone();
    }
    write(&home.path().join(format!("images/{region}/{id}.json")), image.to_string());
    write(&home.path().join(format!("images/{region}/{id}.qcow2")), "");
}

/// Puts a colleague's private image of the same version into a home.
fn put_hers(home: &Home) {
    let tags = [["wallaroo:build", "p"], ["wallaroo:version", "0.6.1"], ["wallaroo:expires", "2099-01-01T00:00:00Z"]];
    let private = json!({ "public": false, "snapshots_public": false, "tags": tags });
    let mut hers = json!({ "name": "Wallaroo 0.6.1 (private alice 3f2a91bc 5d0c9e1a)" });
    hers.as_object_mut().expect("an object").extend(private.as_object().expect("an object").clone());
    put(home, "us-west-2", HERS, &hers);
}

fn is_there(home: &Home, id: &str) -> bool {
    home.path().join(format!("images/us-west-2/{id}.json")).exists()
}

#[test]
fn a_private_image_of_the_same_version_is_in_the_way_of_no_command() {
    let home = Home::new();
    put(&home, "us-west-2", ID, &json!({}));
    put_hers(&home);
    let listed = run(&mut home.ami(["list", "--version", "0.6.1", "--format", "terraform", "--local"]));
    assert_eq!(listed.code, Some(0), "{listed}");
    assert!(listed.stdout.contains(ID) && !listed.stdout.contains(HERS), "{listed}");
    let listed = run(&mut home.ami(["list", "--local"]));
    assert!(listed.stdout.contains(ID) && listed.stdout.contains(HERS), "{listed}");
    let words = ["promote", "--version", "0.6.1", "--as", "0.6.2", "--local", "--yes"];
    let ended = refused(&home, &mut home.ami(words), &["no image of its build is marked as verified"]);
    assert!(!ended.stderr.contains("several images"), "{ended}");

    let hers = || std::fs::read_to_string(home.path().join(format!("images/us-west-2/{HERS}.json"))).expect("hers");
    let before = hers();
    let deprecate = ["retire", "--version", "0.6.1", "--deprecate", "30d", "--local", "--yes"];
    assert_eq!(run(&mut home.ami(deprecate)).code, Some(0));
    let retire = ["retire", "--version", "0.6.1", "--local", "--yes"];
    let retired = run(&mut home.ami(retire));
    assert_eq!((retired.code, is_there(&home, ID), hers()), (Some(0), false, before), "{retired}");

    // Where nothing else has the version, it means hers.
    let listed = run(&mut home.ami(["list", "--version", "0.6.1", "--local"]));
    assert!(listed.stdout.contains(HERS), "{listed}");
    let retired = run(&mut home.ami(retire));
    assert_eq!((retired.code, is_there(&home, HERS)), (Some(0), false), "{retired}");
}

/// The images that it was about are gone, and of one the snapshots may be left.
#[test]
fn a_removal_that_goes_on_takes_no_private_image_that_it_did_not_list() {
    let home = Home::new();
    put_hers(&home);
    let listed = json!({ "region": "us-west-2", "image": ID, "snapshots": ["snap-1"], "public": true });
    let began = json!({
        "event": "began", "at": "2026-11-22T00:00:00Z", "format": 1, "version": "0.6.1", "way": "remove",
        "identity": { "kind": "local", "account": "local" }, "images": [listed], "takes_up": [],
    });
    write(&home.path().join("retirements/20261122T000000Z-00000.jsonl"), format!("{began}\n"));
    let retired = run(&mut home.ami(["retire", "--version", "0.6.1", "--local", "--yes"]));
    assert_eq!((retired.code, is_there(&home, HERS)), (Some(0), true), "{retired}");
    assert!(retired.stderr.contains(ID) && !retired.stderr.contains(HERS), "{retired}");
}

#[test]
fn a_list_of_a_version_that_there_is_not_is_refused() {
    let home = Home::new();
    put(&home, "us-west-2", ID, &json!({}));
    let words = ["there is no image `Wallaroo 0.6.9`", "did you mean 0.6.1?", "cargo xtask ami list --local"];
    refused(&home, &mut home.ami(["list", "--version", "0.6.9", "--local"]), &words);
}
