//! Leftovers: resources of a cloud that a build created.

use std::fmt;

use super::{
    Image,
    tags::{TAG_BASE_KEY, TAG_BUILD, TAG_EXPIRES, TAG_VERSION, Tags},
};

/// A resource with a build's tag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leftover {
    /// Its kind.
    pub kind: LeftoverKind,
    /// The identifier that the cloud deletes it by: the name of a key pair, the id of everything else.
    pub id: String,
    /// The id of the build.
    pub build: String,
    /// The version, if a tag tells it.
    pub version: Option<String>,
    /// Whether every account may use it.
    pub public: bool,
    /// The time from which `clean` may delete a private image, RFC 3339.
    pub expires: Option<String>,
    /// What it costs while it exists, where that is known, such as `8 GiB, about $0.64 a month`.
    pub cost: Option<String>,
}

/// The kinds of leftovers, in the order of deletion: EC2 refuses to delete a security group in use by a machine, or a
/// snapshot in use by an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LeftoverKind {
    /// A machine with its disk.
    Instance,
    /// A disk that outlived its machine.
    Volume,
    /// The public half of a login key.
    KeyPair,
    /// The firewall of a machine.
    SecurityGroup,
    /// An image with its snapshots.
    Image,
    /// A base that is kept for the next builds, with its snapshots.
    KeptBase,
    /// A snapshot that belongs to no image.
    Snapshot,
}

impl Leftover {
    /// A leftover with these tags. `None` when they name no build.
    #[must_use]
    pub fn tagged(kind: LeftoverKind, id: &str, tags: &Tags) -> Option<Leftover> {
        let tag = |key: &str| tags.iter().find(|(name, _)| name == key).map(|(_, value)| value.clone());
        let (build, version, expires) = (tag(TAG_BUILD)?, tag(TAG_VERSION), tag(TAG_EXPIRES));
        Some(Leftover { kind, id: id.to_owned(), build, version, public: false, expires, cost: None })
    }

    /// An image as a leftover. `None` when its tags name no build.
    #[must_use]
    pub fn image(image: &Image) -> Option<Leftover> {
        let kind = if image.tag(TAG_BASE_KEY).is_some() { LeftoverKind::KeptBase } else { LeftoverKind::Image };
        let found = Leftover::tagged(kind, &image.id.0, &image.tags)?;
        Some(Leftover { public: image.public, ..found })
    }
}

impl fmt::Display for LeftoverKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            LeftoverKind::Instance => "machine",
            LeftoverKind::Volume => "volume",
            LeftoverKind::KeyPair => "key pair",
            LeftoverKind::SecurityGroup => "security group",
            LeftoverKind::Image => "image",
            LeftoverKind::KeptBase => "kept base",
            LeftoverKind::Snapshot => "snapshot",
        })
    }
}
