//! The systems that a base may have, and what is installed on them.

use super::{is_plain_name, outside_the_checkout};
use camino::Utf8PathBuf;
use serde::Deserialize;

/// A supported system of a base.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct System {
    /// The users for SSH logins, tried in this order: `ssh_user`, a string or a list.
    #[serde(rename = "ssh_user", deserialize_with = "one_or_more")]
    pub ssh_users: Vec<String>,
    /// The version of the C library, such as `2.23`, where no file of facts says it.
    pub glibc: Option<String>,
    /// The sonames of shared libraries that it has before any package is installed, beside those of its facts.
    #[serde(default)]
    pub libraries: Vec<String>,
    /// The packages to install.
    #[serde(default, rename = "package")]
    pub packages: Vec<Package>,
    /// Files of the checkout to install, beside the binaries.
    #[serde(default, rename = "file")]
    pub files: Vec<File>,
}

/// A package to install.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Package {
    /// The name of the Debian package.
    pub name: String,
    /// Why running applications need it.
    pub why: String,
    /// The sonames of shared libraries that it brings, beside those of the facts.
    #[serde(default)]
    pub libraries: Vec<String>,
}

/// A file or folder of the checkout to install.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct File {
    /// The path relative to the checkout's root.
    pub source: Utf8PathBuf,
    /// The path on the image.
    pub target: Utf8PathBuf,
    /// Whether it may be missing.
    #[serde(default)]
    pub optional: bool,
}

impl System {
    pub(super) fn faults(&self, name: &str) -> Vec<String> {
        let mut faults = Vec::new();
        let is_version = |text: &&String| text.split('.').all(|number| number.parse::<u32>().is_ok());
        if let Some(glibc) = self.glibc.as_ref().filter(|glibc| !is_version(glibc)) {
            faults.push(format!("system {name}: glibc: `{glibc}` is not a version such as 2.23"));
        }
        if self.ssh_users.is_empty() {
            faults.push(format!("system {name}: ssh_user: there must be at least one"));
        }
        for user in self.ssh_users.iter().filter(|user| !is_plain_name(user)) {
            faults.push(format!("system {name}: ssh_user: `{user}` is not the name of a user"));
        }
        for package in &self.packages {
            let legal = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "+-.".contains(c);
            if package.name.len() < 2 || package.name.starts_with(['+', '-', '.']) || !package.name.chars().all(legal) {
                faults.push(format!("system {name}: package `{}`: not a valid name of a Debian package", package.name));
            }
        }
        for file in &self.files {
            faults.extend(outside_the_checkout(&format!("system {name}: file source"), &file.source));
            let above = file.target.components().any(|part| part.as_str() == "..");
            if !file.target.is_absolute() || above {
                faults.push(format!("system {name}: file target: `{}` must be a plain absolute path", file.target));
            }
        }
        faults
    }
}

fn one_or_more<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "expected a string or a list of strings")]
    enum OneOrMore {
        One(String),
        More(Vec<String>),
    }
    Ok(match OneOrMore::deserialize(deserializer)? {
        OneOrMore::One(one) => vec![one],
        OneOrMore::More(more) => more,
    })
}
