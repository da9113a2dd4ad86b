//! Lengths of time, such as `1h 30min`, and those that each place takes: what is parsed can be reckoned with.

use std::{ops::RangeInclusive, time::Duration};

const DAY: Duration = Duration::from_secs(86_400);

/// Ten years as humantime counts them, so that `10y` is one of them.
const TEN_YEARS: Duration = Duration::from_secs(10 * 31_557_600);

/// How old a leftover can be: of any age, also none, and nothing that this tool made is older.
pub const AGE: RangeInclusive<Duration> = Duration::ZERO..=TEN_YEARS;

/// How long a private image is kept. It takes minutes to make, and one that is kept for ever is a mistake.
pub const PRIVATE_LIFE: RangeInclusive<Duration> = Duration::from_secs(60)..=TEN_YEARS;

/// How old a public image is when it is deprecated, counted from the beginning of its build. EC2 takes no date that has
/// passed when the image is made, which a day is enough for, and none after two years. It counts them from the image's
/// creation, which is later; here they are without a leap day. EC2 user guide, "Deprecate an Amazon EC2 AMI".
pub const DEPRECATED_AT: RangeInclusive<Duration> = DAY..=Duration::from_secs(730 * 86_400);

/// How long a phase of a build may take: what gets no time fails, and no phase takes a month.
pub const PHASE: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(30 * 86_400);

/// A number of ten digits is three hundred years in seconds already.
const LONGEST_NUMBER: usize = 10;

/// More text than this is no length of time that somebody means.
const LONGEST_TEXT: usize = 100;

/// The length of time that `text` says, as humantime writes it, when it is one of those that are `allowed`.
///
/// # Errors
/// When it says none, or another one; the message says which are allowed.
pub fn parse(text: &str, allowed: &RangeInclusive<Duration>) -> Result<Duration, String> {
    let too_long = || format!("it is too long; give at most {}", words(*allowed.end()));
    // At the end of what a Duration holds, humantime 2.4 panics over the carry of its nanoseconds.
    let numbers = text.split(|c: char| !c.is_ascii_digit() && !c.is_whitespace());
    let longest = numbers.map(|number| number.chars().filter(char::is_ascii_digit).count()).max().unwrap_or_default();
    if longest > LONGEST_NUMBER || text.len() > LONGEST_TEXT {
        return Err(too_long());
    }
    let time = humantime::parse_duration(text).map_err(|error| error.to_string())?;
    match time {
        time if time > *allowed.end() => Err(too_long()),
        time if time < *allowed.start() => Err(format!("it is too short; give at least {}", words(*allowed.start()))),
        time => Ok(time),
    }
}

/// A bound as somebody would type it: humantime itself makes `1year 11months 29days …` of two years.
fn words(bound: Duration) -> String {
    match bound.as_secs() / DAY.as_secs() {
        1 => "1day".to_owned(),
        days @ 2.. if bound == DAY * u32::try_from(days).unwrap_or_default() => format!("{days}days"),
        _ => humantime::format_duration(bound).to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_what_humantime_takes() {
        assert_eq!(parse("1h 30min", &AGE), Ok(Duration::from_secs(5400)));
        assert_eq!(parse("7d", &AGE), Ok(Duration::from_secs(7 * 86_400)));
        assert!(parse("soon", &AGE).expect_err("no time").contains("expected number"));
    }

    #[test]
    fn the_end_of_time_is_refused_and_no_panic() {
        for text in
            ["18446744073709551615s 500ms 500ms", "1844674407 3709551615s 500ms 500ms", &"9999999999y ".repeat(99)]
        {
            let refused = Err("it is too long; give at most 30days".to_owned());
            assert_eq!(parse(text, &PHASE), refused, "{text}");
        }
    }

    #[test]
    fn the_bounds_are_taken_and_nothing_beyond_them() {
        for (allowed, least, most) in
            [(AGE, "0s", "10y"), (PRIVATE_LIFE, "1min", "10y"), (DEPRECATED_AT, "1d", "730d"), (PHASE, "1s", "30d")]
        {
            assert_eq!(parse(least, &allowed), Ok(*allowed.start()));
            assert_eq!(parse(most, &allowed), Ok(*allowed.end()));
            // The bound that a refusal names is taken as it stands there.
            let refused = parse(&format!("{most} 1ns"), &allowed).expect_err(most);
            let (_, named) = refused.split_once("give at most ").expect("the bound");
            assert_eq!(parse(named, &allowed), Ok(*allowed.end()));
            if !allowed.start().is_zero() {
                let refused = parse("999ms", &allowed).expect_err(least);
                let (_, named) = refused.split_once("give at least ").expect("the bound");
                assert_eq!(parse(named, &allowed), Ok(*allowed.start()));
            }
        }
    }
}
