//! What was intended, and what came of it: a file of JSON lines, flushed to the disk before the next step.
//!
//! A step is written down as intended before its work begins, with the token or unique name that the work uses, and as
//! done, with what it returned, after. So whatever ends this process, the file says what may exist. A torn last line is
//! normal: it was being written when the process ended.

use std::{
    cell::RefCell,
    fs::File,
    io::Write as _,
    time::{Duration, SystemTime},
};

use anyhow::{Context as _, Result};
use camino::{Utf8Path, Utf8PathBuf};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use tokio::time::Instant;

mod history;

pub use history::History;

/// The version of the format; it stands in the first line.
pub const FORMAT: u32 = 1;

/// The journal of one build.
pub struct Journal {
    path: Utf8PathBuf,
    file: RefCell<File>,
    began: Instant,
    timings: RefCell<Vec<Timing>>,
    history: History,
}

/// How long a step took.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Timing {
    /// The step.
    pub step: String,
    /// When it was over, from the journal's beginning, in milliseconds.
    pub ended_ms: u64,
    /// How long it took, in milliseconds.
    pub took_ms: u64,
}

/// A line of the journal.
#[derive(Debug, Serialize, Deserialize)]
pub struct Line {
    /// When it was written, RFC 3339.
    pub at: String,
    /// What happened.
    #[serde(flatten)]
    pub event: Event,
}

/// What happened.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// The first line.
    Began {
        /// The version of the journal's format.
        format: u32,
        /// What is being built.
        build: serde_json::Value,
    },
    /// Somebody goes on with the build.
    Resumed {},
    /// A step's work is about to begin.
    Intended {
        /// The step, unique in its build.
        step: String,
        /// What finds its result again: a token, a name.
        by: serde_json::Value,
    },
    /// A step's work is done.
    Done {
        /// The step.
        step: String,
        /// What it returned.
        result: serde_json::Value,
        /// How long it took, in milliseconds.
        took_ms: u64,
    },
    /// A step's work failed, which doesn't mean that it left nothing.
    Failed {
        /// The step.
        step: String,
        /// Why.
        error: String,
    },
    /// The last line: the build ended.
    Ended {
        /// How, in a word: `done`, `failed`, `interrupted` or `cleaned`.
        how: String,
        /// Whether machines, or what lets in to them, may still be there.
        #[serde(default)]
        left: bool,
    },
}

impl Journal {
    /// Begins the journal of a build at `path`, which must not be there yet.
    ///
    /// # Errors
    /// When it can't be written.
    pub fn begin(path: &Utf8Path, build: &impl Serialize) -> Result<Journal> {
        let file = File::options().create_new(true).append(true).open(path);
        let file = RefCell::new(file.with_context(|| format!("failed to begin the journal {path}"))?);
        let history = History::default();
        let journal =
            Journal { path: path.to_owned(), file, began: Instant::now(), timings: RefCell::default(), history };
        journal.write(Event::Began { format: FORMAT, build: serde_json::to_value(build)? })?;
        Ok(journal)
    }

    /// Goes on with the journal at `path`, which tells this.
    ///
    /// # Errors
    /// When it can't be written.
    pub fn resume(path: &Utf8Path, mut history: History) -> Result<Journal> {
        history.attempts += 1;
        let failed = || format!("failed to go on with the journal {path}");
        let file = File::options().append(true).open(path).with_context(failed)?;
        // A line that was being written when the process ended says nothing, and would spoil the next one.
        file.set_len(history.whole_bytes).with_context(failed)?;
        let file = RefCell::new(file);
        let journal =
            Journal { path: path.to_owned(), file, began: Instant::now(), timings: RefCell::default(), history };
        journal.write(Event::Resumed {})?;
        Ok(journal)
    }

    /// What happened before this process.
    #[must_use]
    pub fn history(&self) -> &History {
        &self.history
    }

    /// As [`Journal::step`], but a step that was done before this process is not done again: its result is taken.
    ///
    /// # Errors
    /// As [`Journal::step`]; and when the result of then is none of this kind.
    pub async fn once<T: Serialize + DeserializeOwned>(
        &self,
        step: impl Into<String>,
        by: impl Serialize,
        work: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        let step = step.into();
        match self.history.result(&step)? {
            Some(result) => Ok(result),
            None => self.step(step, by, work).await,
        }
    }

    /// Does a step's work, and writes down that it is intended before, and what came of it after.
    ///
    /// `by` is what finds the result again when the answer is lost.
    ///
    /// # Errors
    /// The work's own, and those of writing the journal: work isn't begun that couldn't be written down.
    pub async fn step<T: Serialize>(
        &self,
        step: impl Into<String>,
        by: impl Serialize,
        work: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        let step = step.into();
        self.write(Event::Intended { step: step.clone(), by: serde_json::to_value(by)? })?;
        let began = Instant::now();
        match work.await {
            Ok(value) => {
                let took_ms = millis(began.elapsed());
                let result = serde_json::to_value(&value)?;
                self.write(Event::Done { step: step.clone(), result, took_ms })?;
                let ended_ms = millis(self.began.elapsed());
                self.timings.borrow_mut().push(Timing { step, ended_ms, took_ms });
                Ok(value)
            }
            Err(error) => {
                // On a full disk this fails, too, and why the step failed is the better message.
                let _ = self.write(Event::Failed { step, error: format!("{error:#}") });
                Err(error)
            }
        }
    }

    /// Writes the last line: how it ended, in a word, and whether machines, or what lets in to them, may still be there.
    ///
    /// # Errors
    /// When it can't be written.
    pub fn end(&self, how: &str, left: bool) -> Result<()> {
        self.write(Event::Ended { how: how.to_owned(), left })
    }

    /// Whether a step is done, by this process or before it.
    #[must_use]
    pub fn is_done(&self, step: &str) -> bool {
        self.history.was_done(step) || self.timings.borrow().iter().any(|timing| timing.step == step)
    }

    /// How long each step took, in the order in which they ended.
    #[must_use]
    pub fn timings(&self) -> Vec<Timing> {
        self.timings.borrow().clone()
    }

    fn write(&self, event: Event) -> Result<()> {
        let at = humantime::format_rfc3339_millis(SystemTime::now()).to_string();
        let mut line = serde_json::to_string(&Line { at, event })?;
        line.push('\n');
        let mut file = self.file.borrow_mut();
        let written = file.write_all(line.as_bytes()).and_then(|()| file.sync_data());
        written.with_context(|| format!("failed to write the journal {}", self.path))
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
