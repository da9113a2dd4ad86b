//! A machine that one can log in to.

use std::time::Duration;

use anyhow::Result;
use camino::Utf8Path;

pub mod cloud_init;
pub mod keys;
pub mod openssh;
pub mod ssh;

/// A login on a machine.
#[expect(async_fn_in_trait, reason = "the futures are awaited on one thread, so nobody needs them to be Send")]
pub trait Machine {
    /// Runs a shell command to its end, with `input` on its standard input, and gives back what it printed on its
    /// standard output. Everything that it prints goes to the machine's log.
    ///
    /// # Errors
    /// When the connection is lost, `limit` passes, or it doesn't end with 0: the message says `what` failed and has
    /// the last lines.
    async fn run(&self, what: &str, command: &str, input: Input<'_>, limit: Duration) -> Result<String>;
}

/// What a command reads on its standard input.
#[derive(Clone, Copy, Debug)]
pub enum Input<'a> {
    /// Nothing.
    None,
    /// A text.
    Text(&'a str),
    /// A file of this computer.
    File(&'a Utf8Path),
}
