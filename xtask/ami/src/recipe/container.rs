//! The settings of make, and what it runs in.

use serde::Deserialize;

/// The settings of make.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MakeSettings {
    /// The CPU that ponyc compiles for, passed to make as `target_cpu=…`.
    pub target_cpu: String,
    /// Make variables for every binary, as `name=value`.
    #[serde(default)]
    pub variables: Vec<String>,
    /// What make runs in.
    #[serde(default)]
    pub container: Container,
}

/// What make runs in.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(untagged, expecting = "expected the name of a container image, or a command as a list of words")]
pub enum Container {
    /// An image of podman or docker, by its name on this computer.
    Image(String),
    /// A command to run `make` with; `{root}` is the checkout. Empty for none.
    Command(Vec<String>),
}

impl Default for Container {
    fn default() -> Container {
        Container::Command(Vec::new())
    }
}

impl Container {
    /// Whether make runs on this computer itself.
    #[must_use]
    pub fn is_none(&self) -> bool {
        match self {
            Container::Image(image) => image.is_empty(),
            Container::Command(words) => words.is_empty(),
        }
    }

    /// The image that make runs in, if it is one.
    #[must_use]
    pub fn image(&self) -> Option<&str> {
        match self {
            Container::Image(image) => Some(image.as_str()).filter(|image| !image.is_empty()),
            Container::Command(_) => None,
        }
    }

    /// The fault of an image's name.
    pub(super) fn fault(&self) -> Option<String> {
        let error = xtask::cli::image_name(self.image()?).err()?;
        Some(format!("build.container: {error}"))
    }
}
