//! The flags of `cargo xtask`, parsed into types.

use camino::Utf8PathBuf;
use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};

use crate::{
    grantee::Grantee,
    instance::{KeyType, KmsKey, PublicAddress, Reach},
    parameter::Choice,
    region::Region,
    version::Version,
};

pub use bench::{BenchFlags, Part};
pub use check::{CheckFlags, PolicyFlags};
pub use command::Command;
pub use completions::CompletionsFlags;
pub use diff::{DiffFlags, DiffFormat};
pub use facts::FactsFlags;
pub use install_into::InstallFlags;
pub use list::{ListFlags, ListFormat};
pub use promote::PromoteFlags;
pub use published::{ParameterFlags, RegionFlags};
pub use retire::RetireFlags;
pub use test::TestFlags;
pub use unfinished::{CleanFlags, ReportFlags, ResumeFlags};
pub use values::image_name;
use values::{cidr, expiry, plain_name, tag, user_name};

mod bench;
mod check;
mod command;
mod completions;
mod examples;
mod install_into;
mod diff;
mod facts;
mod list;
mod promote;
mod published;
mod retire;
mod test;
mod unfinished;
mod values;

/// The tasks of this repository.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", disable_version_flag = true)]
#[command(after_help = examples::XTASK)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub task: Task,
}

/// A task of this repository.
#[derive(Debug, Subcommand)]
pub enum Task {
    /// Build, bake, verify and publish Wallaroo's machine image
    Ami(Box<Ami>),
    /// Run every check of this repository; installs what the checks need
    #[command(after_help = examples::TEST)]
    Test(TestFlags),
    /// Measure speed and memory against the floor, other programs, and earlier builds, side by side
    #[command(after_help = examples::BENCH)]
    Bench(BenchFlags),
    /// Install this tool in a Wallaroo checkout; shows what it will write, and asks first
    #[command(after_help = examples::INSTALL_INTO)]
    InstallInto(InstallFlags),
}

/// `cargo xtask ami`: a release, or one of the commands that manage what releases made.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true, disable_version_flag = true)]
#[command(subcommand_help_heading = "Other commands", subcommand_value_name = "COMMAND")]
#[command(after_help = examples::AMI)]
pub struct Ami {
    /// A command other than the release itself.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// The flags of a release.
    #[command(flatten)]
    pub release: Option<ReleaseFlags>,
    /// The flags that every command takes.
    #[command(flatten)]
    pub common: CommonFlags,
}

/// The heading of the flags that every command takes.
const GLOBAL: &str = "Global options";
/// The heading of the flags that say who may launch the image.
const AUDIENCE: &str = "Audience";
/// The heading of the flags that say where the image is made and published.
const REGIONS: &str = "Regions";
/// The heading of the flags that say how the image is made.
const BUILD: &str = "Build";
/// The heading of the flags that only EC2 takes.
const ON_EC2: &str = "On EC2";

/// The flags that every command takes.
#[derive(Clone, Debug, Args)]
pub struct CommonFlags {
    /// Use virtual machines on this computer (QEMU) instead of EC2
    #[arg(long, help_heading = GLOBAL, global = true)]
    pub local: bool,
    /// The Wallaroo checkout; its own `.release/ami` and `regions` take precedence [default: this workspace]
    #[arg(long, help_heading = GLOBAL, global = true, value_name = "DIR")]
    pub root: Option<Utf8PathBuf>,
    /// Do not ask for confirmation, and with --local install missing programs; required where stdin is no terminal
    #[arg(long, short, help_heading = GLOBAL, global = true)]
    pub yes: bool,
    /// Print the result as JSON (`list`, `plan`, `check`, `diff` and releases; see `ami schema`)
    #[arg(long, help_heading = GLOBAL, global = true)]
    pub json: bool,
    /// The AWS profile to use [default: $AWS_PROFILE, else `default`]
    #[arg(long, help_heading = GLOBAL, global = true, value_name = "NAME", conflicts_with = "local")]
    pub profile: Option<String>,
    /// The format of progress on stderr: `text`, or `json` for one event a line (see `ami schema events`)
    #[arg(long, help_heading = GLOBAL, global = true, value_enum, value_name = "FORMAT")]
    #[arg(default_value_t = LogFormat::Text, hide_possible_values = true)]
    pub log_format: LogFormat,
    /// Print only warnings, errors and the result
    #[arg(long, short, help_heading = GLOBAL, global = true, conflicts_with = "verbose")]
    pub quiet: bool,
    /// Also print the output of programs, the commands on the machines with theirs, and calls of AWS's API, with durations
    #[arg(long, short, help_heading = GLOBAL, global = true)]
    pub verbose: bool,
}

/// How progress is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// Lines for people.
    Text,
    /// JSON lines, one event each; `ami schema events` prints their schema.
    Json,
}

