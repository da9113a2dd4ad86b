//! Where what happens is emitted: the one way to the journal, the state, the terminal and the log.

use std::{cell::RefCell, fmt::Display, rc::Rc, time::SystemTime};

use anyhow::{Result, ensure};
use camino::Utf8Path;
use serde::{Serialize, de::DeserializeOwned};
use tokio::time::Instant;

use crate::{
    event::{
        Event, FORMAT, How, Keeping, Line,
        about::About,
        step::{Handle, Step},
    },
    record::{
        folder::{JOURNAL, LOG},
        journal::{Journal, Reading},
        state::State,
    },
    show::{log::Log, terminal::Terminal, words::words},
};

/// The one way of what happens. Clones lead to the same place.
#[derive(Clone)]
pub struct Events(Rc<Inner>);

struct Inner {
    terminal: Terminal,
    /// The build that is worked on; none of a command that works on none.
    build: RefCell<Option<Build>>,
    /// The fold of the build's events.
    state: RefCell<State>,
    /// Shown each state right after the event that led to it was written: for the law that it is read back as it was.
    witness: RefCell<Option<Box<dyn FnMut(&State)>>>,
    /// The wall clock and the monotonic one at the beginning: times of events never go backwards.
    began: (SystemTime, Instant),
    waits: RefCell<u64>,
}

struct Build {
    journal: Journal,
    log: Log,
}

impl Events {
    /// Events that a terminal shows, of no build yet.
    #[must_use]
    pub fn new(terminal: Terminal) -> Events {
        Events(Rc::new(Inner {
            terminal,
            build: RefCell::default(),
            state: RefCell::default(),
            witness: RefCell::default(),
            began: (SystemTime::now(), Instant::now()),
            waits: RefCell::default(),
        }))
    }

    /// The terminal that shows them.
    #[must_use]
    pub fn terminal(&self) -> &Terminal {
        &self.0.terminal
    }

    /// A build begins, in this folder.
    ///
    /// # Errors
    /// When its journal cannot be written.
    pub fn begin(&self, folder: &Utf8Path, about: About) -> Result<()> {
        let journal = Journal::create(&folder.join(JOURNAL))?;
        self.take_up(State::default(), Build { journal, log: Log::open(&folder.join(LOG))? })?;
        self.emit(Event::Began { format: FORMAT, build: Box::new(about) })
    }

    /// A build is resumed: what its journal tells has happened.
    ///
    /// # Errors
    /// When its journal cannot be written.
    pub fn resume(&self, folder: &Utf8Path, reading: Reading) -> Result<()> {
        let journal = Journal::append(&folder.join(JOURNAL), &reading)?;
        self.take_up(reading.state, Build { journal, log: Log::open(&folder.join(LOG))? })?;
        self.emit(Event::Resumed {})
    }

    fn take_up(&self, state: State, build: Build) -> Result<()> {
        // Each would write the other's events into its journal.
        ensure!(self.0.build.borrow().is_none(), "this process works on a build already");
        self.0.build.replace(Some(build));
        self.0.state.replace(state);
        Ok(())
    }

    /// This process works on the build no longer: how it ended is written down, and the journal is closed.
    ///
    /// # Errors
    /// When its journal cannot be written.
    pub fn end(&self, how: How, left: bool) -> Result<()> {
        let ended = self.emit(Event::Ended { how, left });
        self.0.build.replace(None);
        ended
    }

    /// Looks at the state of the build. What is looked at is not kept: the next event may change it.
    pub fn state<T>(&self, look: impl FnOnce(&State) -> T) -> T {
        look(&self.0.state.borrow())
    }

    /// Has each state shown to `witness`, right after the event that made it was written.
    pub fn witness(&self, witness: impl FnMut(&State) + 'static) {
        self.0.witness.replace(Some(Box::new(witness)));
    }

