//! The recipe, `.release/ami/ami.toml`, parsed into types; and what is wrong with it.

use std::{collections::BTreeMap, time::Duration};

use anyhow::{Context as _, Result, anyhow, bail};
use camino::{Utf8Path, Utf8PathBuf};
use serde::Deserialize;
use xtask::{
    duration,
    region::{self, Region},
    version::{self, Version},
};

/// What is built, installed and named.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    /// The image's name; `{version}` is replaced.
    pub name: String,
    /// Its description; `{version}`, `{commit}` and `{base}` are replaced.
    pub description: String,
    /// Where the image is made, before it is copied.
    #[serde(deserialize_with = "parsed")]
    pub build_region: Region,
    /// The age at which a public image is deprecated.
    #[serde(deserialize_with = "deprecation")]
    pub deprecate_after: Duration,
    /// Whether the image's instances take only session-oriented requests for metadata (IMDSv2).
    #[serde(default)]
    pub require_imds_v2: bool,
    /// The machine that the image is made on.
    pub instance: Instance,
    /// How the binaries are made.
    pub build: Build,
    /// The binaries, in the order in which they are made.
    #[serde(rename = "binary")]
    pub binaries: Vec<Binary>,
    /// The base on EC2.
    pub base: Base,
    /// The base of `--local`.
    pub local_base: LocalBase,
    /// How long each phase may take.
    #[serde(default)]
    pub limits: Limits,
    /// The systems that a base may be, by the `ID-VERSION_ID` of its /etc/os-release.
    #[serde(rename = "system")]
    pub systems: BTreeMap<String, System>,
}

/// The machine that the image is made on.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Instance {
    /// Its EC2 instance type.
    #[serde(rename = "type")]
    pub instance_type: String,
    /// The size of the image's disk, in GiB.
    pub root_volume_gib: u32,
}

/// How long each phase may take before it is given up.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Each run of make.
    #[serde(deserialize_with = "limit")]
    pub make: Duration,
    /// From the launch to the first login.
    #[serde(deserialize_with = "limit")]
    pub login: Duration,
    /// Each script on a machine.
    #[serde(deserialize_with = "limit")]
    pub script: Duration,
    /// From the order to shut down to the machine at rest.
    #[serde(deserialize_with = "limit")]
    pub stop: Duration,
    /// The life of a machine: then it ends itself, should nobody be there any more to end it.
    #[serde(deserialize_with = "limit")]
    pub machine: Duration,
    /// From the order to make or copy an image to the image being available.
    #[serde(deserialize_with = "limit")]
    pub image: Duration,
}

impl Default for Limits {
    fn default() -> Limits {
        let minutes = |minutes: u64| Duration::from_secs(60 * minutes);
        Limits {
            make: minutes(120),
            login: minutes(10),
            script: minutes(30),
            stop: minutes(5),
            machine: minutes(300),
            image: minutes(60),
        }
    }
}

/// How the binaries are made.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Build {
    /// The CPU that ponyc compiles for; handed to make as `target_cpu=…`.
    pub target_cpu: String,
    /// Make variables for every binary, as `name=value`.
    #[serde(default)]
    pub variables: Vec<String>,
    /// What `make` is run through; `{root}` is the checkout. Nothing when it is empty.
    #[serde(default)]
    pub container: Vec<String>,
}

/// A program that is built in the tree and shipped.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Binary {
    /// Its name in /usr/bin.
    pub name: String,
    /// The words after `make` that build it, from the checkout's root.
    pub make: Vec<String>,
    /// The words after `make` that remove what an earlier build left of it.
    pub clean: Vec<String>,
    /// Where the build puts it, from the checkout's root.
    pub result: Utf8PathBuf,
    /// Make variables for this binary alone, as `name=value`.
    #[serde(default)]
    pub variables: Vec<String>,
}

/// Where the base on EC2 is found.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Base {
    /// Which of the systems it is.
    pub system: String,
    /// The account that owns it.
    pub owner: String,
    /// What its name is like; the newest that matches is taken.
    pub name_pattern: String,
}

/// How the base of `--local` is made.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LocalBase {
    /// Which of the systems it is.
    pub system: String,
    /// The Debian suite that it is made of.
    pub suite: String,
    /// The mirror that it is fetched from, where this computer's apt has no source of the suite.
    pub mirror: Option<String>,
}

