//! The tags of everything that a build creates. With them, `clean` finds the resources of a build without its journal, and
//! `promote` what it may publish.

use std::collections::BTreeMap;

pub use crate::recipe::TAG_SHA256;

/// The id of the build.
pub const TAG_BUILD: &str = "wallaroo:build";
/// The version.
pub const TAG_VERSION: &str = "wallaroo:version";
/// The time from which `clean` may delete a private image, RFC 3339.
pub const TAG_EXPIRES: &str = "wallaroo:expires";
/// The commit of the checkout, with [`DIRTY`] after it where files differed from it; or [`UNKNOWN`].
pub const TAG_COMMIT: &str = "wallaroo:commit";
/// On an image, the id of the instance that it was made from.
pub const TAG_INSTANCE: &str = "wallaroo:instance";
/// On an image, its system, such as `ubuntu-16.04`.
pub const TAG_SYSTEM: &str = "wallaroo:system";
/// On a kept base, the key of what it was made of and with: a build that needs the same starts from it.
pub const TAG_BASE_KEY: &str = "wallaroo:base-key";
/// On an image, the id of the kept base that its instance was launched from.
pub const TAG_REUSED_BASE: &str = "wallaroo:reused-base";
/// On a home image, since it was verified, when that was and how many checks it passed.
pub const TAG_VERIFIED: &str = "wallaroo:verified";
/// On an image that was promoted, the image that it is a copy of.
pub const TAG_PROMOTED_FROM: &str = "wallaroo:promoted-from";

/// On an image that SSM parameters name, what their names begin with.
pub const TAG_SSM_PREFIX: &str = "wallaroo:ssm-prefix";

/// The end of the commit's tag where files differed from the commit.
pub const DIRTY: &str = "-dirty";
/// The commit's tag outside of git.
pub const UNKNOWN: &str = "unknown";

/// The id that stands in a kept base's [`TAG_BUILD`] in place of that of the build that kept it.
#[must_use]
pub fn build_of_kept_base(build: &str) -> String {
    format!("{build}.base")
}

/// Pairs of key and value.
pub type Tags = Vec<(String, String)>;

/// The tags with these SHA-256s of binaries, by their names.
pub fn sha256(of: &BTreeMap<String, String>) -> impl Iterator<Item = (String, String)> {
    of.iter().map(|(name, sha256)| (format!("{TAG_SHA256}{name}"), sha256.clone()))
}

/// The SHA-256s of binaries in these tags, by their names.
#[must_use]
pub fn sha256_in(tags: &Tags) -> BTreeMap<String, String> {
    let of = |(key, value): &(String, String)| Some((key.strip_prefix(TAG_SHA256)?.to_owned(), value.clone()));
    tags.iter().filter_map(of).collect()
}
