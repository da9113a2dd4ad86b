//! `ami report`: makes the page of a build from its journal.

use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, anyhow, bail};
use camino::Utf8Path;
use xtask::{cli::ReportFlags, region::nearest};

use crate::{
    ground::outcome::Failure,
    record::unfinished,
    show::{page, print::print},
    state_dir::StateDir,
};

/// How many builds an error names.
const NAMED: usize = 3;

/// The program that opens a file with the user's own choice of program.
const OPENER: &str = if cfg!(target_os = "macos") { "open" } else { "xdg-open" };

/// Makes the page of a build, and prints its path.
///
/// # Errors
/// When there is no such build, the page cannot be written, or no program opens it.
pub fn report(flags: &ReportFlags, state_dir: &StateDir) -> Result<(), Failure> {
    let id = pick(flags.build.as_deref(), state_dir).map_err(Failure::Refused)?;
    let path = page::write(&state_dir.build(&id)).map_err(Failure::Failed)?;
    print(&format!("{path}\n")).map_err(Failure::Failed)?;
    if flags.open { open(&path).map_err(Failure::Failed) } else { Ok(()) }
}

/// The id of the named build, or of the one that began last.
fn pick(wanted: Option<&str>, state_dir: &StateDir) -> Result<String> {
    let mut builds = unfinished::begun(state_dir)?;
    // Ids begin with the time.
    builds.sort();
    let Some(newest) = builds.last() else {
        bail!("there is no build in {}; to make an image: cargo xtask ami --version X", state_dir.path());
    };
    let Some(wanted) = wanted else { return Ok(newest.clone()) };
    if builds.iter().any(|build| build == wanted) {
        return Ok(wanted.to_owned());
    }
    let known: Vec<&str> = builds.iter().map(String::as_str).collect();
    let near = nearest(wanted, &known).into_iter();
    let parts = known.iter().rev().filter(|build| !wanted.is_empty() && build.contains(wanted)).copied();
    let mut named: Vec<&str> = Vec::new();
    for build in parts.chain(near).chain(known.iter().rev().copied()) {
        if !named.contains(&build) && named.len() < NAMED {
            named.push(build);
        }
    }
    let commands: String = named.iter().map(|build| format!("\n    cargo xtask ami report {build}")).collect();
    Err(anyhow!("there is no build `{wanted}` in {}; the nearest are:{commands}", state_dir.path()))
}

fn open(path: &Utf8Path) -> Result<()> {
    let mut command = Command::new(OPENER);
    // Only the path goes to stdout.
    let status = command.arg(path).stdin(Stdio::null()).stdout(Stdio::null()).status();
    let status = status.with_context(|| format!("failed to run {OPENER}; open {path} in a browser"))?;
    if !status.success() {
        bail!("{OPENER} failed ({status}); open {path} in a browser");
    }
    Ok(())
}
