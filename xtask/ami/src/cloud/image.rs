//! Images, as they are to be and as a cloud sees them.

use std::{fmt, time::SystemTime};

use serde::{Deserialize, Serialize};

use super::tags::{TAG_BUILD, Tags};
use crate::event::ids::ImageId;

/// The attributes of an image that is to be.
#[derive(Clone, Debug)]
pub struct NewImage {
    /// The same image, asked for again, has the same token.
    pub token: String,
    /// Its name, unique in its region.
    pub name: String,
    /// What it is.
    pub description: String,
    /// The tags of the image and its snapshots.
    pub tags: Tags,
    /// When it is deprecated.
    pub deprecate_at: Option<SystemTime>,
    /// Whether its instances take only session-oriented requests for metadata (IMDSv2).
    pub require_imds_v2: bool,
}

/// An image as the cloud sees it.
#[derive(Clone, Debug, Serialize)]
pub struct Image {
    /// Its id.
    pub id: ImageId,
    /// Its name.
    pub name: String,
    /// What it is.
    pub description: String,
    /// How far it is.
    pub state: ImageState,
    /// Everybody may launch it.
    pub public: bool,
    /// The tags, as its owner sees them.
    pub tags: Tags,
    /// When it was made, RFC 3339.
    pub created: String,
    /// When it is deprecated, RFC 3339.
    pub deprecate_at: Option<String>,
}

impl Image {
    /// The value of a tag.
    #[must_use]
    pub fn tag(&self, key: &str) -> Option<&str> {
        self.tags.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str())
    }

    /// What made it, as its tags say.
    #[must_use]
    pub fn origin(&self) -> Origin {
        match self.tag(TAG_BUILD) {
            Some(build) => Origin::ThisTool { build: build.to_owned() },
            None => Origin::Other,
        }
    }

    /// What is out of the ordinary about it, in words: a state other than available, and that this tool didn't make it.
    #[must_use]
    pub fn remarks(&self) -> Vec<String> {
        let state = (self.state != ImageState::Available).then(|| self.state.to_string());
        let origin = (self.origin() == Origin::Other).then(|| "not made by this tool".to_owned());
        state.into_iter().chain(origin).collect()
    }
}

/// What made an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A build of this tool.
    ThisTool {
        /// The build's id.
        build: String,
    },
    /// Something else: another tool, the console, or a copy that left the tags behind.
    Other,
}

/// How far an image is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ImageState {
    /// It is being made; what is known of how far.
    Pending(String),
    /// It can be launched and copied.
    Available,
    /// It never will be, and why.
    Failed(String),
    /// Its owner disabled it: it can be neither launched nor shared until it is enabled again, and keeps its name.
    Disabled,
}

impl fmt::Display for ImageState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ImageState::Pending(progress) if progress.is_empty() => f.write_str("pending"),
            ImageState::Pending(progress) => write!(f, "pending, {progress}"),
            ImageState::Available => f.write_str("available"),
            ImageState::Failed(reason) => write!(f, "failed: {reason}"),
            ImageState::Disabled => f.write_str("disabled"),
        }
    }
}
