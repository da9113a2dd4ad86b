//! The log of a build: its events, one line each, for people. It is kept in the build's folder, even if the build failed.

use std::{fs::File, io::Write as _};

use anyhow::{Context as _, Result};
use camino::Utf8Path;

use super::{
    harmless::harmless,
    words::{Kind, Words},
};
use crate::event::{Event, Line};

/// An open log.
pub struct Log(File);

impl Log {
    /// Opens the log at `path` for appending.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn open(path: &Utf8Path) -> Result<Log> {
        let file = File::options().create(true).append(true).open(path);
        file.map(Log).with_context(|| format!("failed to open the log {path}"))
    }

    /// Appends an event. A failure is ignored: the journal is what counts.
    pub fn append(&mut self, line: &Line, words: &Words) {
        let text = match words.kind {
            Kind::Change | Kind::Begin => format!("{} {}", words.verb, words.text),
            Kind::Warning => format!("warning: {}", words.text),
            Kind::Error => format!("error: {}", words.text),
            Kind::Output => format!("{}: {}", source(&line.event), words.text),
            Kind::Note | Kind::Detail | Kind::Trace => words.text.clone(),
        };
        let text = harmless(text).replace('\n', "\n    ");
        let _ = writeln!(self.0, "{} {text}", line.at);
    }
}

fn source(event: &Event) -> &str {
    if let Event::Output { source, .. } = event { source } else { "" }
}
