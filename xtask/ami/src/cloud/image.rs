//! Images: the attributes to create one with, and its description by a cloud.

use std::{fmt, time::SystemTime};

use serde::{Deserialize, Serialize};

use super::tags::{TAG_BUILD, TAG_SYSTEM, Tags};
use crate::event::{hardware::Hardware, ids::ImageId};

/// The attributes of an image to create or to copy.
#[derive(Clone, Debug, Default)]
pub struct NewImage {
    /// Idempotency token: the same for every attempt to make the same image.
    pub token: String,
    /// Unique among the images of the account in the region.
    pub name: String,
    /// Visible to everyone who can launch the image.
    pub description: String,
    /// Of the image and its snapshots.
    pub tags: Tags,
    /// The deprecation date; `None` for none.
    pub deprecate_at: Option<SystemTime>,
    /// Whether its instances require IMDSv2, session-oriented requests for metadata.
    pub require_imds_v2: bool,
}

/// The placeholder of a description for the base's name.
const BASE: &str = "{base}";

/// The longest description that EC2 gives an image (API reference, `CreateImage`). A longer one is cut at its end, where
/// the base is, because names of bases can be long.
const MAX_DESCRIPTION_CHARS: usize = 255;

impl NewImage {
    /// The image as it is made from a base of this name and system.
    #[must_use]
    pub fn for_base(&self, name: &str, system: &str) -> NewImage {
        let mut image = self.clone();
        image.description = self.description.replace(BASE, name).chars().take(MAX_DESCRIPTION_CHARS).collect();
        image.tags.iter_mut().filter(|(key, _)| key == TAG_SYSTEM).for_each(|(_, value)| system.clone_into(value));
        image
    }
}

/// A description of an image by the cloud.
#[derive(Clone, Debug, Serialize)]
pub struct Image {
    /// Unique in its region.
    pub id: ImageId,
    /// Not always unique: EC2 permits a copy with a taken name.
    pub name: String,
    /// As given in [`NewImage`].
    pub description: String,
    /// Whether it is available yet.
    pub state: ImageState,
    /// Whether every account may launch it.
    pub public: bool,
    /// Visible to its owner only.
    pub tags: Tags,
    /// The creation date, RFC 3339.
    pub created: String,
    /// The deprecation date, RFC 3339.
    pub deprecate_at: Option<String>,
    /// What its machines are like. None where the cloud does not tell.
    pub hardware: Option<Hardware>,
    /// The ids of its snapshots.
    pub snapshots: Vec<String>,
    /// When it was last launched, RFC 3339, as far as its owner is told: EC2 reports a launch a day late (EC2 user guide,
    /// "Check when an Amazon EC2 AMI was last used").
    pub last_launched: Option<String>,
    /// Whether it cannot be deregistered before its protection is lifted (EC2 user guide, "Protect an Amazon EC2 AMI from
    /// deregistration").
    pub protected: bool,
}

impl Image {
    /// The value of a tag.
    #[must_use]
    pub fn tag(&self, key: &str) -> Option<&str> {
        self.tags.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str())
    }

    /// Whether this tool made it, by its tags.
    #[must_use]
    pub fn origin(&self) -> Origin {
        match self.tag(TAG_BUILD) {
            Some(build) => Origin::ThisTool { build: build.to_owned() },
            None => Origin::Other,
        }
    }

    /// Remarks for a message: a state other than available, and an origin other than this tool.
    #[must_use]
    pub fn remarks(&self) -> Vec<String> {
        let state = (self.state != ImageState::Available).then(|| self.state.to_string());
        let origin = (self.origin() == Origin::Other).then(|| "not made by this tool".to_owned());
        state.into_iter().chain(origin).collect()
    }
}

/// The origin of an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A build of this tool.
    ThisTool {
        /// The build's id.
        build: String,
    },
    /// Another tool, the console, or a copy made without its tags.
    Other,
}

/// The state of an image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ImageState {
    /// It is being created, with its progress as text; empty when unknown.
    Pending(String),
    /// It can be launched and copied.
    Available,
    /// It will never be available, with the reason.
    Failed(String),
    /// Its owner disabled it. Until it is enabled again it can't be launched or shared, but it keeps its name (EC2 user
    /// guide, "Disable an AMI").
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
