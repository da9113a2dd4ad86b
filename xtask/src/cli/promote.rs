//! The flags of `ami promote`.

use clap::Args;

use super::{ON_EC2, ParameterFlags, RegionFlags};
use crate::version::Version;

/// Which image to publish again, and as what.
#[derive(Clone, Debug, Args)]
pub struct PromoteFlags {
    /// The version of the release candidate, as it was given to its release
    #[arg(long, value_name = "RC")]
    pub version: Version,
    /// The version to publish it as; the image is named `Wallaroo X`
    #[arg(long = "as", value_name = "X")]
    pub target: Version,
    /// The build that made it, where several builds made images of that version
    #[arg(long, value_name = "BUILD")]
    pub build: Option<String>,
    /// The regions to publish in.
    #[command(flatten)]
    pub published: RegionFlags,
    /// Publish in the other regions if some copies fail
    #[arg(long, help_heading = ON_EC2, conflicts_with = "local")]
    pub skip_failed_regions: bool,
    /// Lift the account's block on public images while publishing, then restore it
    #[arg(long, help_heading = ON_EC2, conflicts_with = "local")]
    pub unblock_public_access: bool,
    /// The parameters that name the image.
    #[command(flatten)]
    pub parameters: ParameterFlags,
}
