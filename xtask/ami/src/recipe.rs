//! The recipe, `.release/ami/ami.toml`: its types, parsing and validation.

use std::{collections::BTreeMap, time::Duration};

use anyhow::{Context as _, Result, anyhow, bail};
use camino::{Utf8Path, Utf8PathBuf};
use serde::Deserialize;
use xtask::{
    cli::ReleaseFlags,
    duration,
    region::{self, Region, did_you_mean},
    version::Version,
};

mod apt;
mod container;
mod instance;
mod owner;
mod packages;
mod private;
mod publish;
mod several;
mod shown;
mod ssh;
mod system;
mod tags;
mod volume;
mod words;

pub use apt::Apt;
pub use container::{Container, MakeSettings};
pub use instance::{DEFAULT_VOLUME_TYPE, Instance, Limits};
pub use owner::Owner;
pub use packages::{Packages, Upgrade};
pub use publish::Publish;
pub use ssh::{KeyType, Ssh};
pub use system::{File, Package, System, is_of_library};
pub use tags::{OwnTags, TAG_SHA256};
pub use words::{is_plain_name, is_url};

/// How the image is named, built and installed.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    /// The image's name, with the placeholder `{version}`.
    pub name: String,
    /// The name of a private image, with the placeholders of [`Recipe::private_image_name`].
    #[serde(default = "private::default_name")]
    pub private_name: String,
    /// How long a base with the packages is kept for private images.
    #[serde(default = "private::default_base_life", deserialize_with = "private::base_life")]
    pub reuse_base_for: Duration,
    /// The image's description, with the placeholders `{version}`, `{commit}` and `{base}`.
    pub description: String,
    /// The region that the image is made in.
    #[serde(deserialize_with = "parsed")]
    pub build_region: Region,
    /// The age at which a public image becomes deprecated.
    #[serde(deserialize_with = "deprecation")]
    pub deprecate_after: Duration,
    /// Whether instances of the image require IMDSv2, session-oriented requests for metadata.
    #[serde(default)]
    pub require_imds_v2: bool,
    /// The account's own tags, on everything that a build creates.
    #[serde(default)]
    pub tags: OwnTags,
    /// The machines of a build.
    pub instance: Instance,
    /// The settings of make.
    pub build: MakeSettings,
    /// The binaries, in the order of the builds.
    #[serde(rename = "binary")]
    pub binaries: Vec<Binary>,
    /// The base on EC2.
    pub base: Base,
    /// The base of `--local`.
    pub local_base: LocalBase,
    /// The timeouts.
    #[serde(default)]
    pub limits: Limits,
    /// How machines on EC2 are reached.
    #[serde(default)]
    pub ssh: Ssh,
    /// How the machine that the image is made on reaches its package sources.
    #[serde(default)]
    pub apt: Apt,
    /// What is done in each region once the image is published.
    #[serde(default)]
    pub publish: Publish,
    /// How the base's own packages are treated.
    #[serde(default, deserialize_with = "packages::table")]
    pub packages: Packages,
    /// The packages to install on every system.
    #[serde(default, rename = "package", deserialize_with = "packages::list")]
    shared_packages: Vec<Package>,
    /// Files of the checkout to install on every system, beside the binaries.
    #[serde(default, rename = "file")]
    files: Vec<File>,
    /// The supported systems of a base, by `ID-VERSION_ID` of /etc/os-release; see [`Recipe::system_called`].
    #[serde(rename = "system")]
    pub systems: BTreeMap<String, System>,
}

/// A program to build and install.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Binary {
    /// The name in /usr/bin.
    pub name: String,
    /// The arguments of `make` that build it, in the checkout's root.
    pub make: Vec<String>,
    /// The arguments of `make` that remove the result of an earlier build.
    pub clean: Vec<String>,
    /// The path of the result, relative to the checkout's root.
    pub result: Utf8PathBuf,
    /// Make variables for this binary only, as `name=value`.
    #[serde(default)]
    pub variables: Vec<String>,
}

/// How the base on EC2 is found.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Base {
    /// Its system, one of [`Recipe::systems`].
    pub system: String,
    /// The account that owns it.
    pub owner: Owner,
    /// A pattern with `*` and `?` for its name. The newest match is used.
    pub name_pattern: String,
}

/// How the base of `--local` is made.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LocalBase {
    /// Its system, one of [`Recipe::systems`].
    pub system: String,
    /// A Debian mirror, for computers whose apt has no source of the suite.
    pub mirror: Option<String>,
    /// The mirror of its security updates, for a `mirror`. Without it, the folder beside `mirror` is taken whose name has
    /// `-security` added. `none` leaves them out, with or without a `mirror`.
    pub security_mirror: Option<String>,
    /// Whether a Release file past its Valid-Until date is refused. A snapshot of an archive has only such.
    #[serde(default = "yes")]
    pub check_valid_until: bool,
    /// The file of a firmware for machines that boot by UEFI, if QEMU has no description of one.
    pub uefi_firmware: Option<Utf8PathBuf>,
}

/// The value of [`LocalBase::security_mirror`] that leaves security updates out.
pub const NO_MIRROR: &str = "none";

