//! Lengths of time, such as `1h 30min`.

use std::time::Duration;

/// A number of ten digits is three hundred years in seconds already.
const LONGEST_NUMBER: usize = 10;

/// More text than this is no length of time that somebody means.
const LONGEST_TEXT: usize = 100;

/// The length of time that `text` says, as humantime writes it.
///
/// # Errors
/// When it says none, or one that nobody means.
pub fn parse(text: &str) -> Result<Duration, String> {
    // At the end of what a Duration holds, humantime 2.4 panics over the carry of its nanoseconds.
    let numbers = text.split(|c: char| !c.is_ascii_digit() && !c.is_whitespace());
    let longest = numbers.map(|number| number.chars().filter(char::is_ascii_digit).count()).max().unwrap_or_default();
    if longest > LONGEST_NUMBER || text.len() > LONGEST_TEXT {
        return Err("nothing takes so long".to_owned());
    }
    humantime::parse_duration(text).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_what_humantime_takes() {
        assert_eq!(parse("1h 30min"), Ok(Duration::from_secs(5400)));
        assert_eq!(parse("7d"), Ok(Duration::from_secs(7 * 86_400)));
        assert!(parse("soon").expect_err("no time").contains("expected number"));
    }

    #[test]
    fn the_end_of_time_is_refused_and_no_panic() {
        for text in
            ["18446744073709551615s 500ms 500ms", "1844674407 3709551615s 500ms 500ms", &"9999999999y ".repeat(99)]
        {
            assert_eq!(parse(text), Err("nothing takes so long".to_owned()), "{text}");
        }
    }
}
