//! What the terminal shows: cargo's manner, on stderr.
//!
//! One line for each change of state, a verb right-aligned to 12 columns and the object. On a terminal one transient
//! line below them says what is being waited for; elsewhere the same is said in a plain line, at most once a minute.

use std::{
    cell::RefCell,
    fmt::Display,
    io::{IsTerminal as _, Write},
    rc::Rc,
    time::Duration,
};

use anstyle::{AnsiColor, Style};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tokio::time::Instant;

const VERB: Style = AnsiColor::Green.on_default().bold();
const WAIT: Style = AnsiColor::Cyan.on_default().bold();
const WARNING: Style = AnsiColor::Yellow.on_default().bold();
const ERROR: Style = AnsiColor::Red.on_default().bold();

/// How often a wait is mentioned where there is no terminal.
const PLAIN_LINE_EVERY: Duration = Duration::from_secs(60);

/// How much is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Warnings, errors and the result.
    Quiet,
    /// A line for each change of state.
    Normal,
    /// What the commands on the machines print, too.
    Verbose,
}

/// The one place that tells the user what goes on. Clones write to the same terminal.
#[derive(Clone)]
pub struct Status(Rc<Inner>);

struct Inner {
    level: Level,
    /// There while something is waited for: an idle one would draw over a question, or a shell.
    line: RefCell<Option<ProgressBar>>,
    transient: bool,
    out: RefCell<Box<dyn Write>>,
    waits: RefCell<Vec<Entry>>,
}

struct Entry {
    id: u64,
    what: String,
    state: String,
    since: Instant,
    mentioned: Instant,
}

impl Status {
    /// A status that writes to stderr.
    #[must_use]
    pub fn new(level: Level) -> Status {
        let is_terminal = std::io::stderr().is_terminal() && std::env::var_os("CI").is_none();
        let shown = is_terminal && level == Level::Normal && std::env::var_os("TERM").is_none_or(|term| term != "dumb");
        let out: RefCell<Box<dyn Write>> = RefCell::new(Box::new(anstream::stderr()));
        Status(Rc::new(Inner { level, line: RefCell::default(), transient: shown, out, waits: RefCell::default() }))
    }

    /// A status that writes elsewhere, as where there is no terminal.
    #[must_use]
    pub fn to(out: impl Write + 'static, level: Level) -> Status {
        let out: RefCell<Box<dyn Write>> = RefCell::new(Box::new(out));
        Status(Rc::new(Inner { level, line: RefCell::default(), transient: false, out, waits: RefCell::default() }))
    }

    /// Something changed: `verb` in the third person or the participle (`Built`, `Launching`), then its object.
    pub fn step(&self, verb: &str, object: impl Display) {
        if self.0.level >= Level::Normal {
            self.print(format_args!("{VERB}{verb:>12}{VERB:#} {}", harmless(object)));
        }
    }

    /// Something that a user should know, and that doesn't stop the command.
    pub fn warn(&self, message: impl Display) {
        self.print(format_args!("{WARNING}warning{WARNING:#}: {}", harmless(message)));
    }

    /// Why the command fails.
    pub fn error(&self, message: impl Display) {
        self.print(format_args!("{ERROR}error{ERROR:#}: {}", harmless(message)));
    }

    /// A line below an error or a warning: what exists now, what to type next.
    pub fn note(&self, message: impl Display) {
        self.print(format_args!("  {}", harmless(message)));
    }

    /// A line that a command on a machine, or a program on this one, printed.
    pub fn verbose(&self, line: impl Display) {
        if self.0.level >= Level::Verbose {
            self.print(harmless(line));
        }
    }

    /// Something is being waited for, until the returned guard is dropped.
    #[must_use = "the wait is shown for as long as this lives"]
    pub fn waiting(&self, what: impl Display) -> Waiting {
        let mut waits = self.0.waits.borrow_mut();
        let id = waits.last().map_or(0, |entry| entry.id + 1);
        let now = Instant::now();
        waits.push(Entry { id, what: what.to_string(), state: String::new(), since: now, mentioned: now });
        drop(waits);
        self.draw();
        Waiting { status: self.clone(), id }
    }

    /// Keeps the transient line alive; never returns, so it is to be raced against the work.
    pub async fn keep_drawing(&self) {
        loop {
            tokio::time::sleep(Duration::from_secs(1)).await;
            self.draw();
        }
    }

    fn draw(&self) {
        let now = Instant::now();
        let mut waits = self.0.waits.borrow_mut();
        if self.0.transient {
            let mut line = self.0.line.borrow_mut();
            if waits.is_empty() {
                if let Some(line) = line.take() {
                    line.finish_and_clear();
                }
            } else {
                let all: Vec<String> = waits.iter().map(Entry::text).collect();
                let message = format!("{WAIT}{:>12}{WAIT:#} {}", "Waiting", all.join(" · "));
                line.get_or_insert_with(|| transient_line(ProgressDrawTarget::stderr())).set_message(message);
            }
            return;
        }
        let due = waits.iter_mut().filter(|entry| now - entry.mentioned >= PLAIN_LINE_EVERY);
        let lines: Vec<String> = due
            .map(|entry| {
                entry.mentioned = now;
                entry.text()
            })
            .collect();
        drop(waits);
        for line in lines {
            self.step("Waiting", line);
        }
    }

    fn print(&self, line: impl Display) {
        // A terminal that went away must not end a build: there is nobody left to read the line.
        let write = || drop(writeln!(self.0.out.borrow_mut(), "{line}"));
        match self.0.line.borrow().as_ref() {
            Some(transient) => transient.suspend(write),
            None => write(),
        }
    }
}

/// Text of whatever origin, without what would do something to a terminal: consoles and damaged files are full of it.
fn harmless(text: impl Display) -> String {
    let text = text.to_string();
    // Each line by itself: a sequence that isn't ended must not take the rest of the message with it.
    let lines = text.split('\n').map(|line| {
        let line = anstream::adapter::strip_str(line.trim_end_matches('\r')).to_string();
        line.replace('\r', " ").replace(|c: char| c.is_control() && c != '\t', "?")
    });
    lines.collect::<Vec<String>>().join("\n")
}

fn one_line(text: impl Display) -> String {
    harmless(text).replace(['\n', '\t'], " ")
}

fn transient_line(target: ProgressDrawTarget) -> ProgressBar {
    let line = ProgressBar::with_draw_target(None, target);
    match ProgressStyle::with_template("{wide_msg}") {
        Ok(style) => line.with_style(style),
        Err(_) => line,
    }
}

impl Entry {
    fn text(&self) -> String {
        let elapsed = Duration::from_secs(self.since.elapsed().as_secs());
        let elapsed = humantime::format_duration(elapsed);
        match self.state.as_str() {
            "" => one_line(format_args!("for {} {elapsed}", self.what)),
            state => one_line(format_args!("for {} ({state}) {elapsed}", self.what)),
        }
    }
}

/// Something that is being waited for.
pub struct Waiting {
    status: Status,
    id: u64,
}

impl Waiting {
    /// How far it is.
    pub fn state(&self, state: impl Display) {
        if let Some(entry) = self.status.0.waits.borrow_mut().iter_mut().find(|entry| entry.id == self.id) {
            entry.state = state.to_string();
        }
        self.status.draw();
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.status.0.waits.borrow_mut().retain(|entry| entry.id != self.id);
        self.status.draw();
    }
}

#[cfg(test)]
mod tests;
