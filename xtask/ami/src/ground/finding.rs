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

impl Finding {
    /// A fault whose message may end with its own remedy, after a semicolon. One without gets `otherwise`.
    #[must_use]
    pub fn of_fault(fault: &str, otherwise: &str) -> Finding {
        let (problem, remedy) = fault.rsplit_once("; ").unwrap_or((fault, otherwise));
        Finding { problem: problem.to_owned(), remedy: remedy.to_owned() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\n    {}", self.problem, self.remedy)
    }
}

// A check that can't continue after a finding returns it as its error.
impl std::error::Error for Finding {}
