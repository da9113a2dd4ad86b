//! The version of an image.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// The longest name that EC2 gives an image, in characters (API reference, `CreateImage`).
pub const IMAGE_NAME_MAX_CHARS: usize = 128;

/// The shortest (API reference, `CreateImage`).
pub const IMAGE_NAME_MIN_CHARS: usize = 3;

/// A version, as `--version` takes it. It becomes part of the image's name, so it has only characters that names allow.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Version(String);

impl Version {
    /// The version as it was given.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The numbers of a release, which say which of two is newer: `0.6.1` is older than `0.6.10`, and as new as `0.6.1.0`.
    /// None for a candidate such as `0.6.1-rc1`, and for any other version that is not numbers with dots between.
    #[must_use]
    pub fn release_numbers(&self) -> Option<Vec<u64>> {
        let is_number = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        let parts = self.0.split('.').map(|part| if is_number(part) { part.parse().ok() } else { None });
        let mut numbers: Vec<u64> = parts.collect::<Option<_>>()?;
        while numbers.last() == Some(&0) {
            numbers.pop();
        }
        Some(numbers)
    }
}

impl FromStr for Version {
    type Err = String;

    fn from_str(text: &str) -> Result<Version, String> {
        if text.is_empty() {
            return Err("a version cannot be empty; give one such as 0.6.1".to_owned());
        }
        if text.trim() != text {
            return Err("a version cannot begin or end with whitespace; give one such as 0.6.1".to_owned());
        }
        illegal_in_image_name(text).map_err(|error| format!("{error}; give a version such as 0.6.1"))?;
        let length = text.chars().count();
        if length > IMAGE_NAME_MAX_CHARS {
            return Err(format!(
                "it has {length} characters, and an image's name can have at most {IMAGE_NAME_MAX_CHARS}; give \
                 one such as 0.6.1"
            ));
        }
        Ok(Version(text.to_owned()))
    }
}

impl From<Version> for String {
    fn from(value: Version) -> String {
        value.0
    }
}

impl TryFrom<String> for Version {
    type Error = <Version as FromStr>::Err;

    fn try_from(text: String) -> Result<Version, Self::Error> {
        text.parse()
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Fails on a character that EC2 does not allow in an image's name: all but letters, digits and `( ) [ ] space . / - ' @ _`.
///
/// # Errors
/// Names the first such character.
pub fn illegal_in_image_name(name: &str) -> Result<(), String> {
    let legal = |c: char| c.is_ascii_alphanumeric() || "()[] ./-'@_".contains(c);
    match name.chars().find(|&c| !legal(c)) {
        None => Ok(()),
        Some(c) => Err(format!(
            "{c:?} is not allowed in an image's name; allowed are letters, digits and ( ) [ ] space . / - ' @ _"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_what_an_image_name_takes() {
        for version in ["0.6.1", "0.6.1-rc1", "0.6.1-me", "1", "2026.11 (test)"] {
            assert_eq!(version.parse(), Ok(Version(version.to_owned())));
        }
    }

    #[test]
    fn releases_are_ordered_by_their_numbers_and_a_candidate_is_none() {
        let numbers = |text: &str| text.parse::<Version>().expect(text).release_numbers();
        let ordered = ["0", "0.6", "0.6.1", "0.6.2", "0.6.10", "0.10", "1", "2026.11"];
        assert!(ordered.is_sorted_by(|a, b| numbers(a) < numbers(b)));
        assert_eq!(numbers("0.6"), numbers("0.6.0"));
        for version in
            ["0.6.1-rc1", "v0.6.1", "nightly", "0.6.", ".6", "0..6", "2026.11 (test)", "99999999999999999999"]
        {
            assert_eq!(numbers(version), None, "{version}");
        }
    }

    #[test]
    fn refuses_the_rest_and_says_why() {
        for (version, complaint) in [
            ("", "cannot be empty"),
            ("0.6.1+dev", "'+' is not allowed in an image's name"),
            ("0.6.1\n", "whitespace"),
            ("0.6\n1", "'\\n' is not allowed"),
            (" 0.6.1", "whitespace"),
            (&"1".repeat(200), "200 characters"),
            ("0.6.1é", "'é' is not allowed"),
        ] {
            let error = version.parse::<Version>().expect_err(version);
            assert!(error.contains(complaint), "{version:?}: {error}");
        }
    }
}
