//! The flags of `cargo xtask bench`.

use clap::{Args, ValueEnum};

/// What to measure.
#[derive(Clone, Debug, Args)]
pub struct BenchFlags {
    /// What to measure [default: ec2, scale, heartbeat and upload, which take some minutes]
    #[arg(value_name = "PART", value_enum)]
    pub parts: Vec<Part>,
    /// Also measure the build of this commit, in the same run
    #[arg(long, value_name = "COMMIT")]
    pub against: Option<String>,
    /// Print the figures as JSON
    #[arg(long)]
    pub json: bool,
}

/// A part of the benchmark.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum Part {
    /// Releases on a simulated EC2, against the floor below which no tool can go
    Ec2,
    /// The same in 1, 14, 34 and 200 regions whose requests are limited, with the memory that they take
    Scale,
    /// The longest time that the loop's thread is held during a build of 1 GB
    Heartbeat,
    /// Uploads on loopback with delays, against scp
    Upload,
    /// A disk of two gigabytes, read as `ami check --deep` does
    Deep,
    /// The first compile with the AWS SDK, of aws-sdk-ec2 and of all, with and without the hint to rustc; takes up to half
    /// an hour
    Compile,
    /// The job with --local, against Packer's (the package packer); takes up to half an hour under emulation
    Local,
    /// The job with --local of each Debian, against that of Debian 12; takes up to half an hour under emulation
    Bases,
    /// Private images with --local, one after another; takes up to an hour under emulation
    Private,
    /// From a fresh clone to the verified images of --local: compiling, the base and the job; takes up to a quarter of an hour
    Fresh,
}