/// A system that a base may be.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct System {
    /// The version of its C library, such as `2.23`.
    pub glibc: String,
    /// The user that its images let log in.
    pub ssh_user: String,
    /// The shared libraries that it has before any package is installed, by soname.
    pub libraries: Vec<String>,
    /// The packages that are installed.
    #[serde(default, rename = "package")]
    pub packages: Vec<Package>,
    /// What goes along from the tree, beside the binaries.
    #[serde(default, rename = "file")]
    pub files: Vec<File>,
}

/// A package that is installed.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Package {
    /// Its name.
    pub name: String,
    /// Why running applications need it.
    pub why: String,
    /// The shared libraries that it brings, by soname.
    #[serde(default)]
    pub libraries: Vec<String>,
}

/// A file or folder of the tree that goes along.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct File {
    /// Where it lies, from the checkout's root.
    pub source: Utf8PathBuf,
    /// Where it goes on the image.
    pub target: Utf8PathBuf,
    /// Whether a tree without it is fine.
    #[serde(default)]
    pub optional: bool,
}

impl Recipe {
    /// Reads the recipe at `path`.
    ///
    /// # Errors
    /// When it can't be read; when it isn't TOML or not of this shape, with the line, and for an unknown key the
    /// nearest known one; when what it says can't be, all such faults in one message.
    pub fn read(path: &Utf8Path) -> Result<Recipe> {
        let text = std::fs::read_to_string(path).with_context(|| format!("failed to read the recipe {path}"))?;
        Recipe::parse(path, &text)
    }

    /// The recipe that `text` is; `path` is for messages.
    ///
    /// # Errors
    /// As [`Recipe::read`].
    pub fn parse(path: &Utf8Path, text: &str) -> Result<Recipe> {
        let recipe: Recipe = toml::from_str(text).map_err(|error| {
            let mut message = format!("{path} is not a recipe: {}", error.to_string().trim_end());
            if let Some(known) = nearest_key(error.message()) {
                message.push_str(&format!("\ndid you mean `{known}`?"));
            }
            anyhow!(message)
        })?;
        let faults = recipe.faults();
        if !faults.is_empty() {
            bail!("{path} can't be carried out:\n  {}", faults.join("\n  "));
        }
        Ok(recipe)
    }

    /// The image's name.
    ///
    /// # Errors
    /// When the name that the recipe gives this version is not one that EC2 takes.
    pub fn image_name(&self, version: &Version) -> Result<String> {
        let name = self.name.replace("{version}", version.as_str());
        let length = name.chars().count();
        if !(version::IMAGE_NAME_MIN_CHARS..=version::IMAGE_NAME_MAX_CHARS).contains(&length) {
            bail!(
                "the image's name `{name}` has {length} characters; EC2 takes {} to {}",
                version::IMAGE_NAME_MIN_CHARS,
                version::IMAGE_NAME_MAX_CHARS
            );
        }
        version::illegal_in_image_name(&name).map_err(|fault| anyhow!("the image's name `{name}`: {fault}"))?;
        Ok(name)
    }

