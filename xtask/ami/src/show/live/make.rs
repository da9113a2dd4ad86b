//! What make is doing, from what it prints.

use std::time::Duration;

/// A run of make.
#[derive(Clone, Debug)]
pub(super) struct Make {
    pub binary: String,
    /// The number of the binary, and how many there are; 0 if that is not known.
    pub number: (usize, usize),
    pub since: Duration,
    /// The target, or the folder, that it is at; what it was asked for until it says so.
    pub target: String,
    /// The last line that it, or a program of it, printed.
    pub last: String,
}

impl Make {
    pub fn new(binary: &str, goal: &str, number: (usize, usize), since: Duration) -> Make {
        Make { binary: binary.to_owned(), number, since, target: goal.to_owned(), last: String::new() }
    }

    /// Takes in a line of its output.
    pub fn printed(&mut self, line: &str) {
        let line = line.trim();
        if line.is_empty() {
            return;
        }
        if let Some(target) = target(line) {
            target.clone_into(&mut self.target);
        } else {
            line.clone_into(&mut self.last);
        }
    }
}

/// The target or the folder that a line of make's own says it is at. With `--trace` or `--debug=basic` in MAKEFLAGS it names
/// targets; a make that was called by another one names folders (GNU make manual, "Summary of Options").
fn target(line: &str) -> Option<&str> {
    let quoted = |text: &'_ str| {
        let from = text.find(['\'', '`'])? + 1;
        let to = from + text[from..].find('\'')?;
        Some(from..to)
    };
    let traced = [": update target '", ": target '", "Must remake target '", "Must remake target `"];
    if let Some(at) = traced.iter().find_map(|words| line.find(words).map(|at| at + words.len() - 1)) {
        return quoted(&line[at..]).map(|range| &line[at..][range]);
    }
    let is_make = line.split_once(": ").is_some_and(|(who, _)| {
        let who = who.rsplit('/').next().unwrap_or(who);
        who == "make" || who == "gmake" || who.starts_with("make[") || who.starts_with("gmake[")
    });
    if is_make && line.contains(": Entering directory ") {
        let folder = quoted(line).map(|range| &line[range])?;
        // Its last two parts say enough, where a line is short.
        let parts: Vec<usize> = folder.match_indices('/').map(|(at, _)| at).collect();
        return Some(parts.iter().rev().nth(1).map_or(folder, |at| &folder[at + 1..]));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_target_is_what_make_says_it_is_at() {
        for (line, found) in [
            ("make[1]: Entering directory '/src/wallaroo/utils/cluster_shutdown'", Some("utils/cluster_shutdown")),
            ("make: Entering directory `/src'", Some("/src")),
            ("make[1]: Leaving directory '/src/wallaroo'", None),
            ("Makefile:10: update target 'machida/build/machida' due to: FORCE", Some("machida/build/machida")),
            ("Makefile:10: target 'build' does not exist", Some("build")),
            ("  Must remake target 'common.o'.", Some("common.o")),
            ("gcc -o x x.c", None),
            ("cc: Entering directory 'x'", None),
            ("make: Entering directory '", None),
        ] {
            assert_eq!(target(line), found, "{line}");
        }
    }

    #[test]
    fn the_last_line_is_a_programs_and_the_target_stays() {
        let mut make = Make::new("machida", "build-machida", (1, 4), Duration::ZERO);
        for line in ["make[1]: Entering directory '/src/machida'", "  Linking machida", ""] {
            make.printed(line);
        }
        assert_eq!((make.target.as_str(), make.last.as_str()), ("src/machida", "Linking machida"));
    }
}
