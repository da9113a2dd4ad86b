//! The dispatcher: parses the command line and hands over to the tool that does the work.
//!
//! It compiles in seconds. `cargo xtask ami --help` and mistakes in the flags are answered here. The AWS SDK, which takes
//! minutes to compile, is only built for commands that talk to AWS.

use std::{
    env, fs,
    io::Write as _,
    os::unix::process::CommandExt as _,
    path::Path,
    process::{Command, ExitCode},
};

use anyhow::{Context as _, Result};
use camino::{Utf8Path, Utf8PathBuf};
use clap::Parser as _;
use xtask::{
    cli::{Ami, Cli, Command as Subcommand, Task},
    completion, variables,
};

mod bench;
mod compile;
mod install_into;
mod rustc;
mod stamp;
mod test;

fn main() -> ExitCode {
    if let Some(error) = rustc::stand_in() {
        let _ = writeln!(std::io::stderr(), "error: failed to start rustc: {error}");
        return ExitCode::FAILURE;
    }
    completion::answer();
    let ended = match Cli::parse().task {
        Task::Ami(ami) => match &ami.command {
            Some(Subcommand::Completions(flags)) => print(&completion::script(flags.shell)),
            _ => hand_over(&ami),
        },
        Task::Test(flags) => test::run(&flags),
        Task::Bench(flags) => bench::run(&flags),
        Task::InstallInto(flags) => workspace().and_then(|workspace| install_into::run(&flags, &workspace)),
    };
    match ended {
        Ok(code) => code,
        Err(error) => {
            // If the terminal is gone, there is no place left to report that.
            let _ = writeln!(std::io::stderr(), "error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Prints a text.
fn print(text: &str) -> Result<ExitCode> {
    std::io::stdout().write_all(text.as_bytes()).context("failed to print")?;
    Ok(ExitCode::SUCCESS)
}

/// Replaces this process with the tool, which cargo compiles first if necessary.
fn hand_over(ami: &Ami) -> Result<ExitCode> {
    let wrapper = rustc::wrapper();
    let folder = env::current_exe()?.parent().map(Path::to_owned).unwrap_or_default();
    // The first compile takes long enough that its progress should show; later compiles do not.
    let mut is_quiet = ami.common.quiet || folder.join("xtask-ami").exists();
    if ami.needs_aws() {
        let stamp =
            stamp::Stamp::now(&folder, &fs::read_to_string(workspace()?.join("Cargo.lock")).unwrap_or_default());
        if !has_file(&folder.join("deps"), "libaws_sdk_ec2-", ".rlib") || !stamp.is_kept() {
            let line = match compile::of_the_sdk(rustc::is_told(wrapper.as_deref())) {
                Ok(line) => line,
                Err(error) => {
                    let _ = writeln!(std::io::stderr(), "error: {error:#}");
                    return Ok(ExitCode::from(2));
                }
            };
            let mut build = cargo("build", ami, wrapper.as_deref());
            if ami.common.quiet {
                build.arg("--quiet");
            } else {
                let _ = writeln!(std::io::stderr(), "{line}");
            }
            // By itself, because only what was compiled to the end is up to date the next time.
            let compiled = build.status().context("failed to start cargo")?;
            if !compiled.success() {
                return Ok(compiled
                    .code()
                    .and_then(|code| u8::try_from(code).ok())
                    .map_or(ExitCode::FAILURE, Into::into));
            }
            stamp.keep();
            is_quiet = true;
        }
    }
    let mut cargo = cargo("run", ami, wrapper.as_deref());
    cargo.args(is_quiet.then_some("--quiet")).arg("--").args(env::args_os().skip(1));
    Err(cargo.exec()).context("failed to start cargo")
}

/// One of cargo's commands, for the tool.
fn cargo(command: &str, ami: &Ami, wrapper: Option<&str>) -> Command {
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args([command, "--package", "xtask-ami"]);
    if let Some(wrapper) = wrapper {
        cargo.arg("--config").arg(format!("build.rustc-wrapper='{wrapper}'"));
    }
    if !ami.needs_aws() {
        cargo.arg("--no-default-features");
    }
    variables::of_package().for_each(|name| _ = cargo.env_remove(name));
    cargo
}

/// A command that starts cargo, without what cargo told this process of its own package.
fn with_cargo(command: xshell::Cmd<'_>) -> xshell::Cmd<'_> {
    variables::of_package().fold(command, xshell::Cmd::env_remove)
}

/// The folder that the tool lies in.
fn workspace() -> Result<Utf8PathBuf> {
    // Cargo says where it runs the dispatcher; the place where it was compiled may have been moved since.
    let package = env::var("CARGO_MANIFEST_DIR").unwrap_or_else(|_| env!("CARGO_MANIFEST_DIR").to_owned());
    Ok(Utf8Path::new(&package).parent().context("xtask lies in the workspace")?.to_owned())
}

/// Whether a folder has a file whose name begins with `begin` and ends with `end`.
fn has_file(folder: &Path, begin: &str, end: &str) -> bool {
    let files = std::fs::read_dir(folder).into_iter().flatten().flatten();
    files.map(|file| file.file_name()).any(|name| {
        let name = name.to_string_lossy();
        name.starts_with(begin) && name.ends_with(end)
    })
}
