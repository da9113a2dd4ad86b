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
