//! How long the rest of a build takes that is resumed, and a promotion, of which all is left.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use xtask::region::Region;

use super::{History, Kind, last_of, whole};
use crate::{
    event::{
        estimate::{Estimate, Span, Work},
        phase::Phase,
        step::Step,
    },
    record::state::State,
};

/// How much of something is still to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Left {
    Nothing,
    /// It went on meanwhile, or it shows only later whether it has to be done again: anything from nothing to all.
    Perhaps,
    All,
}

impl Left {
    fn of(self, whole: Span) -> Span {
        match self {
            Left::Nothing => Span::default(),
            Left::Perhaps => Span { low_ms: 0, ..whole },
            Left::All => whole,
        }
    }
}

impl History {
    /// How long a promotion of this kind takes; by default, what is `usual` for it. None if neither tells.
    #[must_use]
    pub fn promotion(&self, kind: &Kind<'_>, usual: Duration) -> Option<Estimate> {
        let default = (!usual.is_zero()).then(|| Estimate::by_default(usual, |phase| kind.has(phase)));
        let estimate = self.left(kind, &State::default(), default.as_ref()).or(default)?;
        Some(Estimate { work: Work::Promotion, ..estimate })
    }

    /// How long what is left takes of a build in this state. None unless earlier builds tell about each part of it.
    #[must_use]
    pub fn rest(&self, kind: &Kind<'_>, state: &State) -> Option<Estimate> {
        self.left(kind, state, None)
    }

    /// How long what is left takes of a build in this state. What no earlier build tells about is taken from the default. None
    /// without one for that, and where they tell nothing at all.
    pub(super) fn left(&self, kind: &Kind<'_>, state: &State, default: Option<&Estimate>) -> Option<Estimate> {
        let near = self.near(kind);
        let (mut took, mut by_default) = (near.phases(), BTreeSet::new());
        let (mut phases, mut copies, mut by) = (BTreeMap::new(), BTreeMap::new(), BTreeSet::new());
        for phase in Phase::ALL.into_iter().filter(|phase| *phase != Phase::Copies) {
            let left = left(kind, state, phase);
            if left == Left::Nothing {
                continue;
            }
            match took.remove(&phase) {
                Some(told) => {
                    by.extend(told.by);
                    phases.insert(phase, left.of(told.span));
                }
                // Binaries that are only copied and inspected take next to no time.
                None if phase == Phase::Make && kind.skips_build => {}
                None => {
                    phases.extend(default?.phases.get(&phase).map(|usual| (phase, left.of(*usual))));
                    by_default.insert(phase);
                }
            }
        }
        let of_any = near.any_copy();
        let mut own = near.copies(&kind.copied_to());
        let mut spans = Vec::new();
        for region in kind.copied_to() {
            let left = left_of_copy(state, region);
            if left == Left::Nothing {
                continue;
            }
            // A region that nothing was copied to before is taken for one like the others.
            let known = own.remove(region.as_str());
            let span = match known.as_ref().or(of_any.as_ref()) {
                Some(told) => {
                    by.extend(&told.by);
                    told.span
                }
                None => {
                    by_default.insert(Phase::Copies);
                    *default?.phases.get(&Phase::Copies)?
                }
            };
            spans.push(left.of(span));
            // How long a copy still takes that went on meanwhile is not known to the minute.
            copies.extend(known.filter(|_| left == Left::All).map(|known| (region.to_string(), known.span)));
        }
        phases.extend(last_of(spans.iter()).map(|last| (Phase::Copies, last)));
        let whole = whole(&phases);
        (!by.is_empty()).then_some(Estimate { work: Work::Rest, builds: by.len(), whole, phases, copies, by_default })
    }
}

/// How much of a phase is left, but for the copies.
fn left(kind: &Kind<'_>, state: &State, phase: Phase) -> Left {
    let home = kind.made_in;
    let is_done = |step: Step| if state.is_done(&step) { Left::Nothing } else { Left::All };
    let image = state.images.get(home).filter(|_| !kind.promotes);
    match phase {
        Phase::Publication if !kind.opens || state.is_published() => Left::Nothing,
        Phase::Publication => Left::All,
        _ if kind.promotes => Left::Nothing,
        Phase::Verification => match image {
            Some(image) => is_done(Step::Verify(image.id.clone())),
            None => Left::All,
        },
        Phase::Copies => Left::All,
        // The image is only awaited. What it was made of is not needed any more.
        _ if image.is_some() => match phase {
            Phase::Image if !state.is_done(&Step::Available(home.clone())) => Left::Perhaps,
            _ => Left::Nothing,
        },
        Phase::Make => is_done(Step::Binaries),
        // It shows only then whether the image was ordered.
        _ if state.intended(&Step::Image(home.clone())) => Left::Perhaps,
        // The machine may still run, and then what was done on it is not done again.
        _ if !kind.local && state.baking().ok().flatten().is_some() => Left::Perhaps,
        _ => Left::All,
    }
}

/// How much of the copy to a region is left.
fn left_of_copy(state: &State, region: &Region) -> Left {
    match state.images.contains_key(region) {
        true if state.is_done(&Step::Available(region.clone())) => Left::Nothing,
        true => Left::Perhaps,
        false => Left::All,
    }
}

#[cfg(test)]
mod tests;
