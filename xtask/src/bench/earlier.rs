//! An earlier build to compare with: a worktree of its commit, which is gone afterwards.

use anyhow::{Context as _, Result};
use xshell::{Shell, cmd};

use super::LIMIT;

/// The checkout of an earlier commit.
pub struct Checkout {
    sh: Shell,
    path: std::path::PathBuf,
    target: std::path::PathBuf,
}

impl Checkout {
    /// Checks a commit out below the target folder.
    ///
    /// # Errors
    /// When git does not know it, or this is no clone.
    pub fn of(sh: &Shell, commit: &str) -> Result<Checkout> {
        let target = sh.current_dir().join("xtask/target");
        let path = target.join("bench-earlier");
        let checkout = Checkout { sh: sh.clone(), path, target };
        checkout.remove();
        let path = &checkout.path;
        let added = cmd!(sh, "git worktree add --quiet --detach {path} {commit}").quiet().run();
        added.with_context(|| format!("failed to check out {commit}"))?;
        Ok(checkout)
    }

    /// Runs `cargo test` in it, and returns what it printed. What it depends on is compiled only where that differs.
    ///
    /// # Errors
    /// When the test fails, or takes too long.
    pub fn test(&self, words: &[&str]) -> Result<String> {
        let (sh, target) = (&self.sh, &self.target);
        let _folder = sh.push_dir(&self.path);
        let limit = LIMIT.as_secs().to_string();
        let command = cmd!(sh, "timeout --kill-after=10 {limit} cargo test --quiet {words...}").quiet();
        let command = command.env("CARGO_TARGET_DIR", target);
        let command = command.env_remove("CARGO_MANIFEST_DIR").env_remove("CARGO_MANIFEST_PATH");
        // Its own bounds may be missed: the figures are printed all the same.
        let output = command.ignore_status().output().context("failed to start the earlier build's test")?;
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    fn remove(&self) {
        let (sh, path) = (&self.sh, &self.path);
        // There is none, most of the time.
        let _ = cmd!(sh, "git worktree remove --force {path}").quiet().ignore_stderr().run();
        let _ = sh.remove_path(path);
        let _ = cmd!(sh, "git worktree prune").quiet().run();
    }
}

impl Drop for Checkout {
    fn drop(&mut self) {
        self.remove();
    }
}
