//! A parameter of SSM.

use std::time::Duration;

use super::Tags;

/// A parameter that names an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parameter {
    /// The image that it names.
    pub value: String,
    /// The image that it is to name once SSM has looked whether that is there, and from when on.
    pub next: Option<(String, Duration)>,
    pub tags: Tags,
}

impl Parameter {
    /// What it names; empty where it is not there yet.
    pub fn value(&self, now: Duration) -> &str {
        match &self.next {
            Some((next, from)) if now >= *from => next,
            _ => &self.value,
        }
    }
}
