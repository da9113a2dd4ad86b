//! Whether the images of a version say, in their tags, that they have the same bytes, of the same commit.

use std::collections::BTreeMap;

use super::{Fault, Seen, only};
use crate::{
    cloud::{
        Image,
        tags::{self, TAG_COMMIT},
    },
    show::documents::check::FaultKind,
};

/// What the tags of most images say.
#[derive(Debug)]
pub(super) struct Contents {
    sha256: Option<BTreeMap<String, String>>,
    commit: Option<String>,
}

/// Reads what most tags say. Where none says anything, as those that an earlier version of the tool made, nothing
/// is usual.
pub(super) fn usual(regions: &[Seen]) -> Contents {
    let sha256 = |image: &Image| Some(tags::sha256_in(&image.tags)).filter(|sums| !sums.is_empty());
    let commit = |image: &Image| image.tag(TAG_COMMIT).map(str::to_owned);
    Contents { sha256: super::usual(regions, sha256), commit: super::usual(regions, commit) }
}

/// Where an image's tags say something else.
pub(super) fn faults(seen: &Seen, usual: &Contents) -> Vec<Fault> {
    let Some(image) = only(seen).map(|entry| &entry.image) else { return Vec::new() };
    let (id, none) = (&image.id, "none");
    let own = tags::sha256_in(&image.tags);
    let usually = usual.sha256.clone().unwrap_or_default();
    let mut faults = Vec::new();
    for name in usually.keys().chain(own.keys().filter(|name| !usually.contains_key(*name))) {
        let (has, others) = (own.get(name), usually.get(name));
        if has != others {
            let [has, others] = [has, others].map(|sum| sum.map_or(none, String::as_str));
            let message = format!("{id} says that {name} has the SHA-256 {has}, and elsewhere it is {others}");
            faults.push(Fault::new(FaultKind::OtherSha256, message));
        }
    }
    let commit = image.tag(TAG_COMMIT);
    if let Some(usual) = usual.commit.as_deref().filter(|usual| commit != Some(*usual)) {
        let message = format!("{id} says that its commit is {}, and elsewhere it is {usual}", commit.unwrap_or(none));
        faults.push(Fault::new(FaultKind::OtherCommit, message));
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        catalogue::Entry,
        cloud::{ImageState, tags::Tags},
        event::ids::ImageId,
    };

    fn seen(tags: &[(&str, &str)]) -> Seen {
        let tags: Tags = tags.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let image = Image {
            id: ImageId("ami-1".to_owned()),
            name: "Wallaroo 0.6.1".to_owned(),
            description: String::new(),
            state: ImageState::Available,
            public: true,
            tags,
            created: String::new(),
            deprecate_at: None,
            hardware: None,
        };
        let region: xtask::region::Region = "us-west-2".parse().expect("a region");
        let entry = Entry { region: region.clone(), image, version: None };
        Seen { region, images: vec![entry], faults: Vec::new() }
    }

    #[test]
    fn tags_that_say_other_bytes_or_another_commit_than_elsewhere_are_faults() {
        let usually = [("wallaroo:commit", "a"), ("wallaroo:sha256:machida", "1"), ("wallaroo:sha256:sender", "2")];
        let regions = [seen(&usually), seen(&usually), seen(&[])];
        let usual = usual(&regions);
        assert_eq!(faults(&regions[0], &usual), []);
        let other = [("wallaroo:commit", "b"), ("wallaroo:sha256:machida", "3"), ("wallaroo:sha256:more", "4")];
        let messages = |seen: &Seen| faults(seen, &usual).into_iter().map(|it| it.message).collect::<Vec<_>>();
        let expected = [
            "ami-1 says that machida has the SHA-256 3, and elsewhere it is 1",
            "ami-1 says that sender has the SHA-256 none, and elsewhere it is 2",
            "ami-1 says that more has the SHA-256 4, and elsewhere it is none",
            "ami-1 says that its commit is b, and elsewhere it is a",
        ];
        assert_eq!(messages(&seen(&other)), expected);
        assert_eq!(messages(&regions[2]).len(), 3, "a copy without its tags");
        assert_eq!(faults(&seen(&[]), &super::usual(&[seen(&[])])), [], "of an earlier version of the tool");
    }
}
