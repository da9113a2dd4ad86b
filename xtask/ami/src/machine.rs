//! Login sessions on machines.

use std::time::Duration;

use anyhow::Result;
use camino::Utf8Path;

pub mod cloud_init;
pub mod keys;
pub mod openssh;
pub mod ssh;

/// A login session on a machine.
#[expect(async_fn_in_trait, reason = "the futures are awaited on one thread, so they need not be Send")]
pub trait Machine {
    /// Runs a shell command with `input` on its standard input, and returns its standard output. All its output goes to
    /// the machine's log.
    ///
    /// # Errors
    /// When the connection is lost, the command exceeds `limit`, or its exit status isn't 0. The message names `what`
    /// failed, and has the last lines of output.
    async fn run(&self, what: &str, command: &str, input: Input<'_>, limit: Duration) -> Result<String>;
}

/// The standard input of a command.
#[derive(Clone, Copy, Debug)]
pub enum Input<'a> {
    /// Empty.
    None,
    /// This text.
    Text(&'a str),
    /// The content of a file on this computer.
    File(&'a Utf8Path),
}
