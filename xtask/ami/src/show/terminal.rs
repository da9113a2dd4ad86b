//! The terminal: progress on stderr, in cargo's style.
//!
//! Each thing that is done is one line: a verb, right-aligned to 12 columns, its object, and how long it took. On a
//! terminal, the live block below them shows what is in progress. Elsewhere a line says what begins, each line of a build
//! has its time, and while nothing ends, one line a minute says what is in progress. In GitHub Actions, the lines of a part
//! of the build are a group. With `--log-format json`, each event is a line of JSON instead.

use std::{
    cell::{Cell, RefCell},
    fmt::Display,
    io::{IsTerminal as _, Write},
    time::Duration,
};

use anstyle::{AnsiColor, Style};
use futures_util::future::OptionFuture;
use nix::libc::SIGCONT;
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    time::Instant,
};
use xtask::region::Region;

use super::{
    harmless::harmless,
    live::Live,
    screen,
    words::{Kind, Words, clock},
};
use crate::event::{
    Event, How, Line,
    about::About,
    step::{Role, Step},
};

const VERB: Style = AnsiColor::Green.on_default().bold();
const WARNING: Style = AnsiColor::Yellow.on_default().bold();
const ERROR: Style = AnsiColor::Red.on_default().bold();
const DIM: Style = Style::new().dimmed();

/// How often a line says what is in progress if stderr is not a terminal.
const PLAIN_LINE_EVERY: Duration = Duration::from_secs(60);

/// How often the live block is painted at most.
const FRAME: Duration = Duration::from_millis(100);

/// How often it is painted without an event: its durations have seconds.
const TICK: Duration = Duration::from_secs(1);

/// How wide lines are made for what is not a terminal.
const PLAIN_COLUMNS: usize = 100;

/// How much is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Warnings, errors and the result.
    Quiet,
    /// A line for each change.
    Normal,
    /// Commands on instances with their output, the output of programs, and calls of the cloud's API as well.
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

/// Where lines for people go to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// A terminal that the live block is painted on, in colours or not.
    Screen {
        /// Whether it has colours.
        colours: bool,
    },
    /// A file, a pipe, or a terminal that cannot be painted on.
    Plain,
    /// The log of a job of GitHub Actions.
    GitHub,
}

/// What stderr is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stderr {
    is_terminal: bool,
    /// Whether it gets colours. This comes from NO_COLOR, CLICOLOR and CLICOLOR_FORCE as well.
    colours: bool,
}

impl Stderr {
    fn look() -> Stderr {
        let colours = anstream::stderr().current_choice() != anstream::ColorChoice::Never;
        Stderr { is_terminal: std::io::stderr().is_terminal(), colours }
    }
}

impl Place {
    /// Where lines go to that are printed to this stderr, in an environment with these variables.
    fn of(level: Level, form: Form, stderr: Stderr, variable: impl Fn(&str) -> Option<String>) -> Place {
        // An empty variable is none.
        let variable = |name: &str| variable(name).filter(|value| !value.is_empty());
        let is = |name: &str, wanted: &str| variable(name).is_some_and(|value| value == wanted);
        if level == Level::Quiet || form == Form::Json {
            // Without progress there is nothing to paint, and there are no groups.
            Place::Plain
        } else if is("GITHUB_ACTIONS", "true") {
            Place::GitHub
        } else if !stderr.is_terminal || variable("CI").is_some_and(|value| value != "false") || is("TERM", "dumb") {
            Place::Plain
        } else {
            Place::Screen { colours: stderr.colours }
        }
    }
}

/// A terminal, or another destination of stderr.
pub struct Terminal {
    level: Level,
    form: Form,
    place: Place,
    out: RefCell<Box<dyn Write>>,
    live: RefCell<Live>,
    opened: Instant,
    /// When the block was painted last, or the last line printed, since the terminal was opened.
    shown: Cell<Duration>,
    /// Whether something has changed since.
    changed: Cell<bool>,
    size: Cell<(usize, usize)>,
    /// The group of lines that is open.
    group: Cell<Option<&'static str>>,
}

impl Terminal {
    /// The terminal on stderr.
    #[must_use]
    pub fn stderr(level: Level, form: Form) -> Terminal {
        let place = Place::of(level, form, Stderr::look(), |name| std::env::var(name).ok());
        Terminal::at(place, anstream::stderr(), level, form)
    }

