//! Where events are emitted: the only way to the journal, the state, the terminal and the log.

use std::{cell::RefCell, fmt::Display, rc::Rc, time::SystemTime};

use anyhow::{Result, ensure};
use camino::Utf8Path;
use serde::{Serialize, de::DeserializeOwned};
use tokio::{sync::Mutex, time::Instant};

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

/// How many events are kept for a build that may begin later. Preflight has some hundred.
const MAX_EARLIER_LINES: usize = 2000;

/// Emits events. Clones share everything.
#[derive(Clone)]
pub struct Events(Rc<Inner>);

type Witness = Box<dyn FnMut(&State)>;

struct Inner {
    terminal: Terminal,
    /// The build that this process works on, if any.
    build: RefCell<Option<Build>>,
    /// The events from before a build began.
    earlier: RefCell<Vec<Line>>,
    /// The state of the build: the fold of its events.
    state: RefCell<State>,
    /// Sees each state right after its event was written. Tests compare it with the state that is read back.
    witness: RefCell<Option<Witness>>,
    /// The wall clock and the monotonic clock at the start, so that the times of events never go backwards.
    began: (SystemTime, Instant),
    waits: RefCell<u64>,
}

struct Build {
    journal: Journal,
    log: Log,
    /// How much of the journal is on the disk, in bytes. Locked by the one that flushes it, for all that wait.
    flushed: Rc<Mutex<u64>>,
}

impl Build {
    fn new(folder: &Utf8Path, journal: Journal) -> Result<Build> {
        Ok(Build { journal, log: Log::open(&folder.join(LOG))?, flushed: Rc::default() })
    }
}

impl Events {
    /// Events for a terminal, with no build yet.
    #[must_use]
    pub fn new(terminal: Terminal) -> Events {
        Events(Rc::new(Inner {
            terminal,
            build: RefCell::default(),
            earlier: RefCell::default(),
            state: RefCell::default(),
            witness: RefCell::default(),
            began: (SystemTime::now(), Instant::now()),
            waits: RefCell::default(),
        }))
    }

    /// The terminal that shows the events.
    #[must_use]
    pub fn terminal(&self) -> &Terminal {
        &self.0.terminal
    }

    /// Begins a build, with its journal and log in `folder`.
    ///
    /// # Errors
    /// When its journal cannot be written.
    pub fn begin(&self, folder: &Utf8Path, about: About) -> Result<()> {
        let journal = Journal::create(&folder.join(JOURNAL))?;
        self.take_up(State::default(), Build::new(folder, journal)?)?;
        self.emit(Event::Began { format: FORMAT, build: Box::new(about) })?;
        self.catch_up()?;
        self.flush_here()
    }

    /// Resumes a build, from the state that its journal was read into.
    ///
    /// # Errors
    /// When its journal cannot be written.
    pub fn resume(&self, folder: &Utf8Path, reading: Reading) -> Result<()> {
        let journal = Journal::append(&folder.join(JOURNAL), &reading)?;
        self.take_up(reading.state, Build::new(folder, journal)?)?;
        self.emit(Event::Resumed {})?;
        self.catch_up()?;
        self.flush_here()
    }

    fn take_up(&self, state: State, build: Build) -> Result<()> {
        // Each would write the other's events into its journal.
        ensure!(self.0.build.borrow().is_none(), "this process works on a build already");
        self.0.build.replace(Some(build));
        self.0.state.replace(state);
        Ok(())
    }

    /// Ends the work on the build: records how it ended, and closes the journal.
    ///
    /// # Errors
    /// When its journal cannot be written.
    pub fn end(&self, how: How, left: bool) -> Result<()> {
        let ended = self.emit(Event::Ended { how, left }).and_then(|()| self.flush_here());
        self.0.build.replace(None);
        ended
    }

    fn of_build<T>(&self, look: impl FnOnce(&Build) -> T) -> Option<T> {
        self.0.build.borrow().as_ref().map(look)
    }

    /// Flushes the journal, before or after the work on the build: nothing else needs this thread then.
    fn flush_here(&self) -> Result<()> {
        self.of_build(|build| build.journal.flush()).map_or(Ok(()), |flush| flush())
    }

