//! The journal of a build: a file of JSON lines, one an event.
//!
//! Events that decide what a resumed build does are on the disk before the build continues (see
//! [`Keeping`](crate::event::Keeping)). A step is recorded as intended before its work begins, with the token or unique
//! name that the work uses, and as done after, with its result. So the file says what may exist, however the process
//! ends. A torn last line is normal: it was being written when the process ended.

use std::{
    fs::File,
    io::{BufRead as _, Write as _},
    sync::Arc,
};

use anyhow::{Context as _, Result, bail};
use camino::{Utf8Path, Utf8PathBuf};
use serde_json::Value;

use super::state::State;
use crate::event::{Event, FORMAT, Line, about::About};

/// The file of one build, open for writing.
pub struct Journal {
    path: Utf8PathBuf,
    file: Arc<File>,
    /// The length of the complete lines, in bytes.
    whole_bytes: u64,
}

impl Journal {
    /// Creates the journal of a build at `path`, which must not exist.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn create(path: &Utf8Path) -> Result<Journal> {
        let file = File::options().create_new(true).append(true).open(path);
        let file = file.with_context(|| format!("failed to create the journal {path}"))?;
        Ok(Journal { path: path.to_owned(), file: file.into(), whole_bytes: 0 })
    }

    /// Opens the journal at `path` to append to what was read of it.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn append(path: &Utf8Path, reading: &Reading) -> Result<Journal> {
        let failed = || format!("failed to open the journal {path}");
        let file = File::options().append(true).open(path).with_context(failed)?;
        // A line that was being written when the process ended says nothing, and would spoil the next one.
        file.set_len(reading.whole_bytes).with_context(failed)?;
        Ok(Journal { path: path.to_owned(), file: file.into(), whole_bytes: reading.whole_bytes })
    }

    /// Writes an event. It survives the end of the process, and a power failure once it is flushed.
    ///
    /// # Errors
    /// When it cannot be written. Then the work that it announces must not begin.
    pub fn write(&mut self, line: &Line) -> Result<()> {
        let mut text = serde_json::to_vec(line)?;
        text.push(b'\n');
        let failed = || format!("failed to write the journal {}", self.path);
        if let Err(error) = (&*self.file).write_all(&text) {
            // A partial line would spoil the next one, once there is room for it.
            let _ = self.file.set_len(self.whole_bytes);
            return Err(error).with_context(failed);
        }
        self.whole_bytes += text.len() as u64;
        Ok(())
    }

    /// The length of the events that are written so far, in bytes.
    #[must_use]
    pub fn length_bytes(&self) -> u64 {
        self.whole_bytes
    }

    /// Returns what flushes the events that are written so far, on whichever thread it runs: beside a large file that is
    /// being written, that may take seconds.
    pub fn flush(&self) -> impl FnOnce() -> Result<()> + Send + use<> {
        let (file, path) = (Arc::clone(&self.file), self.path.clone());
        move || file.sync_data().with_context(|| format!("failed to write the journal {path}"))
    }
}

/// The contents of a journal.
#[derive(Clone, Debug)]
pub struct Reading {
    /// The state of its build.
    pub state: State,
    /// The length of the complete lines, in bytes.
    whole_bytes: u64,
}

/// Whether a build began in the folder of this journal. One whose process was killed before the first line was whole did
/// nothing yet; and one that cannot be read may have.
#[must_use]
pub fn has_begun(path: &Utf8Path) -> bool {
    match first_line(path) {
        Ok(line) => line.ends_with(b"\n"),
        Err(error) => error.kind() != std::io::ErrorKind::NotFound,
    }
}

/// What the journal at `path` is about, from its first line alone; none if that cannot be read.
#[must_use]
pub fn about(path: &Utf8Path) -> Option<About> {
    match Line::parse(first_line(path).ok()?.strip_suffix(b"\n")?).ok()?.event {
        Event::Began { build, .. } => Some(*build),
        _ => None,
    }
}

fn first_line(path: &Utf8Path) -> std::io::Result<Vec<u8>> {
    let mut line = Vec::new();
    std::io::BufReader::new(File::open(path)?).read_until(b'\n', &mut line)?;
    Ok(line)
}

impl Reading {
    /// Reads the journal at `path`.
    ///
    /// # Errors
    /// When it cannot be read, has a newer format than this tool, or has an invalid line other than a torn last one; the
    /// message has its number.
    pub fn of(path: &Utf8Path) -> Result<Reading> {
        let bytes = std::fs::read(path).with_context(|| format!("failed to read the journal {path}"))?;
        Reading::parse(&bytes).with_context(|| format!("cannot resume from {path}"))
    }

    /// Reads the bytes of a journal.
    ///
    /// # Errors
    /// As [`Reading::of`].
    pub fn parse(bytes: &[u8]) -> Result<Reading> {
        let mut state = State::default();
        let whole_bytes = changes(bytes, |line| state.apply(line))?;
        if state.attempts == 0 {
            bail!("line 1: the journal is empty");
        }
        Ok(Reading { state, whole_bytes })
    }
}

/// Calls `take` with each complete line that changes the state of the build. Returns the length of all complete lines.
fn changes(bytes: &[u8], mut take: impl FnMut(&Line)) -> Result<u64> {
    let (mut rest, mut bytes, mut whole_bytes) = (bytes, Vec::new(), 0);
    for number in 1.. {
        bytes.clear();
        rest.read_until(b'\n', &mut bytes)?;
        // A line without a newline was being written when the process ended.
        let Some(text) = bytes.strip_suffix(b"\n") else { break };
        if number == 1 {
            known_format(text)?;
        }
        let change = Line::parse_change(text).with_context(|| format!("line {number} is not a line of a journal"))?;
        let begins = change.as_ref().is_some_and(|line| matches!(line.event, Event::Began { .. }));
        if (number == 1) != begins {
            bail!("line {number}: a journal has one `began`, in its first line");
        }
        change.iter().for_each(&mut take);
        whole_bytes += bytes.len() as u64;
    }
    Ok(whole_bytes)
}

/// Checks the format, which the first line has, before anything else is parsed.
fn known_format(line: &[u8]) -> Result<()> {
    let value: Value = serde_json::from_slice(line).context("line 1 is not a line of a journal")?;
    match value["format"].as_u64() {
        Some(format) if format > u64::from(FORMAT) => {
            bail!(
                "line 1: the journal has format {format}, and this version of the tool reads up to {FORMAT}: use a newer one"
            )
        }
        Some(_) => Ok(()),
        None => bail!("line 1: the journal does not say which format it has"),
    }
}

#[cfg(test)]
mod tests;
