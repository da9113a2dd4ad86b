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
    /// The payload is uploaded and installed, and the machine sealed.
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
