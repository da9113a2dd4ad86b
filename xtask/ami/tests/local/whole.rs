//! The whole job.

use std::{collections::BTreeMap, process::Command};

use camino::{Utf8Path, Utf8PathBuf};
use serde_json::Value;

use crate::{
    bench::{Bench, PROVISION},
    guided::Guide,
    phases::{Phase, kill_and_end},
    retired::kill_and_repeat,
    running::Running,
    support::{BINARIES, files, workspace, write},
};

fn read(path: &Utf8Path) -> Value {
    let bytes = std::fs::read(path).unwrap_or_else(|error| panic!("{path}: {error}"));
    serde_json::from_slice(&bytes).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The SHA-256 of the tree's binaries, by their place on the image, as another program sees them.
fn sums(root: &Utf8Path) -> BTreeMap<String, String> {
    let output = Command::new("sha256sum").current_dir(root).args(BINARIES).output().expect("sha256sum");
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    let pairs = text.lines().map(|line| line.split_once("  ").expect("a sum and a path"));
    pairs
        .map(|(sum, path)| (format!("/usr/bin/{}", path.rsplit('/').next().expect("a name")), sum.to_owned()))
        .collect()
}

/// What the image was made of stands wherever one looks, and is what other programs find on the base.
fn expect_the_sum_of_the_base(bench: &Bench, report: &Value, manifest: &Value) {
    let raw = bench.root.join("base.raw");
    let convert = ["convert", "-O", "raw", bench.base.as_str(), raw.as_str()];
    assert!(Command::new("qemu-img").args(convert).status().expect("qemu-img").success());
    let sum = Command::new("sha256sum").arg(&raw).output().expect("sha256sum");
    let sum = String::from_utf8(sum.stdout).expect("UTF-8").split(' ').next().expect("a sum").to_owned();
    std::fs::remove_file(&raw).expect("removed");
    assert_eq!((&report["base"]["sha256"], &manifest["base"]["sha256"]), (&sum.as_str().into(), &sum.as_str().into()));
    assert!(report["description"].as_str().is_some_and(|text| text.contains(&sum)), "{report}");
    assert_eq!(report["base"]["system"], "debian-13");
}

/// The bill of materials lists the packages, as check.sh has compared with dpkg, and the provenance names the image. A
/// copy of the bill goes to the program that holds it against its schema.
fn expect_the_documents(bench: &Bench, report: &Value, manifest: &Value) {
    let path = bench.build().join("sbom.cdx.json");
    let bill = read(&path);
    let components = bill["components"].as_array().expect("components");
    let of = |kind: &str| components.iter().filter(|component| component["type"] == kind).count();
    assert!(of("library") > 100 && of("application") == BINARIES.len(), "{bill}");
    let libc = components.iter().find(|component| component["name"] == "libc6").expect("libc6");
    assert_eq!(libc["properties"][0]["value"], "glibc", "{libc}");
    assert!(manifest["upgraded"].is_object() && manifest["settings"]["packages.upgrade"] == "security", "{manifest}");
    let provenance = read(&bench.build().join("provenance.intoto.json"));
    let subject = &provenance["subject"][0];
    assert_eq!(
        (&subject["name"], &subject["digest"]["sha256"]),
        (&report["name"], &report["sha256"]["/usr/share/wallaroo/manifest.json"])
    );
    if let Some(folder) = std::env::var_os("BILLS_OF_MATERIALS") {
        std::fs::create_dir_all(&folder).expect("a folder");
        std::fs::copy(path, std::path::Path::new(&folder).join("local.cdx.json")).expect("a copy");
    }
}

/// Two machines of the image and its disk, side by side.
fn expect_nothing_of_the_machine_it_was_made_on(bench: &Bench, id: &str) {
    let compared = bench.manage(&["check", "--deep", id]);
    assert_eq!(compared.code, Some(0), "{compared}");
    assert!(compared.stdout.contains("nothing of the machine that it was made on"), "{compared}");
}

/// Where the build's folder has no manifest, the one on the image's disk is compared.
#[track_caller]
fn expect_the_image_to_tell_what_it_is_made_of(bench: &Bench, id: &str) {
    let (folder, away) = (bench.build(), bench.root.join("away"));
    std::fs::create_dir_all(&away).expect("a folder");
    for name in ["manifest.json", "sbom.cdx.json"] {
        std::fs::rename(folder.join(name), away.join(name)).expect("moved");
    }
    let compared = bench.manage(&["diff", id, away.as_str()]);
    assert_eq!(compared.code, Some(0), "{compared}");
    for words in [format!("by the disk of {id}").as_str(), "Nothing differs."] {
        assert!(compared.stdout.contains(words) && !compared.stdout.contains("note:"), "{compared}");
    }
    for name in ["manifest.json", "sbom.cdx.json"] {
        std::fs::rename(away.join(name), folder.join(name)).expect("moved back");
    }
}

/// A machine of the image says what was shipped, and leaves nothing behind.
fn expect_a_machine_of_it(bench: &Bench, report: &Value, manifest: &Value) {
    let asked = "machida --version; cat /sys/devices/system/cpu/online; cat /usr/share/wallaroo/manifest.json; \
                 sha256sum /usr/share/wallaroo/manifest.json";
    let booted = Running::start(&mut bench.home.ami(["boot", "0.6.1-rc1", "--local", "--", asked])).end();
    assert_eq!(booted.code, Some(0), "{booted}");
    let (version, rest) = booted.stdout.split_once('\n').expect("a line");
    assert_eq!(version, "machida 0.6.1 (target_cpu sandybridge, resilience off)");
    let (online, rest) = rest.split_once('\n').expect("a line");
    assert_eq!(online, "0", "of two hyperthreads one stays: {booted}");
    let (on_the_image, sum) = rest.trim_end().rsplit_once('\n').expect("a line");
    assert_eq!(serde_json::from_str::<Value>(on_the_image).expect("JSON"), *manifest);
    let sum = sum.split(' ').next().expect("a sum");
    assert_eq!(report["sha256"]["/usr/share/wallaroo/manifest.json"], sum);
    bench.home.expect_nothing_runs(&booted);
    assert_eq!(files(&bench.home.path().join("instances")), [] as [Utf8PathBuf; 0]);
}

/// A promotion is resumed or cleaned up after a kill in any phase, and the candidate stays as it is.
fn expect_promotions_to_survive_kills(bench: &Bench) {
    for (version, phase, verb) in [
        ("0.6.2", "candidate, intended", "resume"),
        ("0.6.2-rc1", "copy REGION, intended", "resume"),
        ("0.6.2-rc2", "publish, intended", "resume"),
        ("0.6.3", "copy REGION, done", "clean"),
    ] {
        let words = ["promote", "--version", "0.6.1-rc1", "--as", version, "--yes"];
        kill_and_end(bench, &words, &Phase::named(phase), verb);
    }
    for (version, count) in [("0.6.1-rc1", 14), ("0.6.2", 14), ("0.6.2-rc1", 14), ("0.6.2-rc2", 14), ("0.6.3", 0)] {
        let listed = bench.manage(&["list", "--version", version]);
        let public = listed.stdout.lines().filter(|line| line.contains(" public ")).count();
        assert_eq!((listed.stdout.lines().count(), public), (count, count), "{version}: {listed}");
    }
}

/// Each version is retired by itself, also by the same command again where the first one is killed at a line of its journal,
/// and nothing of it stays.
fn expect_to_be_retired(bench: &Bench) {
    let to_kill = [("0.6.1-rc1", 1), ("0.6.1", 2), ("0.6.2", 8), ("0.6.2-rc1", 15)];
    let mut killed = Vec::new();
    for (left, (version, line)) in (1..=to_kill.len()).rev().zip(to_kill) {
        if kill_and_repeat(bench, &["retire", "--version", version, "--yes"], line) {
            killed.push(version);
        }
        let listed = bench.manage(&["list"]);
        let of_it = listed.stdout.lines().filter(|line| line.contains(&format!("Wallaroo {version} "))).count();
        assert_eq!((of_it, listed.stdout.lines().count()), (0, 14 * left), "{version}: {listed}");
    }
    assert!(!killed.is_empty(), "each of {to_kill:?} was done before it could be killed");
    let retired = bench.manage(&["retire", "--version", "0.6.2-rc2"]);
    assert_eq!((retired.code, retired.stderr.matches("Removed").count()), (Some(0), 14), "{retired}");
    assert!(files(&bench.home.path().join("images")).iter().all(|path| path.is_dir()));
    let listed = bench.manage(&["list"]);
    assert_eq!((listed.code, listed.stdout.as_str()), (Some(0), ""), "{listed}");
}

#[test]
fn the_guide_is_followed_from_a_candidate_to_the_end_of_a_release() {
    let Some(bench) = Bench::new() else { return };
    let mut guide = Guide::open(&bench);
    let ended = guide.follow(&bench).expect("the candidate");
    bench.home.expect_nothing_runs(&ended);
    assert_eq!(files(&bench.home.path().join("instances")), [] as [Utf8PathBuf; 0]);

    // The result: a line for each region, and nothing else.
    let regions = std::fs::read_to_string(workspace().join("regions")).expect("the regions");
    let mut regions: Vec<&str> = regions.lines().collect();
    regions.sort_unstable();
    let images: Vec<(&str, &str)> = ended.stdout.lines().map(|line| line.split_once(": ").expect("an id")).collect();
    assert_eq!(images.iter().map(|(region, _)| *region).collect::<Vec<_>>(), regions, "{ended}");

    let report = read(&bench.build().join("report.json"));
    for (region, id) in &images {
        let folder = bench.home.path().join("images").join(region);
        assert!(folder.join(format!("{id}.qcow2")).metadata().expect("a disk").len() > 100 << 20);
        let attributes = read(&folder.join(format!("{id}.json")));
        assert_eq!((&attributes["public"], &attributes["snapshots_public"]), (&true.into(), &true.into()), "{region}");
        assert_eq!(attributes["name"], "Wallaroo 0.6.1-rc1", "{region}");
        assert_eq!(attributes["description"], report["description"], "{region}");
        assert!(attributes["deprecate_at"].is_string(), "{region}: {attributes}");
    }
    // One disk for all of them: what has many names takes its space once.
    assert_eq!(files(&bench.home.path().join("images")).len(), 3 * regions.len());

    // What was built is what was shipped, as far as report and manifest go; the machine is asked below.
    let manifest = read(&bench.build().join("manifest.json"));
    for (path, sum) in sums(&bench.root) {
        assert_eq!(report["sha256"][&path], sum.as_str(), "{path}");
        assert_eq!(manifest["sha256"][&path], sum.as_str(), "{path}");
    }
    assert_eq!((&manifest["version"], &manifest["target_cpu"]), (&"0.6.1-rc1".into(), &"sandybridge".into()));
    assert!(manifest["packages"]["numactl"].is_string(), "{manifest}");
    for path in ["/etc/rc.local", "/etc/systemd/system/wallaroo-rc-local.service"] {
        assert!(manifest["sha256"][path].is_string(), "{path}: {manifest}");
    }
    expect_the_sum_of_the_base(&bench, &report, &manifest);
    expect_the_documents(&bench, &report, &manifest);
    let checks = report["verification"]["checks"].as_array().expect("checks");
    assert!(checks.len() > 30 && checks.iter().all(|check| check["fault"].is_null()), "{checks:?}");
    let journal = bench.journal("done");
    for step in ["binaries", "base", "bake launch", "bake packages", "bake install", "image us-west-2", "publish"] {
        assert!(journal.iter().any(|line| line["event"] == "done" && line["step"] == step), "{step}");
    }
    // Nothing else of the build stays but what is small: no disk, no upload.
    let large = files(&bench.build()).into_iter().filter(|path| path.metadata().expect("a file").len() > 5 << 20);
    assert_eq!(large.collect::<Vec<_>>(), [] as [Utf8PathBuf; 0]);

    let listed = bench.manage(&["list"]);
    assert_eq!((listed.code, listed.stdout.lines().count()), (Some(0), 14), "{listed}");
    assert!(
        listed.stdout.lines().all(|line| line.contains("Wallaroo 0.6.1-rc1 ") && line.contains(" public ")),
        "{listed}"
    );
    expect_nothing_of_the_machine_it_was_made_on(&bench, images[0].1);
    expect_the_image_to_tell_what_it_is_made_of(&bench, images[0].1);
    expect_a_machine_of_it(&bench, &report, &manifest);

    while guide.follow(&bench).is_some() {}
    bench
        .manage(&["plan", "--version", "0.6.1"])
        .expect_error(2, &["the image name `Wallaroo 0.6.1` is already taken"]);
    expect_promotions_to_survive_kills(&bench);
    expect_to_be_retired(&bench);
}

/// Lets cloud-init's last stage go on while the machine is sealed, and write all the time.
const LATE_STAGE: &str = r#"set -e
if [ "$1" = install ]; then
    mkdir -p /run/systemd/system/cloud-final.service.d
    cat > /run/systemd/system/cloud-final.service.d/late.conf << 'END'
[Service]
ExecStartPre=/bin/sh -c 'for i in $$(seq 100); do mkdir -p $$0 && echo > $$0/late; sleep 0.1; done' /var/lib/cloud/data
END
    systemctl daemon-reload
    systemctl restart --no-block cloud-final.service
fi
"#;

#[test]
fn a_private_image_of_a_given_base_as_json() {
    let Some(bench) = Bench::quick() else { return };
    bench.script("provision.sh", &format!("{LATE_STAGE}{PROVISION}"));
    // Of a package that the base has: only with one it is worth while to keep a base, and the script installs nothing.
    let recipe = bench.root.join(".release/ami/ami.toml");
    let text = std::fs::read_to_string(&recipe).expect("the recipe");
    write(&recipe, format!("{text}\n[[package]]\nname = \"sudo\"\nwhy = \"the scripts run as root\"\n"));
    let words =
        ["--private", "--expires", "2h", "--json", "--build-region", "eu-west-3", "--base-image", bench.base.as_str()];
    let ended = Running::start(&mut bench.release(&words)).end();
    assert_eq!(ended.code, Some(0), "{ended}");
    bench.home.expect_nothing_runs(&ended);
    let report: Value = serde_json::from_str(&ended.stdout).expect("nothing but JSON");
    let name = report["name"].as_str().expect("a name");
    assert!(name.starts_with("Wallaroo 0.6.1 (private ") && name.contains(" unknown "), "{name}");
    assert_eq!((&report["version"], &report["public"]), (&"0.6.1".into(), &false.into()));
    assert_eq!(report["base"]["name"], bench.base.file_name().expect("a name"));
    assert_eq!(report["images"].as_array().map(Vec::len), Some(1));
    assert_eq!(report["images"][0]["region"], "eu-west-3");
    assert!(report["commit"].is_null() && report["description"].as_str().is_some_and(|text| text.contains("unknown")));
    assert!(report["timings"].as_array().is_some_and(|timings| timings.len() > 8), "{report}");
    for (path, sum) in sums(&bench.root) {
        assert_eq!(report["sha256"][&path], sum.as_str(), "{path}");
    }
    bench.journal("done");

    let id = report["images"][0]["id"].as_str().expect("an id");
    let attributes = read(&bench.home.path().join(format!("images/eu-west-3/{id}.json")));
    assert_eq!((&attributes["public"], &attributes["snapshots_public"]), (&false.into(), &false.into()));
    let tags = attributes["tags"].as_array().expect("tags");
    assert!(tags.iter().any(|tag| tag[0] == "wallaroo:expires" && tag[1].is_string()), "{attributes}");
    // It is there, and it is not public: no check lets it pass for a release.
    bench.manage(&["check", "--version", "0.6.1"]).expect_error(1, &["there is no image `Wallaroo 0.6.1` in any"]);
    expect_the_next_to_start_from_the_base_that_was_kept(&bench, &words, &report);
}

/// Another private image with the same settings installs nothing, and is made of the same base with the same packages.
fn expect_the_next_to_start_from_the_base_that_was_kept(bench: &Bench, words: &[&str], first: &Value) {
    let ended = Running::start(&mut bench.release(words)).end();
    assert_eq!(ended.code, Some(0), "{ended}");
    bench.home.expect_nothing_runs(&ended);
    let next: Value = serde_json::from_str(&ended.stdout).expect("nothing but JSON");
    assert!(first["reused_base"].is_null(), "{first}");
    let kept = next["reused_base"].as_str().unwrap_or_else(|| panic!("{next}"));
    let attributes = read(&bench.home.path().join(format!("images/eu-west-3/{kept}.json")));
    let name = attributes["name"].as_str().expect("a name");
    assert!(name.starts_with("wallaroo-base-") && attributes["public"] == false, "{attributes}");
    for key in ["base", "packages", "sha256"] {
        let (one, other) = (&first[key], &next[key]);
        // The manifest names the build.
        let same = |value: &Value| {
            let mut value = value.clone();
            value.as_object_mut().expect("an object").remove("/usr/share/wallaroo/manifest.json");
            value
        };
        assert_eq!(same(one), same(other), "{key}");
    }
}
