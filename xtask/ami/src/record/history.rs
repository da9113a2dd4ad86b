//! How long earlier builds took, from their journals.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use xtask::region::Region;

use super::{
    folder::JOURNAL,
    journal::{self, Reading},
    state::State,
};
use crate::{
    event::{
        about::About,
        estimate::{Estimate, Span, Work, together},
        ids::ImageId,
        phase::Phase,
        step::Step,
    },
    state_dir::StateDir,
};

mod near;
mod rest;

/// How many builds tell about a phase at most, from the latest. What was long ago says little.
const MAX_BUILDS: usize = 20;

/// How many journals are read at most. Of the others, only the first lines are.
const MAX_JOURNALS: usize = 60;

/// What builds take that have not begun yet.
#[derive(Clone, Debug)]
pub struct Kind<'a> {
    /// Whether it is one of `--local`.
    pub local: bool,
    /// Whether they promote an image, and make none.
    pub promotes: bool,
    /// Whether the binaries are taken as they lie in the checkout.
    pub skips_build: bool,
    /// Whether they may start from a kept base instead of installing the packages.
    pub reuses_base: bool,
    /// Whether others may launch the images, which are opened to them at the end.
    pub opens: bool,
    /// The type of its instances; none with `--local`.
    pub instance_type: Option<&'a str>,
    /// The region that the image is made in, or promoted from.
    pub made_in: &'a Region,
    /// All its regions.
    pub regions: &'a [Region],
}

/// How near an earlier build is to a kind of builds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Nearness {
    /// Of the same sort, and in the same region.
    Here,
    /// Of the same sort: also a promotion, or with the same type of instance.
    Alike,
    /// Of another sort that tells all the same.
    Other,
}

impl Nearness {
    const ALL: [Nearness; 3] = [Nearness::Here, Nearness::Alike, Nearness::Other];
}

/// How long earlier builds took, from the latest.
#[derive(Clone, Debug, Default)]
pub struct History(Vec<Build>);

/// How long one of them took.
#[derive(Clone, Debug)]
struct Build {
    about: About,
    /// Whether it started from a kept base.
    reused: bool,
    phases: BTreeMap<Phase, u64>,
    copies: BTreeMap<Region, u64>,
}

impl History {
    /// Reads the journals of the builds that tell about this kind. What cannot be read says nothing.
    #[must_use]
    pub fn read(state_dir: &StateDir, kind: &Kind<'_>) -> History {
        let folders = state_dir.path().join("builds").read_dir_utf8().into_iter().flatten().flatten();
        let mut journals: Vec<_> = folders.map(|entry| entry.path().join(JOURNAL)).collect();
        // The names of the folders begin with the time.
        journals.sort_unstable_by(|one, other| other.cmp(one));
        let (mut builds, mut whole, mut read) = (Vec::new(), Vec::new(), 0);
        for journal in journals {
            let Some(nearness) = journal::about(&journal).and_then(|about| kind.nearness(&about)) else { continue };
            // However many there are of the other kinds, they do not keep one that is nearer from being read.
            let as_near = whole.iter().filter(|of_other| **of_other <= nearness).count();
            if as_near >= MAX_BUILDS || read == MAX_JOURNALS {
                continue;
            }
            read += 1;
            let Some(build) = Reading::of(&journal).ok().and_then(|reading| Build::of(&reading.state)) else {
                continue;
            };
            whole.extend(build.is_whole().then_some(nearness));
            builds.push(build);
        }
        History(builds)
    }

    /// How long a build of this kind takes; by default, without make, what is `usual` for it.
    #[must_use]
    pub fn estimate(&self, kind: &Kind<'_>, usual: Duration) -> Estimate {
        let default = Estimate::by_default(usual, |phase| kind.has(phase));
        match self.left(kind, &State::default(), Some(&default)) {
            Some(estimate) => Estimate { work: Work::Build, ..estimate },
            None => default,
        }
    }
}

impl Kind<'_> {
    /// The regions that the image is copied to.
    fn copied_to(&self) -> Vec<&Region> {
        self.regions.iter().filter(|region| self.promotes || *region != self.made_in).collect()
    }

    /// Whether its builds have this phase.
    fn has(&self, phase: Phase) -> bool {
        match phase {
            Phase::Copies => !self.copied_to().is_empty(),
            Phase::Publication => self.opens,
            Phase::Make => !self.promotes && !self.skips_build,
            _ => !self.promotes,
        }
    }

    /// How near a build is; none if it says nothing about this kind.
    fn nearness(&self, about: &About) -> Option<Nearness> {
        let promotes = about.promotes.is_some();
        // Promotions have fewer phases, and tell about nothing but themselves.
        if about.local != self.local || (promotes && !self.promotes) {
            return None;
        }
        let is_of_type = self.promotes || about.instance_type.as_deref() == self.instance_type;
        Some(match promotes == self.promotes && is_of_type {
            true if about.build_region == *self.made_in => Nearness::Here,
            true => Nearness::Alike,
            false => Nearness::Other,
        })
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
        // Binaries that are still being uploaded then are a part of the payload.
        let begins =
            Option::zip(spans.get(&Phase::Make), spans.get(&Phase::Packages)).map(|(one, other)| one.1.max(other.1));
        if let Some((payload, begins)) = spans.get_mut(&Phase::Payload).zip(begins) {
            payload.0 = payload.0.min(begins);
        }
        let phases = spans.into_iter().filter(|(phase, _)| ended.contains(phase));
        let phases = phases.map(|(phase, (from, to))| (phase, to - from)).collect();
        if let Some(home) = made_in {
            copies.remove(home);
        }
        let reused = state.result::<Option<ImageId>>(&Step::Reuse).is_ok_and(|kept| kept.flatten().is_some());
        Some(Build { about: about.clone(), reused, phases, copies })
    }

    /// Whether it came as far as its images.
    fn is_whole(&self) -> bool {
        self.phases.contains_key(&Phase::Image) || !self.copies.is_empty()
    }
}

#[cfg(test)]
mod tests;
