//! The flags about bases that are kept from one build to the next.

use clap::Args;

use super::BUILD;

/// Whether a build starts from a kept base.
#[derive(Clone, Copy, Debug, Default, Args)]
pub struct ReuseFlags {
    /// Start from a base that has the packages already, kept by an earlier build; keep one if there is none [default: for
    /// private images]
    #[arg(long, help_heading = BUILD, overrides_with = "no_reuse_base")]
    pub reuse_base: bool,
    /// Install the packages on a fresh base, and keep none
    #[arg(long, help_heading = BUILD, overrides_with = "reuse_base")]
    pub no_reuse_base: bool,
}
