//! The tags of everything that a build creates. With them, `clean` finds the resources of a build without its journal.

/// The id of the build.
pub const TAG_BUILD: &str = "wallaroo:build";
/// The version.
pub const TAG_VERSION: &str = "wallaroo:version";
/// The time from which `clean` may delete a private image, RFC 3339.
pub const TAG_EXPIRES: &str = "wallaroo:expires";
/// The commit of the checkout.
pub const TAG_COMMIT: &str = "wallaroo:commit";
/// What the tags with the SHA-256 of files begin with; the name of the file follows.
pub const TAG_SHA256: &str = "wallaroo:sha256:";
/// On an image, the id of the instance that it was made from.
pub const TAG_INSTANCE: &str = "wallaroo:instance";
/// On an image, its system, such as `ubuntu-16.04`.
pub const TAG_SYSTEM: &str = "wallaroo:system";
/// On a kept base, the key of what it was made of and with: a build that needs the same starts from it.
pub const TAG_BASE_KEY: &str = "wallaroo:base-key";
/// On an image, the id of the kept base that its instance was launched from.
pub const TAG_REUSED_BASE: &str = "wallaroo:reused-base";

/// Pairs of key and value.
pub type Tags = Vec<(String, String)>;
