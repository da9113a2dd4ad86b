//! How long earlier builds took, from their journals.

use std::{collections::BTreeMap, time::Duration};

use xtask::region::Region;

use super::{folder::JOURNAL, journal::Reading, state::State};
use crate::{
    event::{
        estimate::{Estimate, Span, together},
        phase::Phase,
        step::Step,
    },
    state_dir::StateDir,
};

/// How many builds are looked at, from the latest. What was long ago says little.
const MAX_BUILDS: usize = 20;

/// What builds take that have not begun yet.
#[derive(Clone, Debug)]
pub struct Kind<'a> {
    /// Whether it is one of `--local`.
    pub local: bool,
    /// The type of its instances; none with `--local`.
    pub instance_type: Option<&'a str>,
    /// The region that the image is made in.
    pub made_in: &'a Region,
    /// All its regions.
    pub regions: &'a [Region],
}

/// How long earlier builds took.
#[derive(Clone, Debug, Default)]
pub struct History(Vec<Build>);

/// How long one of them took.
#[derive(Clone, Debug)]
struct Build {
    local: bool,
    instance_type: Option<String>,
    made_in: Region,
    phases: BTreeMap<Phase, u64>,
    copies: BTreeMap<Region, u64>,
}

impl History {
    /// Reads the journals of earlier builds. What cannot be read says nothing.
    #[must_use]
    pub fn read(state_dir: &StateDir) -> History {
        let folders = state_dir.path().join("builds").read_dir_utf8().into_iter().flatten().flatten();
        let mut folders: Vec<_> = folders.map(|entry| entry.path().to_owned()).collect();
        // The names begin with the time.
        folders.sort_unstable_by(|one, other| other.cmp(one));
        let states = folders.iter().filter_map(|folder| Reading::of(&folder.join(JOURNAL)).ok());
        History(states.filter_map(|reading| Build::of(&reading.state)).take(MAX_BUILDS).collect())
    }

    /// How long a build of this kind takes; by default, without make, what is `usual` for it.
    #[must_use]
    pub fn estimate(&self, kind: &Kind<'_>, usual: Duration) -> Estimate {
        let builds: Vec<&Build> = self.0.iter().filter(|build| build.local == kind.local).collect();
        // The nearest builds that tell: of this region and type, of this type, or any.
        let here =
            |build: &&&Build| build.made_in == *kind.made_in && build.instance_type.as_deref() == kind.instance_type;
        let alike = |build: &&&Build| build.instance_type.as_deref() == kind.instance_type;
        let sets = [
            builds.iter().filter(here).copied().collect::<Vec<_>>(),
            builds.iter().filter(alike).copied().collect(),
            builds.clone(),
        ];
        let nearest = |sample: &dyn Fn(&Build) -> Option<u64>| {
            sets.iter().find_map(|set| Span::of(set.iter().filter_map(|build| sample(build)).collect()))
        };
        let mut phases: BTreeMap<Phase, Span> = Phase::ALL
            .into_iter()
            .filter_map(|phase| Some((phase, nearest(&|build| build.phases.get(&phase).copied())?)))
            .collect();
        phases.remove(&Phase::Copies);
        let others: Vec<&Region> = kind.regions.iter().filter(|region| *region != kind.made_in).collect();
        let copies: BTreeMap<&Region, Span> = others
            .iter()
            .filter_map(|region| Some((*region, nearest(&|build| build.copies.get(region).copied())?)))
            .collect();
        if !phases.contains_key(&Phase::Image) || (!others.is_empty() && copies.is_empty()) {
            return Estimate { whole: Span::by_default(usual), ..Estimate::default() };
        }
        // The slowest copy is the last.
        let slowest = |bound: fn(&Span) -> u64| copies.values().map(bound).max();
        let slowest = slowest(|it| it.low_ms).zip(slowest(|it| it.median_ms)).zip(slowest(|it| it.high_ms));
        phases
            .extend(slowest.map(|((low_ms, median_ms), high_ms)| (Phase::Copies, Span { low_ms, median_ms, high_ms })));
        let all = |bound: fn(&Span) -> u64| {
            let all = together(|phase| Duration::from_millis(phases.get(&phase).map(bound).unwrap_or_default()));
            u64::try_from(all.as_millis()).unwrap_or(u64::MAX)
        };
        let whole =
            Span { low_ms: all(|it| it.low_ms), median_ms: all(|it| it.median_ms), high_ms: all(|it| it.high_ms) };
        let told = sets.iter().find(|set| !set.is_empty()).map_or(0, Vec::len);
        let copies = copies.into_iter().map(|(region, span)| (region.to_string(), span)).collect();
        Estimate { builds: told, whole, phases, copies }
    }
}

impl Build {
    /// How long the steps of a build took. None if it says nothing about others: a promotion, or a build of several processes,
    /// between which nothing was done.
    fn of(state: &State) -> Option<Build> {
        let about = state.about.as_ref().filter(|about| about.promotes.is_none() && state.attempts == 1)?;
        let mut spans: BTreeMap<Phase, (u64, u64)> = BTreeMap::new();
        let mut copies = BTreeMap::new();
        for timing in &state.timings {
            let Ok(step) = timing.step.parse::<Step>() else { continue };
            let (from, to) = (timing.ended_ms.saturating_sub(timing.took_ms), timing.ended_ms);
            if let Some(phase) = Phase::of(&step, Some(&about.build_region)) {
                let span = spans.entry(phase).or_insert((from, to));
                *span = (span.0.min(from), span.1.max(to));
            }
            if let Step::Available(region) = step {
                copies.insert(region, timing.took_ms);
            }
        }
        let phases = spans.into_iter().map(|(phase, (from, to))| (phase, to - from)).collect();
        let (instance_type, made_in) = (about.instance_type.clone(), about.build_region.clone());
        Some(Build { local: about.local, instance_type, made_in, phases, copies })
    }
}

#[cfg(test)]
mod tests;
