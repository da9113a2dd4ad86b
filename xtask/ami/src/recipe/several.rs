//! Parses TOML, and tells all that is wrong with it at once.

use std::ops::Range;

use serde::de::DeserializeOwned;

/// How many faults are told. More than these have one cause.
const MAX_FAULTS: usize = 20;

/// Parses TOML. The error has all faults, each with its line.
///
/// # Errors
/// When it is not TOML, or a key or a value is not what it should be; `hint` adds to the message of a fault.
pub fn from_toml<T: DeserializeOwned>(text: &str, hint: impl Fn(&str) -> Option<String>) -> Result<T, String> {
    // The parser stops at the first fault, so what is at fault is blanked to see the next one. The numbers of lines stay.
    let (mut text, mut faults) = (text.to_owned(), Vec::new());
    while faults.len() < MAX_FAULTS {
        let error = match toml::from_str(&text) {
            Ok(parsed) if faults.is_empty() => return Ok(parsed),
            Ok(_) => break,
            Err(error) => error,
        };
        let is_missing = error.message().starts_with("missing field");
        // Later ones may be of those that were blanked.
        if !is_missing || faults.is_empty() {
            let told = error.to_string().trim_end().to_owned();
            let told = hint(error.message()).map_or_else(|| told.clone(), |hint| format!("{told}\n{hint}"));
            let line = error.span().and_then(|span| Some(text.get(..span.start)?.matches('\n').count()));
            faults.push((line, told));
        }
        let at_fault = error.span().and_then(|span| match is_missing {
            true => table_of(&text, span.start),
            false => lines_of(&text, span),
        });
        let Some(lines) = at_fault else { break };
        let blank: String = text[lines.clone()].chars().map(|c| if c == '\n' { c } else { ' ' }).collect();
        text.replace_range(lines, &blank);
    }
    faults.sort();
    Err(faults.into_iter().map(|(_, told)| told).collect::<Vec<_>>().join("\n"))
}

/// The lines that a fault is in; the whole table for one in its header, because what follows belongs to it. None for
/// lines that are blank.
fn lines_of(text: &str, span: Range<usize>) -> Option<Range<usize>> {
    let start = text.get(..span.start)?.rfind('\n').map_or(0, |at| at + 1);
    let end = text.get(span.end..)?.find('\n').map_or(text.len(), |at| span.end + at);
    match text.get(start..end)?.trim_start() {
        "" => None,
        header if header.starts_with('[') => table_of(text, start),
        _ => Some(start..end),
    }
}

/// The table whose header or content is at `at`, with its header. None where no header comes before.
fn table_of(text: &str, at: usize) -> Option<Range<usize>> {
    let line_end = text.get(at..)?.find('\n').map_or(text.len(), |end| at + end);
    let start = match text.get(..line_end)?.rfind("\n[") {
        Some(before) => before + 1,
        None => text.starts_with('[').then_some(0)?,
    };
    let end = text.get(start + 1..)?.find("\n[").map_or(text.len(), |end| start + 1 + end);
    Some(start..end)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[derive(Debug, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Settings {
        #[expect(dead_code, reason = "it is only parsed")]
        size: u32,
        #[expect(dead_code, reason = "it is only parsed")]
        words: Vec<String>,
        #[serde(default)]
        #[expect(dead_code, reason = "it is only parsed")]
        tables: BTreeMap<String, u32>,
    }

    fn lines(text: &str) -> Vec<usize> {
        let faults = from_toml::<Settings>(text, |_| None).expect_err("faults");
        let told = faults.lines().filter_map(|line| line.split_once(" at line ")?.1.split(',').next()?.parse().ok());
        told.collect()
    }

    #[test]
    fn all_faults_are_told_each_with_its_line() {
        assert_eq!(lines("size = \"big\"\nwords = 7\ncolour = \"red\"\n[tables]\na = 1\nb = \"x\"\n"), [1, 2, 3, 6]);
        assert_eq!(lines("size = 1\nwords = [\n  \"a\",\n  7,\n  true,\n]\nsise = 2\n"), [4, 5, 7]);
    }

    #[test]
    fn what_follows_from_a_fault_is_not_told_as_another() {
        assert_eq!(lines("size = -1\nwords = []\n"), [1]);
        assert_eq!(lines("size = 1\nwords = []\n[tabels]\na = 1\nb = 2\n"), [3]);
        assert_eq!(lines("words = []\n"), [1]);
    }

    #[test]
    fn a_table_that_lacks_what_was_blanked_hides_no_fault_of_the_next_one() {
        type Tables = BTreeMap<String, Needy>;
        #[derive(Debug, serde::Deserialize)]
        struct Needy {
            #[expect(dead_code, reason = "it is only parsed")]
            a: u32,
            #[expect(dead_code, reason = "it is only parsed")]
            b: u32,
        }
        let text = "[one]\na = \"x\"\nb = 1\n[three]\na = 1\n[two]\na = 1\nb = \"y\"\n";
        let faults = from_toml::<Tables>(text, |_| None).expect_err("faults");
        assert_eq!(faults.matches("invalid type").count(), 2, "{faults}");
        let text = "[one]\na = 1\nb = 1\n[two]\na = 1\n";
        let faults = from_toml::<Tables>(text, |_| None).expect_err("a fault");
        assert!(faults.contains("missing field `b`") && faults.contains("[two]"), "{faults}");
    }

    #[test]
    fn an_endless_number_of_faults_ends() {
        let text: String = (0..100).map(|number| format!("word-{number} = 1\n")).collect();
        assert_eq!(lines(&text).len(), MAX_FAULTS);
    }
}
