//! Times and durations, as the page writes them.

use std::time::{Duration, UNIX_EPOCH};

use crate::show::words;

/// A duration, such as `40 ms`, `6.2 s` or `12m 3s`.
pub(super) fn span(ms: u64) -> String {
    match ms {
        0..1000 => format!("{ms} ms"),
        1000..60_000 => format!("{}.{} s", ms / 1000, ms % 1000 / 100),
        _ => humantime::format_duration(Duration::from_secs(ms / 1000)).to_string(),
    }
}

/// A time since a beginning, such as `4:10`.
pub(super) fn clock(ms: u64) -> String {
    words::clock(Duration::from_millis(ms))
}

/// A date with its time in UTC, such as `2026-11-22 16:17:46 UTC`.
pub(super) fn date(since_1970_ms: u64) -> String {
    let text = UNIX_EPOCH.checked_add(Duration::from_secs(since_1970_ms / 1000)).and_then(rfc3339).unwrap_or_default();
    text.replace('T', " ").replace('Z', " UTC")
}

fn rfc3339(at: std::time::SystemTime) -> Option<String> {
    use std::fmt::Write as _;
    let mut text = String::new();
    // Years after 9999 cannot be written.
    write!(text, "{}", humantime::format_rfc3339_seconds(at)).ok()?;
    Some(text)
}
