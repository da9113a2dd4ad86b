//! Findings: problems with their remedies.

use std::fmt;

/// A problem that stops a command, with its remedy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What is wrong.
    pub problem: String,
    /// What to run, give or change.
    pub remedy: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\n    {}", self.problem, self.remedy)
    }
}

// A check that can't continue after a finding returns it as its error.
impl std::error::Error for Finding {}
