//! Files: the recipe, the list of regions, what lies beside a local image.

use camino::{Utf8Path, Utf8PathBuf};
use xtask::region;
use xtask_ami::{
    cloud::qemu::store, event::ids::ImageId, recipe::Recipe, record::journal::Reading, state_dir::StateDir,
};

use crate::{
    CASES,
    untrusted::{bytes, check, text},
};

const RECIPE: &str = include_str!("../../../../.release/ami/ami.toml");
const REGIONS: &str = include_str!("../../../../regions");
const JOURNAL: &str = include_str!("../../src/record/journal/format-1.jsonl");
const ATTRIBUTES: &str = r#"{
  "name": "Wallaroo 0.6.1",
  "description": "Wallaroo 0.6.1 (a1b2c3d4e5f6) on debian-12",
  "created": "2026-11-22T20:00:00Z",
  "deprecate_at": "2028-11-21T20:00:00Z",
  "public": true,
  "snapshots_public": false,
  "tags": [["wallaroo:version", "0.6.1"]]
}"#;

#[test]
fn a_recipe_is_taken_or_refused_with_the_line_or_the_key() {
    // It is long, so fewer of them take as long.
    check(CASES / 4, text(RECIPE), |text| match Recipe::parse(Utf8Path::new("ami.toml"), &text) {
        Ok(recipe) => assert!(!recipe.binaries.is_empty() && recipe.systems.contains_key(&recipe.base.system)),
        Err(error) => {
            let error = format!("{error:#}");
            // What is missing has no place, and toml knows none of a key of a hundred parts.
            let placeless = error.contains("missing field `") || error.ends_with("recursion limit");
            let placed = placeless || error.contains(" at line ");
            assert!(placed || error.starts_with("the recipe ami.toml has faults:\n  "), "{error:?}");
        }
    });
}

#[test]
fn a_journal_is_taken_or_refused_with_the_line() {
    check(CASES, bytes(JOURNAL), |bytes| match Reading::parse(&bytes) {
        Ok(Reading { state, .. }) => assert!(state.attempts >= 1 && (state.can_be_resumed() || !state.is_unfinished())),
        Err(error) => {
            let error = format!("{error:#}");
            let (_, rest) = error.split_once("line ").unwrap_or_else(|| panic!("no line: {error:?}"));
            let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
            let number: usize = digits.parse().expect("a number");
            let lines = bytes.split(|byte| *byte == b'\n').count();
            assert!((1..=lines).contains(&number), "{error:?}");
        }
    });
}

#[test]
fn a_list_of_regions_is_taken_or_refused_with_the_lines() {
    check(CASES, text(REGIONS), |text| match region::parse_file(Utf8Path::new("regions"), &text) {
        Ok(regions) => assert!(!regions.is_empty() && regions.iter().all(|region| text.contains(region.as_str()))),
        Err(fault) if fault.starts_with("regions lists no region") => {}
        Err(fault) => {
            let (number, _) = fault.strip_prefix("regions:").and_then(|fault| fault.split_once(':')).expect("a line");
            let number: usize = number.parse().expect("a number");
            assert!((1..=text.lines().count()).contains(&number), "{fault:?}");
        }
    });
}

#[test]
fn attributes_are_taken_or_refused_with_the_file_and_the_line() {
    let guard = tempfile::tempdir().expect("a folder");
    let home = StateDir::at(Utf8Path::from_path(guard.path()).expect("a path in UTF-8"));
    let (region, id) = ("us-east-1".parse().expect("a region"), ImageId("ami-0123456789abcdef0".to_owned()));
    let path: Utf8PathBuf = home.images(&region).join(format!("{id}.json"));
    std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
    // Each is a file.
    check(CASES / 4, bytes(ATTRIBUTES), |bytes| {
        std::fs::write(&path, &bytes).expect("a file");
        match store::read(&home, &region, &id) {
            Ok(read) => assert!(read.is_some()),
            Err(error) => {
                let error = format!("{error:#}");
                assert!(error.starts_with(path.as_str()) && error.contains(" at line "), "{error:?}");
            }
        }
        assert_eq!(store::list(&home, &region).is_ok(), store::read(&home, &region, &id).is_ok());
    });
}
