//! The outcome of a command.

use anyhow::Error;

use crate::events::Events;

/// Why a command failed.
#[derive(Debug)]
pub enum Failure {
    /// It was refused before anything was created. Exit code 2.
    Refused(Error),
    /// It failed, and may have left resources. Exit code 1.
    Failed(Error),
    /// A signal interrupted it. Exit code 130.
    Interrupted(&'static str),
    /// It failed and the error has been reported already; with the exit code.
    Reported(u8),
}

impl Failure {
    /// The exit code, which scripts rely on.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Failure::Failed(_) => 1,
            Failure::Refused(_) => 2,
            Failure::Interrupted(_) => 130,
            Failure::Reported(code) => *code,
        }
    }

    /// Reports the error, unless it has been reported already.
    pub fn report(&self, events: &Events) {
        match self {
            Failure::Refused(error) | Failure::Failed(error) => events.error(format_args!("{error:#}")),
            Failure::Interrupted(signal) => events.error(format_args!("interrupted by {signal}")),
            Failure::Reported(_) => {}
        }
    }
}
