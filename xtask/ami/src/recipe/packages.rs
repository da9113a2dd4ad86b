//! The packages that the base brings, and whether they are brought up to date.

use std::fmt;

use serde::Deserialize;

/// How the base's own packages are treated.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Packages {
    /// Which of them are brought up to date before the image is made.
    #[serde(default)]
    pub upgrade: Upgrade,
}

/// Which of the base's packages are brought up to date.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Upgrade {
    /// None, except those that a package of the recipe needs in another version.
    None,
    /// Those with security updates, to the versions of these.
    #[default]
    Security,
    /// All, as by `apt-get upgrade --with-new-pkgs`.
    All,
}

impl fmt::Display for Upgrade {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Upgrade::None => "none",
            Upgrade::Security => "security",
            Upgrade::All => "all",
        })
    }
}
