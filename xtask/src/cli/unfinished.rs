//! The flags of the commands about builds, most of all about those that did not end.

use clap::Args;

use super::values::age;
use crate::grantee::Grantee;

/// Which build to resume.
#[derive(Clone, Debug, Args)]
pub struct ResumeFlags {
    /// The id of the build to resume [default: the only unfinished build]
    #[arg(value_name = "BUILD")]
    pub build: Option<String>,
    /// Do not share the image with these accounts and organizations, although the build was asked to
    #[arg(long, value_name = "ACCOUNT|ORG-ARN", value_delimiter = ',', conflicts_with = "local")]
    pub without: Vec<Grantee>,
}

/// What to remove.
#[derive(Clone, Debug, Args)]
pub struct CleanFlags {
    /// Clean this build, even if it could be resumed [default: every build that cannot be resumed and is older than
    /// --older-than]
    #[arg(value_name = "BUILD")]
    pub build: Option<String>,
    /// Only clean builds that began longer ago than this
    #[arg(long, value_name = "DURATION", value_parser = age, default_value = "1d", conflicts_with = "build")]
    pub older_than: humantime::Duration,
    /// Remove expired private images and expired kept bases, and nothing else
    #[arg(long, conflicts_with = "build")]
    pub expired: bool,
}

/// Which build to show.
#[derive(Clone, Debug, Args)]
pub struct ReportFlags {
    /// The id of the build [default: the one that began last]
    #[arg(value_name = "BUILD")]
    pub build: Option<String>,
    /// Open the page in a browser
    #[arg(long)]
    pub open: bool,
}
