//! The lines of a journal for the page: whatever can be read of it, also where it is damaged or of a newer format.

use std::time::UNIX_EPOCH;

use crate::{
    event::{Event, FORMAT, Line},
    record::state::State,
};

/// What could be read of a journal.
#[derive(Default)]
pub(super) struct Lines {
    /// Each line that could be read, in order.
    pub lines: Vec<Moment>,
    /// The state that they make.
    pub state: State,
    /// Each process that worked on the build, in order.
    pub attempts: Vec<Attempt>,
    /// What could not be read, a sentence each.
    pub faults: Vec<String>,
}

/// An event of a process that worked on the build.
pub(super) struct Moment {
    /// When it happened, in milliseconds since 1970.
    pub at_ms: u64,
    /// The index of the process.
    pub attempt: usize,
    /// What happened.
    pub event: Event,
}

/// From when to when a process worked on the build, in milliseconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Attempt {
    pub start_ms: u64,
    pub end_ms: u64,
}

impl Lines {
    /// Reads the bytes of a journal. A last line without a newline was being written when the process ended, and is
    /// ignored. A line that cannot be read is a fault, and the others are read all the same.
    pub fn read(bytes: &[u8]) -> Lines {
        let mut read = Lines::default();
        let mut unreadable: Vec<usize> = Vec::new();
        for (number, text) in (1..).zip(bytes.split_inclusive(|&byte| byte == b'\n')) {
            let Some(text) = text.strip_suffix(b"\n") else { break };
            let line = Line::parse(text).ok();
            match line.and_then(|line| Some((since_1970_ms(&line.at)?, line))) {
                Some((at_ms, line)) => read.take(at_ms, line),
                None => unreadable.push(number),
            }
        }
        if read.lines.is_empty() {
            read.faults.push("The journal has no line that can be read.".to_owned());
        } else if read.state.about.is_none() {
            read.faults.push("The line that says what is being built is missing or cannot be read.".to_owned());
        }
        match unreadable.as_slice() {
            [] => {}
            [number] => read.faults.push(format!("Line {number} of the journal cannot be read, and is left out.")),
            [first, ..] => {
                let count = unreadable.len();
                read.faults.push(format!("{count} lines of the journal cannot be read, the first is line {first}."));
            }
        }
        read
    }

    fn take(&mut self, at_ms: u64, line: Line) {
        self.state.apply(&line);
        if let Event::Began { format, .. } = &line.event
            && *format > FORMAT
        {
            let newer = "a newer version of the tool may show more";
            self.faults.push(format!("The journal has format {format}, and this tool knows up to {FORMAT}: {newer}."));
        }
        let begins = matches!(line.event, Event::Began { .. } | Event::Resumed {});
        match self.attempts.last_mut() {
            Some(attempt) if !begins => attempt.end_ms = attempt.end_ms.max(at_ms),
            _ => self.attempts.push(Attempt { start_ms: at_ms, end_ms: at_ms }),
        }
        self.lines.push(Moment { at_ms, attempt: self.attempts.len() - 1, event: line.event });
    }
}

fn since_1970_ms(at: &str) -> Option<u64> {
    let at = humantime::parse_rfc3339(at).ok()?;
    u64::try_from(at.duration_since(UNIX_EPOCH).ok()?.as_millis()).ok()
}
