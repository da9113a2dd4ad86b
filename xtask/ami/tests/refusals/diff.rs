//! `diff` on this computer: images given by version, build, image and manifest, and names that there are not.

use serde_json::{Value, json};

use crate::*;

#[path = "../kit/guide.rs"]
mod guide;

/// Puts a build that is done into a home: its journal, its manifest and its bill of materials.
fn put_build(home: &Home, number: u32, version: &str, local: bool, packages: &[(&str, &str)]) -> String {
    let id = put_journal(home, number, version, &json!({ "local": local }), "done");
    put_documents(&home.path().join("builds").join(&id), number, version, packages);
    id
}

/// Puts a build with these traits into a home, that ended in this way, and has a manifest.
fn put_other(home: &Home, number: u32, version: &str, traits: &Value, how: &str) -> String {
    let id = put_journal(home, number, version, traits, how);
    put_documents(&home.path().join("builds").join(&id), number, version, &[]);
    id
}

fn put_journal(home: &Home, number: u32, version: &str, traits: &Value, how: &str) -> String {
    let id = format!("2026112{number}T000000Z-{version}-3f9a");
    let folder = home.path().join("builds").join(&id);
    let mut build = json!({
        "id": id, "version": version, "name": format!("Wallaroo {version}"), "began": "2026-11-22T00:00:00Z",
        "root": "/wallaroo", "commit": "c0ffee", "branch": null, "dirty": false, "local": false, "identity": null,
        "profile": null, "build_region": "us-west-2", "regions": ["us-west-2"], "private": false, "shared_with": [],
        "expires_secs": null, "system": "debian-13", "call": { "words": [], "folder": "" }, "inputs": {},
    });
    let traits = traits.as_object().expect("an object").clone();
    build.as_object_mut().expect("an object").extend(traits);
    let at = "2026-11-22T00:00:00.000Z";
    let image = format!("ami-0000000000000000{number}");
    let lines = [
        json!({ "at": at, "event": "began", "format": 2, "build": build }),
        json!({ "at": at, "event": "intended", "step": "image us-west-2", "by": "x" }),
        json!({ "at": at, "event": "done", "step": "image us-west-2", "result": image, "took_ms": 1 }),
        json!({ "at": at, "event": "ended", "how": how, "left": false }),
    ];
    write(&folder.join("journal.jsonl"), lines.iter().map(|line| format!("{line}\n")).collect::<String>());
    id
}

fn put_documents(folder: &Utf8Path, number: u32, version: &str, packages: &[(&str, &str)]) {
    let component = |(name, version): &(&str, &str)| {
        json!({
            "type": "library", "name": name, "version": version, "purl": format!("pkg:deb/debian/{name}@{version}"),
        })
    };
    let image_of_bill = json!({ "type": "container", "name": "Wallaroo" });
    let bill = json!({
        "bomFormat": "CycloneDX", "specVersion": "1.6", "version": 1,
        "metadata": { "tools": { "components": [] }, "component": image_of_bill },
        "components": packages.iter().map(component).collect::<Vec<_>>(),
    });
    let bill = bill.to_string();
    let sums = json!({
        "/usr/bin/machida": format!("{number}").repeat(64),
        "/usr/share/wallaroo/sbom.cdx.json": xtask_ami::ground::sha256::sha256(bill.as_bytes()),
    });
    let manifest = json!({
        "name": format!("Wallaroo {version}"), "version": version, "commit": "c0ffee", "dirty": false,
        "target_cpu": "sandybridge", "base": { "name": "base", "system": "debian-13", "sha256": null },
        "settings": { "packages.upgrade": "security" }, "sha256": sums, "packages": {}, "upgraded": {},
    });
    write(&folder.join("manifest.json"), manifest.to_string());
    write(&folder.join("sbom.cdx.json"), bill);
}

