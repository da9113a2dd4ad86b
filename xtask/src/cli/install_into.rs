//! The flags of `cargo xtask install-into`.

use camino::Utf8PathBuf;
use clap::Args;

/// Where to install the tool.
#[derive(Clone, Debug, Args)]
pub struct InstallFlags {
    /// The root of a Wallaroo checkout
    #[arg(value_name = "DIR")]
    pub dir: Utf8PathBuf,
    /// Replace the files of an earlier installation; those that were changed since are kept, and named
    #[arg(long)]
    pub update: bool,
    /// Do not ask for confirmation; required where stdin is no terminal
    #[arg(long, short)]
    pub yes: bool,
}
