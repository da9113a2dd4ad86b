//! The phases of a build, as people speak of them. Estimates and the account of time are made of them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use xtask::region::Region;

use super::step::{Role, Step};

/// A phase of a build. Some run side by side.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Make builds the binaries.
    Make,
    /// The machine is launched and reached.
    Machine,
    /// Its packages are installed.
    Packages,
    /// What of the payload was not uploaded meanwhile is uploaded, all of it installed, and the machine sealed.
    Payload,
    /// The machine is stopped, and its disk becomes the image.
    Image,
    /// The image is copied.
    Copies,
    /// The image is booted and checked.
    Verification,
    /// The images are opened to their audience.
    Publication,
}

impl Phase {
    /// All, in their order.
    pub const ALL: [Phase; 8] = [
        Phase::Make,
        Phase::Machine,
        Phase::Packages,
        Phase::Payload,
        Phase::Image,
        Phase::Copies,
        Phase::Verification,
        Phase::Publication,
    ];

    /// The phase of a step, in a build whose image is made in `build_region`. What runs beside all else has none.
    #[must_use]
    pub fn of(step: &Step, build_region: Option<&Region>) -> Option<Phase> {
        Some(match step {
            Step::Binaries => Phase::Make,
            Step::Base | Step::Reuse => Phase::Machine,
            Step::Access(Role::Bake) | Step::Launch(Role::Bake) | Step::Login(Role::Bake) => Phase::Machine,
            Step::Packages => Phase::Packages,
            Step::Install | Step::Seal | Step::Sealed(_) => Phase::Payload,
            Step::Stop | Step::Image(_) => Phase::Image,
            Step::Available(region) if build_region == Some(region) => Phase::Image,
            Step::Copy(_) | Step::Available(_) => Phase::Copies,
            Step::Access(Role::Verify) | Step::Launch(Role::Verify) | Step::Login(Role::Verify) => Phase::Verification,
            Step::Verify(_) => Phase::Verification,
            Step::Publish | Step::Withdraw | Step::Unblock(_) | Step::Block(_) => Phase::Publication,
            _ => return None,
        })
    }

    /// Whether it begins only once `other` is over.
    #[must_use]
    pub fn is_after(self, other: Phase) -> bool {
        let rank = |phase| match phase {
            Phase::Make | Phase::Machine => 0,
            Phase::Packages => 1,
            Phase::Payload => 2,
            Phase::Image => 3,
            Phase::Copies | Phase::Verification => 4,
            Phase::Publication => 5,
        };
        // Packages are installed while the binaries are built.
        rank(self) > rank(other) && (self, other) != (Phase::Packages, Phase::Make)
    }

    /// Whether it is over once this step is done, in a build whose image is made in `build_region`. Of the copies, each is
    /// over for itself.
    #[must_use]
    pub fn ends_with(self, step: &Step, build_region: Option<&Region>) -> bool {
        match self {
            Phase::Make => *step == Step::Binaries,
            Phase::Machine => *step == Step::Login(Role::Bake),
            Phase::Packages => *step == Step::Packages,
            Phase::Payload => matches!(step, Step::Sealed(_)),
            Phase::Image => matches!(step, Step::Available(region) if build_region == Some(region)),
            Phase::Copies => matches!(step, Step::Available(region) if build_region != Some(region)),
            Phase::Verification => matches!(step, Step::Verify(_)),
            Phase::Publication => *step == Step::Publish,
        }
    }

    /// Its name, which comes before a duration.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Phase::Make => "make",
            Phase::Machine => "machine",
            Phase::Packages => "packages",
            Phase::Payload => "payload",
            Phase::Image => "image",
            Phase::Copies => "copies",
            Phase::Verification => "verification",
            Phase::Publication => "publication",
        }
    }
}
