//! Something that stands in the way of a build, and what mends it.

use std::fmt;

/// Something that stands in the way, and what mends it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What is wrong.
    pub problem: String,
    /// What to type or set.
    pub remedy: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\n    {}", self.problem, self.remedy)
    }
}

// What can't go on because of a finding ends with it.
impl std::error::Error for Finding {}
