//! A command's result on stdout.

use std::io::Write as _;

use anyhow::{Context as _, Result};
use serde::Serialize;

use super::screen;

/// Prints a command's result, the only thing that goes to stdout.
///
/// # Errors
/// When stdout is closed or full.
pub fn print(text: &str) -> Result<()> {
    // Stdout may be the terminal that has the live block.
    screen::clear();
    let mut stdout = std::io::stdout().lock();
    stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()).context("failed to print the result")
}

/// A document as text: JSON with a final newline.
///
/// # Errors
/// When it cannot be encoded.
pub fn json(document: &impl Serialize) -> Result<String> {
    let text = serde_json::to_string_pretty(document).context("failed to encode the result")?;
    Ok(format!("{text}\n"))
}
