//! How long a build takes, about: ranges, from earlier builds or by default.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::phase::Phase;

/// How long something takes, about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Span {
    /// At least, in milliseconds.
    pub low_ms: u64,
    /// The median, in milliseconds.
    pub median_ms: u64,
    /// At most, in milliseconds.
    pub high_ms: u64,
}

/// What an estimate is of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Work {
    /// A whole build.
    #[default]
    Build,
    /// A whole promotion.
    Promotion,
    /// What is left of a build or a promotion that is resumed.
    Rest,
}

impl Work {
    fn is_build(&self) -> bool {
        *self == Work::Build
    }
}

/// How long a build takes, about.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Estimate {
    /// What it is of.
    #[serde(default, skip_serializing_if = "Work::is_build")]
    pub work: Work,
    /// How many earlier builds it is from: those that tell about any part of it. If 0, it is only a default.
    pub builds: usize,
    /// All of the work.
    pub whole: Span,
    /// Its phases.
    #[serde(default)]
    pub phases: BTreeMap<Phase, Span>,
    /// The copies, by their regions.
    #[serde(default)]
    pub copies: BTreeMap<String, Span>,
    /// The phases that no earlier build tells about. Their times are defaults, but for make, which has none.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub by_default: BTreeSet<Phase>,
}

/// What each phase usually takes, in seconds. Only its share of all of them counts. Make has none: how long it takes depends
/// on what is built.
const USUAL: [(Phase, u64); 7] = [
    (Phase::Machine, 60),
    (Phase::Packages, 45),
    (Phase::Payload, 15),
    (Phase::Image, 210),
    (Phase::Copies, 480),
    (Phase::Verification, 90),
    (Phase::Publication, 10),
];

impl Estimate {
    /// The default for work with these phases that usually takes so long without make.
    #[must_use]
    pub fn by_default(usual: Duration, has: impl Fn(Phase) -> bool) -> Estimate {
        let own: Vec<(Phase, u64)> = USUAL.into_iter().filter(|(phase, _)| has(*phase)).collect();
        let usually = |phase| own.iter().find(|(own, _)| *own == phase).map_or(0, |(_, secs)| *secs);
        let all_secs = together(|phase| Duration::from_secs(usually(phase))).as_secs_f64().max(1.0);
        let share = |secs: u64| Span::by_default(usual.mul_f64(Duration::from_secs(secs).as_secs_f64() / all_secs));
        let phases = own.iter().map(|(phase, secs)| (*phase, share(*secs))).collect();
        let by_default = Phase::ALL.into_iter().filter(|phase| has(*phase)).collect();
        Estimate { whole: Span::by_default(usual), phases, by_default, ..Estimate::default() }
    }

    /// Which parts of an estimate from earlier builds are none of theirs: words that follow it. Empty if all are.
    #[must_use]
    pub fn defaults_text(&self) -> String {
        let names: Vec<&str> =
            self.by_default.iter().filter(|phase| **phase != Phase::Make).map(|phase| phase.name()).collect();
        let more = if self.by_default.contains(&Phase::Make) { ", and more if compiling takes longer" } else { "" };
        match names.split_last() {
            None => more.to_owned(),
            Some((last, [])) => format!(", by default for {last}{more}"),
            Some((last, others)) => format!(", by default for {} and {last}{more}", others.join(", ")),
        }
    }
}

impl Span {
    /// From the least to the most.
    #[must_use]
    pub fn bounds(self) -> (Duration, Duration) {
        (Duration::from_millis(self.low_ms), Duration::from_millis(self.high_ms))
    }

    /// The default for something that usually takes so long. A slow build takes twice that.
    #[must_use]
    pub fn by_default(usual: Duration) -> Span {
        let low_ms = u64::try_from(usual.as_millis()).unwrap_or(u64::MAX);
        Span { low_ms, median_ms: low_ms.saturating_mul(3) / 2, high_ms: low_ms.saturating_mul(2) }
    }

    /// What these say together: the middle half of them, but not less wide than chance makes it. None without any.
    #[must_use]
    pub fn of(mut samples: Vec<u64>) -> Option<Span> {
        samples.sort_unstable();
        let at = |part: usize| samples.get((samples.len().checked_sub(1)? * part + 2) / 4).copied();
        let (first, median_ms, third) = (at(1)?, at(2)?, at(3)?);
        // One build says little about the next one, and several that were alike say more.
        let (less, more) = if samples.len() == 1 { (75, 150) } else { (90, 120) };
        let part = |per_cent: u64| median_ms.saturating_mul(per_cent) / 100;
        Some(Span { low_ms: first.min(part(less)), median_ms, high_ms: third.max(part(more)) })
    }
}

