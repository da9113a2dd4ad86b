//! `diff` on this computer: images given by version, build, image and manifest, and names that there are not.

use serde_json::{Value, json};

use crate::*;

/// Puts a build that is done into a home: its journal, its manifest and its bill of materials.
fn put_build(home: &Home, number: u32, version: &str, local: bool, packages: &[(&str, &str)]) -> String {
    let id = format!("2026112{number}T000000Z-{version}-3f9a");
    let folder = home.path().join("builds").join(&id);
    let build = json!({
        "id": id, "version": version, "name": format!("Wallaroo {version}"), "began": "2026-11-22T00:00:00Z",
        "root": "/wallaroo", "commit": "c0ffee", "branch": null, "dirty": false, "local": local, "identity": null,
        "profile": null, "build_region": "us-west-2", "regions": ["us-west-2"], "private": false, "shared_with": [],
        "expires_secs": null, "system": "debian-13", "call": { "words": [], "folder": "" }, "inputs": {},
    });
    let at = "2026-11-22T00:00:00.000Z";
    let image = format!("ami-0000000000000000{number}");
    let lines = [
        json!({ "at": at, "event": "began", "format": 2, "build": build }),
        json!({ "at": at, "event": "intended", "step": "image us-west-2", "by": "x" }),
        json!({ "at": at, "event": "done", "step": "image us-west-2", "result": image, "took_ms": 1 }),
        json!({ "at": at, "event": "ended", "how": "done", "left": false }),
    ];
    write(&folder.join("journal.jsonl"), lines.iter().map(|line| format!("{line}\n")).collect::<String>());
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
    id
}

#[test]
fn images_are_compared_however_they_are_given_and_without_credentials() {
    let home = Home::new();
    let old = put_build(&home, 1, "0.6.1", false, &[("libc6", "2.41-11"), ("gone", "1")]);
    let new = put_build(&home, 2, "0.6.2", true, &[("libc6", "2.41-12"), ("come", "1")]);
    let manifest = home.path().join("builds").join(&new).join("manifest.json").to_string();
    let folder = home.path().join("builds").join(&new).to_string();
    for (from, to) in [
        ("0.6.1", "0.6.2"),
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
    let ended = run(&mut home.ami(["diff", "0.6.1", "0.6.2", "--json"]));
    let diff: Value = expect_valid(Document::Diff, &ended.stdout);
    assert_eq!((&diff["packages_compared"], &diff["packages"]["added"]["come"]), (&"all".into(), &"1".into()));
    let ended = run(&mut home.ami(["diff", "0.6.1", "0.6.2", "--format", "markdown"]));
    assert!(ended.stdout.starts_with("### Changes from Wallaroo 0.6.1 to Wallaroo 0.6.2\n"), "{ended}");
    let ended = run(&mut home.ami(["diff", "0.6.1", "0.6.1"]));
    assert!(ended.code == Some(0) && ended.stdout.contains("Nothing differs."), "{ended}");
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
