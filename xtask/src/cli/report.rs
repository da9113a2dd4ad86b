//! The flags of `ami report`.

use clap::Args;

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