    /// The version that an image with this name is of; none when the recipe gives no version such a name.
    #[must_use]
    pub fn version_in<'a>(&self, name: &'a str) -> Option<&'a str> {
        let (before, after) = self.name.split_once("{version}")?;
        let version = name.strip_prefix(before)?.strip_suffix(after)?;
        let is_so_named = |version: Version| self.image_name(&version).is_ok_and(|it| it == name);
        version.parse().is_ok_and(is_so_named).then_some(version)
    }

    /// The system that a base is.
    ///
    /// # Errors
    /// When the recipe doesn't describe it.
    pub fn system(&self, name: &str) -> Result<&System> {
        self.systems.get(name).with_context(|| {
            let known: Vec<&str> = self.systems.keys().map(String::as_str).collect();
            format!("the recipe doesn't describe the system {name}, only {}; add [system.\"{name}\"]", known.join(", "))
        })
    }

    /// What can't be, though each value has the right type.
    fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        if !self.name.contains("{version}") {
            faults.push("name: it must contain {version}, or every release has the same name".to_owned());
        }
        if self.instance.root_volume_gib == 0 {
            faults.push("instance.root_volume_gib: 0 GiB can't hold an image".to_owned());
        }
        if self.binaries.is_empty() {
            faults.push("binary: there is none to build".to_owned());
        }
        for (index, binary) in self.binaries.iter().enumerate() {
            let at = format!("binary {}", binary.name);
            if !is_plain_name(&binary.name) {
                faults.push(format!("{at}: its name goes into /usr/bin, so it must be one plain word"));
            }
            if self.binaries[..index].iter().any(|earlier| earlier.name == binary.name) {
                faults.push(format!("{at}: two binaries have this name"));
            }
            if binary.make.is_empty() {
                faults.push(format!("{at}: make: without words this would build the whole tree"));
            }
            faults.extend(outside_the_tree(&format!("{at}: result"), &binary.result));
            faults.extend(not_variables(&at, &binary.variables));
        }
        faults.extend(not_variables("build", &self.build.variables));
        for (key, system) in [("base", &self.base.system), ("local_base", &self.local_base.system)] {
            if !self.systems.contains_key(system) {
                faults.push(format!("{key}.system: there is no [system.\"{system}\"]"));
            }
        }
        if !is_plain_name(&self.local_base.suite) {
            faults.push(format!("local_base.suite: `{}` is not one plain word", self.local_base.suite));
        }
        if let Some(mirror) = self.local_base.mirror.as_deref().filter(|mirror| !is_url(mirror)) {
            faults.push(format!("local_base.mirror: `{mirror}` is not a URL"));
        }
        self.systems.iter().for_each(|(name, system)| faults.extend(system.faults(name)));
        faults
    }
}

impl System {
    fn faults(&self, name: &str) -> Vec<String> {
        let mut faults = Vec::new();
        let version: Result<Vec<u32>, _> = self.glibc.split('.').map(str::parse).collect();
        if version.is_err() {
            faults.push(format!("system {name}: glibc: `{}` is not a version such as 2.23", self.glibc));
        }
        for package in &self.packages {
            let legal = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "+-.".contains(c);
            if package.name.len() < 2 || package.name.starts_with(['+', '-', '.']) || !package.name.chars().all(legal) {
                faults.push(format!("system {name}: package `{}`: Debian's packages aren't named so", package.name));
            }
        }
        for file in &self.files {
            faults.extend(outside_the_tree(&format!("system {name}: file source"), &file.source));
            let above = file.target.components().any(|part| part.as_str() == "..");
            if !file.target.is_absolute() || above {
                faults.push(format!("system {name}: file target: `{}` must be a plain absolute path", file.target));
            }
        }
        faults
    }
}

fn outside_the_tree(at: &str, path: &Utf8Path) -> Option<String> {
    let outside = path.is_absolute() || path.as_str().is_empty() || path.components().any(|part| part.as_str() == "..");
    outside.then(|| format!("{at}: `{path}` must be a path below the checkout's root"))
}

fn not_variables<'a>(at: &'a str, variables: &'a [String]) -> impl Iterator<Item = String> + 'a {
    let wrong = variables.iter().filter(|variable| !variable.contains('=') || variable.starts_with(['=', '-']));
    wrong.map(move |variable| format!("{at}: variables: `{variable}` is not name=value"))
}

/// Whether it is one word that no program takes for a flag.
#[must_use]
pub fn is_plain_name(name: &str) -> bool {
    let legal = |c: char| c.is_ascii_alphanumeric() || "._-+".contains(c);
    !name.is_empty() && !name.starts_with(['-', '.']) && name.chars().all(legal)
}

/// Whether apt's list of sources, and the shell, take it for one word that is a URL.
#[must_use]
pub fn is_url(text: &str) -> bool {
    let legal = |c: char| c.is_ascii_graphic() && !"'\"\\$`<>|".contains(c);
    text.contains(":/") && text.starts_with(|c: char| c.is_ascii_alphabetic()) && text.chars().all(legal)
}

/// The known key nearest to the unknown one in serde's message ``unknown field `x`, expected one of `y`, `z` ``.
fn nearest_key(message: &str) -> Option<&str> {
    let (_, words) = message.split_once("unknown field ")?;
    let quoted: Vec<&str> = words.split('`').skip(1).step_by(2).collect();
    let (unknown, known) = quoted.split_first()?;
    region::nearest(unknown, known)
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
