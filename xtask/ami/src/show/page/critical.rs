//! The critical path: the chain of steps that the end of the build waited for.
//!
//! It is followed backwards from the step that ended the build: the release's last one, or the one that failed. Of the
//! steps that a step needs, the one that ended last is the one that it waited for. Shortening any other step would not
//! have ended the build sooner.

use std::collections::BTreeSet;

use xtask::region::Region;

use super::bars::{Bar, End, Work};
use crate::event::step::{Role, Step};

/// Steps that follow each other. What happens in two of them may happen at the same time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lane<'a> {
    /// The binaries.
    Build,
    /// The machine, up to its packages.
    Machine,
    /// The binaries that are uploaded to it meanwhile.
    Upload,
    /// What is installed on it.
    Disk,
    /// The image in the build region.
    Image,
    /// The copy of a region.
    Copy(&'a Region),
    /// The verification.
    Verify,
    /// The publication.
    Publish,
    /// The cleanup and what is kept for later builds, which nothing waits for.
    Cleanup,
}

impl Lane<'_> {
    /// Whether a step of this lane needs the steps of another one, or earlier ones of its own.
    fn needs(self, other: Lane<'_>) -> bool {
        match self {
            Lane::Build | Lane::Machine => self == other,
            Lane::Upload => matches!(other, Lane::Build | Lane::Machine | Lane::Upload),
            Lane::Disk => matches!(other, Lane::Build | Lane::Machine | Lane::Upload | Lane::Disk),
            Lane::Image => {
                matches!(other, Lane::Build | Lane::Machine | Lane::Upload | Lane::Disk | Lane::Image)
            }
            Lane::Copy(_) | Lane::Verify => other == Lane::Image || other == self,
            Lane::Publish => !matches!(other, Lane::Cleanup),
            Lane::Cleanup => false,
        }
    }
}

fn lane<'a>(work: &'a Work, build_region: Option<&Region>) -> Lane<'a> {
    let step = match work {
        Work::Binary(_) => return Lane::Build,
        Work::Upload(_) => return Lane::Upload,
        Work::Terminate(_) => return Lane::Cleanup,
        Work::Step(step) => step,
    };
    match step {
        Step::Access(Role::Keep) | Step::Launch(Role::Keep) | Step::Login(Role::Keep) => Lane::Cleanup,
        Step::Binaries | Step::Sources => Lane::Build,
        Step::Base | Step::Reuse | Step::Packages => Lane::Machine,
        Step::Access(Role::Bake) | Step::Launch(Role::Bake) | Step::Login(Role::Bake) => Lane::Machine,
        Step::Access(Role::Verify) | Step::Launch(Role::Verify) | Step::Login(Role::Verify) => Lane::Verify,
        Step::Verify(_) | Step::Mark(_) => Lane::Verify,
        Step::Install | Step::Seal | Step::Sealed(_) => Lane::Disk,
        Step::Stop | Step::Image(_) | Step::Candidate => Lane::Image,
        Step::Available(region) if build_region == Some(region) => Lane::Image,
        Step::Available(region) | Step::Copy(region) => Lane::Copy(region),
        Step::Unblock(_) | Step::Publish | Step::Parameters(_) => Lane::Publish,
        Step::Revoke(_) | Step::Remove(..) | Step::Withdraw | Step::Block(_) | Step::Kept(_) => Lane::Cleanup,
    }
}

/// The indexes of the bars on the critical path. The bars are sorted by their beginnings.
pub(super) fn path(bars: &[Bar], build_region: Option<&Region>) -> BTreeSet<usize> {
    let lanes: Vec<Lane<'_>> = bars.iter().map(|bar| lane(&bar.work, build_region)).collect();
    let counts = |index: &usize| lanes[*index] != Lane::Cleanup;
    let last = |is_wanted: &dyn Fn(&Bar) -> bool| {
        (0..bars.len()).filter(counts).filter(|&index| is_wanted(&bars[index])).max_by_key(|&index| bars[index].end_ms)
    };
    let last_attempt = bars.iter().map(|bar| bar.attempt).max();
    let failed = |bar: &Bar| {
        // What is not uploaded early is in the payload, so that fails no build.
        let may_fail = matches!(bar.work, Work::Upload(_));
        Some(bar.attempt) == last_attempt && matches!(bar.end, End::Failed(_)) && !may_fail
    };
    let published =
        |bar: &Bar| Some(bar.attempt) == last_attempt && bar.work == Work::Step(Step::Publish) && bar.end == End::Done;
    // A copy that failed may have been made again before the images were published, and parameters are written after that.
    let ended = [last(&published), last(&failed)].into_iter().flatten().max_by_key(|&index| bars[index].end_ms);
    let mut at = ended.or_else(|| last(&|_| true));
    let mut path = BTreeSet::new();
    while let Some(index) = at {
        path.insert(index);
        // Only earlier ones: steps that take no time would go round and round.
        let needed = (0..index).filter(|&earlier| lanes[index].needs(lanes[earlier]));
        let in_time = needed.filter(|&earlier| bars[earlier].end_ms <= bars[index].start_ms);
        at = in_time.max_by_key(|&earlier| (bars[earlier].end_ms, bars[earlier].start_ms));
    }
    path
}
