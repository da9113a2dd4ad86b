//! What belongs to which version, without a cloud.

use super::*;
use crate::{
    cloud::{
        ImageState,
        tags::{TAG_BUILD, Tags},
    },
    event::ids::ImageId,
    fixture,
};

fn entry(id: &str, name: &str, tags: &[(&str, &str)]) -> Option<Entry> {
    let tags: Tags = tags.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    let image = Image {
        id: ImageId(id.to_owned()),
        name: name.to_owned(),
        description: String::new(),
        state: ImageState::Available,
        public: true,
        tags,
        created: "2026-11-22T20:00:00.000Z".to_owned(),
        deprecate_at: None,
        hardware: None,
        snapshots: Vec::new(),
        last_launched: None,
        protected: false,
    };
    Entry::new(&"us-west-2".parse().expect("a region"), image, &fixture::recipe())
}

fn of_version(entries: impl IntoIterator<Item = Option<Entry>>, version: &str) -> Vec<String> {
    let region = "us-west-2".parse().expect("a region");
    let catalogue = Catalogue::of(vec![(region, entries.into_iter().flatten().collect())]);
    let version: Version = version.parse().expect("a version");
    let name = fixture::recipe().image_name(&version).expect("a name");
    catalogue.of_version(&version, &name).map(|entry| entry.image.id.0.clone()).collect()
}

#[test]
fn a_version_has_the_images_with_its_tag_and_those_with_its_name() {
    let ours = |version| [(TAG_BUILD, "b"), (TAG_VERSION, version)];
    let entries = || {
        [
            entry("ami-tagged-and-named", "Wallaroo 0.6.1", &ours("0.6.1")),
            entry("ami-named", "Wallaroo 0.6.1", &[]),
            entry("ami-tagged", "Wallaroo AMI 0.6.1", &ours("0.6.1")),
            entry("ami-named-and-tagged-otherwise", "Wallaroo 0.6.1", &ours("0.6.0")),
            entry("ami-longer", "Wallaroo 0.6.10", &ours("0.6.10")),
            entry("ami-other", "golden", &[]),
        ]
    };
    let expected = ["ami-named", "ami-named-and-tagged-otherwise", "ami-tagged-and-named", "ami-tagged"];
    assert_eq!(of_version(entries(), "0.6.1"), expected);
    assert_eq!(of_version(entries(), "0.6.0"), ["ami-named-and-tagged-otherwise"]);
    assert_eq!(of_version(entries(), "0.6.2"), [""; 0]);
}

#[test]
fn a_private_image_is_of_its_version_only_where_there_is_no_other() {
    let private = |version| [(TAG_BUILD, "p"), (TAG_VERSION, version), (TAG_EXPIRES, "2026-12-06T20:00:00Z")];
    let entries = |released: &str| {
        [
            entry("ami-released", &format!("Wallaroo {released}"), &[(TAG_BUILD, "b"), (TAG_VERSION, released)]),
            entry("ami-hers", "Wallaroo 0.6.1 (private alice 3f2a91bc 5d0c9e1a)", &private("0.6.1")),
            entry("ami-his", "Wallaroo 0.6.1 (private bob 3f2a91bc 7f1d0b2c)", &private("0.6.1")),
        ]
    };
    assert_eq!(of_version(entries("0.6.1"), "0.6.1"), ["ami-released"]);
    assert_eq!(of_version(entries("0.6.0"), "0.6.1"), ["ami-hers", "ami-his"]);
    // With the release's name it is in the way of the release.
    let named = entry("ami-named", "Wallaroo 0.6.1", &private("0.6.1"));
    assert_eq!(of_version(entries("0.6.0").into_iter().chain([named]), "0.6.1"), ["ami-named"]);
}

#[test]
fn what_has_neither_a_versions_name_nor_a_builds_tag_is_no_business_of_this_tool() {
    assert!(entry("ami-1", "golden", &[]).is_none());
    assert!(entry("ami-1", "Wallaroo", &[]).is_none());
    assert!(entry("ami-1", "golden", &[(TAG_BUILD, "b")]).is_some_and(|entry| entry.version.is_none()));
}
