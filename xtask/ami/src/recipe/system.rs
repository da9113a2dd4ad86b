//! The systems that a base may have, and what is installed on them.

use std::collections::BTreeMap;

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
    /// The Debian suite that `--local` makes its base from.
    pub suite: Option<String>,
    /// The version of the C library, such as `2.23`, where no file of facts says it.
    pub glibc: Option<String>,
    /// The sonames of shared libraries that it has before any package is installed, beside those of its facts.
    #[serde(default)]
    pub libraries: Vec<String>,
    /// The packages to install: the recipe's for all systems, then its own.
    #[serde(default, rename = "package")]
    pub packages: Vec<Package>,
    /// Optional packages that it is known not to have.
    #[serde(skip)]
    pub left_out: Vec<Package>,
    /// Files of the checkout to install, beside the binaries: the recipe's for all systems, then its own.
    #[serde(default, rename = "file")]
    pub files: Vec<File>,
}

/// A package to install.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Package {
    /// The name of the Debian package; with `of`, that of a library without its number: `libssl` for `libssl3t64`.
    pub name: String,
    /// The development package that depends on the library, and by which its package is found.
    #[serde(rename = "of")]
    pub development: Option<String>,
    /// Why running applications need it.
    pub why: String,
    /// Why an image does without it on a system that has no such package.
    pub optional: Option<String>,
    /// Systems that it is not for.
    #[serde(default)]
    pub except: Vec<String>,
    /// The name of a library's package on this system, if it is known.
    #[serde(skip)]
    pub known: Option<String>,
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
    /// Systems that it is not for.
    #[serde(default)]
    pub except: Vec<String>,
}

impl Package {
    /// The package's name on this system. `None` for a library's that is not known: the machine looks it up.
    #[must_use]
    pub fn known_name(&self) -> Option<&str> {
        let plain = self.development.is_none().then_some(&self.name);
        self.known.as_ref().or(plain).map(String::as_str)
    }

    /// Its name for people.
    #[must_use]
    pub fn shown(&self) -> String {
        self.known_name().map_or_else(|| format!("{}*", self.name), str::to_owned)
    }

    /// Its word for `provision.sh`, which looks up what is not known, or not right.
    #[must_use]
    pub fn word(&self) -> String {
        let known = self.known.as_ref().map(|known| format!("{known}=")).unwrap_or_default();
        let of = self.development.as_ref().map(|development| format!(":{development}")).unwrap_or_default();
        format!("{known}{}{of}{}", self.name, if self.optional.is_some() { "?" } else { "" })
    }

    /// Whether an installed package of this name is meant.
    #[must_use]
    pub fn is_called(&self, name: &str) -> bool {
        self.known_name() == Some(name) || self.development.is_some() && is_of_library(&self.name, name)
    }
}

/// Whether a package has a library: whether its name is the library's with the number of its interface and, possibly, the
/// suffix of a change of the interface, as in `liblz4-1`, `libsnappy1v5`, `libssl3t64`.
#[must_use]
pub fn is_of_library(library: &str, package: &str) -> bool {
    let number = package.strip_prefix(library).map(|rest| rest.strip_prefix('-').unwrap_or(rest));
    let legal = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '.';
    number.is_some_and(|number| number.starts_with(|c: char| c.is_ascii_digit()) && number.chars().all(legal))
}

/// What systems without a version call themselves, `ID-SUITE`, and their names in the recipe.
#[must_use]
pub fn by_suite(systems: &BTreeMap<String, System>) -> BTreeMap<String, String> {
    let named = |(name, system): (&String, &System)| {
        let (id, suite) = (name.split('-').next()?, system.suite.as_ref()?);
        Some((format!("{id}-{suite}"), name.clone()))
    };
    systems.iter().filter_map(named).collect()
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
        if let Some(suite) = self.suite.as_ref().filter(|suite| !is_plain_name(suite)) {
            faults.push(format!("system {name}: suite: `{suite}` is not one plain word"));
        }
        for package in self.packages.iter().flat_map(|package| [Some(&package.name), package.development.as_ref()]) {
            if let Some(package) = package.filter(|package| !is_package_name(package)) {
                faults.push(format!("system {name}: package `{package}`: not a valid name of a Debian package"));
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

fn is_package_name(name: &str) -> bool {
    let legal = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "+-.".contains(c);
    name.len() >= 2 && !name.starts_with(['+', '-', '.']) && name.chars().all(legal)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_librarys_package_is_its_name_with_a_number_and_no_other_part_of_it() {
        for (library, packages) in [
            ("libssl", &["libssl1.0.0", "libssl1.1", "libssl3", "libssl3t64"][..]),
            ("libpython", &["libpython2.7", "libpython3.14"]),
            ("libsnappy", &["libsnappy1v5", "libsnappy1"]),
            ("liblz4", &["liblz4-1"]),
            ("libatomic", &["libatomic1"]),
        ] {
            assert!(packages.iter().all(|package| is_of_library(library, package)), "{packages:?}");
        }
        for (library, package) in [
            ("libssl", "libssl-dev"),
            ("libssl", "libssl"),
            ("libssl", "libssl-"),
            ("libssl", "libssl3-udeb"),
            ("libpython", "libpython3.13-stdlib"),
            ("libpython", "libpython3-dev"),
            ("liblz4", "liblz4tool1"),
            ("libssl", "xlibssl3"),
        ] {
            assert!(!is_of_library(library, package), "{package}");
        }
    }
}