/// What to release, and how.
#[derive(Clone, Debug, Args)]
pub struct ReleaseFlags {
    /// The version to release; the image is named `Wallaroo X`
    #[arg(long, value_name = "X")]
    pub version: Version,
    /// Make a private image, with an expiry date, in the build region only or in those of --regions
    #[arg(long, help_heading = AUDIENCE)]
    pub private: bool,
    /// Make a private image, and share it with these accounts and organizations
    #[arg(long, help_heading = AUDIENCE, value_name = "ACCOUNT|ORG-ARN", value_delimiter = ',', conflicts_with = "local")]
    pub share: Vec<Grantee>,
    /// How long to keep a private image; then `clean --expired` removes it [default: 7d]
    #[arg(long, help_heading = AUDIENCE, value_name = "DURATION", value_parser = expiry)]
    pub expires: Option<humantime::Duration>,
    /// The regions to publish in [default: those in the file `regions`; a private image: the build region]
    #[arg(long, help_heading = REGIONS, value_name = "A,B", value_delimiter = ',', conflicts_with = "region_file")]
    pub regions: Vec<Region>,
    /// The file with the regions to publish in, one a line [default: `regions`]
    #[arg(long, help_heading = REGIONS, value_name = "FILE")]
    pub region_file: Option<Utf8PathBuf>,
    /// The region to make the image in, one of those to publish in [default: the recipe's, else the first]
    #[arg(long, help_heading = REGIONS, value_name = "REGION")]
    pub build_region: Option<Region>,
    /// The image to start from: an AMI, or with --local a disk image (qcow2, raw, vmdk, vhd, vhdx or vdi) [default: the
    /// recipe's]
    #[arg(long, help_heading = BUILD, value_name = "ID|FILE")]
    pub base_image: Option<Utf8PathBuf>,
    /// With --local, the system to make the base of, by its name in the recipe [default: the recipe's, debian-13]
    #[arg(long, help_heading = BUILD, value_name = "NAME", value_parser = plain_name, requires = "local")]
    #[arg(conflicts_with = "base_image")]
    pub system: Option<String>,
    /// Do not run `make`; use the binaries that are in the checkout
    #[arg(long, help_heading = BUILD)]
    pub skip_build: bool,
    /// Run `make` in a container of this image, with podman or docker [default: the recipe's, else on this computer]
    #[arg(long, help_heading = BUILD, value_name = "IMAGE", value_parser = image_name, conflicts_with = "skip_build")]
    pub build_container: Option<String>,
    /// Release even if the checkout has uncommitted changes
    #[arg(long, help_heading = BUILD)]
    pub allow_dirty: bool,
    /// Release even if the file VERSION names another version
    #[arg(long, help_heading = BUILD)]
    pub allow_version_mismatch: bool,
    /// Start from a base that has the packages, kept by an earlier build; keep one if there is none [default: for private images]
    #[arg(long, help_heading = BUILD, overrides_with = "no_reuse_base")]
    pub reuse_base: bool,
    /// Install the packages on a fresh base, and keep none
    #[arg(long, help_heading = BUILD, overrides_with = "reuse_base")]
    pub no_reuse_base: bool,
    /// Keep the machines running after a failure, and print how to log in
    #[arg(long, help_heading = BUILD)]
    pub keep_on_failure: bool,
    /// The instance type to make and verify the image on [default: the recipe's]
    #[arg(long, help_heading = ON_EC2, value_name = "TYPE", conflicts_with = "local")]
    pub instance_type: Option<String>,
    /// The subnet to launch the instances in [default: one of the default VPC]
    #[arg(long, help_heading = ON_EC2, value_name = "ID", conflicts_with = "local")]
    pub subnet: Option<String>,
    /// An existing security group that allows SSH from this computer [default: a temporary one]
    #[arg(long, help_heading = ON_EC2, value_name = "ID", conflicts_with_all = ["local", "ssh_from"])]
    pub security_group: Option<String>,
    /// The IPv4 and IPv6 addresses to allow SSH from [default: this computer's own]
    #[arg(long, help_heading = ON_EC2, value_name = "CIDR,…", value_delimiter = ',', value_parser = cidr)]
    #[arg(conflicts_with = "local")]
    pub ssh_from: Vec<ipnet::IpNet>,
    /// A tag for everything that is created; can be repeated [default: those of the recipe]
    #[arg(long = "tag", help_heading = BUILD, value_name = "KEY=VALUE", value_parser = tag)]
    pub tags: Vec<(String, String)>,
    /// Encrypt the image and its copies (`=false`: do not); for private and shared images [default: the recipe's, else as the
    /// account does in each region]
    #[arg(long, help_heading = ON_EC2, value_name = "BOOL", conflicts_with = "local", action = ArgAction::Set)]
    #[arg(num_args = 0..=1, require_equals = true, default_missing_value = "true", hide_possible_values = true)]
    pub encrypted: Option<bool>,
    /// The KMS key to encrypt with: its id, its alias, or its ARN [default: the account's key of each region]
    #[arg(long, help_heading = ON_EC2, value_name = "KEY", conflicts_with = "local")]
    pub kms_key: Option<KmsKey>,
    /// The type of the root volume, which the image hands on [default: the recipe's, else gp3]
    #[arg(long, help_heading = ON_EC2, value_name = "TYPE", conflicts_with = "local")]
    pub volume_type: Option<String>,
    /// The I/O operations per second of the root volume, for io1, io2 and gp3 [default: the recipe's, with its type]
    #[arg(long, help_heading = ON_EC2, value_name = "N", conflicts_with = "local")]
    pub volume_iops: Option<u32>,
    /// Whether to ask for a public address: yes, no, or `subnet` to let the subnet decide [default: yes; with --subnet:
    /// subnet]
    #[arg(long, help_heading = ON_EC2, value_name = "CHOICE", value_enum, conflicts_with = "local")]
    #[arg(hide_possible_values = true)]
    pub public_address: Option<PublicAddress>,
    /// Which address to log in at: `public` or `private` [default: the public one where there is one]
    #[arg(long, help_heading = ON_EC2, value_name = "CHOICE", value_enum, conflicts_with = "local")]
    #[arg(hide_possible_values = true)]
    pub reach: Option<Reach>,
    /// The instance profile of the machines, by its name or ARN; '' for none [default: the recipe's, else none]
    #[arg(long, help_heading = ON_EC2, value_name = "NAME|ARN", conflicts_with = "local")]
    pub instance_profile: Option<String>,
    /// A proxy for apt on the machine that the image is made on, '' for none; it is not in the image [default: the recipe's,
    /// else none]
    #[arg(long, help_heading = BUILD, value_name = "URL")]
    pub apt_proxy: Option<String>,
    /// The user to log in to the base as [default: by its owner and name, then the recipe's]
    #[arg(long, help_heading = BUILD, value_name = "NAME", value_parser = user_name)]
    pub ssh_user: Option<String>,
    /// A command to reach the machines through, as one word; '' for none [default: the recipe's, else none]
    #[arg(long, help_heading = ON_EC2, value_name = "COMMAND", allow_hyphen_values = true, conflicts_with = "local")]
    pub ssh_through: Option<String>,
    /// The type of the SSH keys: `ed25519` or `ecdsa` [default: the recipe's, else what the base takes by its name]
    #[arg(long, help_heading = BUILD, value_name = "TYPE", value_enum, hide_possible_values = true)]
    pub key_type: Option<KeyType>,
    /// Publish in the other regions if some copies fail
    #[arg(long, help_heading = ON_EC2, conflicts_with_all = ["local", "private", "share"])]
    pub skip_failed_regions: bool,
    /// Lift the account's block on public images while publishing, then restore it
    #[arg(long, help_heading = ON_EC2, conflicts_with_all = ["local", "private", "share"])]
    pub unblock_public_access: bool,
    /// The prefix of the SSM parameters that name the image in each region once it is published, PREFIX/X and, for releases,
    /// PREFIX/latest; '' for none [default: the recipe's, else none]
    #[arg(long, help_heading = ON_EC2, value_name = "PREFIX", conflicts_with_all = ["local", "private", "share"])]
    pub ssm_prefix: Option<Choice>,
}

