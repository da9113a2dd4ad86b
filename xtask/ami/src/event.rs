//! The events of a build, as typed values: one for each thing that happens, in one stream.
//!
//! The journal, the state of a build, the terminal, the log and the result are all derived from this stream.
//! [`Event::keeping`] says how each kind of event is kept.

use std::borrow::Cow;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use xtask::region::Region;

pub mod about;
pub mod estimate;
pub mod facts;
pub mod hardware;
pub mod ids;
pub mod phase;
pub mod progress;
pub mod promotion;
pub mod step;

use about::About;
use facts::Check;
use ids::ImageId;
use progress::Progress;
use step::{Handle, Step};

/// The version of the stream's format, which the first event of a build has.
pub const FORMAT: u32 = 2;

/// An event, and when it happened: a line of the journal, and of `--log-format json`.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Line {
    /// RFC 3339, UTC, in milliseconds.
    pub at: String,
    /// What happened.
    #[serde(flatten)]
    pub event: Event,
}

impl Line {
    /// Reads a line.
    ///
    /// # Errors
    /// When the text is not a line of the stream.
    pub fn parse(text: &[u8]) -> serde_json::Result<Line> {
        // Parsing twice is faster than once through serde's `flatten`, which buffers a copy of everything.
        let Head { at, .. } = serde_json::from_slice(text)?;
        Ok(Line { at: at.into_owned(), event: serde_json::from_slice(text)? })
    }

    /// Reads a line if its event changes the state of the build. Of other lines, about half of all, only the kind is read.
    ///
    /// # Errors
    /// When the text is not a line of the stream.
    pub fn parse_change(text: &[u8]) -> serde_json::Result<Option<Line>> {
        let Head { at, event } = serde_json::from_slice(text)?;
        if UNCHANGING.contains(&event.as_ref()) {
            return Ok(None);
        }
        Ok(Some(Line { at: at.into_owned(), event: serde_json::from_slice(text)? }))
    }
}

/// The fields that every line has.
#[derive(Deserialize)]
struct Head<'a> {
    #[serde(borrow)]
    at: Cow<'a, str>,
    #[serde(borrow)]
    event: Cow<'a, str>,
}

/// The kinds of events that do not change the state of a build.
const UNCHANGING: [&str; 10] =
    ["error", "noted", "progress", "waiting", "waited", "called", "output", "ran", "sent", "checked"];

/// What happened.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// A build begins: always the first event of its journal, and only that.
    Began {
        /// The version of the format.
        format: u32,
        /// What is being built.
        build: Box<About>,
    },
    /// Another process resumes the build.
    Resumed {},
    /// A step's work is about to begin.
    Intended {
        /// The step, unique in its build.
        step: Step,
        /// A token, a unique name or an id that finds its result again; empty if the step can simply be repeated.
        #[serde(default)]
        by: Handle,
    },
    /// A step's work is done.
    Done {
        /// The step.
        step: Step,
        /// What it returned.
        result: Value,
        /// How long it took, in milliseconds.
        took_ms: u64,
    },
    /// A step's work failed. It may have left something all the same.
    Failed {
        /// The step.
        step: Step,
        /// Why.
        error: String,
    },
    /// A step failed without an answer. Its work may have been done all the same.
    InDoubt {
        /// The step.
        step: Step,
    },
    /// A region is left out of the release.
    GaveUp {
        /// The region.
        #[schemars(with = "String")]
        region: Region,
        /// Why.
        why: String,
    },
    /// The cloud was asked which image of this build a region has.
    Seen {
        /// The region.
        #[schemars(with = "String")]
        region: Region,
        /// The image, if there is one.
        image: Option<ImageId>,
        /// Whether others may launch it.
        #[serde(default)]
        open: bool,
    },
    /// A problem that does not stop the command.
    Warned {
        /// The problem, and what to type next.
        text: String,
    },
    /// Why the command fails.
    Error {
        /// Why, and what to type next.
        text: String,
    },
    /// A line below a warning or an error: what exists now, and what to type next.
    Noted {
        /// The line.
        text: String,
    },
    /// A process ended its work on the build. Later lines of the journal are another process's.
    Ended {
        /// How.
        how: How,
        /// Whether instances, key pairs or security groups of the build may still exist.
        #[serde(default)]
        left: bool,
    },
    /// Progress that is not a step of its own.
    Progress {
        /// What.
        #[serde(flatten)]
        progress: Progress,
    },
    /// A wait began, or its state changed.
    Waiting {
        /// The number of the wait in its process.
        wait: u64,
        /// What is awaited.
        on: String,
        /// Its current state; empty at first.
        state: String,
        /// The log of the machine that it is about, such as `bake`; absent if it is about none.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        source: Option<String>,
    },
    /// A wait is over, with any result.
    Waited {
        /// The number of the wait in its process.
        wait: u64,
        /// What was awaited.
        on: String,
        /// How long, in milliseconds.
        took_ms: u64,
    },
    /// A call of the cloud's API was answered or given up.
    Called {
        /// The action, as the cloud's API reference names it.
        action: String,
        /// The region that was called.
        region: String,
        /// How long it took with all its attempts, in milliseconds.
        took_ms: u64,
        /// The HTTP status of the answer; absent if no answer came.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        status: Option<u16>,
    },
    /// A program on this computer, or a command on an instance, printed a line.
    Output {
        /// The log that also has the line.
        source: String,
        /// The line.
        line: String,
    },
    /// A command on an instance ended.
    Ran {
        /// The log that also has its output.
        source: String,
        /// The command, as the log has it.
        command: String,
        /// How long it took, in milliseconds.
        took_ms: u64,
        /// How it ended: its exit status, a signal, or that the connection was lost.
        how: String,
    },
    /// A part of a file was sent to an instance. The last one of a file has `sent_bytes` equal to `total_bytes`.
    Sent {
        /// The log of the instance.
        source: String,
        /// How many bytes were sent so far, on this connection and those before it.
        sent_bytes: u64,
        /// The size of the file.
        total_bytes: u64,
        /// For how long it has been sent on this connection, in milliseconds.
        took_ms: u64,
    },
    /// A check of the image was made.
    Checked {
        /// The check.
        #[serde(flatten)]
        check: Check,
    },
}

