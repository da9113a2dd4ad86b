//! The terminal: progress on stderr, in cargo's style.
//!
//! Each change is one line: a verb, right-aligned to 12 columns, and its object. On a terminal, a transient line below
//! them shows what is awaited. Elsewhere a plain line says so, at most once a minute for each wait. With `--log-format
//! json`, each event is a line of JSON instead.

use std::{
    cell::RefCell,
    fmt::Display,
    io::{IsTerminal as _, Write},
    time::Duration,
};

use anstyle::{AnsiColor, Style};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tokio::time::Instant;

use super::words::{Kind, Words, seconds};
use crate::event::{Event, Line};

const VERB: Style = AnsiColor::Green.on_default().bold();
const WAIT: Style = AnsiColor::Cyan.on_default().bold();
const WARNING: Style = AnsiColor::Yellow.on_default().bold();
const ERROR: Style = AnsiColor::Red.on_default().bold();

/// How often a wait is mentioned if stderr is not a terminal.
const PLAIN_LINE_EVERY: Duration = Duration::from_secs(60);

/// How much is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Warnings, errors and the result.
    Quiet,
    /// A line for each change.
    Normal,
    /// The output of commands on instances, and of programs, as well.
    Verbose,
}

/// The format in which events are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Lines for people.
    Text,
    /// Each event as a line of JSON, at every level.
    Json,
}

/// A terminal, or another destination of stderr.
pub struct Terminal {
    level: Level,
    form: Form,
    /// The transient line. It exists only during a wait: an idle one would draw over a question or a shell.
    line: RefCell<Option<ProgressBar>>,
    transient: bool,
    out: RefCell<Box<dyn Write>>,
    waits: RefCell<Vec<Entry>>,
}

struct Entry {
    wait: u64,
    on: String,
    state: String,
    since: Instant,
    mentioned: Instant,
}

impl Terminal {
    /// The terminal on stderr.
    #[must_use]
    pub fn stderr(level: Level, form: Form) -> Terminal {
        let is_terminal = std::io::stderr().is_terminal() && std::env::var_os("CI").is_none();
        let draws = std::env::var_os("TERM").is_none_or(|term| term != "dumb");
        let transient = is_terminal && draws && level == Level::Normal && form == Form::Text;
        Terminal { transient, ..Terminal::to(anstream::stderr(), level, form) }
    }

    /// One that writes to `out`, in the way for a destination that is no terminal.
    #[must_use]
    pub fn to(out: impl Write + 'static, level: Level, form: Form) -> Terminal {
        let out: RefCell<Box<dyn Write>> = RefCell::new(Box::new(out));
        Terminal { level, form, line: RefCell::default(), transient: false, out, waits: RefCell::default() }
    }

    /// Shows an event: in these words, or as JSON.
    pub fn show(&self, line: &Line, words: Option<&Words>) {
        if self.form == Form::Json {
            if let Ok(json) = serde_json::to_string(line) {
                self.print(json);
            }
            return;
        }
        match &line.event {
            Event::Waiting { wait, on, state, .. } => return self.wait(*wait, on, state),
            Event::Waited { wait, .. } => return self.waited(*wait),
            _ => {}
        }
        let Some(words) = words else { return };
        let is_shown = match words.kind {
            Kind::Warning | Kind::Error | Kind::Note => true,
            Kind::Change => self.level >= Level::Normal,
            Kind::Output => self.level >= Level::Verbose,
            Kind::Detail => false,
        };
        if !is_shown {
            return;
        }
        let text = harmless(&words.text);
        match words.kind {
            Kind::Change => self.print(format_args!("{VERB}{:>12}{VERB:#} {text}", harmless(&words.verb))),
            Kind::Warning => self.print(format_args!("{WARNING}warning{WARNING:#}: {text}")),
            Kind::Error => self.print(format_args!("{ERROR}error{ERROR:#}: {text}")),
            Kind::Note => self.print(format_args!("  {text}")),
            Kind::Output | Kind::Detail => self.print(text),
        }
    }

    fn wait(&self, wait: u64, on: &str, state: &str) {
        let mut waits = self.waits.borrow_mut();
        match waits.iter_mut().find(|entry| entry.wait == wait) {
            Some(entry) => state.clone_into(&mut entry.state),
            None => {
                let now = Instant::now();
                let (on, state) = (on.to_owned(), state.to_owned());
                waits.push(Entry { wait, on, state, since: now, mentioned: now });
            }
        }
        drop(waits);
        self.draw();
    }

    fn waited(&self, wait: u64) {
        self.waits.borrow_mut().retain(|entry| entry.wait != wait);
        self.draw();
    }

    /// Redraws the waits every second. It never returns, so it has to run beside the work, in a `select!`.
    pub async fn keep_drawing(&self) {
        loop {
            tokio::time::sleep(Duration::from_secs(1)).await;
            self.draw();
        }
    }

    fn draw(&self) {
        let now = Instant::now();
        let mut waits = self.waits.borrow_mut();
        if self.transient {
            let mut line = self.line.borrow_mut();
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
        for line in lines.into_iter().filter(|_| self.level >= Level::Normal) {
            self.print(format_args!("{VERB}{:>12}{VERB:#} {line}", "Waiting"));
        }
    }

    fn print(&self, line: impl Display) {
        // A terminal that is gone must not end a build.
        let write = || drop(writeln!(self.out.borrow_mut(), "{line}"));
        match self.line.borrow().as_ref() {
            Some(transient) => transient.suspend(write),
            None => write(),
        }
    }
}

/// Text from any source, without control sequences for terminals, of which consoles and damaged files are full.
pub fn harmless(text: impl Display) -> String {
    let text = text.to_string();
    if !text.contains(char::is_control) {
        return text;
    }
    // Line by line, so that an unterminated sequence does not swallow the rest of the message.
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
        let elapsed = seconds(self.since.elapsed());
        match self.state.as_str() {
            "" => one_line(format_args!("for {} {elapsed}", self.on)),
            state => one_line(format_args!("for {} ({state}) {elapsed}", self.on)),
        }
    }
}

#[cfg(test)]
mod tests;
