//! The flags of `retire`.

use std::time::SystemTime;

use clap::Args;

use super::values::moment_to_come;
use crate::version::Version;

/// Which version to retire, and how far.
#[derive(Clone, Debug, Args)]
pub struct RetireFlags {
    /// The version, as it was given to the release
    #[arg(long, value_name = "X")]
    pub version: Version,
    /// Remove nothing: from this date on, lists no longer show the images to other accounts; given as 2027-01-31,
    /// 2027-01-31T12:00:00Z or 30d
    #[arg(long, value_name = "DATE", value_parser = moment_to_come, conflicts_with_all = ["disable", "enable"])]
    pub deprecate: Option<SystemTime>,
    /// Remove nothing: disable the images, so that they can no longer be launched until --enable
    #[arg(long, conflicts_with_all = ["local", "enable"])]
    pub disable: bool,
    /// Enable the images that --disable disabled, and make those public again that were
    #[arg(long, conflicts_with = "local")]
    pub enable: bool,
}
