//! Images: the attributes to create one with, and its description by a cloud.

use std::{fmt, time::SystemTime};

use serde::{Deserialize, Serialize};
use xtask::duration::DEPRECATED_AT;

use super::tags::{TAG_BUILD, TAG_SYSTEM, Tags};
use crate::{
    event::{hardware::Hardware, ids::ImageId},
    ground::{date, finding::Finding},
};

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

/// The longest description that EC2 gives an image (API reference, `CreateImage`). Of a longer one the base's name is cut.
const MAX_DESCRIPTION_CHARS: usize = 255;

/// What stands for the rest of a base's name. EC2 takes no character beyond ASCII here.
const CUT: &str = "...";

impl NewImage {
    /// The image as it is made from a base of this name and system.
    #[must_use]
    pub fn for_base(&self, name: &str, system: &str) -> NewImage {
        let mut image = self.clone();
        image.description = self.described(name);
        image.tags.iter_mut().filter(|(key, _)| key == TAG_SYSTEM).for_each(|(_, value)| system.clone_into(value));
        image
    }

    /// The description of an image that is made from a base of this name, which is cut where the whole would be too long.
    #[must_use]
    pub fn described(&self, base: &str) -> String {
        let room = MAX_DESCRIPTION_CHARS.saturating_sub(self.chars_without_base());
        let room = room / self.description.matches(BASE).count().max(1);
        let name = if base.chars().count() <= room {
            base.to_owned()
        } else {
            base.chars().take(room.saturating_sub(CUT.len())).chain(CUT.chars()).collect()
        };
        self.description.replace(BASE, &name).chars().take(MAX_DESCRIPTION_CHARS).collect()
    }

    /// Why EC2 would refuse the description, whatever the base is called.
    #[must_use]
    pub fn description_finding(&self) -> Option<Finding> {
        let (length, bases) = (self.chars_without_base(), self.description.matches(BASE).count());
        (length + bases * CUT.len() > MAX_DESCRIPTION_CHARS).then(|| Finding {
            problem: format!(
                "the description of the image has {length} characters without the name of its base, and EC2 takes \
                 {MAX_DESCRIPTION_CHARS}"
            ),
            remedy: "shorten `description` in .release/ami/ami.toml".to_owned(),
        })
    }

    fn chars_without_base(&self) -> usize {
        self.description.replace(BASE, "").chars().count()
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

    /// The last moment from which a public image can be deprecated; `None` where it is private or its age is not known. EC2
    /// takes no date more than two years after its creation (EC2 user guide, "Deprecate an Amazon EC2 AMI").
    #[must_use]
    pub fn deprecated_at_latest(&self) -> Option<SystemTime> {
        let created = date::moment(&self.created).filter(|_| self.public)?;
        created.checked_add(*DEPRECATED_AT.end())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_name_of_the_base_is_cut_from_a_description() {
        let image = |description: String| NewImage { description, ..NewImage::default() };
        let long = "ubuntu/images/".repeat(20);
        for before in [0, 100, 240, 243] {
            let whole = image(format!("{} on {{base}}, all", "x".repeat(before)));
            let described = whole.described(&long);
            assert!(whole.description_finding().is_none() && described.chars().count() == 255, "{described}");
            assert!(described.ends_with("..., all") && described.is_ascii(), "{described}");
        }
        assert_eq!(image("Made of {base}.".to_owned()).described("debian-13"), "Made of debian-13.");
        let twice = image(format!("{{base}}{}{{base}}", "x".repeat(200)));
        assert!(twice.described(&long).chars().count() <= 255 && twice.described(&long).ends_with("..."));
        for (description, length) in [("x".repeat(256), 256), (format!("{}{{base}}", "x".repeat(253)), 253)] {
            let finding = image(description).description_finding().expect("a finding");
            assert!(finding.problem.contains(&format!("has {length} characters")), "{finding}");
        }
        assert!(image("x".repeat(255)).description_finding().is_none());
    }
}
