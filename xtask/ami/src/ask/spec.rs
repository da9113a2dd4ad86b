//! What is asked of a build.

use std::time::Duration;

use camino::Utf8PathBuf;
use xtask::{grantee::Grantee, region::Region, version::Version};

use crate::{
    ask::source::Source, cloud::Audience, event::about::Invocation, recipe::Recipe, record::unfinished::Release,
};

/// What is to be released, and how.
#[derive(Clone, Debug)]
pub struct ReleaseSpec {
    /// The version.
    pub version: Version,
    /// The image's name.
    pub name: String,
    /// Who may launch it.
    pub visibility: Visibility,
    /// Where the image is made.
    pub build_region: Region,
    /// Where it will be, sorted, the home region among them.
    pub regions: Vec<Region>,
    /// The recipe.
    pub recipe: Recipe,
    /// Which of the recipe's systems the base is.
    pub system_name: String,
    /// The checkout.
    pub source: Source,
    /// What runs on the machines.
    pub scripts: Scripts,
    /// Whether it is made on this computer.
    pub local: bool,
    /// Where the recipe lies.
    pub recipe_path: Utf8PathBuf,
    /// How it was asked for.
    pub call: Invocation,
    /// Use the binaries as they lie in the tree.
    pub skip_build: bool,
    /// Leave the machine up when something fails on it.
    pub keep_on_failure: bool,
    /// Publish in the other regions when the image can't be copied to some.
    pub skip_failed_regions: bool,
    /// Lift a block on public images while the image is published.
    pub unblock_public_access: bool,
}

impl ReleaseSpec {
    /// What it is known by to other builds.
    #[must_use]
    pub fn release(&self) -> Release<'_> {
        Release { version: self.version.as_str(), name: &self.name, local: self.local }
    }
}

/// Who may launch an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Visibility {
    /// Everybody.
    Public,
    /// Its owner, and who is named here; it may be cleaned away after a time.
    Private {
        /// Counted from the build's beginning.
        expires: Duration,
        /// Who may launch it beside its owner.
        shared_with: Vec<Grantee>,
    },
}

impl Visibility {
    /// Who is named beside the owner.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        match self {
            Visibility::Public => Vec::new(),
            Visibility::Private { shared_with, .. } => shared_with.iter().map(ToString::to_string).collect(),
        }
    }

    /// Whom the image is opened to; nobody when it stays its owner's.
    #[must_use]
    pub fn audience(&self) -> Option<Audience> {
        match self {
            Visibility::Public => Some(Audience::Everybody),
            Visibility::Private { shared_with, .. } if shared_with.is_empty() => None,
            Visibility::Private { shared_with, .. } => Some(Audience::These(shared_with.clone())),
        }
    }
}

/// The scripts that run on the machines, where they lie on this one.
#[derive(Clone, Debug)]
pub struct Scripts {
    /// Installs packages, rc.local and what is shipped.
    pub provision: Utf8PathBuf,
    /// The last thing before the image: the shared-image checklist.
    pub seal: Utf8PathBuf,
    /// Runs on the booted image.
    pub check: Utf8PathBuf,
}
