//! The flags of `cargo xtask ami system-facts`.

use camino::Utf8PathBuf;
use clap::Args;

use super::values::plain_name;

/// Where the facts of a system are read from.
#[derive(Clone, Debug, Args)]
#[command(group = clap::ArgGroup::new("origin").required(true).multiple(true).args(["image", "folder", "suite"]))]
pub struct FactsFlags {
    /// Read the base from a disk image, in any of the formats of --base-image
    #[arg(long, value_name = "FILE", conflicts_with = "folder")]
    pub image: Option<Utf8PathBuf>,
    /// Read the base from its files, unpacked in a folder
    #[arg(long, value_name = "DIR")]
    pub folder: Option<Utf8PathBuf>,
    /// Read the packages from this suite; without --image and --folder, also those that --local makes a base of
    #[arg(long, value_name = "SUITE", value_parser = plain_name)]
    pub suite: Option<String>,
    /// The mirror of the suite [default: the recipe's, else that of this computer's apt]
    #[arg(long, value_name = "URL", requires = "suite")]
    pub mirror: Option<String>,
    /// The mirror of its security updates, or `none` to leave them out [default: the recipe's, else the folder beside
    /// the mirror whose name has `-security` added]
    #[arg(long, value_name = "URL", requires = "suite")]
    pub security_mirror: Option<String>,
    /// Take package lists whose date has passed, as those of a snapshot
    #[arg(long, requires = "suite")]
    pub ignore_valid_until: bool,
    /// The system, by its name in the recipe [default: what /etc/os-release of the base says, else the recipe's for the
    /// suite]
    #[arg(long, value_name = "NAME", value_parser = plain_name)]
    pub system: Option<String>,
}