    /// One that writes to `out`, in the way for a destination that is no terminal.
    #[must_use]
    pub fn to(out: impl Write + 'static, level: Level, form: Form) -> Terminal {
        Terminal::at(Place::Plain, out, level, form)
    }

    /// One that writes to `out`, in the way for this place; on a screen, to stderr.
    #[must_use]
    pub fn at(place: Place, out: impl Write + 'static, level: Level, form: Form) -> Terminal {
        Terminal {
            level,
            form,
            place,
            out: RefCell::new(Box::new(out)),
            live: RefCell::default(),
            opened: Instant::now(),
            shown: Cell::default(),
            changed: Cell::default(),
            size: Cell::default(),
            group: Cell::default(),
        }
    }

    /// Shows an event: in these words, or as JSON. `about` is what is known of the build that it belongs to.
    pub fn show(&self, line: &Line, words: Option<&Words>, about: Option<&About>) {
        if self.form == Form::Json {
            if let Ok(json) = serde_json::to_string(line) {
                self.print(json);
            }
            return;
        }
        let now = self.opened.elapsed();
        // Before the steps of the build are forgotten with its end.
        self.group_of(&line.event, about);
        {
            let mut live = self.live.borrow_mut();
            live.apply(&line.event, now);
            if let (Event::Resumed {}, Some(about)) = (&line.event, about) {
                live.resumes(about);
            }
        }
        if let Some(words) = words.filter(|words| self.is_shown(words.kind)) {
            self.say(words, &line.event, now);
        }
        if matches!(line.event, Event::Ended { how: How::Done, .. }) && self.level >= Level::Normal {
            self.sum_up(now);
        }
        self.changed.set(true);
        self.paint(now);
    }

    fn is_shown(&self, kind: Kind) -> bool {
        match kind {
            Kind::Warning | Kind::Error | Kind::Note => true,
            Kind::Change => self.level >= Level::Normal,
            Kind::Begin => self.level >= Level::Normal && !self.is_screen(),
            Kind::Output | Kind::Trace => self.level >= Level::Verbose,
            Kind::Detail => false,
        }
    }

    fn is_screen(&self) -> bool {
        matches!(self.place, Place::Screen { .. })
    }

    fn say(&self, words: &Words, event: &Event, now: Duration) {
        let text = harmless(&words.text);
        match words.kind {
            Kind::Change | Kind::Begin => self.change(&harmless(&words.verb), &text, now),
            Kind::Warning => self.print(format_args!("{WARNING}warning{WARNING:#}: {text}")),
            Kind::Error => self.print(format_args!("{ERROR}error{ERROR:#}: {text}")),
            Kind::Note => self.print(format_args!("  {text}")),
            Kind::Trace => self.print(format_args!("{DIM}{:>12} {text}{DIM:#}", "+")),
            Kind::Output | Kind::Detail => {
                let source = if let Event::Output { source, .. } = event { source.as_str() } else { "" };
                self.print(format_args!("{DIM}{:>12}{DIM:#} {text}", harmless(source)));
            }
        }
    }

    /// Prints a line about what was done, with its time in the build if that is not to be seen otherwise.
    fn change(&self, verb: &str, text: &str, now: Duration) {
        let elapsed = self.live.borrow().elapsed(now).filter(|_| !self.is_screen());
        let whole = elapsed.map(|elapsed| Duration::from_secs(elapsed.as_secs()));
        let time = whole.map(|whole| format!("{:>5} ", clock(whole))).unwrap_or_default();
        self.print(format_args!("{DIM}{time}{DIM:#}{VERB}{verb:>12}{VERB:#} {text}"));
    }

    fn sum_up(&self, now: Duration) {
        let columns = if self.is_screen() { screen::size().0 } else { PLAIN_COLUMNS };
        let lines = self.live.borrow().summary(now, columns);
        for (verb, text) in lines {
            self.print(format_args!("{VERB}{verb:>12}{VERB:#} {}", harmless(text)));
        }
    }

    /// Shows what is in progress while no event comes. It never returns, so it has to run beside the work, in a `select!`.
    pub async fn keep_drawing(&self) {
        let mut continued = signal(SignalKind::from_raw(SIGCONT)).ok().filter(|_| self.is_screen());
        loop {
            tokio::select! {
                () = tokio::time::sleep(if self.is_screen() { FRAME } else { TICK }) => {}
                Some(Some(())) = OptionFuture::from(continued.as_mut().map(Signal::recv)) => screen::forget(),
            }
            let now = self.opened.elapsed();
            match self.place {
                Place::Screen { .. } => {
                    if now - self.shown.get() >= TICK || self.size.get() != screen::size() {
                        self.changed.set(true);
                    }
                    self.paint(now);
                }
                Place::Plain | Place::GitHub => self.remind(now),
            }
        }
    }

