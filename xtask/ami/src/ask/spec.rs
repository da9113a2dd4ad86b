//! The spec of a release.

use std::time::{Duration, SystemTime};

use anyhow::{Error, Result};
use camino::Utf8PathBuf;
use xtask::{grantee::Grantee, parameter::Prefix, region::Region, version::Version};

use crate::{
    ask::{scripts::Scripts, source::Source},
    cloud::{
        Audience, NewImage,
        tags::{
            self, TAG_BUILD, TAG_COMMIT, TAG_EXPIRES, TAG_INSTANCE, TAG_PROMOTED_FROM, TAG_SSM_PREFIX, TAG_SYSTEM,
            TAG_VERIFIED, TAG_VERSION, Tags,
        },
    },
    elf::{facts::Facts, host::Host},
    event::{about::Invocation, promotion::Promotion},
    recipe::Recipe,
    record::unfinished::Release,
};

/// Everything that a build needs to know.
#[derive(Clone, Debug)]
pub struct ReleaseSpec {
    /// The version to release.
    pub version: Version,
    /// The image's name.
    pub name: String,
    /// Who may launch it.
    pub visibility: Visibility,
    /// The region that the image is made in.
    pub build_region: Region,
    /// The regions that the image will be in, sorted, the build region included.
    pub regions: Vec<Region>,
    /// The recipe, with the values that flags override.
    pub recipe: Recipe,
    /// The base's system, by its name in the recipe.
    pub system_name: String,
    /// The facts of the checkout.
    pub source: Source,
    /// The scripts that run on the machines.
    pub scripts: Scripts,
    /// `--local`: make it on this computer.
    pub local: bool,
    /// The path of the recipe.
    pub recipe_path: Utf8PathBuf,
    /// The folders with the facts of systems; the first that has a system's file is taken.
    pub facts_folders: Vec<Utf8PathBuf>,
    /// The profile of the AWS configuration files, from `--profile` or the environment.
    pub profile: Option<String>,
    /// The command line.
    pub invocation: Invocation,
    /// `--skip-build`: use the existing binaries.
    pub skip_build: bool,
    /// `--reuse-base`, or the default of it: start from a kept base, and keep one if there is none.
    pub reuse_base: bool,
    /// The end of the build's id, which no other build has. Empty where one of a few digits is good enough.
    pub unique: String,
    /// `--keep-on-failure`: keep the machine when something fails on it.
    pub keep_on_failure: bool,
    /// `--skip-failed-regions`: publish in the other regions when copies to some fail.
    pub skip_failed_regions: bool,
    /// What is published under another name, if that is all that the build does.
    pub promotes: Option<Promotion>,
    /// `--unblock-public-access`: lift blocks on public images while the image is published.
    pub unblock_public_access: bool,
    /// `--ssm-prefix`, or the recipe's: what the names of the parameters begin with that name the published image.
    pub parameters: Option<Prefix>,
}

impl ReleaseSpec {
    /// The machine that the binaries have to run on. `of_base` are the facts of the base itself, where the cloud has them.
    ///
    /// # Errors
    /// When the recipe doesn't describe the base's system, or the file with its facts has faults.
    pub fn host(&self, of_base: Option<Facts>) -> Result<Host> {
        let system = self.recipe.system(&self.system_name)?;
        let of_checkout = Facts::find(&self.facts_folders, &self.system_name)?;
        let facts = match (of_base, of_checkout) {
            // The base may be a file of which nothing says which packages there are for it.
            (Some(base), Some(known)) => Some(base.with_packages_of(&known)),
            (base, known) => base.or(known),
        };
        Ok(Host::new(&self.recipe, &self.system_name, system, facts, self.local))
    }

