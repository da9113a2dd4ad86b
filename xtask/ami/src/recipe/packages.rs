//! The packages that the base brings, and whether they are brought up to date.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{
        MapAccess, SeqAccess, Visitor,
        value::{MapAccessDeserializer, SeqAccessDeserializer},
    },
};

use super::Package;

/// What is said of a list where the table has to be, and of a table where the list has to be.
const TABLE: &str = "the table [packages]";
const LIST: &str = "a [[package]] for each package";

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
#[serde(rename_all = "lowercase", expecting = "expected none, security or all, in quotes")]
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

/// The table, and no list: serde takes a list for a struct by itself.
pub(super) fn table<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Packages, D::Error> {
    struct Table;
    impl<'de> Visitor<'de> for Table {
        type Value = Packages;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(TABLE)
        }

        fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Packages, A::Error> {
            Packages::deserialize(MapAccessDeserializer::new(map))
        }
    }
    deserializer.deserialize_any(Table)
}

/// The list, which one may write like the table.
pub(super) fn list<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Package>, D::Error> {
    struct List;
    impl<'de> Visitor<'de> for List {
        type Value = Vec<Package>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(LIST)
        }

        fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Vec<Package>, A::Error> {
            Vec::deserialize(SeqAccessDeserializer::new(seq))
        }
    }
    deserializer.deserialize_any(List)
}

/// The table or the list that was meant, if a fault says that one was written like the other.
pub(super) fn meant(fault: &str) -> Option<&'static str> {
    if fault.contains(TABLE) {
        Some("[[package]]")
    } else if fault.contains(LIST) {
        Some("[packages]")
    } else {
        None
    }
}