/// How long the phases take together, some of which run side by side.
#[must_use]
pub fn together(phase: impl Fn(Phase) -> Duration) -> Duration {
    let made = phase(Phase::Make).max(phase(Phase::Machine) + phase(Phase::Packages));
    let ready = phase(Phase::Copies).max(phase(Phase::Verification));
    made + phase(Phase::Payload) + phase(Phase::Image) + ready + phase(Phase::Publication)
}

/// A range of time, such as `14–19m`, `<1m` or `1h10m–2h`.
#[must_use]
pub fn range_text((low, high): (Duration, Duration)) -> String {
    let minutes = |time: Duration| (time.as_secs() + 30) / 60;
    let text = |minutes: u64| match (minutes / 60, minutes % 60) {
        (0, minutes) => format!("{minutes}m"),
        (hours, 0) => format!("{hours}h"),
        (hours, minutes) => format!("{hours}h{minutes:02}m"),
    };
    match (minutes(low), minutes(high)) {
        (_, 0) => "<1m".to_owned(),
        (0, high) => format!("0–{}", text(high)),
        (low, high) if low == high => text(low),
        (low, high) if high < 60 => format!("{low}–{high}m"),
        (low, high) => format!("{}–{}", text(low), text(high)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_written_in_minutes_and_hours() {
        let secs = Duration::from_secs;
        for (low, high, text) in [
            (0, 20, "<1m"),
            (10, 90, "0–2m"),
            (840, 1140, "14–19m"),
            (300, 310, "5m"),
            (3000, 4200, "50m–1h10m"),
            (7200, 10800, "2h–3h"),
        ] {
            assert_eq!(range_text((secs(low), secs(high))), text);
        }
    }

    #[test]
    fn a_range_has_the_median_and_is_wider_from_one_build_than_from_several() {
        let span = |samples: &[u64]| Span::of(samples.to_vec());
        assert_eq!(span(&[]), None);
        assert_eq!(span(&[1000]), Some(Span { low_ms: 750, median_ms: 1000, high_ms: 1500 }));
        assert_eq!(span(&[1000, 1000, 1000]), Some(Span { low_ms: 900, median_ms: 1000, high_ms: 1200 }));
        let spread = span(&[9000, 500, 1000, 2000, 1500]);
        assert_eq!(spread, Some(Span { low_ms: 1000, median_ms: 1500, high_ms: 2000 }));
        assert_eq!(span(&[u64::MAX]).map(|span| span.median_ms), Some(u64::MAX));
    }

    #[test]
    fn a_default_is_shared_out_to_the_phases_that_there_are() {
        let default = Estimate::by_default(Duration::from_secs(820), |_| true);
        assert_eq!((default.builds, default.whole.low_ms), (0, 820_000));
        let low_ms = |phase| default.phases.get(&phase).map(|span: &Span| span.low_ms);
        assert_eq!([Phase::Make, Phase::Image, Phase::Copies].map(low_ms), [None, Some(210_000), Some(480_000)]);
        let parts = together(|phase| Duration::from_millis(low_ms(phase).unwrap_or_default()));
        assert_eq!(parts.as_secs(), 820, "{default:?}");
        let copied = Estimate::by_default(Duration::from_secs(98), |phase| phase.is_after(Phase::Image));
        assert_eq!(copied.phases.len(), 3, "{copied:?}");
        assert_eq!(copied.phases[&Phase::Copies], Span { low_ms: 96_000, median_ms: 144_000, high_ms: 192_000 });
    }

    #[test]
    fn what_runs_side_by_side_counts_once() {
        let phase = |phase| Duration::from_secs(if phase == Phase::Make { 100 } else { 10 });
        assert_eq!(together(phase).as_secs(), 100 + 10 + 10 + 10 + 10);
    }

    #[test]
    fn what_is_a_default_is_named_and_make_has_none() {
        let text = |phases: &[Phase]| {
            let by_default = phases.iter().copied().collect();
            Estimate { builds: 1, by_default, ..Estimate::default() }.defaults_text()
        };
        assert_eq!(text(&[]), "");
        assert_eq!(text(&[Phase::Make]), ", and more if compiling takes longer");
        assert_eq!(text(&[Phase::Copies]), ", by default for copies");
        let most = [Phase::Make, Phase::Image, Phase::Copies, Phase::Verification];
        let expected = ", by default for image, copies and verification, and more if compiling takes longer";
        assert_eq!(text(&most), expected);
    }
}
