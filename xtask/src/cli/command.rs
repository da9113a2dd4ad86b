//! The commands of `cargo xtask ami`.

use clap::Subcommand;

use super::{
    BootFlags, CheckFlags, CleanFlags, CompletionsFlags, DiffFlags, FactsFlags, ListFlags, PolicyFlags, PromoteFlags,
    ReleaseFlags, ReportFlags, ResumeFlags, RetireFlags, SchemaFlags, examples,
};

/// The commands beside the release itself.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Show what a release would do, and every problem that would stop it; creates nothing
    #[command(after_help = examples::PLAN)]
    Plan(Box<ReleaseFlags>),
    /// Resume an unfinished build; finished steps are not repeated, and an instance that is being provisioned is kept
    #[command(after_help = examples::RESUME)]
    Resume(ResumeFlags),
    /// Remove what unfinished builds left behind; asks first
    #[command(after_help = examples::CLEAN)]
    Clean(CleanFlags),
    /// List the images in all regions
    #[command(after_help = examples::LIST)]
    List(ListFlags),
    /// Check that a version is public, and alike in every region; or, with --deep, what an image still has of the machine
    /// that it was made on
    #[command(after_help = examples::CHECK)]
    Check(CheckFlags),
    /// Publish a verified release candidate under its release name, without building
    #[command(after_help = examples::PROMOTE)]
    Promote(PromoteFlags),
    /// Show what changed from image A to image B: binaries, packages, base, files, settings
    #[command(after_help = examples::DIFF)]
    Diff(DiffFlags),
    /// Remove a version: deregister its images and delete their snapshots in every region, after its number is typed; also
    /// the account's other images of that name. Or deprecate or disable them
    #[command(after_help = examples::RETIRE)]
    Retire(RetireFlags),
    /// Make the page of a build, from its journal, and print its path
    #[command(after_help = examples::REPORT)]
    Report(ReportFlags),
    /// Print the minimal IAM policy that these commands need, as JSON
    #[command(after_help = examples::IAM_POLICY)]
    IamPolicy(PolicyFlags),
    /// Print the JSON Schema of an output format
    #[command(after_help = examples::SCHEMA)]
    Schema(SchemaFlags),
    /// Print a script that completes these commands in a shell
    #[command(after_help = examples::COMPLETIONS)]
    Completions(CompletionsFlags),
    /// Install the programs that --local needs on this computer
    #[command(after_help = examples::SETUP)]
    Setup,
    /// Boot a local image on this computer and log in
    #[command(after_help = examples::BOOT)]
    Boot(BootFlags),
    /// Read which libraries a base and the recipe's packages bring, into .release/ami/systems/SYSTEM.toml
    #[command(after_help = examples::SYSTEM_FACTS)]
    SystemFacts(FactsFlags),
}
