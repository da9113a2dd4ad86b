//! What is known of the image: what is on its disk, and the checks that it passed or failed.

use super::journal::Lines;
use crate::{
    event::{
        Event,
        facts::{Check, Provenance, SealedDisk, Sources},
        promotion::binary_path,
        step::Step,
    },
    record::state::State,
};

/// What is known of the image.
#[derive(Default)]
pub(super) struct Known {
    /// What is on its disk; before it is sealed, and where the journal does not have that, none.
    pub disk: Option<SealedDisk>,
    /// The checks, in the order in which they ran.
    pub checks: Vec<Check>,
}

impl Known {
    /// What the journal knows. A result of another format says nothing, and is no reason to show no page.
    pub fn of(read: &Lines) -> Known {
        let state = &read.state;
        if state.about.as_ref().is_some_and(|about| about.promotes.is_some()) {
            let found = state.result::<Option<Provenance>>(&Step::Candidate).ok().flatten().flatten();
            let known = |Provenance { disk, verification }| Known { disk: Some(disk), checks: verification.checks };
            return found.map(known).unwrap_or_default();
        }
        Known { disk: state.sealed_disk().ok().flatten().or_else(|| last_disk(read)), checks: checks(read) }
    }

    /// The SHA-256 of what was installed, by path; before that, of what will be.
    pub fn sha256(&self, state: &State) -> Sources {
        if let Some(disk) = &self.disk {
            return disk.sha256.clone();
        }
        match state.about.as_ref().and_then(|about| about.promotes.as_ref()) {
            // The build was on another computer, so its tags alone tell.
            Some(promotion) => promotion.sha256.iter().map(|(name, sum)| (binary_path(name), sum.clone())).collect(),
            None => state.result(&Step::Sources).ok().flatten().unwrap_or_default(),
        }
    }
}

/// The checks of the last verification. One that failed has no result, but its checks are events of their own.
fn checks(read: &Lines) -> Vec<Check> {
    let begins = |event: &Event| matches!(event, Event::Intended { step: Step::Verify(_), .. });
    let from = read.lines.iter().rposition(|moment| begins(&moment.event)).unwrap_or(0);
    let events = || read.lines.iter().skip(from).map(|moment| &moment.event);
    let result = events().find_map(|event| match event {
        Event::Done { step: Step::Verify(_), result, .. } => {
            serde_json::from_value(result.get("seen")?.get("checks")?.clone()).ok()
        }
        _ => None,
    });
    let check = |event: &Event| if let Event::Checked { check } = event { Some(check.clone()) } else { None };
    result.unwrap_or_else(|| events().filter_map(check).collect())
}

/// What is on the last instance that was sealed, of which there may be no image yet.
fn last_disk(read: &Lines) -> Option<SealedDisk> {
    read.lines.iter().rev().find_map(|moment| match &moment.event {
        Event::Done { step: Step::Sealed(_), result, .. } => serde_json::from_value(result.clone()).ok(),
        _ => None,
    })
}
