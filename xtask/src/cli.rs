//! The flags of `cargo xtask`, parsed into types.

use camino::Utf8PathBuf;
use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::{duration, grantee::Grantee, region::Region, version::Version};

/// The tasks of this repository.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", disable_version_flag = true)]
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
    /// Check everything that the project checks, installing what that needs
    Test(TestFlags),
}

/// `cargo xtask ami`: a release, or one of the commands that look after what releases made.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true, disable_version_flag = true)]
#[command(subcommand_help_heading = "Other commands", subcommand_value_name = "COMMAND")]
#[command(after_help = "Exit codes: 0 done, 1 failed, 2 refused before anything was created, 130 interrupted.")]
pub struct Ami {
    /// Another command than the release itself.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// The flags of a release.
    #[command(flatten)]
    pub release: Option<ReleaseFlags>,
    /// The flags that go with every command.
    #[command(flatten)]
    pub common: CommonFlags,
}

/// The commands beside the release itself.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Show what a release would do, and what stands in its way; creates nothing
    Plan(Box<ReleaseFlags>),
    /// Go on with a build that did not come to its end; what is done is not done again
    Resume(ResumeFlags),
    /// Remove what builds that did not come to their end have left
    Clean(CleanFlags),
    /// Show the images by version and region
    List,
    /// Check that a version is public, and named and described alike, in every region
    Check(ImageFlags),
    /// Withdraw a version: deregister its images, with their snapshots, in every region
    Retire(ImageFlags),
    /// Print the least IAM policy that all of this needs, as JSON
    IamPolicy,
    /// Print the JSON Schema of a result
    Schema(SchemaFlags),
    /// Install on this computer what --local needs
    Setup,
    /// Start a local image on this computer and log in to it
    Boot(BootFlags),
}

