//! How a command ends.

use anyhow::Error;

use crate::events::Events;

/// Why a command did not do what was asked.
#[derive(Debug)]
pub enum Failure {
    /// It was refused before anything was created.
    Refused(Error),
    /// It failed; something may exist.
    Failed(Error),
    /// A signal ended it.
    Interrupted(&'static str),
    /// All has been said; this is the exit code.
    Said(u8),
}

impl Failure {
    /// The exit code that scripts rely on.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Failure::Failed(_) => 1,
            Failure::Refused(_) => 2,
            Failure::Interrupted(_) => 130,
            Failure::Said(code) => *code,
        }
    }

    /// Says why, where it hasn't been said.
    pub fn say(&self, events: &Events) {
        match self {
            Failure::Refused(error) | Failure::Failed(error) => events.error(format_args!("{error:#}")),
            Failure::Interrupted(signal) => events.error(format_args!("ended by {signal}")),
            Failure::Said(_) => {}
        }
    }
}
