//! Text from any source, made harmless for terminals.

use std::fmt::Display;

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

/// The same in one line.
pub fn one_line(text: impl Display) -> String {
    harmless(text).replace(['\n', '\t'], " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What goes wrong on machines that don't boot: colours, the cursor's ways, bells, a cleared screen.
    const CONSOLE: &str = "\u{1b}[2J\u{1b}[01;01HBooting `Debian GNU/Linux'\r\n\u{1b}[0;32m  OK  \u{1b}[0m Reached target\r\n\
                           (Reading database ... \r(Reading database ... 5%\r\nlogin: \u{7}\u{9b}5m 日本語 👩‍👩‍👧‍👦\n";

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
}