    /// Something happened: it is written down, then it changes the state, is shown, and logged. The one place for it.
    ///
    /// # Errors
    /// When it decides about a resumed build and cannot be written down. Then it counts as not having happened.
    pub fn emit(&self, event: Event) -> Result<()> {
        let at = self.0.began.0 + self.0.began.1.elapsed();
        let line = Line { at: humantime::format_rfc3339_millis(at).to_string(), event };
        let keeping = line.event.keeping();
        let mut build = self.0.build.borrow_mut();
        if let Some(build) = build.as_mut().filter(|_| keeping > Keeping::Logged) {
            let written = build.journal.write(&line);
            // What is not flushed is for later readers, and no reason to stop: a disk that is full stops the next step.
            if keeping == Keeping::Flushed {
                written?;
            }
            self.0.state.borrow_mut().apply(&line);
            if let Some(witness) = self.0.witness.borrow_mut().as_mut().filter(|_| line.event.changes_state()) {
                witness(&self.0.state.borrow());
            }
        }
        let words = words(&line.event, &self.0.state.borrow());
        self.0.terminal.show(&line, words.as_ref());
        if let (Some(build), Some(words)) = (build.as_mut(), words) {
            build.log.append(&line, &words);
        }
        Ok(())
    }

    /// Something happened that decides nothing: it is shown and logged, and written down if that can be.
    pub fn say(&self, event: impl Into<Event>) {
        let event = event.into();
        // Only a warning is flushed of what decides nothing: on a full disk it is still to be shown.
        let warning = if let Event::Warned { text } = &event { Some(text.clone()) } else { None };
        if let (Err(_), Some(text)) = (self.emit(event), warning) {
            let _ = self.emit(Event::Noted { text });
        }
    }

    /// Something that does not stop the command, and that its user should know.
    pub fn warn(&self, text: impl Display) {
        self.say(Event::Warned { text: text.to_string() });
    }

    /// Why the command fails.
    pub fn error(&self, text: impl Display) {
        self.say(Event::Error { text: text.to_string() });
    }

    /// A line below an error or a warning: what exists now, what to type next.
    pub fn note(&self, text: impl Display) {
        self.say(Event::Noted { text: text.to_string() });
    }

    /// A program on this computer, or a command on an instance, printed a line.
    pub fn output(&self, source: &str, line: impl Display) {
        self.say(Event::Output { source: source.to_owned(), line: line.to_string() });
    }

    /// Does a step's work: it is recorded as intended before, and what came of it after.
    ///
    /// `by` is what finds the result again when the answer is lost.
    ///
    /// # Errors
    /// The work's own, and those of writing the journal: work that cannot be written down does not begin.
    pub async fn record<T: Serialize>(
        &self,
        step: Step,
        by: impl Into<Handle>,
        work: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        self.emit(Event::Intended { step: step.clone(), by: by.into() })?;
        let began = Instant::now();
        match work.await {
            Ok(value) => {
                let result = serde_json::to_value(&value)?;
                self.emit(Event::Done { step, result, took_ms: millis(began) })?;
                Ok(value)
            }
            Err(error) => {
                // On a full disk this fails, too, and why the step failed is the better message.
                let _ = self.emit(Event::Failed { step, error: format!("{error:#}") });
                Err(error)
            }
        }
    }

    /// As [`Events::record`], but a step that is done is not done again: its result is taken.
    ///
    /// # Errors
    /// As [`Events::record`]; and when the recorded result is none of this kind.
    pub async fn once<T: Serialize + DeserializeOwned>(
        &self,
        step: Step,
        by: impl Into<Handle>,
        work: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        let recorded = self.state(|state| state.result(&step))?;
        match recorded {
            Some(result) => Ok(result),
            None => self.record(step, by, work).await,
        }
    }

    /// Something is being waited for, until the returned guard is dropped.
    #[must_use = "the wait lasts for as long as this lives"]
    pub fn waiting(&self, on: impl Display) -> Waiting {
        let wait = *self.0.waits.borrow() + 1;
        self.0.waits.replace(wait);
        let on = on.to_string();
        self.say(Event::Waiting { wait, on: on.clone(), state: String::new() });
        Waiting { events: self.clone(), wait, on, state: String::new(), began: Instant::now() }
    }
}

/// Something that is being waited for.
pub struct Waiting {
    events: Events,
    wait: u64,
    on: String,
    state: String,
    began: Instant,
}

impl Waiting {
    /// What it is doing instead; said where it changed.
    pub fn state(&mut self, state: &str) {
        if self.state != state {
            state.clone_into(&mut self.state);
            self.events.say(Event::Waiting { wait: self.wait, on: self.on.clone(), state: state.to_owned() });
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let on = std::mem::take(&mut self.on);
        self.events.say(Event::Waited { wait: self.wait, on, took_ms: millis(self.began) });
    }
}

fn millis(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX)
}