    /// Paints the live block if something has changed, and not too often.
    fn paint(&self, now: Duration) {
        let Place::Screen { colours } = self.place else { return };
        if !self.changed.get() || now - self.shown.get() < FRAME {
            return;
        }
        self.shown.set(now);
        self.changed.set(false);
        let (columns, rows) = screen::size();
        self.size.set((columns, rows));
        let mut lines = self.live.borrow().lines(now, columns, rows);
        if !colours {
            lines.iter_mut().for_each(|line| *line = anstream::adapter::strip_str(line).to_string());
        }
        screen::paint(lines);
    }

    /// Says what is in progress if nothing was said for a minute.
    fn remind(&self, now: Duration) {
        if self.form == Form::Json || self.level < Level::Normal || now - self.shown.get() < PLAIN_LINE_EVERY {
            return;
        }
        let sentence = self.live.borrow().sentence(now);
        if let Some(sentence) = sentence {
            self.change("Still", &sentence, now);
        }
    }

    /// Begins the group of an event, if it names one. An error is in none, so that it is seen without opening one.
    fn group_of(&self, event: &Event, about: Option<&About>) {
        if self.place != Place::GitHub {
            return;
        }
        let title = match event {
            Event::Intended { step, .. } => match group_of(step, about) {
                Some(title) => title,
                None => return,
            },
            Event::Error { .. } | Event::Ended { .. } => return self.end_group(),
            _ => return,
        };
        if self.group.get() != Some(title) {
            self.end_group();
            self.group.set(Some(title));
            self.print_raw(&format!("::group::{title}"));
        }
    }

    /// Ends the group of lines that is open, so that what follows is seen without opening it.
    pub fn end_group(&self) {
        if self.group.take().is_some() {
            self.print_raw("::endgroup::");
        }
    }

    /// Leaves a clean terminal at the end of the process.
    pub fn close(&self) {
        self.end_group();
        screen::clear();
    }

    fn print(&self, line: impl Display) {
        let line = line.to_string();
        self.print_raw(&if self.place == Place::GitHub { no_command(&line) } else { line });
    }

    fn print_raw(&self, line: &str) {
        if !self.is_screen() {
            self.shown.set(self.opened.elapsed());
        }
        match self.place {
            Place::Screen { colours: true } => screen::print(line),
            Place::Screen { colours: false } => screen::print(&anstream::adapter::strip_str(line).to_string()),
            // A destination that is gone must not end a build.
            Place::Plain | Place::GitHub => drop(writeln!(self.out.borrow_mut(), "{line}")),
        }
    }
}

/// The title of the group that a step begins, or goes on with. Steps beside others have none: their lines are where they are.
fn group_of(step: &Step, about: Option<&About>) -> Option<&'static str> {
    const BUILD: &str = "Build the binaries, and install them on a machine";
    let promotes = about.is_some_and(|about| about.promotes.is_some());
    let is_home = |region: &Region| about.is_some_and(|about| about.build_region == *region);
    Some(match step {
        Step::Candidate | Step::Copy(_) | Step::Available(_) if promotes => "Copy the image",
        Step::Base | Step::Reuse | Step::Binaries | Step::Sources | Step::Packages | Step::Install => BUILD,
        Step::Access(Role::Bake) | Step::Launch(Role::Bake) | Step::Login(Role::Bake) => BUILD,
        Step::Stop | Step::Image(_) => "Make the image",
        Step::Available(region) if is_home(region) => "Make the image",
        Step::Verify(_) | Step::Copy(_) | Step::Available(_) => "Verify the image, and copy it",
        Step::Publish => "Publish",
        _ => return None,
    })
}

/// The text without lines that the runner of GitHub Actions would take for a command (GitHub documentation, "Workflow
/// commands"). Machines and programs must not give it any.
fn no_command(text: &str) -> String {
    let lines = text.replace("##[", "## [");
    let lines = lines.split('\n').map(|line| match line.trim_start().starts_with("::") {
        true => line.replacen("::", ": :", 1),
        false => line.to_owned(),
    });
    lines.collect::<Vec<String>>().join("\n")
}

#[cfg(test)]
mod scenes;
#[cfg(test)]
mod tests;