/// The flags that go with every command.
#[derive(Clone, Debug, Args)]
pub struct CommonFlags {
    /// No cloud: virtual machines on this computer (QEMU), same pipeline
    #[arg(long, global = true)]
    pub local: bool,
    /// The checkout; its own .release/ami and regions, where it has them, come before the workspace's [default: the
    /// workspace's root]
    #[arg(long, global = true, value_name = "DIR")]
    pub root: Option<Utf8PathBuf>,
    /// Don't ask (needed where there is no terminal)
    #[arg(long, short, global = true)]
    pub yes: bool,
    /// Print the result as JSON
    #[arg(long, global = true)]
    pub json: bool,
    /// The profile of the AWS configuration files [default: as everywhere, AWS_PROFILE or `default`]
    #[arg(long, global = true, value_name = "NAME", conflicts_with = "local")]
    pub profile: Option<String>,
    /// How progress is printed on stderr: `text`, or `json`, one event a line
    #[arg(long, global = true, value_enum, value_name = "FORMAT", default_value_t = LogFormat::Text)]
    pub log_format: LogFormat,
    /// Print warnings, errors and the result, nothing else
    #[arg(long, short, global = true, conflicts_with = "verbose")]
    pub quiet: bool,
    /// Print what the commands on the machines print, too
    #[arg(long, short, global = true)]
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

/// What is to be released, and how.
#[derive(Clone, Debug, Args)]
pub struct ReleaseFlags {
    /// The version; the image's name is made of it, `Wallaroo X`
    #[arg(long, value_name = "X")]
    pub version: Version,
    /// One region, nobody else may launch it, tagged with an expiry
    #[arg(long)]
    pub private: bool,
    /// Private, but these accounts and organizations may launch it, too
    #[arg(long, value_name = "ACCOUNT|ORG-ARN", value_delimiter = ',', conflicts_with = "local")]
    pub share: Vec<Grantee>,
    /// When a private image may be cleaned away, counted from now [default: 7d]
    #[arg(long, value_name = "DURATION", value_parser = expiry)]
    pub expires: Option<humantime::Duration>,
    /// The regions to publish in, instead of those of the file `regions`
    #[arg(long, value_name = "A,B", value_delimiter = ',', conflicts_with = "region_file")]
    pub regions: Vec<Region>,
    /// Another file than `regions`: one region a line
    #[arg(long, value_name = "FILE")]
    pub region_file: Option<Utf8PathBuf>,
    /// Where the image is made [default: the recipe's]
    #[arg(long, value_name = "REGION")]
    pub build_region: Option<Region>,
    /// Another base than the recipe's; with --local a file, qcow2 or raw
    #[arg(long, value_name = "ID|FILE")]
    pub base_image: Option<Utf8PathBuf>,
    /// Use the binaries as they lie in the tree
    #[arg(long)]
    pub skip_build: bool,
    /// Release what is in the tree although it has changes that are not committed
    #[arg(long)]
    pub allow_dirty: bool,
    /// Release although the file VERSION names another version
    #[arg(long)]
    pub allow_version_mismatch: bool,
    /// Leave the machine up when something fails on it, and print how to log in
    #[arg(long)]
    pub keep_on_failure: bool,
    /// The instance type that the image is made and verified on [default: the recipe's]
    #[arg(long, help_heading = "On EC2", value_name = "TYPE", conflicts_with = "local")]
    pub instance_type: Option<String>,
    /// The subnet of the instances [default: those of the default VPC]
    #[arg(long, help_heading = "On EC2", value_name = "ID", conflicts_with = "local")]
    pub subnet: Option<String>,
    /// A security group that lets this computer reach port 22 [default: one of the build's own]
    #[arg(long, help_heading = "On EC2", value_name = "ID", conflicts_with_all = ["local", "ssh_from"])]
    pub security_group: Option<String>,
    /// The addresses that may reach port 22 of the instances [default: this computer's own]
    #[arg(long, help_heading = "On EC2", value_name = "CIDR", value_parser = cidr, conflicts_with = "local")]
    pub ssh_from: Option<ipnet::Ipv4Net>,
    /// Publish in the other regions when the image can't be copied to some
    #[arg(long, help_heading = "On EC2", conflicts_with_all = ["local", "private", "share"])]
    pub skip_failed_regions: bool,
    /// Where the account blocks public images, lift the block, publish, and set it again
    #[arg(long, help_heading = "On EC2", conflicts_with_all = ["local", "private", "share"])]
    pub unblock_public_access: bool,
}

/// Which build to go on with.
#[derive(Clone, Debug, Args)]
pub struct ResumeFlags {
    /// The build's id [default: the one that is unfinished]
    #[arg(value_name = "BUILD")]
    pub build: Option<String>,
}

/// What to remove.
#[derive(Clone, Debug, Args)]
pub struct CleanFlags {
    /// The build's id: also one that could be gone on with [default: all that can't, and are old enough]
    #[arg(value_name = "BUILD")]
    pub build: Option<String>,
    /// Leave alone what is younger
    #[arg(long, value_name = "DURATION", value_parser = age, default_value = "1d", conflicts_with = "build")]
    pub older_than: humantime::Duration,
    /// Remove private images whose time has come, instead
    #[arg(long, conflicts_with = "build")]
    pub expired: bool,
}

/// Which image a command is about.
#[derive(Clone, Debug, Args)]
pub struct ImageFlags {
    /// The version
    #[arg(long, value_name = "X")]
    pub version: Version,
}

/// Which result to describe.
#[derive(Clone, Debug, Args)]
pub struct SchemaFlags {
    /// The result
    #[arg(value_name = "NAME")]
    pub name: Document,
}

/// A result as JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Document {
    /// What `list --json` prints
    List,
    /// What `plan --json` prints
    Plan,
    /// What `check --json` prints
    Check,
    /// What a release prints with `--json`, and keeps as `report.json`
    Report,
    /// A line of `--log-format json`, and of a journal
    Events,
}

/// What to boot.
#[derive(Clone, Debug, Args)]
pub struct BootFlags {
    /// A local image: its id, or its version
    #[arg(value_name = "IMAGE")]
    pub image: String,
    /// Run this instead of a shell, and end the machine with it: several words as they are, a single one as a line for the
    /// machine's shell, such as 'ls /usr/bin | wc -l'
    #[arg(last = true, value_name = "COMMAND")]
    pub command: Vec<String>,
}

