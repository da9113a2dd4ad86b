//! Dates in RFC 3339, as clouds return them: `2021-09-28T19:07:24.000Z`.

use std::time::{Duration, SystemTime};

/// Parses a date; `None` when it is invalid.
#[must_use]
pub fn moment(date: &str) -> Option<SystemTime> {
    humantime::parse_rfc3339(date).ok()
}

/// The day of a date, `2021-09-28`.
#[must_use]
pub fn day(date: &str) -> &str {
    date.split('T').next().unwrap_or(date)
}

/// How far two moments are apart, whichever is the earlier one.
#[must_use]
pub fn apart(one: SystemTime, other: SystemTime) -> Duration {
    one.duration_since(other).unwrap_or_else(|later| later.duration())
}

/// The age of a date in its largest unit: `5 min`, `3 h`, `10 d`, `5 y`. `None` when it is invalid or in the future.
#[must_use]
pub fn age(date: &str, now: SystemTime) -> Option<String> {
    let secs = now.duration_since(moment(date)?).ok()?.as_secs();
    let days = secs / 86_400;
    Some(match secs {
        0..3600 => format!("{} min", secs / 60),
        3600..86_400 => format!("{} h", secs / 3600),
        _ if days <= 730 => format!("{days} d"),
        // Four years have 1461 days, the leap day included.
        _ => format!("{} y", days * 4 / 1461),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ground::untrusted::{check, text};

    #[test]
    fn an_age_is_in_its_largest_unit() {
        let date = "2026-11-22T20:00:00.000Z";
        let after = |secs: u64| age(date, moment(date).expect("a date") + Duration::from_secs(secs));
        for (secs, expected) in [
            (59, "0 min"),
            (3599, "59 min"),
            (3600, "1 h"),
            (86_400, "1 d"),
            (730 * 86_400, "730 d"),
            (731 * 86_400, "2 y"),
        ] {
            assert_eq!(after(secs).as_deref(), Some(expected));
        }
        assert_eq!(age(date, moment("2026-11-22T19:59:59Z").expect("a date")), None, "it is in the future");
    }

    #[test]
    fn any_date_has_an_age_or_none() {
        check(1000, text("2026-11-22T20:00:00.000Z"), |date| {
            assert!(age(&date, SystemTime::now()).is_none_or(|age| age.contains(' ')), "{date:?}");
        });
    }
}