impl Recipe {
    /// Reads the recipe at `path`.
    ///
    /// # Errors
    /// When it can't be read; when it isn't valid TOML or has an unknown key, with the line and the nearest known key;
    /// when values are invalid, with all faults in one message.
    pub fn read(path: &Utf8Path) -> Result<Recipe> {
        let text = std::fs::read_to_string(path).with_context(|| format!("failed to read the recipe {path}"))?;
        Recipe::parse(path, &text)
    }

    /// Parses a recipe. `path` is for messages.
    ///
    /// # Errors
    /// As [`Recipe::read`].
    pub fn parse(path: &Utf8Path, text: &str) -> Result<Recipe> {
        let hint = |fault: &str| {
            nearest_key(fault).or_else(|| packages::meant(fault)).map(|meant| format!("did you mean `{meant}`?"))
        };
        let mut recipe: Recipe =
            several::from_toml(text, hint).map_err(|faults| anyhow!("failed to parse the recipe {path}: {faults}"))?;
        recipe.share();
        let faults = recipe.faults();
        if !faults.is_empty() {
            bail!("the recipe {path} has faults:\n  {}", faults.join("\n  "));
        }
        Ok(recipe)
    }

    /// Gives every system what is installed on all of them.
    fn share(&mut self) {
        for (name, system) in &mut self.systems {
            let packages = self.shared_packages.iter().filter(|package| !package.except.contains(name)).cloned();
            system.packages = packages.chain(std::mem::take(&mut system.packages)).collect();
            let files = self.files.iter().filter(|file| !file.except.contains(name)).cloned();
            system.files = files.chain(std::mem::take(&mut system.files)).collect();
        }
    }

    /// The image's name for a version.
    ///
    /// # Errors
    /// When EC2 doesn't permit the name.
    pub fn image_name(&self, version: &Version) -> Result<String> {
        private::legal_name(self.release_name(version))
    }

    /// The version in an image's name; `None` when the name doesn't match the recipe's.
    #[must_use]
    pub fn version_in<'a>(&self, name: &'a str) -> Option<&'a str> {
        let (before, after) = self.name.split_once("{version}")?;
        let version = name.strip_prefix(before)?.strip_suffix(after)?;
        let has_this_name = |version: Version| self.image_name(&version).is_ok_and(|it| it == name);
        version.parse().is_ok_and(has_this_name).then_some(version)
    }

    /// The name of a system that calls itself so: by its version, or by its suite if it has none yet.
    #[must_use]
    pub fn system_called(&self, itself: String) -> String {
        system::by_suite(&self.systems).remove(&itself).unwrap_or(itself)
    }

    /// A system by its name.
    ///
    /// # Errors
    /// When the recipe doesn't describe it.
    pub fn system(&self, name: &str) -> Result<&System> {
        self.systems.get(name).with_context(|| {
            let known: Vec<&str> = self.systems.keys().map(String::as_str).collect();
            format!(
                "the recipe does not describe the system {name}, only {}{}; add [system.\"{name}\"] to .release/ami/ami.toml",
                known.join(", "),
                did_you_mean(name, &known)
            )
        })
    }

    /// The recipe with the settings that flags override.
    ///
    /// # Errors
    /// When the settings have faults together, with all of them in one message.
    pub fn with(&self, flags: &ReleaseFlags) -> Result<Recipe> {
        let mut recipe = self.clone();
        if let Some(system) = &flags.system {
            recipe.system(system)?;
            recipe.local_base.system.clone_from(system);
        }
        recipe.tags.extend(flags.tags.iter().cloned());
        if let Some(user) = &flags.ssh_user {
            recipe.ssh.user = Some(user.clone());
        }
        recipe.ssh.key_type = flags.key_type.or(recipe.ssh.key_type);
        if let Some(image) = &flags.build_container {
            recipe.build.container = Container::Image(image.clone());
        }
        let of_line = flags.ssh_through.as_deref().and_then(|line| recipe.ssh.set_through(line).err());
        let instance = &mut recipe.instance;
        if let Some(volume_type) = &flags.volume_type {
            instance.volume_type.clone_from(volume_type);
            // The number was for the recipe's type.
            instance.volume_iops = None;
        }
        instance.volume_iops = flags.volume_iops.or(instance.volume_iops);
        if flags.encrypted == Some(false) {
            instance.kms_key = None;
        }
        if let Some(instance_type) = &flags.instance_type {
            instance.instance_type.clone_from(instance_type);
        }
        instance.encrypted = flags.encrypted.or(instance.encrypted);
        instance.kms_key = flags.kms_key.clone().or(instance.kms_key.take());
        instance.public_address = flags.public_address.or(instance.public_address);
        instance.reach = flags.reach.or(instance.reach);
        recipe.publish.choose(flags.ssm_prefix.as_ref());
        set_or_clear(&mut instance.instance_profile, flags.instance_profile.as_deref());
        set_or_clear(&mut recipe.apt.proxy, flags.apt_proxy.as_deref());
        let faults: Vec<String> = of_line.into_iter().chain(recipe.setting_faults()).collect();
        if !faults.is_empty() {
            bail!(
                "the settings of this build, those of the recipe with the flags, have faults:\n  {}",
                faults.join("\n  ")
            );
        }
        Ok(recipe)
    }

    /// Faults of the settings that flags can override.
    fn setting_faults(&self) -> Vec<String> {
        self.instance
            .faults()
            .into_iter()
            .chain(tags::faults(&self.tags, &self.binaries))
            .chain(self.apt.faults())
            .chain(self.ssh.faults())
            .collect()
    }

    /// Faults of values that have the right type.
    fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        if !self.name.contains("{version}") {
            faults.push("name: it must contain {version}, or every release has the same name".to_owned());
        }
        faults.extend(private::faults(&self.private_name));
        if let Some(illegal) = self.description.chars().find(|c| !(' '..='~').contains(c)) {
            // EC2 answers "Character sets beyond ASCII are not supported", at the end of the build.
            faults.push(format!("description: EC2 permits only printable ASCII characters, not {illegal:?}"));
        }
        faults.extend(self.setting_faults());
        if self.binaries.is_empty() {
            faults.push("binary: there must be at least one".to_owned());
        }
        for (index, binary) in self.binaries.iter().enumerate() {
            let at = format!("binary {}", binary.name);
            if !is_plain_name(&binary.name) {
                faults.push(format!("{at}: the name must be one plain word, to be a file in /usr/bin"));
            }
            if self.binaries[..index].iter().any(|earlier| earlier.name == binary.name) {
                faults.push(format!("{at}: two binaries have this name"));
            }
            if binary.make.is_empty() {
                faults.push(format!("{at}: make: without arguments this would build the default target"));
            }
            faults.extend(outside_the_checkout(&format!("{at}: result"), &binary.result));
            faults.extend(not_variables(&at, &binary.variables));
        }
        faults.extend(not_variables("build", &self.build.variables));
        faults.extend(self.build.container.fault());
        faults.extend(self.base.owner.faults());
        for (key, system) in [("base", &self.base.system), ("local_base", &self.local_base.system)] {
            if !self.systems.contains_key(system) {
                let known: Vec<&str> = self.systems.keys().map(String::as_str).collect();
                let near = did_you_mean(system, &known);
                faults.push(format!("{key}.system: there is no [system.\"{system}\"]{near}"));
            }
        }
        let security = self.local_base.security_mirror.as_deref().filter(|mirror| *mirror != NO_MIRROR);
        for (key, mirror) in [("mirror", self.local_base.mirror.as_deref()), ("security_mirror", security)] {
            if let Some(mirror) = mirror.filter(|mirror| !is_url(mirror)) {
                faults.push(format!("local_base.{key}: `{mirror}` is not a URL"));
            }
            if let Some((_, host)) = mirror.and_then(|mirror| mirror.rsplit_once('@')) {
                faults.push(format!("local_base.{key}: the password for {host} would be in the image"));
            }
        }
        if security.is_some() && self.local_base.mirror.is_none() {
            faults.push("local_base.security_mirror: it counts only beside a mirror".to_owned());
        }
        self.systems.iter().for_each(|(name, system)| faults.extend(system.faults(name)));
        faults
    }
}

