//! What builds may leave behind, as a cloud shows it.

use std::fmt;

use super::{
    Image,
    tags::{TAG_BUILD, TAG_EXPIRES, TAG_VERSION, Tags},
};

/// Something that carries a build's tag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leftover {
    /// What it is.
    pub kind: Kind,
    /// Its id, or its name where that is what the cloud knows it by.
    pub id: String,
    /// The build that made it.
    pub build: String,
    /// The version that it is of, when its tags say so.
    pub version: Option<String>,
    /// Whether everybody may use it.
    pub public: bool,
    /// When a private image may go, RFC 3339.
    pub expires: Option<String>,
}

/// What there may be, in the order in which it has to go: machines hold their groups fast, and images their snapshots.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A machine, and its disk with it.
    Instance,
    /// A login key's public half.
    KeyPair,
    /// What lets in to a machine.
    SecurityGroup,
    /// An image, and its snapshots with it.
    Image,
    /// A snapshot that belongs to no image.
    Snapshot,
}

impl Leftover {
    /// What carries these tags; none when they name no build.
    #[must_use]
    pub fn tagged(kind: Kind, id: &str, tags: &Tags) -> Option<Leftover> {
        let tag = |key: &str| tags.iter().find(|(name, _)| name == key).map(|(_, value)| value.clone());
        let (build, version, expires) = (tag(TAG_BUILD)?, tag(TAG_VERSION), tag(TAG_EXPIRES));
        Some(Leftover { kind, id: id.to_owned(), build, version, public: false, expires })
    }

    /// An image; none when it names no build.
    #[must_use]
    pub fn image(image: &Image) -> Option<Leftover> {
        let found = Leftover::tagged(Kind::Image, &image.id.0, &image.tags)?;
        Some(Leftover { public: image.public, ..found })
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::Instance => "machine",
            Kind::KeyPair => "key pair",
            Kind::SecurityGroup => "security group",
            Kind::Image => "image",
            Kind::Snapshot => "snapshot",
        })
    }
}
