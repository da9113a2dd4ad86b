//! The signals that ask a command to end.

use anyhow::{Context as _, Result};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Listens for Ctrl-C, a polite kill, and the terminal being closed.
pub struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hangup: Option<Signal>,
}

impl Signals {
    /// Begins to listen; from now on these signals end nothing by themselves.
    ///
    /// # Errors
    /// When the system has no room for a handler.
    pub fn listen() -> Result<Signals> {
        let listen = |kind| signal(kind).context("failed to listen for signals");
        Ok(Signals {
            interrupt: listen(SignalKind::interrupt())?,
            terminate: listen(SignalKind::terminate())?,
            // Under nohup the terminal may go: a handler would undo that.
            hangup: if is_ignored(SignalKind::hangup()) { None } else { Some(listen(SignalKind::hangup())?) },
        })
    }

    /// Waits for the next of them, and names it.
    pub async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.interrupt.recv() => "Ctrl-C",
            _ = self.terminate.recv() => "SIGTERM",
            () = received(self.hangup.as_mut()) => "SIGHUP",
        }
    }
}

async fn received(signal: Option<&mut Signal>) {
    match signal {
        Some(signal) => drop(signal.recv().await),
        None => std::future::pending().await,
    }
}

/// Whether whoever started this process had it ignore a signal, by the mask that the kernel shows.
fn is_ignored(signal: SignalKind) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    ignores(&status, signal.as_raw_value())
}

fn ignores(status: &str, signal: i32) -> bool {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask >> (signal - 1) & 1 == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nohup_is_seen() {
        assert!(ignores("Name:\tx\nSigIgn:\t0000000000000001\n", 1));
        assert!(!ignores("Name:\tx\nSigIgn:\t0000000000001000\n", 1));
        assert!(!ignores("", 1));
    }
}
