//! stdout: a command's result, and nothing else.

use std::io::Write as _;

use anyhow::{Context as _, Result};

/// Prints a command's result.
///
/// # Errors
/// When stdout is closed or full: the result has not arrived then.
pub fn print(text: &str) -> Result<()> {
    let mut stdout = std::io::stdout().lock();
    stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()).context("failed to print the result")
}
