//! How long the build still takes, from the estimate that its events have.

use std::time::Duration;

use xtask::region::Region;

use super::{Copying, Live};
use crate::event::{
    estimate::{self, Span, range_text, together},
    phase::Phase,
};

/// Copies do not go on exactly as they did so far: this much of the time is left at least, and at most.
const SOONER: f64 = 0.8;
const LATER: f64 = 1.25;

impl Live {
    /// How long the build still takes, in words: a range, and whether it is only a default. Empty if it cannot be told.
    pub(super) fn left_words(&self, now: Duration) -> String {
        let (Some(estimate), Some(elapsed)) = (&self.estimate, self.elapsed(now)) else { return String::new() };
        let (low, high) = estimate.whole.bounds();
        let (left, from) = match estimate.builds {
            0 => ((low.saturating_sub(elapsed), high.saturating_sub(elapsed)), ", by default"),
            _ => (
                (self.left_of_phases(now, |it| it.low_ms, SOONER), self.left_of_phases(now, |it| it.high_ms, LATER)),
                "",
            ),
        };
        // One that takes longer than any before says nothing about its end.
        if left.1.is_zero() { String::new() } else { format!(", {} left{from}", range_text(left)) }
    }

    /// Whether a phase is over, or will not begin any more: a later one has begun.
    fn is_over(&self, phase: Phase) -> bool {
        let has_ended = self.phases.get(&phase).is_some_and(|span| span.to.is_some());
        has_ended || self.phases.keys().any(|begun| begun.is_after(phase))
    }

    /// How long the phases still take that are not over.
    fn left_of_phases(&self, now: Duration, bound: fn(&Span) -> u64, of_copies: f64) -> Duration {
        together(|phase| {
            let span = self.estimate.as_ref().and_then(|estimate| estimate.phases.get(&phase));
            let whole = Duration::from_millis(span.map(bound).unwrap_or_default());
            match self.phases.get(&phase) {
                _ if self.is_over(phase) => Duration::ZERO,
                None => whole,
                // What the copies say of themselves is nearer.
                Some(_) if phase == Phase::Copies && self.slowest_left(now).is_some() => {
                    self.slowest_left(now).unwrap_or_default().mul_f64(of_copies)
                }
                Some(span) => whole.saturating_sub(now.saturating_sub(span.from)),
            }
        })
    }

    /// How long the slowest copy still takes.
    pub(super) fn slowest_left(&self, now: Duration) -> Option<Duration> {
        self.copies.iter().filter_map(|(region, copying)| self.left_of_copy(region, copying, now)).max()
    }

    /// How long a copy still takes: as it went so far, or else as earlier ones did.
    pub(super) fn left_of_copy(&self, region: &Region, copying: &Copying, now: Duration) -> Option<Duration> {
        if copying.end.is_some() {
            return None;
        }
        copying.left(now).or_else(|| {
            let earlier: &estimate::Span = self.estimate.as_ref()?.copies.get(region.as_str())?;
            let left = Duration::from_millis(earlier.median_ms).saturating_sub(now.saturating_sub(copying.since));
            (!left.is_zero()).then_some(left)
        })
    }
}
