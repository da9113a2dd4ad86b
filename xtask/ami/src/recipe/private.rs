//! What a recipe says of private images: their names, and how long a base is kept for the next one.

use std::{ops::RangeInclusive, time::Duration};

use anyhow::{Result, anyhow, bail};
use serde::Deserialize as _;
use xtask::{
    duration,
    version::{self, Version},
};

use super::Recipe;

const DAY: Duration = Duration::from_secs(86_400);

/// How long a base can be kept: it gets no security updates meanwhile.
const BASE_LIFE: RangeInclusive<Duration> = Duration::from_secs(60)..=Duration::from_secs(30 * 86_400);

/// The placeholder that no two builds have the same value for.
const BUILD: &str = "{build}";

/// The most characters of a user's name in the name of an image.
const MAX_USER_CHARS: usize = 32;

pub(super) fn default_name() -> String {
    "Wallaroo {version} (private {user} {commit} {build})".to_owned()
}

pub(super) fn default_base_life() -> Duration {
    7 * DAY
}

pub(super) fn base_life<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    duration::parse(&String::deserialize(deserializer)?, &BASE_LIFE).map_err(serde::de::Error::custom)
}

pub(super) fn faults(name: &str) -> Option<String> {
    let known = ["{version}", "{user}", "{commit}", BUILD];
    let rest = known.iter().fold(name.to_owned(), |rest, placeholder| rest.replace(placeholder, ""));
    match rest.find(['{', '}']) {
        Some(_) => Some(format!("private_name: its placeholders can be {}", known.join(", "))),
        None => version::illegal_in_image_name(&rest).err().map(|fault| format!("private_name: {fault}")),
    }
}

/// The name, if EC2 permits it.
pub(super) fn legal_name(name: String) -> Result<String> {
    let length = name.chars().count();
    if !(version::IMAGE_NAME_MIN_CHARS..=version::IMAGE_NAME_MAX_CHARS).contains(&length) {
        bail!(
            "the image name `{name}` has {length} characters; EC2 permits {} to {}",
            version::IMAGE_NAME_MIN_CHARS,
            version::IMAGE_NAME_MAX_CHARS
        );
    }
    version::illegal_in_image_name(&name).map_err(|fault| anyhow!("the image name `{name}`: {fault}"))?;
    Ok(name)
}

impl Recipe {
    /// What a release of a version is called, which private images of it are not.
    #[must_use]
    pub fn release_name(&self, version: &Version) -> String {
        self.name.replace("{version}", version.as_str())
    }

    /// The name of a private image: `private_name`, with the version, the user of this computer, the commit, and the part of
    /// the build's id that no other build has. That part comes last where the recipe has no place for it, so that two builds
    /// of one commit have two names.
    ///
    /// # Errors
    /// When EC2 doesn't permit the name.
    pub fn private_image_name(&self, version: &Version, user: &str, commit: &str, build: &str) -> Result<String> {
        let mut name = self.private_name.clone();
        if !name.contains(BUILD) {
            name.push(' ');
            name.push_str(BUILD);
        }
        let user: String = user.chars().map(legal).take(MAX_USER_CHARS).collect();
        let user = if user.is_empty() { "unknown" } else { user.as_str() };
        for (placeholder, value) in
            [("{user}", user), ("{commit}", commit), (BUILD, build), ("{version}", version.as_str())]
        {
            name = name.replace(placeholder, value);
        }
        legal_name(name)
    }
}

/// The character, or a dash in place of one that EC2 doesn't permit in a name, or that would end a word.
fn legal(c: char) -> char {
    if c.is_ascii_alphanumeric() || "._-@".contains(c) { c } else { '-' }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(template: &str, user: &str) -> Result<String> {
        let mut recipe = crate::fixture::recipe();
        template.clone_into(&mut recipe.private_name);
        recipe.private_image_name(&"0.6.1".parse().expect("a version"), user, "3f2a91bc-dirty", "5d0c9e1a")
    }

    #[test]
    fn a_private_name_says_whose_and_of_what_it_is_and_no_two_builds_have_the_same() {
        for (template, user, name) in [
            (default_name().as_str(), "alice", "Wallaroo 0.6.1 (private alice 3f2a91bc-dirty 5d0c9e1a)"),
            ("Wallaroo {version} of {user}", "CORP\\Zo\u{eb} B", "Wallaroo 0.6.1 of CORP-Zo--B 5d0c9e1a"),
            ("dev/{build}", "", "dev/5d0c9e1a"),
            ("{user} {version}", "", "unknown 0.6.1 5d0c9e1a"),
        ] {
            assert_eq!(named(template, user).expect(template), name);
        }
        let error = named(&"x".repeat(120), "alice").expect_err("too long").to_string();
        assert!(error.contains("EC2 permits 3 to 128"), "{error}");
    }

    #[test]
    fn a_private_name_with_another_placeholder_or_what_ec2_refuses_is_a_fault_of_the_recipe() {
        assert_eq!(faults(&default_name()), None);
        for (name, words) in [("Wallaroo {branch}", "can be {version}"), ("Wallaroo: {version}", "private_name: ")] {
            assert!(faults(name).is_some_and(|fault| fault.contains(words)), "{name}");
        }
    }
}