#[test]
fn images_are_compared_however_they_are_given_and_without_credentials() {
    let home = Home::new();
    let old = put_build(&home, 1, "0.6.1", false, &[("libc6", "2.41-11"), ("gone", "1")]);
    let new = put_build(&home, 2, "0.6.2", true, &[("libc6", "2.41-12"), ("come", "1")]);
    let manifest = home.path().join("builds").join(&new).join("manifest.json").to_string();
    let folder = home.path().join("builds").join(&new).to_string();
    // One is of EC2 and the other of --local, which a version alone would not name.
    for (from, to) in [
        ("0.6.1", new.as_str()),
        (old.as_str(), new.as_str()),
        ("ami-00000000000000001", "ami-00000000000000002"),
        ("0.6.1", &manifest),
        ("0.6.1", &folder),
    ] {
        let ended = run(&mut home.ami(["diff", from, to]));
        assert_eq!(ended.code, Some(0), "{ended}");
        for line in ["Binaries\n  changed  machida  111111111111 → 222222222222", "  changed  libc6  2.41-11 → 2.41-12"]
        {
            assert!(ended.stdout.contains(line), "{ended}");
        }
        assert!(ended.stdout.contains("  added    come   1\n  removed  gone   1\n"), "{ended}");
        assert!(!ended.stdout.contains("sbom") && ended.stderr.is_empty(), "{ended}");
    }
    let ended = run(&mut home.ami(["diff", &old, &new, "--json"]));
    let diff: Value = expect_valid(Document::Diff, &ended.stdout);
    assert_eq!((&diff["packages_compared"], &diff["packages"]["added"]["come"]), (&"all".into(), &"1".into()));
    let ended = run(&mut home.ami(["diff", &old, &new, "--format", "markdown"]));
    let origin = format!("- from Wallaroo 0.6.1, commit c0ffee, by the manifest of build {old}\n");
    let wanted = format!("### Changes from Wallaroo 0.6.1 to Wallaroo 0.6.2\n\n{origin}");
    assert!(ended.stdout.starts_with(&wanted), "{ended}");
    let ended = run(&mut home.ami(["diff", "0.6.1", "0.6.1"]));
    assert!(ended.code == Some(0) && ended.stdout.contains("Nothing differs."), "{ended}");
}

#[test]
fn a_version_is_the_last_build_of_the_wanted_kind_that_is_done_and_public() {
    let home = Home::new();
    let put = |number, traits: Value, how| put_other(&home, number, "0.6.1", &traits, how);
    let (ec2, local) = (json!({}), json!({ "local": true }));
    put(1, ec2.clone(), "done");
    let released = put(2, ec2.clone(), "done");
    let on_this_computer = put(3, local.clone(), "done");
    put(4, json!({ "private": true }), "done");
    put(5, json!({ "private": true, "local": true }), "done");
    put(6, ec2.clone(), "failed");
    put(7, local, "interrupted");
    let other = put(8, ec2, "cleaned");
    for (flags, wanted) in [(&[][..], &released), (&["--local"][..], &on_this_computer)] {
        let ended = run(&mut home.ami([&["diff", "0.6.1", other.as_str()][..], flags].concat()));
        let line = format!("from  Wallaroo 0.6.1, commit c0ffee, by the manifest of build {wanted}\n");
        assert!(ended.code == Some(0) && ended.stdout.starts_with(&line), "{ended}");
        assert!(
            ended.stdout.contains(&format!("by the manifest of build {other}\n")),
            "an id is what it says: {ended}"
        );
    }
}

#[test]
fn a_private_build_is_meant_by_its_version_where_nothing_public_has_it() {
    let home = Home::new();
    let private = json!({ "local": true, "private": true });
    put_other(&home, 1, "0.6.1-me", &private, "done");
    let last = put_other(&home, 2, "0.6.1-me", &private, "done");
    put_other(&home, 3, "0.6.1-me", &private, "cleaned");
    put_build(&home, 4, "0.6.1", true, &[]);
    let ended = run(&mut home.ami(["diff", "0.6.1", "0.6.1-me", "--local"]));
    assert!(ended.code == Some(0) && ended.stdout.contains(&format!("by the manifest of build {last}\n")), "{ended}");
}

