//! Where the time of a build went, in three lines.

use std::time::Duration;

use super::{Live, text::width_of};
use crate::{event::phase::Phase, show::words::seconds};

/// The columns of the verb, and of the space after it.
const VERB_COLUMNS: usize = 13;

/// Lines are no longer than this, however wide the terminal is.
const MAX_COLUMNS: usize = 100;

impl Live {
    /// Where the time went: the whole, and the phases from the longest. Each has its share of the whole; those that ran side
    /// by side have more than all of it together. A verb and a text for each of the lines; none without a build.
    #[must_use]
    pub fn summary(&self, now: Duration, width: usize) -> Vec<(&'static str, String)> {
        let Some(build) = &self.build else { return Vec::new() };
        let whole = now.saturating_sub(build.since);
        let mut phases: Vec<(Phase, Duration)> = self
            .phases
            .iter()
            .map(|(phase, span)| (*phase, span.to.unwrap_or(now).saturating_sub(span.from)))
            .collect();
        phases.sort_by_key(|(phase, took)| (std::cmp::Reverse(*took), *phase));
        let mut items = phases.iter().map(|(phase, took)| {
            let share = 100.0 * took.as_secs_f64() / whole.as_secs_f64().max(0.001);
            format!("{} {} ({share:.0}%)", phase.name(), seconds(*took))
        });
        let room = width.min(MAX_COLUMNS).saturating_sub(VERB_COLUMNS + 1);
        let mut left = items.next();
        let mut lines = vec![("Finished", format!("{} in {}", build.name, seconds(whole)))];
        for verb in ["Longest", "Then"] {
            let mut line = String::new();
            while let Some(item) = left.take() {
                let comma = if line.is_empty() { "" } else { ", " };
                if !line.is_empty() && width_of(&line) + comma.len() + width_of(&item) > room {
                    left = Some(item);
                    break;
                }
                line = line + comma + &item;
                left = items.next();
            }
            if !line.is_empty() {
                lines.push((verb, line));
            }
        }
        lines
    }
}