    /// The parts that identify the release to other builds.
    #[must_use]
    pub fn release(&self) -> Release<'_> {
        Release { version: self.version.as_str(), name: &self.name, local: self.local }
    }

    /// The names of the parameters that name the published image: that of its version, and that of the newest release where
    /// it is a release.
    ///
    /// # Errors
    /// When no parameter can be named after the version.
    pub fn parameter_names(&self) -> Result<Vec<String>> {
        let Some(prefix) = &self.parameters else { return Ok(Vec::new()) };
        let of_version = prefix.of_version(&self.version).map_err(Error::msg)?;
        let latest = self.version.release_numbers().map(|_| prefix.latest());
        Ok([of_version].into_iter().chain(latest).collect())
    }

    /// The tags of everything that a build makes.
    #[must_use]
    pub fn tags(&self, build: &str, began: SystemTime) -> Tags {
        let mut tags = vec![
            ("Name".to_owned(), self.name.clone()),
            (TAG_BUILD.to_owned(), build.to_owned()),
            (TAG_VERSION.to_owned(), self.version.to_string()),
            (TAG_COMMIT.to_owned(), self.source.commit_tag()),
            (TAG_SYSTEM.to_owned(), self.system_name.clone()),
        ];
        if let Visibility::Private { expires, .. } = self.visibility {
            tags.push((TAG_EXPIRES.to_owned(), humantime::format_rfc3339_seconds(began + expires).to_string()));
        }
        tags.extend(self.recipe.tags.clone());
        tags
    }

    /// The image of a build that has not begun, with a tag for each binary that is still to be built: policies may be about
    /// keys of tags.
    #[must_use]
    pub fn image_to_come(&self, placeholder: &str, now: SystemTime) -> NewImage {
        let mut image = self.new_image(placeholder, now, placeholder.to_owned(), placeholder);
        if self.promotes.is_none() {
            let binaries = self.recipe.binaries.iter().map(|binary| (binary.name.clone(), placeholder.to_owned()));
            image.tags.extend(tags::sha256(&binaries.collect()));
        }
        image
    }

    /// The image that a build makes of an instance. Its description has `{base}` until its base is known.
    #[must_use]
    pub fn new_image(&self, build: &str, began: SystemTime, token: String, made_of: &str) -> NewImage {
        let description = match &self.promotes {
            Some(promotion) => promotion.description_as(&self.version),
            None => {
                let description = self.recipe.description.replace("{version}", self.version.as_str());
                description.replace("{commit}", &self.source.commit_text())
            }
        };
        let mut tags = self.tags(build, began);
        tags.push((TAG_INSTANCE.to_owned(), made_of.to_owned()));
        if let Some(promotion) = &self.promotes {
            tags.push((TAG_VERIFIED.to_owned(), promotion.verified.clone()));
            tags.push((TAG_PROMOTED_FROM.to_owned(), promotion.origin()));
            tags.extend(tags::sha256(&promotion.sha256));
        }
        tags.extend(self.parameters.iter().map(|prefix| (TAG_SSM_PREFIX.to_owned(), prefix.to_string())));
        NewImage {
            token,
            name: self.name.clone(),
            description,
            tags,
            deprecate_at: Some(match self.visibility {
                Visibility::Public => began + self.recipe.deprecate_after,
                Visibility::Private { expires, .. } => began + expires,
            }),
            require_imds_v2: self.recipe.require_imds_v2,
        }
    }
}

/// Who may launch an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Visibility {
    /// Every account.
    Public,
    /// Its owner and the grantees. `clean` may delete it once it has expired.
    Private {
        /// The age at which it expires, from the beginning of the build.
        expires: Duration,
        /// The grantees.
        shared_with: Vec<Grantee>,
    },
}

impl Visibility {
    /// The names of the grantees.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        match self {
            Visibility::Public => Vec::new(),
            Visibility::Private { shared_with, .. } => shared_with.iter().map(ToString::to_string).collect(),
        }
    }

    /// The audience to open the image to; `None` when only its owner may launch it.
    #[must_use]
    pub fn audience(&self) -> Option<Audience> {
        match self {
            Visibility::Public => Some(Audience::Public),
            Visibility::Private { shared_with, .. } if shared_with.is_empty() => None,
            Visibility::Private { shared_with, .. } => Some(Audience::Grantees(shared_with.clone())),
        }
    }
}
