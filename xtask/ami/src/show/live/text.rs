//! Text on a line of a terminal: its width, and cutting it there. Styles have no width.

use std::{borrow::Cow, time::Duration};

/// How many columns a text takes.
#[must_use]
pub fn width_of(text: &str) -> usize {
    console::measure_text_width(text)
}

/// The text, cut to a width; `…` says that it was.
#[must_use]
pub(super) fn cut(text: &str, width: usize) -> Cow<'_, str> {
    if width == 0 {
        return Cow::Borrowed("");
    }
    match console::truncate_str(text, width, "…") {
        // The end of a style may have been cut off.
        Cow::Owned(cut) => Cow::Owned(cut + "\u{1b}[0m"),
        whole @ Cow::Borrowed(_) => whole,
    }
}

/// A duration in at most six columns: `45s`, `4m 05s`, `1h 02m`.
pub(super) fn clock(time: Duration) -> String {
    let secs = time.as_secs();
    match secs {
        0..60 => format!("{secs}s"),
        60..3600 => format!("{}m{:02}s", secs / 60, secs % 60),
        _ => format!("{}h{:02}m", secs / 3600, secs / 60 % 60),
    }
}

/// A range of time that is left, in at most six columns: `<1m`, `4m`, `4–6m`, `55–70m`, `2–3h`.
pub(super) fn left((low, high): (Duration, Duration)) -> String {
    let minutes = |time: Duration| (time.as_secs() + 30) / 60;
    let hours = |time: Duration| (time.as_secs() + 1800) / 3600;
    let text = |low: u64, high: u64, unit| match low == high {
        true => format!("{high}{unit}"),
        false => format!("{low}–{high}{unit}"),
    };
    match minutes(high) {
        0 => "<1m".to_owned(),
        1..100 => text(minutes(low), minutes(high), 'm'),
        _ => text(hours(low), hours(high), 'h'),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_that_is_left_takes_six_columns_at_most() {
        let secs = Duration::from_secs;
        for (low, high, text) in [
            (0, 20, "<1m"),
            (0, 90, "0–2m"),
            (230, 250, "4m"),
            (240, 370, "4–6m"),
            (3300, 4200, "55–70m"),
            (5400, 5940, "90–99m"),
            (5400, 6000, "2h"),
            (36_000, 86_400, "10–24h"),
        ] {
            assert_eq!(left((secs(low), secs(high))), text);
            assert!(width_of(text) <= 6, "{text}");
        }
    }
}
