use xtask::cli::Document;

use super::*;
use crate::{cloud::ImageState, event::ids::ImageId, valid::expect_valid};

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
        binaries: Some(files(&manifest, true)),
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
    let wanted = "### Changes from Wallaroo 0.6.1 to Wallaroo 0.6.2\n\n\
                  - from Wallaroo 0.6.1, commit unknown, by the manifest of build b\n\
                  - to Wallaroo 0.6.2, commit unknown, by the manifest of build b\n\n\
                  #### Binaries\n\n- `machida`: `aaaaaaaaaaaa` → `bbbbbbbbbbbb`\n";
    assert!(markdown.starts_with(wanted), "{markdown}");
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
    let same = || known("x", one(), Some(&[]));
    let diff = compare(same(), same());
    for format in [DiffFormat::Text, DiffFormat::Markdown] {
        let text = formats::text(&diff, format).expect("text");
        assert!(text.ends_with("\nNothing differs.\n"), "{text}");
    }
}

/// A manifest of one binary.
fn one() -> Manifest {
    manifest("0.6.1", &[("/usr/bin/machida", "11")], &[("numactl", "1")], "all")
}

#[test]
fn nothing_differs_only_where_every_part_was_compared() {
    let whole = || known("x", one(), Some(&[]));
    let unsettled = Known { manifest: Some(Manifest { settings: BTreeMap::new(), ..one() }), ..whole() };
    for (lacking, part) in [
        (known("x", one(), None), "only the recipe's packages were compared"),
        (unsettled, "the settings were not compared"),
        (
            known::of_image_by_tags("x", &entry("ami-1", TAGS)),
            "the packages, the files and the settings were not compared",
        ),
    ] {
        let diff = compare(whole(), lacking);
        for format in [DiffFormat::Text, DiffFormat::Markdown] {
            let text = formats::text(&diff, format).expect("text");
            assert!(text.contains("\nNothing differs in what could be compared.\n") && text.contains(part), "{text}");
        }
    }
}

/// An image of version 0.6.1 with these tags.
fn entry(id: &str, tags: &[(&str, &str)]) -> Entry {
    let image = Image {
        id: ImageId(id.to_owned()),
        name: "Wallaroo 0.6.1".to_owned(),
        description: String::new(),
        state: ImageState::Available,
        public: false,
        tags: tags.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect(),
        created: "2026-11-22T20:00:00.000Z".to_owned(),
        deprecate_at: None,
        hardware: None,
        snapshots: Vec::new(),
        last_launched: None,
        protected: false,
    };
    Entry { region: "us-west-2".parse().expect("a region"), image, version: Some("0.6.1".to_owned()) }
}

const TAGS: &[(&str, &str)] =
    &[("wallaroo:system", "debian-13"), ("wallaroo:sha256:machida", "11"), ("wallaroo:build", "b")];

#[test]
fn the_binaries_are_compared_by_their_tags_and_the_rest_is_said_to_be_unknown() {
    let by_tags = || known::of_image_by_tags("ami-1", &entry("ami-1", TAGS));
    let diff = compare(by_tags(), known("0.6.2", manifest("0.6.2", &[("/usr/bin/machida", "22")], &[], "all"), None));
    let wanted = "from  Wallaroo 0.6.1, commit unknown, by the tags of ami-1 in us-west-2\n  \
                  to  Wallaroo 0.6.2, commit unknown, by the manifest of build b\n\n\
                  Binaries\n  changed  machida  11 → 22\n\n\
                  note: the name of the base, the packages, the files and the settings were not compared\n\n\
                  note: of ami-1 only the tags of ami-1 are known, because the manifest of build b is not on this computer; \
                  give that file, which is also on the image, as /usr/share/wallaroo/manifest.json\n";
    assert_eq!(formats::text(&diff, DiffFormat::Text).expect("text"), wanted);
    expect_valid(Document::Diff, &formats::text(&diff, DiffFormat::Json).expect("JSON"));
}

#[test]
fn an_image_without_tags_of_its_binaries_has_nothing_to_compare() {
    let diff = compare(known::of_image_by_tags("ami-1", &entry("ami-1", &[])), known("x", one(), None));
    assert!(diff.binaries.is_none() && diff.packages.is_none() && diff.settings.is_none());
    assert!(diff.base.is_empty(), "what tags do not tell of a base is no difference: {:?}", diff.base);
    let lacking = "the base, the binaries, the packages, the files and the settings were not compared";
    assert_eq!(diff.remarks[0], lacking);
    expect_valid(Document::Diff, &formats::text(&diff, DiffFormat::Json).expect("JSON"));
}

#[test]
fn a_version_in_the_cloud_is_its_public_image_or_else_the_last_private_one_that_was_verified() {
    let private =
        [("wallaroo:expires", "2026-12-01T00:00:00Z"), ("wallaroo:verified", "2026-11-22T20:00:00Z, 42 checks")];
    let mut public = entry("ami-public", TAGS);
    public.image.public = true;
    let mut last = entry("ami-last", &private);
    last.image.created = "2026-11-23T20:00:00.000Z".to_owned();
    let unverified = entry("ami-unverified", &private[..1]);
    let unpublished = entry("ami-unpublished", &private[1..]);
    let mut catalogue =
        Catalogue { entries: vec![unverified, unpublished, last, entry("ami-first", &private), public] };
    let id = |entry: Option<&Entry>| entry.map(|entry| entry.image.id.0.clone());
    assert_eq!(id(known::public_in(&catalogue, "0.6.1")).as_deref(), Some("ami-public"));
    assert_eq!(id(known::public_in(&catalogue, "ami-unverified")).as_deref(), Some("ami-unverified"));
    assert_eq!(id(known::private_in(&catalogue, "0.6.1")).as_deref(), Some("ami-last"));
    catalogue.entries.retain(|entry| !entry.image.public);
    assert_eq!(id(known::public_in(&catalogue, "0.6.1")), None);
    catalogue.entries.truncate(2);
    assert_eq!(id(known::private_in(&catalogue, "0.6.1")), None);
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
