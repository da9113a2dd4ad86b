//! Asks before something is done that can't be undone.

use std::io::{BufRead as _, IsTerminal as _};

use anyhow::{Context as _, Result, bail};

/// Asks; `--yes` is the answer where it is given, and has to be where there is no terminal.
///
/// # Errors
/// When the answer is no, or there is no terminal to ask on.
pub async fn confirm(question: &str, yes: bool) -> Result<()> {
    if yes {
        return Ok(());
    }
    if !std::io::stdin().is_terminal() {
        bail!("not confirmed: stdin is not a terminal; pass --yes");
    }
    let _ = std::io::Write::write_all(&mut anstream::stderr(), format!("{question} [y/N] ").as_bytes());
    // On a thread of its own: a signal has to end the question, too.
    let (sender, answer) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || {
        let mut line = String::new();
        let read = std::io::stdin().lock().read_line(&mut line).map(|_| line);
        // When a signal came first, the receiver is gone.
        let _ = sender.send(read);
    });
    let answer = answer.await.context("failed to ask")?.context("failed to read the answer")?;
    if !["y", "yes"].contains(&answer.trim().to_lowercase().as_str()) {
        bail!("not confirmed");
    }
    Ok(())
}
