//! The flags of `cargo xtask test`.

use clap::Args;

/// Which checks to run.
#[derive(Clone, Debug, Args)]
pub struct TestFlags {
    /// Leave out the checks that start virtual machines or need the AWS SDK
    #[arg(long)]
    pub quick: bool,
    /// Kill builds on virtual machines in every phase, not in a few; takes hours under emulation
    #[arg(long, conflicts_with = "quick")]
    pub every_phase: bool,
    /// Make a base of every Debian that the recipe describes, not of three, and go through the whole job on each
    #[arg(long, conflicts_with = "quick")]
    pub every_base: bool,
    /// Only play this seed of the simulated cloud, and print what happens
    #[arg(long, value_name = "N", conflicts_with_all = ["quick", "every_phase", "every_base"])]
    pub seed: Option<u64>,
    /// Only play this many seeds of the simulated cloud
    #[arg(long, value_name = "N", conflicts_with_all = ["quick", "every_phase", "every_base", "seed"])]
    pub seeds: Option<u64>,
}
