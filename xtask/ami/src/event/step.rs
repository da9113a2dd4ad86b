//! The steps of a build.

/// What a machine of a build is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// The image is made of it.
    Bake,
    /// The image is tried on it.
    Verify,
}

impl Role {
    /// A word for names and tokens.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Role::Bake => "bake",
            Role::Verify => "verify",
        }
    }
}
