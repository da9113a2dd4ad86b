//! The flags that say where an image is published, and under which parameters.

use camino::Utf8PathBuf;
use clap::Args;

use super::ON_EC2;
use crate::{parameter::Choice, region::Region};

/// The regions that a command is about.
#[derive(Clone, Debug, Default, Args)]
pub struct RegionFlags {
    /// The regions of the release, all of one partition [default: those in the file `regions`]
    #[arg(long, value_name = "A,B", value_delimiter = ',', conflicts_with = "region_file")]
    pub regions: Vec<Region>,
    /// The file with the regions of the release, one a line [default: `regions`]
    #[arg(long, value_name = "FILE")]
    pub region_file: Option<Utf8PathBuf>,
}

/// The SSM parameters that name an image.
#[derive(Clone, Debug, Default, Args)]
pub struct ParameterFlags {
    /// The prefix of the SSM parameters that name the image in each region once it is published, PREFIX/X and, for releases,
    /// PREFIX/latest; '' for none [default: the recipe's, else none]
    #[arg(long, help_heading = ON_EC2, value_name = "PREFIX", conflicts_with = "local")]
    pub ssm_prefix: Option<Choice>,
}