/// Sets what a flag gives; an empty word switches off what the recipe sets.
fn set_or_clear(setting: &mut Option<String>, given: Option<&str>) {
    if let Some(given) = given {
        *setting = Some(given.to_owned()).filter(|given| !given.is_empty());
    }
}

fn outside_the_checkout(at: &str, path: &Utf8Path) -> Option<String> {
    let outside = path.is_absolute() || path.as_str().is_empty() || path.components().any(|part| part.as_str() == "..");
    outside.then(|| format!("{at}: `{path}` must be a path below the root of the checkout"))
}

fn not_variables<'a>(at: &'a str, variables: &'a [String]) -> impl Iterator<Item = String> + 'a {
    let wrong = variables.iter().filter(|variable| !variable.contains('=') || variable.starts_with(['=', '-']));
    wrong.map(move |variable| format!("{at}: variables: `{variable}` is not name=value"))
}

/// The known key or word nearest to the unknown one in serde's messages ``unknown field `x`, expected one of `y`, `z` `` and
/// ``unknown variant `x`, expected `y` or `z` ``.
fn nearest_key(message: &str) -> Option<&str> {
    let unknown = ["unknown field ", "unknown variant "];
    let (_, words) = unknown.into_iter().find_map(|unknown| message.split_once(unknown))?;
    let quoted: Vec<&str> = words.split('`').skip(1).step_by(2).collect();
    let (unknown, known) = quoted.split_first()?;
    region::nearest(unknown, known)
}

fn yes() -> bool {
    true
}

fn parsed<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: serde::Deserializer<'de>,
    T: std::str::FromStr<Err = String>,
{
    String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
}

fn deprecation<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    duration::parse(&String::deserialize(deserializer)?, &duration::DEPRECATED_AT).map_err(serde::de::Error::custom)
}

fn limit<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    duration::parse(&String::deserialize(deserializer)?, &duration::PHASE).map_err(serde::de::Error::custom)
}

#[cfg(test)]
mod tests;
