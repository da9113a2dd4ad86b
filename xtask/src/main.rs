//! The dispatcher: parses the command line and hands over to the tool that does the work.
//!
//! It compiles in seconds. `cargo xtask ami --help` and every mistake in the flags are answered from here, and the AWS
//! SDK, minutes to compile, is only built for commands that talk to AWS.

use std::{env, io::Write as _, os::unix::process::CommandExt as _, process::Command, process::ExitCode};

use anyhow::{Context as _, Result};
use clap::{CommandFactory as _, Parser as _, error::ErrorKind};
use xtask::cli::{Ami, Cli, Task};

mod test;

fn main() -> ExitCode {
    let ended = match Cli::parse().task {
        Task::Ami(ami) => hand_over(&ami),
        Task::Test(flags) => test::run(&flags),
    };
    match ended {
        Ok(code) => code,
        Err(error) => {
            // A terminal that went away leaves nobody to tell.
            let _ = writeln!(std::io::stderr(), "error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Becomes the tool, compiled first where it has to be.
fn hand_over(ami: &Ami) -> Result<ExitCode> {
    if let Some(refusal) = ami.refusal() {
        Cli::command().error(ErrorKind::MissingRequiredArgument, refusal).exit();
    }
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(["run", "--package", "xtask-ami", "--no-default-features"]);
    // Whoever waits for the first compile wants to see it go on; later there is nothing to see.
    if env::current_exe().is_ok_and(|this| this.with_file_name("xtask-ami").exists()) {
        cargo.arg("--quiet");
    }
    cargo.arg("--").args(env::args_os().skip(1));
    Err(cargo.exec()).context("failed to start cargo")
}
