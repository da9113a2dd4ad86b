use std::{cell::RefCell, rc::Rc};

use super::*;
use crate::{
    ground::untrusted::{check, text},
    record::state::State,
    show::{live::played, live::snapshot, words::words},
};

#[derive(Clone, Default)]
struct Written(Rc<RefCell<Vec<u8>>>);

impl Written {
    fn text(&self) -> String {
        String::from_utf8(self.0.borrow().clone()).expect("UTF-8")
    }
}

impl Write for Written {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.borrow_mut().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn where_lines_go_to_follows_from_stderr_the_flags_and_the_environment() {
    const TERMINAL: Stderr = Stderr { is_terminal: true, colours: true };
    const GREY: Stderr = Stderr { is_terminal: true, colours: false };
    const PIPE: Stderr = Stderr { is_terminal: false, colours: false };
    // With CLICOLOR_FORCE, a pipe has colours, but nothing is painted there.
    const COLOURED_PIPE: Stderr = Stderr { is_terminal: false, colours: true };
    const SCREEN: Place = Place::Screen { colours: true };
    use {Form::*, Level::*, Place::*};
    for (stderr, level, form, variables, expected) in [
        (TERMINAL, Normal, Text, &[("TERM", "xterm-256color")][..], SCREEN),
        (TERMINAL, Normal, Text, &[], SCREEN),
        (TERMINAL, Verbose, Text, &[], SCREEN),
        (TERMINAL, Quiet, Text, &[], Plain),
        (TERMINAL, Normal, Json, &[], Plain),
        (TERMINAL, Verbose, Json, &[], Plain),
        (GREY, Normal, Text, &[("NO_COLOR", "1")], Screen { colours: false }),
        (GREY, Normal, Text, &[("CLICOLOR", "0")], Screen { colours: false }),
        (TERMINAL, Normal, Text, &[("TERM", "dumb")], Plain),
        (TERMINAL, Normal, Text, &[("CI", "true")], Plain),
        (TERMINAL, Normal, Text, &[("CI", "1")], Plain),
        (TERMINAL, Normal, Text, &[("CI", "false")], SCREEN),
        (TERMINAL, Normal, Text, &[("CI", "")], SCREEN),
        (TERMINAL, Normal, Text, &[("GITHUB_ACTIONS", "true")], GitHub),
        (TERMINAL, Normal, Text, &[("GITHUB_ACTIONS", "false")], SCREEN),
        (PIPE, Normal, Text, &[], Plain),
        (PIPE, Verbose, Text, &[], Plain),
        (PIPE, Normal, Text, &[("CI", "false")], Plain),
        (COLOURED_PIPE, Normal, Text, &[("CLICOLOR_FORCE", "1")], Plain),
        (PIPE, Normal, Text, &[("GITHUB_ACTIONS", "true"), ("CI", "true")], GitHub),
        (PIPE, Verbose, Text, &[("GITHUB_ACTIONS", "true"), ("CI", "true")], GitHub),
        (PIPE, Quiet, Text, &[("GITHUB_ACTIONS", "true"), ("CI", "true")], Plain),
        (PIPE, Normal, Json, &[("GITHUB_ACTIONS", "true"), ("CI", "true")], Plain),
    ] {
        let variable =
            |name: &str| variables.iter().find(|(own, _)| *own == name).map(|(_, value)| (*value).to_owned());
        let place = Place::of(level, form, stderr, variable);
        assert_eq!(place, expected, "{stderr:?}, {level:?}, {form:?}, {variables:?}");
    }
}

/// What is said of the whole release.
async fn said(place: Place, level: Level, form: Form) -> String {
    let written = Written::default();
    let terminal = Terminal::at(place, written.clone(), level, form);
    let mut state = State::default();
    let mut last_ms = 0;
    let play = async {
        for (at_ms, event) in played::release(&played::FOURTEEN) {
            tokio::time::sleep(Duration::from_millis(at_ms - last_ms)).await;
            last_ms = at_ms;
            let line = Line { at: "2026-11-27T22:00:00Z".to_owned(), event };
            let words = words(&line.event, &state);
            state.apply(&line);
            terminal.show(&line, words.as_ref(), state.about.as_ref());
        }
    };
    tokio::select! {
        // What happens at the moment of a look is seen by it.
        biased;
        () = play => {}
        () = terminal.keep_drawing() => {}
    }
    terminal.close();
    written.text()
}

#[tokio::test(start_paused = true)]
async fn off_a_terminal_each_form_is_as_it_was_looked_at() {
    for (name, place, level) in [
        ("plain", Place::Plain, Level::Normal),
        ("github", Place::GitHub, Level::Normal),
        ("quiet", Place::Plain, Level::Quiet),
    ] {
        let said = said(place, level, Form::Text).await;
        snapshot::expect(name, &anstream::adapter::strip_str(&said).to_string());
        let colours = said.contains('\u{1b}');
        assert_eq!(colours, level != Level::Quiet, "the stream takes them away where they are not wanted: {said}");
    }
    let verbose = said(Place::Plain, Level::Verbose, Form::Text).await;
    let verbose = anstream::adapter::strip_str(&verbose).to_string();
    let begins: Vec<&str> = verbose.lines().take(25).collect();
    snapshot::expect("verbose", &(begins.join("\n") + "\n"));
}

#[tokio::test(start_paused = true)]
async fn as_json_each_event_is_a_line_at_every_level_and_nothing_else_is_said() {
    let events = played::release(&played::FOURTEEN).len();
    for level in [Level::Quiet, Level::Normal, Level::Verbose] {
        let said = said(Place::Plain, level, Form::Json).await;
        assert_eq!(said.lines().count(), events);
        assert!(said.lines().all(|line| Line::parse(line.as_bytes()).is_ok()), "{said}");
    }
}

#[tokio::test(start_paused = true)]
async fn while_nothing_happens_one_line_a_minute_says_what_is_in_progress() {
    let written = Written::default();
    let terminal = Terminal::to(written.clone(), Level::Normal, Form::Text);
    for wait in 1..=3 {
        let on = format!("copy {wait}");
        let event = Event::Waiting { wait, on, state: "pending".to_owned(), source: None };
        terminal.show(&Line { at: String::new(), event }, None, None);
    }
    let limit = Duration::from_secs(5 * 60 + 30);
    assert!(tokio::time::timeout(limit, terminal.keep_drawing()).await.is_err());
    let said = anstream::adapter::strip_str(&written.text()).to_string();
    assert_eq!(said.lines().count(), 5, "{said}");
    let first =
        "       Still waiting for copy 1, pending (for 1m00s); waiting for copy 2, pending (for 1m00s); waiting";
    assert!(said.starts_with(first), "{said}");
}

/// The lines of groups in the log of a job, when these steps are begun.
fn groups(about: &About, steps: &[&str]) -> Vec<String> {
    let written = Written::default();
    let terminal = Terminal::at(Place::GitHub, written.clone(), Level::Normal, Form::Text);
    let show = |event| terminal.show(&Line { at: String::new(), event }, None, Some(about));
    show(Event::Resumed {});
    for step in steps {
        show(Event::Intended { step: step.parse().expect("a step"), by: "by".into() });
    }
    terminal.end_group();
    show(Event::Intended { step: "verify revoke".parse().expect("a step"), by: "by".into() });
    terminal.close();
    written.text().lines().map(str::to_owned).collect()
}

#[test]
fn a_group_is_named_by_what_is_done_and_begins_with_it() {
    let mut about = crate::fixture::about();
    assert_eq!(groups(&about, &[]), [""; 0], "nothing is done yet");
    let ends = "::endgroup::";
    let resumed = ["available us-west-2", "verify ami-1", "copy eu-west-1", "available eu-west-1", "bake revoke"];
    let expected = ["::group::Make the image", ends, "::group::Verify the image, and copy it", ends];
    assert_eq!(groups(&about, &resumed), expected);
    let promotion = serde_json::json!({
        "version": "0.6.1-rc1", "name": "", "region": "us-west-2", "image": "ami-1", "build": "", "made_of": "i-1",
        "description": "", "system": "", "commit": "", "sha256": {}, "verified": "",
    });
    about.promotes = Some(serde_json::from_value(promotion).expect("a promotion"));
    let steps = ["candidate", "copy us-west-2", "available us-west-2", "publish"];
    assert_eq!(groups(&about, &steps), ["::group::Copy the image", ends, "::group::Publish", ends]);
}

#[test]
fn what_programs_print_is_no_command_of_githubs_runner() {
    for (line, harmless) in [
        ("::error::x", ": :error::x"),
        ("  ::add-mask::x", "  : :add-mask::x"),
        ("a\n::group::x", "a\n: :group::x"),
        ("a ##[error]x", "a ## [error]x"),
        ("std::vec", "std::vec"),
    ] {
        assert_eq!(no_command(line), harmless);
    }
    let written = Written::default();
    let terminal = Terminal::at(Place::GitHub, written.clone(), Level::Verbose, Form::Text);
    for event in [
        Event::Output { source: "bake".to_owned(), line: "::stop-commands::x".to_owned() },
        Event::Warned { text: "it said\n::error::x".to_owned() },
        Event::Noted { text: "::add-mask::x".to_owned() },
    ] {
        let words = words(&event, &State::default());
        terminal.show(&Line { at: String::new(), event }, words.as_ref(), None);
    }
    let said = anstream::adapter::strip_str(&written.text()).to_string();
    assert!(!said.lines().any(|line| line.trim_start().starts_with("::")), "{said}");
}

#[test]
fn whatever_is_said_nothing_but_text_reaches_the_terminal() {
    check(500, text("\u{1b}[2J\u{1b}[01;01Hlogin: \u{7}\u{9b}5m 日本語\r\n"), |text| {
        let written = Written::default();
        let terminal = super::Terminal::to(written.clone(), Level::Verbose, Form::Text);
        let said = || text.clone();
        for event in [
            Event::Warned { text: said() },
            Event::Noted { text: said() },
            Event::Output { source: said(), line: said() },
            Event::Waiting { wait: 1, on: said(), state: said(), source: Some(said()) },
        ] {
            let words = words(&event, &State::default());
            terminal.show(&Line { at: String::new(), event }, words.as_ref(), None);
        }
        let sentence = terminal.live.borrow().sentence(Duration::from_secs(1)).expect("a wait");
        assert!(!sentence.contains(char::is_control), "{sentence:?}");
        let mut written = written.text();
        for style in [WARNING, DIM] {
            written = written.replacen(&style.to_string(), "", 1).replacen(&format!("{style:#}"), "", 1);
        }
        assert!(!written.contains(|c: char| c.is_control() && !"\n\t".contains(c)), "{written:?}");
    });
}
