//! The flags of the commands that look at what a release does: `ami check` and `ami iam-policy`.

use clap::Args;

use super::{ParameterFlags, RegionFlags};
use crate::version::Version;

/// What to check.
#[derive(Clone, Debug, Args)]
pub struct CheckFlags {
    /// The version, as it was given to the release
    #[arg(long, value_name = "X", required_unless_present = "deep")]
    pub version: Option<Version>,
    /// Boot two machines of a local image, given by its file or id, and compare them with its disk: name every file that
    /// identifies or remembers the machine that the image was made on
    #[arg(long, value_name = "FILE|ID", conflicts_with_all = ["version", "regions", "region_file"])]
    pub deep: Option<String>,
    /// The regions that it is published in.
    #[command(flatten)]
    pub published: RegionFlags,
    /// The parameters to compare.
    #[command(flatten)]
    pub parameters: ParameterFlags,
}

/// What the policy has to permit.
#[derive(Clone, Debug, Args)]
pub struct PolicyFlags {
    /// The regions of the release.
    #[command(flatten)]
    pub published: RegionFlags,
    /// The parameters that the policy permits to write.
    #[command(flatten)]
    pub parameters: ParameterFlags,
}
