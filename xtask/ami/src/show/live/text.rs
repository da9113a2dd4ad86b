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

/// A time that is left, in at most three columns: `<1m`, `4m`, `2h`.
pub(super) fn left(time: Duration) -> String {
    match time.as_secs() {
        0..60 => "<1m".to_owned(),
        secs @ 60..5970 => format!("{}m", (secs + 30) / 60),
        secs => format!("{}h", (secs + 1800) / 3600),
    }
}
