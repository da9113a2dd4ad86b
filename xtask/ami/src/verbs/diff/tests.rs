use xtask::cli::Document;

use super::*;
use crate::valid::expect_valid;

fn manifest(version: &str, sums: &[(&str, &str)], packages: &[(&str, &str)], upgrade: &str) -> Manifest {
    let pairs =
        |pairs: &[(&str, &str)]| pairs.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect();
    serde_json::from_value(serde_json::json!({
        "name": format!("Wallaroo {version}"), "version": version, "commit": "c0ffee", "dirty": false,
        "target_cpu": "sandybridge", "base": { "name": "base", "system": "debian-13", "sha256": null },
        "settings": { "packages.upgrade": upgrade },
        "sha256": pairs_of(sums), "packages": pairs_of(packages),
    }))
    .map(|manifest: Manifest| Manifest { packages: pairs(packages), ..manifest })
    .expect("a manifest")
}

fn pairs_of(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

fn known(given: &str, manifest: Manifest, packages: Option<&[(&str, &str)]>) -> Known {
    Known {
        given: given.to_owned(),
        name: manifest.name.clone(),
        version: Some(manifest.version.clone()),
        origin: "the manifest of build b".to_owned(),
        base: [("system".to_owned(), manifest.base.system.clone())].into(),
        packages: packages.map(pairs_of),
        manifest: Some(manifest),
        ..Known::default()
    }
}

fn two(with_packages: bool) -> Diff {
    let (a, b) = ("a".repeat(64), "b".repeat(64));
    let old = manifest(
        "0.6.1",
        &[("/usr/bin/machida", &a), ("/usr/bin/sender", &a), ("/etc/x", &a)],
        &[("numactl", "1")],
        "none",
    );
    let new = manifest(
        "0.6.2",
        &[("/usr/bin/machida", &b), ("/usr/bin/cset", &a), ("/etc/x", &a)],
        &[("numactl", "2")],
        "all",
    );
    let packages: [&[(&str, &str)]; 2] = [&[("numactl", "1"), ("libc6", "3")], &[("numactl", "2"), ("libssl3", "4")]];
    let [first, second] = packages.map(|packages| with_packages.then_some(packages));
    compare(known("0.6.1", old, first), known("0.6.2", new, second))
}

#[test]
fn what_changed_is_told_part_by_part() {
    let text = formats::text(&two(true), DiffFormat::Text).expect("text");
    let wanted = "from  Wallaroo 0.6.1, commit unknown, by the manifest of build b\n  \
                  to  Wallaroo 0.6.2, commit unknown, by the manifest of build b\n\n\
                  Binaries\n  changed  machida  aaaaaaaaaaaa → bbbbbbbbbbbb\n  added    cset     aaaaaaaaaaaa\n  \
                  removed  sender   aaaaaaaaaaaa\n\n\
                  Packages\n  changed  numactl  1 → 2\n  added    libssl3  4\n  removed  libc6    3\n\n\
                  Settings\n  changed  packages.upgrade  none → all\n";
    assert_eq!(text, wanted);
    let markdown = formats::text(&two(true), DiffFormat::Markdown).expect("markdown");
    assert!(markdown.starts_with("### Changes from Wallaroo 0.6.1 to Wallaroo 0.6.2\n\n#### Binaries\n\n- `machida`: `aaaaaaaaaaaa` → `bbbbbbbbbbbb`\n"), "{markdown}");
    assert!(markdown.contains("- `libssl3` added: `4`\n- `libc6` removed: `3`\n"), "{markdown}");
    let json = expect_valid(Document::Diff, &formats::text(&two(true), DiffFormat::Json).expect("JSON"));
    assert_eq!(json["packages"]["changed"]["numactl"], serde_json::json!({ "from": "1", "to": "2" }));
    assert_eq!((&json["packages_compared"], &json["files"]["changed"]), (&"all".into(), &serde_json::json!({})));
}

#[test]
fn without_a_bill_of_materials_the_recipes_packages_are_compared_and_that_is_said() {
    let diff = two(false);
    assert_eq!(diff.packages_compared, Some(Scope::Recipe));
    assert!(diff.remarks[0].contains("no bill of materials of 0.6.1 and 0.6.2"), "{:?}", diff.remarks);
    assert!(
        formats::text(&diff, DiffFormat::Text).expect("text").contains("Packages of the recipe\n  changed  numactl")
    );
}

#[test]
fn an_image_compared_with_itself_differs_in_nothing() {
    let same = || known("x", manifest("1", &[("/usr/bin/machida", "11")], &[("numactl", "1")], "all"), Some(&[]));
    let diff = compare(same(), same());
    for format in [DiffFormat::Text, DiffFormat::Markdown] {
        assert!(formats::text(&diff, format).expect("text").contains("Nothing differs."));
    }
}

#[test]
fn what_only_its_tags_tell_is_compared_and_the_rest_is_said_to_be_unknown() {
    let tags =
        Known { given: "ami-1".to_owned(), remark: Some("of ami-1 only the tags".to_owned()), ..Known::default() };
    let diff = compare(tags, known("0.6.2", manifest("0.6.2", &[], &[], "all"), Some(&[])));
    assert!(diff.binaries.is_none() && diff.packages.is_none() && diff.settings.is_none());
    assert_eq!(diff.base.added["system"], "debian-13");
    assert!(diff.remarks.contains(&"of ami-1 only the tags".to_owned()), "{:?}", diff.remarks);
    let json = formats::text(&diff, DiffFormat::Json).expect("JSON");
    expect_valid(Document::Diff, &json);
}

#[test]
fn text_of_a_manifest_is_shown_and_not_obeyed() {
    let evil = known("x", manifest("1\u{1b}[2J", &[("/usr/bin/a\u{7}", "11")], &[], "a`b"), None);
    let diff = compare(known("y", manifest("1", &[], &[], "all"), None), evil);
    for format in [DiffFormat::Text, DiffFormat::Markdown] {
        let text = formats::text(&diff, format).expect("text");
        assert!(!text.contains(|c: char| c.is_control() && c != '\n') && !text.contains("a`b`"), "{text:?}");
    }
}