/// Which output format to describe.
#[derive(Clone, Debug, Args)]
pub struct SchemaFlags {
    /// The output format
    #[arg(value_name = "NAME")]
    pub name: Document,
}

/// A JSON output format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Document {
    /// What `list --json` prints
    List,
    /// What `plan --json` prints
    Plan,
    /// What `check --json` prints
    Check,
    /// What `diff --json` prints
    Diff,
    /// What a release prints with `--json`, and keeps in `report.json`
    Report,
    /// A line of `--log-format json`, and of a build's journal
    Events,
}

/// What to boot.
#[derive(Clone, Debug, Args)]
pub struct BootFlags {
    /// The id or the version of a local image
    #[arg(value_name = "IMAGE")]
    pub image: String,
    /// Run this instead of a login shell: several words are a program and its arguments, a single word is a line for
    /// the shell, such as 'ls /usr/bin | wc -l'
    #[arg(last = true, value_name = "COMMAND")]
    pub command: Vec<String>,
}

impl Ami {
    /// The flags of the release to make or to plan.
    #[must_use]
    pub fn release_flags(&self) -> Option<&ReleaseFlags> {
        match &self.command {
            Some(Command::Plan(flags)) => Some(flags),
            _ => self.release.as_ref(),
        }
    }

    /// Whether the command talks to AWS.
    #[must_use]
    pub fn needs_aws(&self) -> bool {
        let here = matches!(
            self.command,
            Some(
                Command::Check(CheckFlags { deep: Some(_), .. })
                    | Command::Boot(_)
                    | Command::Completions(_)
                    | Command::Setup
                    | Command::Report(_)
                    | Command::IamPolicy(_)
                    | Command::Schema(_)
                    | Command::SystemFacts(_)
            )
        );
        !self.common.local && !here
    }
}

#[cfg(test)]
mod tests;
