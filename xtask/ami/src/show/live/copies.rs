//! The copies of the image: a line, and a compact table of the regions.

use std::time::Duration;

use xtask::region::Region;

use super::{
    Copying, End, Live, TELLING_PER_CENT,
    estimates::Range,
    lines::{BAD, DIM, GOOD, Row},
    text::{cut, left},
};
use crate::event::estimate::range_text;

/// The columns before the table, and between two regions.
const INDENT: usize = 4;
const GAP: usize = 2;

/// The columns of what comes after the name of a region, such as ` 40% 10–14m`. Three regions fit into 100 columns.
const STATE: usize = 11;

/// The columns of the time in it, with a space before.
const LEFT: usize = 7;

impl Copying {
    /// How long it still takes if it goes on as it did.
    pub(super) fn left(&self, now: Duration) -> Option<Duration> {
        let ((from, before), per_cent) = (self.first?, self.per_cent.filter(|_| self.end.is_none())?);
        let (took, gained) = (now.saturating_sub(from), per_cent.saturating_sub(before));
        let rest = f64::from(100_u8.saturating_sub(per_cent)) / f64::from(gained.max(1));
        (gained >= TELLING_PER_CENT).then(|| took.mul_f64(rest))
    }

    fn state(&self, left_of_it: Option<Range>) -> String {
        match self.end {
            Some(End::Available) => format!("{GOOD}{:>STATE$}{GOOD:#}", "ready"),
            Some(End::Failed) => format!("{BAD}{:>STATE$}{BAD:#}", "failed"),
            None => {
                let per_cent =
                    self.per_cent.map_or_else(|| "…".to_owned(), |per_cent| format!("{}%", per_cent.min(99)));
                let left = left_of_it.map(left).unwrap_or_default();
                format!("{per_cent:>4}{DIM}{left:>LEFT$}{DIM:#}")
            }
        }
    }
}

impl Live {
    /// The line above the table; none if nothing is copied.
    pub(super) fn copying(&self, now: Duration) -> Option<Row> {
        let since = self.copies.values().map(|copying| copying.since).min()?;
        let count = |end| self.copies.values().filter(|copying| copying.end == Some(end)).count();
        let regions = match self.copies.len() {
            1 => "1 region".to_owned(),
            many => format!("{many} regions"),
        };
        let text = format!("to {regions}, {} ready", count(End::Available));
        // The slowest decides.
        let left = self.slowest_left(now);
        let text = text + &left.map(|left| format!(", {} left", range_text(left))).unwrap_or_default();
        let mut row = Row::new("Copying", since, text);
        if count(End::Failed) > 0 {
            row.fault = format!("{} failed", count(End::Failed));
        }
        Some(row)
    }

    /// The table of the regions in at most `room` lines. Where they do not fit, those whose copies are available go first.
    pub(super) fn table(&self, now: Duration, width: usize, room: usize) -> Vec<String> {
        let name = self.copies.keys().map(|region| region.as_str().len()).max().unwrap_or_default();
        let cell = name + STATE + GAP;
        let columns = (width.saturating_sub(INDENT) + GAP).checked_div(cell).unwrap_or_default().max(1);
        let mut shown: Vec<(&Region, &Copying)> = self.copies.iter().collect();
        if shown.len() > columns * room {
            shown.retain(|(_, copying)| copying.end != Some(End::Available));
        }
        let more = shown.len().saturating_sub(columns * room);
        if more > 0 {
            // Its last cell says how many are not shown.
            shown.truncate((columns * room).saturating_sub(1));
        }
        let mut cells: Vec<String> = shown
            .iter()
            .map(|(region, copying)| {
                format!("{:<name$}{}", region.as_str(), copying.state(self.left_of_copy(region, copying, now)))
            })
            .collect();
        if more > 0 {
            cells.push(format!("{DIM}and {} more{DIM:#}", more + 1));
        }
        let gap = " ".repeat(GAP);
        let lines = cells.chunks(columns).map(|cells| format!("{:INDENT$}{}", "", cells.join(&gap)));
        lines.map(|line| cut(&line, width).into_owned()).collect()
    }
}