#[test]
fn a_version_of_which_only_other_builds_are_known_is_refused_with_their_ids() {
    let home = Home::new();
    let ec2 = put_build(&home, 1, "0.6.1", false, &[]);
    let failed = put_other(&home, 2, "0.6.1", &json!({ "local": true }), "failed");
    let cleaned = put_other(&home, 3, "0.6.1", &json!({ "local": true, "private": true }), "cleaned");
    put_build(&home, 4, "0.6.2", true, &[]);
    let words = [
        "of the version 0.6.1 no --local build that is done is known; to compare one of these, give its id instead"
            .to_owned(),
        format!("\n  {ec2} (made on EC2)\n"),
        format!("\n  {failed} (made with --local, failed)\n"),
        format!("\n  {cleaned} (made with --local, private, cleaned up)\n"),
    ];
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    refused(&home, &mut home.ami(["diff", "0.6.1", "0.6.2", "--local"]), &words);
    let ended = run(&mut home.ami(["diff", &ec2, "0.6.2", "--local"]));
    assert_eq!(ended.code, Some(0), "as the error says: {ended}");
}

#[test]
fn a_promoted_image_has_its_own_name_and_the_bytes_of_its_candidate() {
    let home = Home::new();
    let candidate = put_build(&home, 1, "0.6.1-rc1", true, &[("libc6", "2.41-11")]);
    let promoted = json!({
        "version": "0.6.1-rc1", "name": "Wallaroo 0.6.1-rc1", "region": "us-west-2", "image": "ami-00000000000000001",
        "build": candidate, "made_of": "i-00000000000000001", "description": "", "system": "debian-13",
        "commit": "c0ffee", "sha256": {}, "verified": "2026-11-21T00:00:00Z, 42 checks",
    });
    let id = put_journal(&home, 2, "0.6.1", &json!({ "local": true, "promotes": promoted }), "done");
    let builds = home.path().join("builds");
    for name in ["manifest.json", "sbom.cdx.json"] {
        std::fs::copy(builds.join(&candidate).join(name), builds.join(&id).join(name)).expect("a copy");
    }
    let text = std::fs::read_to_string(support::workspace().join("docs/guide.md")).expect("the guide");
    let mut commands = guide::commands(&text, "local").into_iter();
    let shown = commands.rfind(|shown| shown.words[0] == "diff").expect("the guide compares a promotion");
    let ended = run(&mut home.ami(shown.with(&["--local"])));
    shown.expect(&ended.stderr, &ended.stdout);
    let told =
        format!("  to  Wallaroo 0.6.1, commit c0ffee, by the manifest of build {id}, a promotion of 0.6.1-rc1\n");
    assert!(ended.code == Some(0) && ended.stdout.contains(&told), "{ended}");
}

#[test]
fn a_bill_of_materials_that_is_not_the_manifests_own_is_not_believed() {
    let home = Home::new();
    let id = put_build(&home, 1, "0.6.1", true, &[("libc6", "1")]);
    put_build(&home, 2, "0.6.2", true, &[("libc6", "2")]);
    let bill = home.path().join("builds").join(id).join("sbom.cdx.json");
    write(&bill, std::fs::read_to_string(&bill).expect("a bill") + "\n");
    let ended = run(&mut home.ami(["diff", "0.6.1", "0.6.2", "--local"]));
    assert!(ended.code == Some(0) && ended.stdout.contains("there is no bill of materials of 0.6.1"), "{ended}");
    assert!(!ended.stdout.contains("libc6"), "{ended}");
}

#[test]
fn a_name_that_there_is_not_is_refused_with_the_nearest_one() {
    let home = Home::new();
    put_build(&home, 1, "0.6.1", true, &[]);
    refused(&home, &mut home.ami(["diff", "0.6.1", "0.61", "--local"]), &["no image `0.61`: did you mean `0.6.1`?"]);
    let words = ["no image `zzz`: give a version", "ami list --local"];
    refused(&home, &mut home.ami(["diff", "zzz", "0.6.1", "--local"]), &words);
    refused(
        &home,
        &mut home.ami(["diff", "0.6.1", "/nowhere/manifest.json"]),
        &["failed to read the manifest /nowhere"],
    );
    let (_guard, folder) = folder();
    write(&folder.join("manifest.json"), "{}");
    let path = folder.to_string();
    refused(&home, &mut home.ami(["diff", "0.6.1", &path]), &["manifest.json: it is no manifest of this tool"]);
}
