//! The flags of the commands that look at what a release does: `ami check` and `ami iam-policy`.

use clap::Args;

use super::{ON_EC2, ParameterFlags, RegionFlags};
use crate::{parameter::Choice, version::Version};

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
    /// Compare the SSM parameters with this prefix, PREFIX/X and, for releases, PREFIX/latest; '' for none [default: the one
    /// in the images' tags, else none]
    #[arg(long, help_heading = ON_EC2, value_name = "PREFIX", conflicts_with = "local")]
    pub ssm_prefix: Option<Choice>,
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
