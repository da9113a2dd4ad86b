//! Asks for confirmation before something that cannot be undone.

use std::io::{BufRead as _, IsTerminal as _};

use anyhow::{Context as _, Result, bail};

use super::screen;

/// Asks for confirmation with a yes. `--yes` confirms, and is required where stdin is not a terminal.
///
/// # Errors
/// When the answer is no, or stdin is not a terminal.
pub async fn confirm(question: &str, yes: bool) -> Result<()> {
    let answer = answer(&format!("{question} [y/N] "), yes).await?;
    let confirmed = answer.is_none_or(|answer| ["y", "yes"].contains(&answer.to_lowercase().as_str()));
    if confirmed { Ok(()) } else { bail!("not confirmed") }
}

/// Asks for confirmation by typing a word, where a yes would be given too easily. `--yes` confirms here, too.
///
/// # Errors
/// When another word is typed, or stdin is not a terminal.
pub async fn confirm_by_typing(word: &str, question: &str, yes: bool) -> Result<()> {
    let answer = answer(&format!("{question} To confirm, type `{word}`: "), yes).await?;
    match answer {
        Some(answer) if answer != word => bail!("not confirmed: `{answer}` is not `{word}`"),
        _ => Ok(()),
    }
}

/// The answer to a question; `None` if `--yes` was given.
async fn answer(question: &str, yes: bool) -> Result<Option<String>> {
    if yes {
        return Ok(None);
    }
    if !std::io::stdin().is_terminal() {
        bail!("not confirmed: stdin is not a terminal; pass --yes");
    }
    ask(question).await.map(Some)
}

/// Asks on the terminal, and returns the line that was typed, without the spaces around it.
///
/// # Errors
/// When nothing can be read.
pub async fn ask(question: &str) -> Result<String> {
    let _held = screen::hold();
    let _ = std::io::Write::write_all(&mut anstream::stderr(), question.as_bytes());
    // On a thread of its own, so that a signal can end the question.
    let (sender, answer) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || {
        let mut line = String::new();
        let read = std::io::stdin().lock().read_line(&mut line).map(|_| line);
        // If a signal came first, the receiver is gone.
        let _ = sender.send(read);
    });
    let answer = answer.await.context("failed to ask")?.context("failed to read the answer")?;
    Ok(answer.trim().to_owned())
}
