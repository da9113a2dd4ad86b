//! How long the build still takes, from the estimate that its events have.

use std::time::Duration;

use xtask::region::Region;

use super::{Copying, Live, left_of};
use crate::event::{
    estimate::{Span, range_text, together},
    phase::Phase,
};

/// What is under way does not go on exactly as it did so far: this much of the time is left at least, and at most.
const SOONER: f64 = 0.8;
const LATER: f64 = 1.25;

/// From the least to the most.
pub(super) type Range = (Duration, Duration);

/// How long something still takes that would be over then if it went on as it did so far.
fn about(left: Duration) -> Range {
    (left.mul_f64(SOONER), left.mul_f64(LATER))
}

/// How much of it is left after so long. None if it takes longer than it ever did: that says nothing about its end.
fn after(span: Span, elapsed: Duration) -> Option<Range> {
    let (low, high) = span.bounds();
    let left = (low.saturating_sub(elapsed), high.saturating_sub(elapsed));
    (!left.1.is_zero()).then_some(left)
}

impl Live {
    /// How long the build still takes, in words: a range, and how much of it is only a default. Empty if it cannot be told.
    pub(super) fn left_words(&self, now: Duration) -> String {
        let Some(estimate) = self.estimate.as_ref().filter(|_| self.build.is_some()) else { return String::new() };
        let left = |bound: fn(Range) -> Duration| together(|phase| bound(self.left_of_phase(phase, now)));
        let left = (left(|(low, _)| low), left(|(_, high)| high));
        let is_default = estimate.by_default.iter().any(|phase| !self.is_over(*phase));
        let from = match estimate.builds {
            0 => ", by default",
            _ if is_default => ", partly by default",
            _ => "",
        };
        // One that takes longer than any before says nothing about its end.
        if left.1.is_zero() { String::new() } else { format!(", {} left{from}", range_text(left)) }
    }

    /// Whether a phase is over, or will not begin any more: a later one has begun.
    fn is_over(&self, phase: Phase) -> bool {
        let has_ended = self.phases.get(&phase).is_some_and(|span| span.to.is_some());
        has_ended || self.phases.keys().any(|begun| begun.is_after(phase))
    }

    /// How long a phase still takes.
    fn left_of_phase(&self, phase: Phase, now: Duration) -> Range {
        let whole =
            self.estimate.as_ref().and_then(|estimate| estimate.phases.get(&phase)).copied().unwrap_or_default();
        match self.phases.get(&phase) {
            _ if self.is_over(phase) => Range::default(),
            None => whole.bounds(),
            // What the copies say of themselves is nearer.
            Some(_) if phase == Phase::Copies && self.slowest_left(now).is_some() => {
                self.slowest_left(now).unwrap_or_default()
            }
            Some(span) => after(whole, now.saturating_sub(span.from)).unwrap_or_default(),
        }
    }

    /// How long the image still takes that is so far since it was awaited: as it went so far, or else as earlier ones did.
    pub(super) fn left_of_image(&self, since: Duration, per_cent: Option<u8>, now: Duration) -> Option<Range> {
        let span = self.phases.get(&Phase::Image)?;
        // What an earlier process ordered went on meanwhile, so its per cent say nothing about the time.
        let is_own = span.from < since;
        let so_far = per_cent.filter(|_| is_own).and_then(|per_cent| left_of(now.saturating_sub(since), per_cent));
        so_far.map(about).or_else(|| {
            let earlier = self.estimate.as_ref()?.phases.get(&Phase::Image)?;
            after(*earlier, now.saturating_sub(span.from))
        })
    }

    /// How long the slowest copy still takes.
    pub(super) fn slowest_left(&self, now: Duration) -> Option<Range> {
        let left = self.copies.iter().filter_map(|(region, copying)| self.left_of_copy(region, copying, now));
        left.reduce(|one, other| (one.0.max(other.0), one.1.max(other.1)))
    }

    /// How long a copy still takes: as it went so far, or else as earlier ones did.
    pub(super) fn left_of_copy(&self, region: &Region, copying: &Copying, now: Duration) -> Option<Range> {
        if copying.end.is_some() {
            return None;
        }
        copying.left(now).map(about).or_else(|| {
            let earlier = self.estimate.as_ref()?.copies.get(region.as_str())?;
            after(*earlier, now.saturating_sub(copying.since))
        })
    }
}
