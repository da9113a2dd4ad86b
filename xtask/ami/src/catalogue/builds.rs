//! Images by the build that made them: how a message tells several of one version apart.

use std::collections::{BTreeMap, BTreeSet};

use xtask::count;

use super::Entry;
use crate::cloud::tags::{TAG_BUILD, TAG_COMMIT};

/// Up to how many regions are named. More are only counted, so that a build takes one line.
const NAMED_REGIONS: usize = 3;

/// How many digits of a commit tell it from others, for people.
const COMMIT_DIGITS: usize = 12;

/// What tells an image from those of other builds.
#[derive(Clone, Copy, Debug)]
pub struct Made<'a> {
    /// The build that made it; none where this tool did not.
    pub build: Option<&'a str>,
    /// Its name.
    pub name: &'a str,
    /// When it was created, in RFC 3339.
    pub created: &'a str,
    /// The commit that it was built from, if its tag says so.
    pub commit: Option<&'a str>,
    /// The region that it is in.
    pub region: &'a str,
}

impl<'a> From<&'a Entry> for Made<'a> {
    fn from(entry: &'a Entry) -> Made<'a> {
        let Entry { region, image, .. } = entry;
        Made {
            build: image.tag(TAG_BUILD),
            name: &image.name,
            created: &image.created,
            commit: image.tag(TAG_COMMIT),
            region: region.as_str(),
        }
    }
}

/// The images of each build in a line: its id, their name, when the first was created, the commit, and where they are. The
/// oldest build first, since ids begin with the time; what this tool did not make at the end.
#[must_use]
pub fn lines<'a>(images: impl IntoIterator<Item = Made<'a>>) -> Vec<(Option<&'a str>, String)> {
    let mut builds: BTreeMap<(bool, Option<&str>, &str), Vec<Made<'_>>> = BTreeMap::new();
    for image in images {
        builds.entry((image.build.is_none(), image.build, image.name)).or_default().push(image);
    }
    let line = |((_, build, name), images): ((bool, Option<&'a str>, &'a str), Vec<Made<'a>>)| {
        let created = images.iter().map(|image| image.created).min().unwrap_or_default();
        let commit = images.iter().find_map(|image| image.commit).map_or_else(|| "an unknown commit".to_owned(), short);
        let regions: BTreeSet<&str> = images.iter().map(|image| image.region).collect();
        let place = if regions.len() > NAMED_REGIONS {
            count::of(regions.len(), "region")
        } else {
            regions.into_iter().collect::<Vec<_>>().join(", ")
        };
        let images = count::of(images.len(), "image");
        let who = build.map_or_else(|| "not made by this tool".to_owned(), |build| format!("build {build}"));
        (build, format!("{who}: `{name}`, created {created} of {commit}, {images} in {place}"))
    };
    builds.into_iter().map(line).collect()
}

/// A commit for people, with what its tag has behind it where files differed from it.
fn short(commit: &str) -> String {
    let digits = commit.bytes().take_while(u8::is_ascii_hexdigit).count();
    let (commit, rest) = commit.split_at(digits);
    format!("commit {}{rest}", commit.get(..COMMIT_DIGITS).unwrap_or(commit))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made<'a>(build: Option<&'a str>, region: &'a str) -> Made<'a> {
        Made {
            build,
            name: "Wallaroo 0.6.1-rc1",
            created: "2026-11-22T20:00:00.000Z",
            commit: build.map(|_| "89abcd1d89abcd1d89abcd1d89abcd1d89abcd1d-dirty"),
            region,
        }
    }

    #[test]
    fn a_build_takes_one_line_however_many_images_it_made() {
        let regions = ["ap-south-1", "eu-west-1", "sa-east-1", "us-west-2"];
        let all = regions.iter().map(|region| made(Some("2026-b"), region));
        let others = [made(None, "us-west-2"), made(Some("2026-a"), "us-west-2"), made(Some("2026-a"), "eu-west-1")];
        let lines = lines(all.chain(others));
        let about = "`Wallaroo 0.6.1-rc1`, created 2026-11-22T20:00:00.000Z of";
        assert_eq!(
            lines,
            [
                (
                    Some("2026-a"),
                    format!("build 2026-a: {about} commit 89abcd1d89ab-dirty, 2 images in eu-west-1, us-west-2")
                ),
                (Some("2026-b"), format!("build 2026-b: {about} commit 89abcd1d89ab-dirty, 4 images in 4 regions")),
                (None, format!("not made by this tool: {about} an unknown commit, 1 image in us-west-2")),
            ]
        );
    }

    #[test]
    fn any_tag_is_shown_as_a_commit() {
        for (tag, shown) in [("", "commit "), ("unknown", "commit unknown"), ("é", "commit é"), ("abc", "commit abc")]
        {
            assert_eq!(short(tag), shown);
        }
    }
}
