//! The files of the tool and of a checkout, with their content as git hashes it.

use std::{collections::BTreeMap, process::Stdio};

use anyhow::{Context as _, Result, ensure};
use camino::{Utf8Path, Utf8PathBuf};
use xshell::{Shell, cmd};

/// Paths below a root, with the hash of each file's content.
pub type Blobs = BTreeMap<Utf8PathBuf, String>;

/// The files of the tool below `workspace` that belong over a checkout: those that git knows; where it knows none yet, as
/// after an installation that is not committed, those that it would add.
///
/// # Errors
/// When the tool does not lie in a git repository, or git fails.
pub fn of_the_tool(workspace: &Utf8Path, overlay: &[&str]) -> Result<Blobs> {
    let sh = shell(workspace)?;
    let listed = cmd!(sh, "git ls-files -z --cached --others --exclude-standard -- {overlay...}").quiet().read();
    let listed =
        listed.with_context(|| format!("failed to list the tool's files: is {workspace} a git repository?"))?;
    let paths: Vec<Utf8PathBuf> = listed.split('\0').filter(|path| !path.is_empty()).map(Utf8PathBuf::from).collect();
    let there = paths.iter().filter(|path| path.as_str() != super::RECORD && workspace.join(path).is_file());
    blobs(workspace, workspace, there)
}

/// The hashes of these files below `root`, as git takes them in `workspace`: repositories differ in that.
///
/// # Errors
/// When one cannot be read, or git fails.
pub fn blobs<'a>(workspace: &Utf8Path, root: &Utf8Path, paths: impl Iterator<Item = &'a Utf8PathBuf>) -> Result<Blobs> {
    let paths: Vec<&Utf8PathBuf> = paths.collect();
    let sh = shell(workspace)?;
    let input: String = paths.iter().map(|path| format!("{}\n", root.join(path))).collect();
    // Without filters, so that the bytes count, whatever git would make of line ends.
    let hashed = cmd!(sh, "git hash-object --no-filters --stdin-paths").quiet().stdin(input).read();
    let hashed = hashed.with_context(|| format!("git failed to hash files of {root}"))?;
    let hashes: Vec<&str> = hashed.lines().collect();
    ensure!(hashes.len() == paths.len(), "git hashed {} of {} files of {root}", hashes.len(), paths.len());
    Ok(paths.into_iter().cloned().zip(hashes.into_iter().map(str::to_owned)).collect())
}

/// Those of the files that git ignores in the checkout; none where it is no git repository.
///
/// # Errors
/// When git cannot be started.
pub fn ignored<'a>(root: &Utf8Path, paths: impl Iterator<Item = &'a Utf8PathBuf>) -> Result<Vec<String>> {
    let sh = shell(root)?;
    if cmd!(sh, "git rev-parse --is-inside-work-tree").quiet().ignore_stdout().ignore_stderr().run().is_err() {
        return Ok(Vec::new());
    }
    let input: String = paths.map(|path| format!("{path}\n")).collect();
    let listed = cmd!(sh, "git check-ignore --stdin").quiet().stdin(input).ignore_status().ignore_stderr().read();
    Ok(listed.context("failed to run git")?.lines().map(str::to_owned).collect())
}

fn shell(root: &Utf8Path) -> Result<Shell> {
    let git = std::process::Command::new("git").arg("--version").stdout(Stdio::null()).status();
    git.context("git is needed, and cannot be started: install the package git")?;
    let sh = Shell::new()?;
    sh.change_dir(root);
    Ok(sh)
}
