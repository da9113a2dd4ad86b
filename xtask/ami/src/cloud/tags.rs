//! The tags that everything a build makes carries. A lost journal is no loss: they say whose each thing is.

/// The tag that names the build, on everything that it makes.
pub const TAG_BUILD: &str = "wallaroo:build";
/// The tag with the version.
pub const TAG_VERSION: &str = "wallaroo:version";
/// The tag with the time from which a private image may be cleaned away, RFC 3339.
pub const TAG_EXPIRES: &str = "wallaroo:expires";
/// The tag with the commit.
pub const TAG_COMMIT: &str = "wallaroo:commit";
/// The tag of an image with the instance that it was made of, so that what is known of that one is known of it.
pub const TAG_INSTANCE: &str = "wallaroo:instance";
/// The tag with the system that the image is, such as `ubuntu-16.04`.
pub const TAG_SYSTEM: &str = "wallaroo:system";

/// Key and value of each tag.
pub type Tags = Vec<(String, String)>;
