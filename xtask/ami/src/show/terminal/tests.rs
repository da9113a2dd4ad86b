use std::{cell::RefCell, rc::Rc, sync::Mutex};

use indicatif::TermLike;

use super::*;
use crate::ground::untrusted::{check, text};
use crate::{record::state::State, show::words::words};

/// What goes wrong on machines that don't boot: colours, the cursor's ways, bells, a cleared screen.
const CONSOLE: &str = "\u{1b}[2J\u{1b}[01;01HBooting `Debian GNU/Linux'\r\n\u{1b}[0;32m  OK  \u{1b}[0m Reached target\r\n\
                       (Reading database ... \r(Reading database ... 5%\r\nlogin: \u{7}\u{9b}5m 日本語 👩‍👩‍👧‍👦\n";

#[derive(Clone, Default)]
struct Written(Rc<RefCell<Vec<u8>>>);

impl Write for Written {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.borrow_mut().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// A terminal of some width.
#[derive(Debug)]
struct Screen {
    width: u16,
    lines: Mutex<String>,
}

impl TermLike for Screen {
    fn width(&self) -> u16 {
        self.width
    }

    fn move_cursor_up(&self, _: usize) -> std::io::Result<()> {
        Ok(())
    }

    fn move_cursor_down(&self, _: usize) -> std::io::Result<()> {
        Ok(())
    }

    fn move_cursor_right(&self, _: usize) -> std::io::Result<()> {
        Ok(())
    }

    fn move_cursor_left(&self, _: usize) -> std::io::Result<()> {
        Ok(())
    }

    fn write_line(&self, text: &str) -> std::io::Result<()> {
        self.write_str(text)
    }

    fn write_str(&self, text: &str) -> std::io::Result<()> {
        self.lines.lock().expect("the lines").push_str(text);
        assert!(!text.contains('\n'), "more than a line: {text:?}");
        Ok(())
    }

    fn clear_line(&self) -> std::io::Result<()> {
        Ok(())
    }

    fn flush(&self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn what_a_console_does_to_a_terminal_is_left_out_of_messages() {
    assert_eq!(
        harmless(CONSOLE),
        "Booting `Debian GNU/Linux'\n  OK   Reached target\n(Reading database ...  (Reading database ... 5%\n\
         login: ?5m 日本語 👩‍👩‍👧‍👦\n"
    );
}

#[test]
fn a_sequence_without_an_end_takes_only_its_line() {
    assert_eq!(harmless("first \u{1b}]0;title\nsecond"), "first \nsecond");
}

#[test]
fn whatever_is_said_nothing_but_text_reaches_the_terminal() {
    check(500, text(CONSOLE), |text| {
        let written = Written::default();
        let terminal = super::Terminal::to(written.clone(), Level::Verbose, Form::Text);
        let said = || text.clone();
        for event in [
            Event::Warned { text: said() },
            Event::Noted { text: said() },
            Event::Output { source: "console".to_owned(), line: said() },
            Event::Waiting { wait: 1, on: said(), state: said() },
        ] {
            let words = words(&event, &State::default());
            terminal.show(&Line { at: String::new(), event }, words.as_ref());
        }
        let shown = terminal.waits.borrow().first().map(Entry::text).expect("a wait");
        assert!(!shown.contains(char::is_control), "{shown:?}");
        let written = String::from_utf8(written.0.borrow().clone()).expect("UTF-8");
        let styled = format!("{WARNING}warning{WARNING:#}");
        let rest = written.strip_prefix(&styled).expect("a warning");
        assert!(!rest.contains(|c: char| c.is_control() && !"\n\t".contains(c)), "{rest:?}");
    });
}

#[test]
fn whatever_is_waited_for_it_is_one_line_on_terminals_of_any_width() {
    for width in [0, 1, 2, 13, 80] {
        check(100, text(CONSOLE), |text| {
            let terminal = Screen { width, lines: Mutex::default() };
            let line = transient_line(ProgressDrawTarget::term_like(Box::new(terminal)));
            line.set_message(format!("{WAIT}{:>12}{WAIT:#} {}", "Waiting", one_line(&text)));
            line.tick();
            line.finish_and_clear();
        });
    }
}