/// How a process ended its work on a build.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum How {
    /// The release is complete.
    Done,
    /// A step failed.
    Failed,
    /// A signal ended it.
    Interrupted,
    /// The build's leftovers were removed.
    Cleaned,
}

/// How an event is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Keeping {
    /// In the build's log alone, if anywhere: losing it loses nothing.
    Logged,
    /// Written to the journal. It survives the end of the process, but maybe not a power failure.
    Written,
    /// Written to the journal, and flushed to the disk before the build continues.
    Flushed,
}

impl Event {
    /// Whether it changes the state of the build.
    #[must_use]
    pub fn changes_state(&self) -> bool {
        match self {
            Event::Began { .. } | Event::Resumed {} | Event::Ended { .. } => true,
            Event::Intended { .. } | Event::Done { .. } | Event::Failed { .. } | Event::InDoubt { .. } => true,
            Event::GaveUp { .. } | Event::Seen { .. } | Event::Warned { .. } => true,
            Event::Error { .. } | Event::Noted { .. } | Event::Progress { .. } => false,
            Event::Waiting { .. } | Event::Waited { .. } | Event::Called { .. } | Event::Output { .. } => false,
            Event::Ran { .. } | Event::Sent { .. } | Event::Checked { .. } => false,
        }
    }

    /// How the event is kept.
    ///
    /// Events that decide what a resumed build does are flushed: an intention before its call, a result before the next
    /// step. Waits and progress only serve later readers of the journal, so they are not worth a flush.
    #[must_use]
    pub fn keeping(&self) -> Keeping {
        match self {
            Event::Began { .. } | Event::Resumed {} | Event::Ended { .. } => Keeping::Flushed,
            Event::Intended { .. } | Event::Done { .. } | Event::Failed { .. } => Keeping::Flushed,
            // The result has it, also when another process completes the build.
            Event::GaveUp { .. } => Keeping::Flushed,
            // The next step flushes it.
            Event::Warned { .. } => Keeping::Written,
            // The cloud can be asked again.
            Event::Seen { .. } | Event::InDoubt { .. } => Keeping::Written,
            // They come right before `Ended`, which flushes them.
            Event::Error { .. } | Event::Noted { .. } => Keeping::Written,
            Event::Progress { .. } | Event::Waiting { .. } | Event::Waited { .. } => Keeping::Written,
            // A verification that fails has no result, so its checks are known from these alone.
            Event::Checked { .. } => Keeping::Written,
            Event::Called { .. } | Event::Output { .. } | Event::Ran { .. } | Event::Sent { .. } => Keeping::Logged,
        }
    }
}

impl From<Progress> for Event {
    fn from(progress: Progress) -> Event {
        Event::Progress { progress }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_is_read_only_in_part_is_one_that_changes_nothing() {
        let text = || "text".to_owned();
        let progress = Progress::Uploading { files: 7 };
        for event in [
            Event::Resumed {},
            Event::Intended { step: Step::Publish, by: Handle::NONE },
            Event::Done { step: Step::Publish, result: Value::Null, took_ms: 1 },
            Event::Failed { step: Step::Publish, error: text() },
            Event::InDoubt { step: Step::Publish },
            Event::GaveUp { region: "us-west-2".parse().expect("a region"), why: text() },
            Event::Seen { region: "us-west-2".parse().expect("a region"), image: None, open: false },
            Event::Warned { text: text() },
            Event::Error { text: text() },
            Event::Noted { text: text() },
            Event::Ended { how: How::Done, left: false },
            Event::Progress { progress },
            Event::Waiting { wait: 1, on: text(), state: text(), source: Some(text()) },
            Event::Waited { wait: 1, on: text(), took_ms: 1 },
            Event::Called { action: text(), region: text(), took_ms: 1, status: Some(200) },
            Event::Output { source: text(), line: text() },
            Event::Ran { source: text(), command: text(), took_ms: 1, how: text() },
            Event::Sent { source: text(), sent_bytes: 1, total_bytes: 2, took_ms: 1 },
            Event::Checked { check: Check { name: text(), fault: None, skipped: Some(text()) } },
        ] {
            let line = Line { at: "2026-11-22T00:00:00Z".to_owned(), event };
            let json = serde_json::to_string(&line).expect("JSON");
            let read = Line::parse(json.as_bytes()).expect(&json);
            assert_eq!(serde_json::to_string(&read).expect("JSON"), json);
            let change = Line::parse_change(json.as_bytes()).expect(&json);
            assert_eq!(change.is_some(), line.event.changes_state(), "{json}");
        }
    }
}
