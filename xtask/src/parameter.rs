//! The names of SSM parameters that name the image of a version.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::version::Version;

/// The last part of the name of the parameter that names the newest release.
pub const LATEST: &str = "latest";

/// The longest name, in characters (SSM API reference, `PutParameter`, `Name`).
const MAX_CHARS: usize = 1011;

/// The most levels of a name (SSM API reference, `PutParameter`, `Name`).
const MAX_LEVELS: usize = 15;

/// How no name may begin, in any case (SSM API reference, `PutParameter`, `Name`).
const RESERVED: [&str; 2] = ["aws", "ssm"];

/// What the names of parameters begin with, such as `/wallaroo/ami`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Prefix(String);

impl Prefix {
    /// The name of a version's parameter.
    ///
    /// # Errors
    /// When no parameter can have this name.
    pub fn of_version(&self, version: &Version) -> Result<String, String> {
        let version = version.as_str();
        if let Some(illegal) = version.chars().find(|c| !is_legal(*c)) {
            return Err(format!(
                "the version {version} cannot be part of a parameter's name, which has no {illegal:?}: give a version of \
                 letters, digits and `.`, `-`, `_`, such as 0.6.1, or no --ssm-prefix"
            ));
        }
        if version == LATEST {
            return Err(format!("the parameter {} names the newest release: give another version", self.latest()));
        }
        let name = format!("{self}/{version}");
        let length = name.chars().count();
        if length > MAX_CHARS {
            return Err(format!("the parameter's name {name} has {length} characters; SSM permits {MAX_CHARS}"));
        }
        Ok(name)
    }

    /// The name of the parameter that names the newest release.
    #[must_use]
    pub fn latest(&self) -> String {
        format!("{self}/{LATEST}")
    }

    /// The prefix as it was given.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn is_legal(c: char) -> bool {
    c.is_ascii_alphanumeric() || "._-".contains(c)
}

impl FromStr for Prefix {
    type Err = String;

    fn from_str(text: &str) -> Result<Prefix, String> {
        let example = "give one such as /wallaroo/ami";
        let Some(path) = text.strip_prefix('/') else {
            return Err(format!("a prefix of parameters begins with `/`, and `{text}` does not; {example}"));
        };
        let levels: Vec<&str> = path.split('/').collect();
        if levels.iter().any(|level| level.is_empty()) {
            return Err(format!("`{text}` has an empty part between or after its slashes; {example}"));
        }
        if let Some(illegal) = path.chars().find(|c| !is_legal(*c) && *c != '/') {
            return Err(format!(
                "`{text}` has {illegal:?}; names of parameters have letters, digits and `.`, `-`, `_`; {example}"
            ));
        }
        let begin = path.to_ascii_lowercase();
        if let Some(reserved) = RESERVED.iter().find(|reserved| begin.starts_with(**reserved)) {
            return Err(format!("`{text}` begins with `/{reserved}`, which AWS reserves; {example}"));
        }
        // The version is one more.
        if levels.len() >= MAX_LEVELS || text.chars().count() >= MAX_CHARS {
            return Err(format!(
                "`{text}` is too long: with the version, SSM permits {MAX_LEVELS} parts and {MAX_CHARS} characters; {example}"
            ));
        }
        Ok(Prefix(text.to_owned()))
    }
}

impl From<Prefix> for String {
    fn from(value: Prefix) -> String {
        value.0
    }
}

impl TryFrom<String> for Prefix {
    type Error = String;

    fn try_from(text: String) -> Result<Prefix, String> {
        text.parse()
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What `--ssm-prefix` gives: a prefix, or none, which takes that of the recipe away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice(pub Option<Prefix>);

impl FromStr for Choice {
    type Err = String;

    fn from_str(text: &str) -> Result<Choice, String> {
        if text.is_empty() { Ok(Choice(None)) } else { text.parse().map(|prefix| Choice(Some(prefix))) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_is_what_ssm_takes_and_anything_else_is_refused_with_an_example() {
        for prefix in ["/wallaroo/ami", "/w", "/team-a/Wallaroo_1.x/ami"] {
            assert_eq!(prefix.parse::<Prefix>().map(String::from), Ok(prefix.to_owned()));
        }
        let (deep, long) = ("/a".repeat(15), format!("/{}", "a".repeat(1011)));
        for (prefix, complaint) in [
            ("wallaroo/ami", "begins with `/`"),
            ("/", "an empty part"),
            ("/wallaroo/ami/", "an empty part"),
            ("/wallaroo//ami", "an empty part"),
            ("/wallaroo ami", "has ' '"),
            ("/wallaroo/{version}", "has '{'"),
            ("/aws/service/wallaroo", "AWS reserves"),
            ("/SSM/wallaroo", "AWS reserves"),
            (&deep, "too long"),
            (&long, "too long"),
        ] {
            let error = prefix.parse::<Prefix>().expect_err(prefix);
            assert!(error.contains(complaint) && error.ends_with("such as /wallaroo/ami"), "{prefix}: {error}");
        }
        assert_eq!("".parse(), Ok(Choice(None)));
        assert!("ami".parse::<Choice>().is_err());
    }

    #[test]
    fn a_version_that_no_parameter_can_be_named_after_is_refused() {
        let prefix: Prefix = "/wallaroo/ami".parse().expect("a prefix");
        let named = |version: &str| prefix.of_version(&version.parse().expect("a version"));
        assert_eq!(named("0.6.1-rc1").as_deref(), Ok("/wallaroo/ami/0.6.1-rc1"));
        for (version, complaint) in
            [("2026.11 (test)", "has no ' '"), ("0.6/1", "has no '/'"), ("latest", "newest release")]
        {
            assert!(named(version).expect_err(version).contains(complaint), "{version}");
        }
    }
}
