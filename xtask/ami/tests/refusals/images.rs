//! Images of a version that are not all a release's: private ones beside them, public ones that are old, or none.

use std::time::SystemTime;

use serde_json::{Value, json};

use crate::*;

const ID: &str = "ami-00000000000000001";
const HERS: &str = "ami-00000000000000002";

/// Puts an image of 0.6.1 into a home: as a release left it, with these differences.
pub fn put(home: &Home, region: &str, id: &str, differences: &Value) {
    let created = humantime::format_rfc3339_seconds(SystemTime::now()).to_string();
    let mut image = json!({
        "name": "Wallaroo 0.6.1", "description": "A test's", "created": created, "deprecate_at": null,
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

/// The tags of a verified candidate of a build.
fn candidate_of(build: &str) -> Value {
    json!([
        ["wallaroo:build", build],
        ["wallaroo:version", "0.6.1-rc1"],
        ["wallaroo:commit", "89abcd1d89abcd1d89abcd1d89abcd1d89abcd1d"],
        ["wallaroo:sha256:machida", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"],
        ["wallaroo:verified", "2026-11-22T00:00:00Z, 42 checks"],
        ["wallaroo:instance", "i-1"],
        ["wallaroo:system", "debian-13"],
    ])
}

#[test]
fn candidates_of_two_builds_are_told_by_build_with_the_command_that_names_each() {
    let home = Home::new();
    let put = |region: &str, id: &str, tags: Value| {
        put(
            &home,
            region,
            id,
            &json!({ "name": "Wallaroo 0.6.1-rc1", "created": "2026-11-22T20:00:00Z", "tags": tags }),
        );
    };
    put("eu-west-1", ID, candidate_of("20261101T1-a"));
    put("sa-east-1", ID, candidate_of("20261101T1-a"));
    put("us-west-2", ID, candidate_of("20261122T2-b"));
    put("us-west-2", HERS, json!([]));
    let words = ["promote", "--version", "0.6.1-rc1", "--as", "0.6.1", "--local", "--yes"];
    let about = "`Wallaroo 0.6.1-rc1`, created 2026-11-22T20:00:00Z of";
    let command = "\n    to promote it: cargo xtask ami promote --version 0.6.1-rc1 --as 0.6.1 --build";
    let both = format!(
        "\n  build 20261101T1-a: {about} commit 89abcd1d89ab, 2 images in eu-west-1, sa-east-1{command} 20261101T1-a --local\n  \
         build 20261122T2-b: {about} commit 89abcd1d89ab, 1 image in us-west-2{command} 20261122T2-b --local\n"
    );
    let foreign = format!("  not made by this tool: {about} an unknown commit, 1 image in us-west-2\n");
    refused(&home, &mut home.ami(words), &["there are several images of the version 0.6.1-rc1", &both, &foreign]);
    let words = [&words[..], &["--build", "20261122T2-c"]].concat();
    let unknown = "build 20261122T2-c made no image of the version 0.6.1-rc1; did you mean `20261122T2-b`?";
    refused(&home, &mut home.ami(&words), &[unknown, &both]);

    // Named, it is found, and this one is refused for what is wrong with itself.
    put("us-west-2", ID, json!([["wallaroo:build", "20261122T2-b"], ["wallaroo:version", "0.6.1-rc1"]]));
    let words = [&words[..words.len() - 1], &["20261122T2-b"]].concat();
    let ended = refused(&home, &mut home.ami(&words), &["no image of its build is marked as verified"]);
    assert!(!ended.stderr.contains("several images"), "{ended}");

    // Of one build, two in a region are told apart by what is typed to remove one.
    put("eu-west-1", HERS, candidate_of("20261101T1-a"));
    let words = [&words[..words.len() - 1], &["20261101T1-a"]].concat();
    let words_of_error =
        ["of one build in a region", &format!("{ID} in eu-west-1"), &format!("{HERS} in eu-west-1"), "rm -f"];
    let ended = refused(&home, &mut home.ami(&words), &words_of_error);
    assert!(!ended.stderr.contains("sa-east-1"), "{ended}");
}

/// The candidate's own statement goes along with its image, so it has to be about that.
#[test]
fn a_candidate_whose_provenance_is_about_another_build_is_not_promoted() {
    let home = Home::new();
    put(&home, "us-west-2", ID, &json!({ "name": "Wallaroo 0.6.1-rc1", "tags": candidate_of("b") }));
    let path = home.path().join("builds/b/provenance.intoto.json");
    let other = json!({ "predicate": { "runDetails": { "metadata": { "invocationId": "another" } } } });
    write(&path, other.to_string());
    let words = ["promote", "--version", "0.6.1-rc1", "--as", "0.6.1", "--local", "--yes"];
    refused(
        &home,
        &mut home.ami(words),
        &["is not the provenance of build b", ID, "nothing was copied", path.as_str()],
    );
}

#[test]
fn a_list_of_a_version_that_there_is_not_is_refused() {
    let home = Home::new();
    put(&home, "us-west-2", ID, &json!({}));
    let words = ["there is no image `Wallaroo 0.6.9`", "did you mean 0.6.1?", "cargo xtask ami list --local"];
    refused(&home, &mut home.ami(["list", "--version", "0.6.9", "--local"]), &words);
}

#[test]
fn a_date_that_is_too_late_for_a_public_image_is_refused_with_the_latest_that_is_possible() {
    let day = |days: u64| Duration::from_secs(days * 86_400);
    let (home, now) = (Home::new(), SystemTime::now());
    let written = |at: SystemTime| humantime::format_rfc3339_seconds(at).to_string();
    put(&home, "us-west-2", ID, &json!({ "created": written(now - day(30)) }));
    put(&home, "eu-west-1", ID, &json!({ "created": written(now - day(31)) }));
    let deprecate = |at: &str| home.ami(["retire", "--version", "0.6.1", "--deprecate", at, "--local", "--yes"]);
    let latest = written(now - day(31) + day(730));
    let created = format!("{ID} in eu-west-1 was created on ");
    let command = format!("cargo xtask ami retire --version 0.6.1 --local --deprecate {latest}\n");
    refused(&home, &mut deprecate("700d"), &[&created, "two years after that at the latest", &command]);
    let ended = run(&mut deprecate(&latest));
    assert_eq!(ended.code, Some(0), "{ended}");
    // What stays as it is is asked of no cloud.
    assert_eq!(run(&mut deprecate(&latest)).code, Some(0));

    put(&home, "us-west-2", ID, &json!({ "created": "2020-01-31T00:00:00Z" }));
    let words =
        ["that was 2022-01-30T00:00:00Z", "to remove the images: cargo xtask ami retire --version 0.6.1 --local\n"];
    refused(&home, &mut deprecate("30d"), &words);
    for region in ["us-west-2", "eu-west-1"] {
        put(&home, region, ID, &json!({ "created": "2020-01-31T00:00:00Z", "public": false }));
    }
    assert_eq!(run(&mut deprecate("9y")).code, Some(0), "a private image takes ten years");
}

#[test]
fn each_finding_of_a_check_comes_with_what_to_type() {
    let home = Home::new();
    let check = || run(&mut home.ami(["check", "--version", "0.6.1", "--local", "--regions", "us-west-2,eu-west-1"]));
    put(&home, "us-west-2", ID, &json!({ "created": "2020-01-31T00:00:00Z", "deprecate_at": "2022-01-30T00:00:00Z" }));
    let ended = check();
    ended.expect_error(
        1,
        &[
            "eu-west-1: there is no image `Wallaroo 0.6.1`",
            "us-west-2: ami-00000000000000001 is deprecated since 2022-01-30",
            "us-west-2: ami-00000000000000001 lacks the tags wallaroo:commit, wallaroo:sha256:…, as everywhere",
            "\nto see where there is an image: cargo xtask ami list --version 0.6.1 --local\n",
            "cargo xtask ami resume --local\n",
            "takes no later date; to withdraw it, then release another version: cargo xtask ami retire --version 0.6.1 --local\n",
        ],
    );
    put(&home, "us-west-2", ID, &json!({ "public": false, "snapshots_public": false }));
    check().expect_error(1, &["is not public", "has private snapshots", "cargo xtask ami resume b --local"]);
    put(&home, "us-west-2", HERS, &json!({}));
    let two =
        format!("there are 2 images: {ID} of build b; {HERS} of build b; to remove the one that is not wanted: rm -f");
    check().expect_error(1, &[&two, ", or: rm -f"]);
}

#[test]
fn a_check_of_a_version_that_is_in_no_region_says_so_once() {
    let home = Home::new();
    put_hers(&home);
    let ended = run(&mut home.ami(["check", "--version", "0.6.1", "--local"]));
    ended.expect_error(1, &["in any of 14 regions; only private images have this version; to list the images: cargo "]);
    assert_eq!(ended.stderr.matches("there is no image").count(), 1, "{ended}");
    let ended = run(&mut home.ami(["check", "--version", "0.6.11", "--local"]));
    ended.expect_error(1, &["; did you mean 0.6.1?; to list the images: cargo xtask ami list --local"]);
}

#[test]
fn a_private_image_is_not_kept_for_ever() {
    let (home, (_guard, folder)) = (Home::new(), folder());
    let root = sample(&folder);
    let words = ["--private", "--expires", "10000years"];
    let ended = run(&mut home.ami(release(&root, &words)));
    ended.expect_error(2, &["give at most 10years"]);
}

#[test]
fn a_private_image_that_has_expired_is_removed_and_no_other() {
    let home = Home::new();
    put(&home, "us-west-2", ID, &json!({}));
    put_hers(&home);
    let expired = "ami-00000000000000003";
    let tags = [["wallaroo:build", "q"], ["wallaroo:version", "0.6.1"], ["wallaroo:expires", "2020-01-01T00:00:00Z"]];
    let private =
        json!({ "name": "Wallaroo 0.6.1 (private bob)", "public": false, "snapshots_public": false, "tags": tags });
    put(&home, "us-west-2", expired, &private);
    let listed = run(&mut home.ami(["list", "--local"]));
    assert!(listed.stdout.contains("expires 2020-01-01") && listed.stdout.contains("expires 2099-01-01"), "{listed}");
    let cleaned = run(&mut home.ami(["clean", "--expired", "--local", "--yes"]));
    assert_eq!(cleaned.code, Some(0), "{cleaned}");
    assert_eq!([ID, HERS, expired].map(|id| is_there(&home, id)), [true, true, false], "{cleaned}");
}

/// So that a cron job mails nothing then.
#[test]
fn a_check_that_finds_nothing_prints_no_more_than_its_table() {
    let home = Home::new();
    let tags = [
        ["wallaroo:build", "b"],
        ["wallaroo:version", "0.6.1"],
        ["wallaroo:commit", "89abcd1d89abcd1d89abcd1d89abcd1d89abcd1d"],
        ["wallaroo:sha256:/usr/bin/machida", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"],
    ];
    put(&home, "us-west-2", ID, &json!({ "deprecate_at": "2099-01-01T00:00:00Z", "tags": tags }));
    let words = ["check", "--version", "0.6.1", "--regions", "us-west-2", "--local", "--quiet"];
    let checked = run(&mut home.ami(words));
    assert_eq!((checked.code, checked.stderr.as_str()), (Some(0), ""), "{checked}");
    assert!(checked.stdout.ends_with("`Wallaroo 0.6.1` is public, and the same, in 1 region\n"), "{checked}");
}
