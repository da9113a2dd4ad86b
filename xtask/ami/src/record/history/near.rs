//! The earlier builds that tell about a kind of builds, and what they say: the nearest ones that know.

use std::collections::{BTreeMap, BTreeSet};

use xtask::region::Region;

use super::{Build, History, Kind, MAX_BUILDS, Nearness};
use crate::event::{estimate::Span, phase::Phase};

/// Earlier builds that tell about a kind of builds.
pub(super) struct Near<'a> {
    kind: &'a Kind<'a>,
    /// Each with how near it is, from the latest.
    builds: Vec<(Nearness, &'a Build)>,
}

/// What earlier builds say of how long something takes.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Told {
    /// How long it takes.
    pub span: Span,
    /// The numbers of those that say so.
    pub by: BTreeSet<usize>,
}

impl History {
    /// The builds that tell about this kind.
    pub(super) fn near<'a>(&'a self, kind: &'a Kind<'a>) -> Near<'a> {
        let builds = self.0.iter().filter_map(|build| Some((kind.nearness(&build.about)?, build))).collect();
        Near { kind, builds }
    }
}

impl Near<'_> {
    /// What the nearest of the builds say that say anything.
    fn told(&self, samples: impl Fn(&Build) -> Vec<u64>) -> Option<Told> {
        Nearness::ALL.into_iter().find_map(|at_most| {
            let near = self.builds.iter().enumerate().filter(|(_, (nearness, _))| *nearness <= at_most);
            let own = near.map(|(number, (_, build))| (number, samples(build))).filter(|(_, own)| !own.is_empty());
            let (by, samples): (BTreeSet<usize>, Vec<Vec<u64>>) = own.take(MAX_BUILDS).unzip();
            Some(Told { span: Span::of(samples.concat())?, by })
        })
    }

    /// How long the phases take, but for the copies.
    pub(super) fn phases(&self) -> BTreeMap<Phase, Told> {
        let phases = Phase::ALL.into_iter().filter(|phase| *phase != Phase::Copies);
        phases.filter_map(|phase| Some((phase, self.phase(phase)?))).collect()
    }

    /// How long a phase takes that was done in the same way.
    fn phase(&self, phase: Phase) -> Option<Told> {
        let told = |is_alike: &dyn Fn(&Build) -> bool| {
            self.told(|build| build.phases.get(&phase).copied().filter(|_| is_alike(build)).into_iter().collect())
        };
        match phase {
            Phase::Make => told(&|build| build.about.skip_build == self.kind.skips_build),
            // Whether a base is found shows only later. One that was not found has its packages installed, as without it.
            Phase::Packages if self.kind.reuses_base => {
                told(&|build| build.about.reuse_base || build.reused).or_else(|| told(&|_| true))
            }
            Phase::Packages => told(&|build| !build.reused),
            _ => told(&|_| true),
        }
    }

    /// How long the copies to these regions take, where any were made before.
    pub(super) fn copies(&self, regions: &[&Region]) -> BTreeMap<String, Told> {
        let told = |region: &Region| self.told(|build| build.copies.get(region).copied().into_iter().collect());
        regions.iter().filter_map(|region| Some((region.to_string(), told(region)?))).collect()
    }

    /// How long a copy to any region takes.
    pub(super) fn any_copy(&self) -> Option<Told> {
        self.told(|build| build.copies.values().copied().collect())
    }
}