    /// Reads the state of the build. The next event may change it.
    pub fn state<T>(&self, look: impl FnOnce(&State) -> T) -> T {
        look(&self.0.state.borrow())
    }

    /// Calls `witness` with each state, right after its event was written.
    pub fn witness(&self, witness: impl FnMut(&State) + 'static) {
        self.0.witness.replace(Some(Box::new(witness)));
    }

    /// Emits an event as [`Events::emit`] does, and returns when it is on the disk, with all before it.
    ///
    /// # Errors
    /// As [`Events::emit`], and when it cannot be flushed. Then the work that follows it must not begin.
    pub async fn emit_flushed(&self, event: Event) -> Result<()> {
        self.emit(event)?;
        let Some((written, flushed)) = self.of_build(|it| (it.journal.length_bytes(), Rc::clone(&it.flushed))) else {
            return Ok(());
        };
        let mut flushed = flushed.lock().await;
        if *flushed >= written {
            return Ok(());
        }
        if let Some((written, flush)) = self.of_build(|it| (it.journal.length_bytes(), it.journal.flush())) {
            // On another thread, because it may take seconds, and signals and the instance need this one meanwhile.
            tokio::task::spawn_blocking(flush).await??;
            *flushed = written;
        }
        Ok(())
    }

    /// Emits an event: writes it to the journal, applies it to the state, shows it, and logs it, in this order.
    ///
    /// # Errors
    /// When an event that is to be flushed cannot be written. Then it is neither applied nor shown.
    pub fn emit(&self, event: Event) -> Result<()> {
        let at = self.0.began.0 + self.0.began.1.elapsed();
        let line = Line { at: humantime::format_rfc3339_millis(at).to_string(), event };
        let mut build = self.0.build.borrow_mut();
        if let Some(build) = build.as_mut() {
            self.write(build, &line)?;
        }
        let words = {
            let state = self.0.state.borrow();
            let words = words(&line.event, &state);
            self.0.terminal.show(&line, words.as_ref(), state.about.as_ref());
            words
        };
        match (build.as_mut(), words) {
            (Some(build), Some(words)) => build.log.append(&line, &words),
            (Some(_), None) => {}
            (None, _) => self.keep_until_a_build_begins(line),
        }
        Ok(())
    }

    /// Writes an event to the journal of the build, and takes it into the state.
    fn write(&self, build: &mut Build, line: &Line) -> Result<()> {
        let keeping = line.event.keeping();
        if keeping == Keeping::Logged {
            return Ok(());
        }
        let written = build.journal.write(line);
        // What is not flushed is for later readers, and no reason to stop: a disk that is full stops the next step.
        if keeping == Keeping::Flushed {
            written?;
        }
        self.0.state.borrow_mut().apply(line);
        if let Some(witness) = self.0.witness.borrow_mut().as_mut().filter(|_| line.event.changes_state()) {
            witness(&self.0.state.borrow());
        }
        Ok(())
    }

    /// Keeps an event of preflight for the build that follows it.
    fn keep_until_a_build_begins(&self, line: Line) {
        let mut earlier = self.0.earlier.borrow_mut();
        if earlier.len() < MAX_EARLIER_LINES {
            earlier.push(line);
        }
    }

    /// Writes the events from before the build began to its journal and log.
    fn catch_up(&self) -> Result<()> {
        let earlier = self.0.earlier.take();
        let mut build = self.0.build.borrow_mut();
        let Some(build) = build.as_mut() else { return Ok(()) };
        for line in earlier {
            self.write(build, &line)?;
            if let Some(words) = words(&line.event, &self.0.state.borrow()) {
                build.log.append(&line, &words);
            }
        }
        Ok(())
    }

    /// Emits an event that no decision depends on. If it cannot be written, it is shown and logged only.
    pub fn say(&self, event: impl Into<Event>) {
        // None of these events has to be flushed, so it does not fail.
        let _ = self.emit(event.into());
    }

    /// Warns of a problem that does not stop the command.
    pub fn warn(&self, text: impl Display) {
        self.say(Event::Warned { text: text.to_string() });
    }

    /// Says why the command fails.
    pub fn error(&self, text: impl Display) {
        self.say(Event::Error { text: text.to_string() });
    }