/// What to check.
#[derive(Clone, Debug, Args)]
pub struct TestFlags {
    /// Leave out the checks that start virtual machines
    #[arg(long)]
    pub quick: bool,
    /// Kill builds on real machines in every phase, not in a handful: hours under emulation
    #[arg(long, conflicts_with = "quick")]
    pub every_phase: bool,
    /// Only play this seed of the simulated cloud, and print what happened
    #[arg(long, value_name = "N", conflicts_with_all = ["quick", "every_phase"])]
    pub seed: Option<u64>,
    /// Only play so many seeds of the simulated cloud
    #[arg(long, value_name = "N", conflicts_with_all = ["quick", "every_phase", "seed"])]
    pub seeds: Option<u64>,
}

/// A private image's life.
fn expiry(text: &str) -> Result<humantime::Duration, String> {
    duration::parse(text, &duration::PRIVATE_LIFE).map(Into::into)
}

/// A leftover's age.
fn age(text: &str) -> Result<humantime::Duration, String> {
    duration::parse(text, &duration::AGE).map(Into::into)
}

/// Addresses, or a single one. Instances are reached at their IPv4 addresses.
fn cidr(text: &str) -> Result<ipnet::Ipv4Net, String> {
    let single = text.parse::<std::net::Ipv4Addr>().map(ipnet::Ipv4Net::from);
    single.or_else(|_| text.parse()).map_err(|_| "it is no CIDR of IPv4, such as 203.0.113.7/32".to_owned())
}

impl Ami {
    /// The flags of the release that is asked for, or planned.
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
        let here =
            matches!(self.command, Some(Command::Boot(_) | Command::Setup | Command::IamPolicy | Command::Schema(_)));
        !self.common.local && !here
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    fn parse(words: &str) -> Result<Ami, clap::Error> {
        let Task::Ami(ami) = Cli::try_parse_from(format!("xtask ami {words}").split(' '))?.task else {
            panic!("no ami: {words}");
        };
        Ok(*ami)
    }

    #[test]
    fn the_flags_are_consistent() {
        Cli::command().debug_assert();
    }

    /// Clap takes optional flags for absent when some of them are in a struct of their own.
    #[test]
    fn a_release_has_its_flags() {
        for words in ["--version 0.6.1", "--version 0.6.1 --local", "--version 0.6.1 --private --subnet subnet-1"] {
            let ami = parse(words).expect(words);
            assert!(ami.release.is_some() && ami.command.is_none(), "{words}");
        }
        assert!(parse("list").expect("a command").release.is_none());
    }

    #[test]
    fn what_stays_on_this_computer_needs_no_aws() {
        for words in ["schema list", "iam-policy", "setup", "boot 0.6.1", "list --local"] {
            assert!(!parse(words).expect(words).needs_aws(), "{words}");
        }
        assert!(parse("list").expect("a command").needs_aws());
    }

    #[test]
    fn what_only_ec2_has_does_not_go_with_local() {
        for flag in ["--subnet s", "--security-group s", "--ssh-from 10.0.0.1", "--instance-type t", "--profile p"] {
            assert!(parse(&format!("--version 0.6.1 --local {flag}")).is_err(), "{flag}");
        }
    }

    #[test]
    fn addresses_are_those_of_one_computer_or_of_many() {
        let given = |from: &str| parse(&format!("--version 0.6.1 --ssh-from {from}")).ok()?.release?.ssh_from;
        assert_eq!(given("203.0.113.7").map(|from| from.to_string()), Some("203.0.113.7/32".to_owned()));
        assert_eq!(given("203.0.113.0/24").map(|from| from.to_string()), Some("203.0.113.0/24".to_owned()));
        assert_eq!(given("2001:db8::/32"), None);
        assert_eq!(given("203.0.113.7/33"), None);
    }
}
