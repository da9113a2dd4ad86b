//! `cargo xtask install-into`: lays the tool over a Wallaroo checkout.
//!
//! Files that the checkout has already are never overwritten, unless an earlier installation put them there and `--update`
//! is given. A record of what was installed, [`RECORD`], tells such files from those that were changed since.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs,
    io::{self, IsTerminal as _, Write as _},
    process::ExitCode,
};

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use camino::{Utf8Path, Utf8PathBuf};
use xtask::cli::InstallFlags;

use files::Blobs;
use plan::{Plan, State};

mod files;
mod plan;

/// What is laid over a checkout.
const OVERLAY: [&str; 6] = [".cargo", ".release/ami", "Cargo.lock", "Cargo.toml", "regions", "xtask"];

/// What says that a folder is a checkout of Wallaroo: the tool builds with it.
const MAKEFILE: &str = "Makefile";

/// The files that an installation put into the checkout: lines of a file's content, as git hashes it, and its path.
const RECORD: &str = "xtask/installed-files";

/// Installs the tool, or updates it. Ends with 2 if that is refused.
pub fn run(flags: &InstallFlags, workspace: &Utf8Path) -> Result<ExitCode> {
    let plan = match prepare(flags, workspace) {
        Ok(plan) => plan,
        Err(error) => {
            say(format_args!("error: {error:#}"));
            return Ok(ExitCode::from(2));
        }
    };
    if plan.is_done() {
        say(format_args!("{}the tool is installed in {}; nothing to do", plan.kept_text(workspace), plan.dir));
        return Ok(ExitCode::SUCCESS);
    }
    plan.carry_out(workspace).with_context(|| {
        format!("the installation in {} is incomplete; to complete it, type the same command again", plan.dir)
    })?;
    say(format_args!("{}", done(&plan, workspace)?));
    Ok(ExitCode::SUCCESS)
}

/// Looks what there is to do, shows it, and asks. Nothing is written, so every error is a refusal.
fn prepare(flags: &InstallFlags, workspace: &Utf8Path) -> Result<Plan> {
    let dir = checkout(&flags.dir, workspace)?;
    let wanted = files::of_the_tool(workspace, &OVERLAY)?;
    let there = files::blobs(workspace, &dir, wanted.keys().filter(|path| dir.join(path).is_file()))?;
    let recorded = record(&dir)?;
    let plan = Plan::of(dir, &wanted, &there, &recorded);
    plan.refuse_what_is_in_the_way()?;
    plan.refuse_to_overwrite(flags.update, !recorded.is_empty())?;
    if !plan.is_done() {
        say(format_args!("{}", plan.text(workspace)));
        confirm(flags.yes)?;
    }
    Ok(plan)
}

/// The root of the checkout.
fn checkout(given: &Utf8Path, workspace: &Utf8Path) -> Result<Utf8PathBuf> {
    let dir = given.canonicalize_utf8().with_context(|| format!("there is no folder {given}"))?;
    ensure!(dir.is_dir(), "{given} is not a folder");
    let workspace = workspace.canonicalize_utf8().with_context(|| format!("failed to find {workspace}"))?;
    ensure!(dir != workspace, "{given} is where the tool itself lies; give the root of a Wallaroo checkout");
    ensure!(
        dir.join(MAKEFILE).is_file(),
        "{given} has no {MAKEFILE}, so it is not the root of a Wallaroo checkout; give one, such as ../wallaroo"
    );
    Ok(dir)
}

/// What an earlier installation put into the checkout; empty if there was none.
fn record(dir: &Utf8Path) -> Result<Blobs> {
    let path = dir.join(RECORD);
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Blobs::new()),
        Err(error) => return Err(error).with_context(|| format!("failed to read {path}")),
    };
    let line = |line: &str| line.split_once(' ').map(|(blob, path)| (Utf8PathBuf::from(path), blob.to_owned()));
    let parsed: Option<BTreeMap<_, _>> = text.lines().map(line).collect();
    parsed.ok_or_else(|| anyhow!("{path} is damaged: it has a line without a hash and a path; restore it from git"))
}

/// Asks on the terminal.
fn confirm(yes: bool) -> Result<()> {
    if yes {
        return Ok(());
    }
    ensure!(io::stdin().is_terminal(), "not confirmed: stdin is not a terminal; pass --yes");
    let _ = write!(io::stderr(), "Install? [y/N] ");
    let mut answer = String::new();
    io::stdin().read_line(&mut answer).context("failed to read the answer")?;
    if !["y", "yes"].contains(&answer.trim().to_lowercase().as_str()) {
        bail!("not confirmed; nothing was written");
    }
    Ok(())
}

/// What was done, and what to type next.
fn done(plan: &Plan, workspace: &Utf8Path) -> Result<String> {
    let mut text = format!("{}the tool is installed in {}", plan.kept_text(workspace), plan.dir);
    let ignored = files::ignored(&plan.dir, plan.paths_in(State::Missing))?;
    let parts = OVERLAY.into_iter().filter(|part| ignored.iter().any(|path| Utf8Path::new(path).starts_with(part)));
    let parts: Vec<&str> = parts.collect();
    if !parts.is_empty() {
        let _ = write!(text, "\ngit ignores some of it there; add it with: git add --force {}", parts.join(" "));
    }
    let _ = write!(
        text,
        "\nCommit it: a release is made of a commit. Then, in {}:\n  cargo xtask ami --version X --local",
        plan.dir
    );
    Ok(text)
}

fn say(line: impl std::fmt::Display) {
    // If the terminal is gone, there is no place left to report that.
    let _ = writeln!(io::stderr(), "{line}");
}