    /// Adds a line below an error or a warning: what exists now, or what to type next.
    pub fn note(&self, text: impl Display) {
        self.say(Event::Noted { text: text.to_string() });
    }

    /// Emits a line that a program on this computer, or a command on an instance, printed.
    pub fn output(&self, source: &str, line: impl Display) {
        self.say(Event::Output { source: source.to_owned(), line: line.to_string() });
    }

    /// Does the work of a step, and records it: as intended before, as done or failed after.
    ///
    /// `by` finds the result again if the answer is lost.
    ///
    /// # Errors
    /// When the work fails, or the journal cannot be written. Work that cannot be recorded does not begin.
    pub async fn record<T: Serialize>(
        &self,
        step: Step,
        by: impl Into<Handle>,
        work: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        self.emit_flushed(Event::Intended { step: step.clone(), by: by.into() }).await?;
        let began = Instant::now();
        match work.await {
            Ok(value) => {
                let result = serde_json::to_value(&value)?;
                self.emit_flushed(Event::Done { step, result, took_ms: millis(began) }).await?;
                Ok(value)
            }
            Err(error) => {
                // If the disk is full this fails as well, but the step's own error is the better message.
                let _ = self.emit_flushed(Event::Failed { step, error: format!("{error:#}") }).await;
                Err(error)
            }
        }
    }

    /// As [`Events::record`], but a step that is done is not repeated: its recorded result is returned.
    ///
    /// # Errors
    /// As [`Events::record`], and when the recorded result cannot be parsed.
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

    /// Begins a wait, which ends when the returned guard is dropped.
    #[must_use = "the wait lasts for as long as this lives"]
    pub fn waiting(&self, on: impl Display) -> Waiting {
        self.waiting_on(None, on)
    }

    /// As [`Events::waiting`], on a machine: `source` is the name of its log.
    #[must_use = "the wait lasts for as long as this lives"]
    pub fn waiting_on(&self, source: Option<&str>, on: impl Display) -> Waiting {
        let wait = *self.0.waits.borrow() + 1;
        self.0.waits.replace(wait);
        let (on, source) = (on.to_string(), source.map(str::to_owned));
        self.say(Event::Waiting { wait, on: on.clone(), state: String::new(), source: source.clone() });
        Waiting { events: self.clone(), wait, on, state: String::new(), source, began: Instant::now() }
    }
}

/// A wait.
pub struct Waiting {
    events: Events,
    wait: u64,
    on: String,
    state: String,
    source: Option<String>,
    began: Instant,
}

impl Waiting {
    /// Reports the state of the awaited thing, if it has changed.
    pub fn state(&mut self, state: &str) {
        if self.state != state {
            state.clone_into(&mut self.state);
            let (on, source) = (self.on.clone(), self.source.clone());
            self.events.say(Event::Waiting { wait: self.wait, on, state: state.to_owned(), source });
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let on = std::mem::take(&mut self.on);
        self.events.say(Event::Waited { wait: self.wait, on, took_ms: millis(self.began) });
    }
}

/// How long ago that was, in milliseconds.
#[must_use]
pub fn millis(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{event::progress::Progress, fixture};

    #[test]
    fn what_is_said_before_a_build_begins_is_in_its_journal_and_its_log() {
        let (_guard, folder) = fixture::folder();
        let events = fixture::events();
        events.warn("the base is old");
        events.say(Progress::Fact { label: "Cloud".to_owned(), fact: "this computer".to_owned() });
        events.begin(&folder, fixture::about()).expect("a build");
        events.end(How::Failed, false).expect("its end");
        assert_eq!(events.state(|state| state.warnings.clone()), ["the base is old"]);
        let reading = Reading::of(&folder.join(JOURNAL)).expect("a journal");
        assert!(events.state(|state| *state == reading.state));
        let log = std::fs::read_to_string(folder.join(LOG)).expect("a log");
        assert!(log.contains("warning: the base is old") && log.contains("Cloud this computer"), "{log}");
        // A second build of the same process begins with what is its own.
        let (_guard, second) = fixture::folder();
        events.begin(&second, fixture::about()).expect("a build");
        assert_eq!(events.state(|state| state.warnings.len()), 0);
        assert!(events.begin(&folder, fixture::about()).is_err(), "it works on one");
    }
}
