//! How long earlier builds took, from their journals.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

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

mod rest;

/// How many builds are looked at, from the latest. What was long ago says little.
const MAX_BUILDS: usize = 20;

/// What builds take that have not begun yet.
#[derive(Clone, Debug)]
pub struct Kind<'a> {
    /// Whether it is one of `--local`.
    pub local: bool,
    /// Whether they promote an image, and make none.
    pub promotes: bool,
    /// Whether others may launch the images, which are opened to them at the end.
    pub opens: bool,
    /// The type of its instances; none with `--local`.
    pub instance_type: Option<&'a str>,
    /// The region that the image is made in, or promoted from.
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
    promotes: bool,
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
        let (near, others) = (self.near(kind), kind.copied_to());
        let mut phases = near.phases();
        let copies = near.copies(&others);
        if !phases.contains_key(&Phase::Image) || (!others.is_empty() && copies.is_empty()) {
            return Estimate { whole: Span::by_default(usual), ..Estimate::default() };
        }
        phases.extend(last_of(copies.values()).map(|last| (Phase::Copies, last)));
        Estimate { builds: near.told(), whole: whole(&phases), phases, copies, ..Estimate::default() }
    }

    /// The builds that tell about this kind.
    fn near(&self, kind: &Kind<'_>) -> Near<'_> {
        // Promotions have fewer phases, and tell about nothing but themselves.
        let tells = |build: &&Build| build.local == kind.local && (kind.promotes || !build.promotes);
        let builds: Vec<&Build> = self.0.iter().filter(tells).collect();
        let here = |build: &&&Build| build.made_in == *kind.made_in && alike(build, kind);
        let sets = [
            builds.iter().filter(here).copied().collect::<Vec<_>>(),
            builds.iter().filter(|build| alike(build, kind)).copied().collect(),
            builds.clone(),
        ];
        Near(sets)
    }
}

impl Kind<'_> {
    /// The regions that the image is copied to.
    fn copied_to(&self) -> Vec<&Region> {
        self.regions.iter().filter(|region| self.promotes || *region != self.made_in).collect()
    }
}

/// Whether a build was of the same sort: for a promotion, one as well; else, of the same type of instance.
fn alike(build: &Build, kind: &Kind<'_>) -> bool {
    build.promotes == kind.promotes && (kind.promotes || build.instance_type.as_deref() == kind.instance_type)
}

/// Earlier builds, from the nearest: of the same region and sort, of the same sort, or any.
struct Near<'a>([Vec<&'a Build>; 3]);

impl Near<'_> {
    /// What the nearest builds say that tell.
    fn span(&self, samples: impl Fn(&Build) -> Vec<u64>) -> Option<Span> {
        self.0.iter().find_map(|set| Span::of(set.iter().flat_map(|build| samples(build)).collect()))
    }

    /// How long the phases take, but for the copies.
    fn phases(&self) -> BTreeMap<Phase, Span> {
        let phases = Phase::ALL.into_iter().filter(|phase| *phase != Phase::Copies);
        let took = |phase: Phase| self.span(|build| build.phases.get(&phase).copied().into_iter().collect());
        phases.filter_map(|phase| Some((phase, took(phase)?))).collect()
    }

    /// How long the copies to these regions take, where any were made before.
    fn copies(&self, regions: &[&Region]) -> BTreeMap<String, Span> {
        let took = |region: &Region| self.span(|build| build.copies.get(region).copied().into_iter().collect());
        regions.iter().filter_map(|region| Some((region.to_string(), took(region)?))).collect()
    }

    /// How many of the nearest tell about any of these phases.
    fn told_about(&self, phases: &BTreeMap<Phase, Span>) -> usize {
        let tells = |build: &&&Build| {
            let copies = phases.contains_key(&Phase::Copies) && !build.copies.is_empty();
            copies || build.phases.keys().any(|phase| phases.contains_key(phase))
        };
        self.0.iter().map(|set| set.iter().filter(tells).count()).find(|told| *told > 0).unwrap_or_default()
    }

    /// How many the nearest are.
    fn told(&self) -> usize {
        self.0.iter().find(|set| !set.is_empty()).map_or(0, Vec::len)
    }
}

/// All of these side by side: the slowest is the last. None without any.
fn last_of<'a>(spans: impl Iterator<Item = &'a Span> + Clone) -> Option<Span> {
    let slowest = |bound: fn(&Span) -> u64| spans.clone().map(bound).max();
    Some(Span {
        low_ms: slowest(|it| it.low_ms)?,
        median_ms: slowest(|it| it.median_ms)?,
        high_ms: slowest(|it| it.high_ms)?,
    })
}

/// How long these phases take together.
fn whole(phases: &BTreeMap<Phase, Span>) -> Span {
    let all = |bound: fn(&Span) -> u64| {
        let all = together(|phase| Duration::from_millis(phases.get(&phase).map(bound).unwrap_or_default()));
        u64::try_from(all.as_millis()).unwrap_or(u64::MAX)
    };
    Span { low_ms: all(|it| it.low_ms), median_ms: all(|it| it.median_ms), high_ms: all(|it| it.high_ms) }
}

impl Build {
    /// How long the steps of a build took. None if it says nothing about others: a build of several processes, between which
    /// nothing was done. What was not finished says nothing either.
    fn of(state: &State) -> Option<Build> {
        let about = state.about.as_ref().filter(|_| state.attempts == 1)?;
        // Of a promotion, each image is a copy.
        let made_in = Some(&about.build_region).filter(|_| about.promotes.is_none());
        let mut spans: BTreeMap<Phase, (u64, u64)> = BTreeMap::new();
        let (mut copies, mut ended) = (BTreeMap::new(), BTreeSet::new());
        for timing in &state.timings {
            let Ok(step) = timing.step.parse::<Step>() else { continue };
            let (from, to) = (timing.ended_ms.saturating_sub(timing.took_ms), timing.ended_ms);
            if let Some(phase) = Phase::of(&step, made_in) {
                let span = spans.entry(phase).or_insert((from, to));
                *span = (span.0.min(from), span.1.max(to));
                ended.extend(phase.ends_with(&step, made_in).then_some(phase));
            }
            if let Step::Available(region) = step {
                copies.insert(region, timing.took_ms);
            }
        }
        let phases = spans.into_iter().filter(|(phase, _)| ended.contains(phase));
        let phases = phases.map(|(phase, (from, to))| (phase, to - from)).collect();
        if let Some(home) = made_in {
            copies.remove(home);
        }
        let (instance_type, made_in) = (about.instance_type.clone(), about.build_region.clone());
        Some(Build { local: about.local, promotes: about.promotes.is_some(), instance_type, made_in, phases, copies })
    }
}

#[cfg(test)]
mod tests;
