//! Durations, such as `1h 30min`, each bounded where it is parsed, so that later arithmetic cannot overflow.

use std::{ops::RangeInclusive, time::Duration};

const DAY: Duration = Duration::from_secs(86_400);

/// Ten years as humantime counts them, so that `10y` is one of them.
const TEN_YEARS: Duration = Duration::from_secs(10 * 31_557_600);

/// How old a leftover can be. Zero is allowed: it means any age.
pub const AGE: RangeInclusive<Duration> = Duration::ZERO..=TEN_YEARS;

/// How long a private image is kept. Making one takes minutes, and keeping one for ever is a mistake.
pub const PRIVATE_LIFE: RangeInclusive<Duration> = Duration::from_secs(60)..=TEN_YEARS;

/// How old a public image is when it is deprecated, counted from the beginning of its build. EC2 refuses a date that has
/// passed by the time the image exists, and a day is long enough for a build. It also refuses a date more than two years
/// after the image's creation; the bound here is two years without a leap day. EC2 user guide, "Deprecate an Amazon EC2
/// AMI".
pub const DEPRECATED_AT: RangeInclusive<Duration> = DAY..=Duration::from_secs(730 * 86_400);

/// How long it is until an image is deprecated. EC2 counts in minutes, and takes ten years at most (EC2 user guide, "Deprecate
/// an Amazon EC2 AMI").
pub const UNTIL_DEPRECATED: RangeInclusive<Duration> = Duration::from_secs(60)..=TEN_YEARS;

/// How long a phase of a build may take: with no time it always fails, and no phase takes a month.
pub const PHASE: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(30 * 86_400);

/// A time in words: `7 days` where it is of whole days, as times of expiry mostly are.
#[must_use]
pub fn in_days(time: Duration) -> String {
    match (time.as_secs() / DAY.as_secs(), time.as_secs() % DAY.as_secs()) {
        (days @ 1.., 0) => crate::count::of(usize::try_from(days).unwrap_or(usize::MAX), "day"),
        _ => humantime::format_duration(time).to_string(),
    }
}

/// The most digits of a number: ten digits of seconds are three hundred years.
const LONGEST_NUMBER: usize = 10;

/// The longest text that is parsed, in bytes. A duration that was meant is shorter.
const LONGEST_TEXT: usize = 100;

/// What a duration looks like.
const EXAMPLE: &str = "give a duration such as 90s, 12h or 7d";

/// Parses a duration in humantime's notation, and checks that it is within `allowed`.
///
/// # Errors
/// When `text` is no duration, or is out of bounds; the message names the bound.
pub fn parse(text: &str, allowed: &RangeInclusive<Duration>) -> Result<Duration, String> {
    let too_long = || format!("too long; give at most {}", words(*allowed.end()));
    // Close to the maximum of a Duration, humantime 2.4 panics when nanoseconds carry over.
    let numbers = text.split(|c: char| !c.is_ascii_digit() && !c.is_whitespace());
    let longest = numbers.map(|number| number.chars().filter(char::is_ascii_digit).count()).max().unwrap_or_default();
    if longest > LONGEST_NUMBER || text.len() > LONGEST_TEXT {
        return Err(too_long());
    }
    let time = humantime::parse_duration(text).map_err(|error| format!("{error}; {EXAMPLE}"))?;
    match time {
        time if time > *allowed.end() => Err(too_long()),
        time if time < *allowed.start() => Err(format!("too short; give at least {}", words(*allowed.start()))),
        time => Ok(time),
    }
}

/// A bound in the form in which users type it: humantime itself formats two years as `1year 11months 29days …`.
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
    fn whole_days_are_told_as_days() {
        let told = [86_400, 7 * 86_400, 90_000, 60].map(|secs| in_days(Duration::from_secs(secs)));
        assert_eq!(told, ["1 day", "7 days", "1day 1h", "1m"]);
    }

    #[test]
    fn the_end_of_time_is_refused_and_no_panic() {
        for text in
            ["18446744073709551615s 500ms 500ms", "1844674407 3709551615s 500ms 500ms", &"9999999999y ".repeat(99)]
        {
            let refused = Err("too long; give at most 30days".to_owned());
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
