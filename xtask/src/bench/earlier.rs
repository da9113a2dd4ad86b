//! An earlier build to compare with: a worktree of its commit, which is gone afterwards.

use std::time::Instant;

use anyhow::{Context as _, Result};
use xshell::{Cmd, Shell, cmd};

use super::LIMIT;

/// The checkout of an earlier commit.
pub struct Checkout {
    sh: Shell,
    path: std::path::PathBuf,
    target: std::path::PathBuf,
}

impl Checkout {
    /// Checks a commit out below the target folder, in a folder of this name.
    ///
    /// # Errors
    /// When git does not know it, or this is no clone.
    pub fn of(sh: &Shell, commit: &str, name: &str) -> Result<Checkout> {
        let target = sh.current_dir().join("xtask/target");
        let path = target.join(name);
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
        let _folder = self.sh.push_dir(&self.path);
        let command = self.cargo(&[&["test", "--quiet"], words].concat());
        // Its own bounds may be missed: the figures are printed all the same.
        let output = command.ignore_status().output().context("failed to start the earlier build's test")?;
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// How many seconds a whole job of `--local` takes on its sample, once its base is there.
    ///
    /// # Errors
    /// When it does not compile, or a job fails.
    pub fn local_secs(&self) -> Result<f64> {
        let (sh, target) = (&self.sh, &self.target);
        let _folder = sh.push_dir(&self.path);
        let build = self.cargo(&["build", "--quiet", "--package", "xtask-ami", "--no-default-features"]);
        build.run().context("failed to compile the earlier build")?;
        let folder = sh.create_temp_dir()?;
        let (home, root) = (folder.path().join("home"), folder.path().join("checkout"));
        self.copy_sample(&root)?;
        let (tool, limit) = (target.join("debug/xtask-ami"), LIMIT.as_secs().to_string());
        let mut took_secs = 0.0;
        // The first one makes the base.
        for version in ["0.6.1", "0.6.2"] {
            let began = Instant::now();
            let words = ["ami", "--version", version, "--local", "--yes", "--quiet", "--root"];
            let job = cmd!(sh, "timeout --kill-after=10 {limit} {tool} {words...} {root}").quiet().ignore_stdout();
            job.env("WALLAROO_AMI_HOME", &home).run().context("the earlier build's job failed")?;
            took_secs = began.elapsed().as_secs_f64();
        }
        Ok(took_secs)
    }

    /// How many seconds it takes from a clone of it, where nothing is compiled and no base is made, to the verified images.
    /// What it is compiled from is downloaded before, and QEMU is installed.
    ///
    /// # Errors
    /// When it does not compile, or the job fails.
    pub fn fresh_secs(&self) -> Result<f64> {
        let sh = &self.sh;
        let _folder = sh.push_dir(&self.path);
        cmd!(sh, "cargo fetch --quiet --locked").quiet().run().context("failed to fetch the dependencies")?;
        let folder = sh.create_temp_dir()?;
        let (home, root) = (folder.path().join("home"), folder.path().join("checkout"));
        self.copy_sample(&root)?;
        let limit = LIMIT.as_secs().to_string();
        let words = ["ami", "--version", "0.6.1", "--local", "--yes", "--quiet", "--root"];
        let began = Instant::now();
        let job = cmd!(sh, "timeout --kill-after=10 {limit} cargo xtask {words...} {root}").quiet().ignore_stdout();
        // As from a shell: which compiler is called is its own affair.
        let job = job.env_remove("CARGO_BUILD_RUSTC_WRAPPER").env_remove("CARGO_TARGET_DIR");
        let job = crate::with_cargo(job).env("WALLAROO_AMI_HOME", &home);
        job.run().context("the job of a fresh clone failed")?;
        Ok(began.elapsed().as_secs_f64())
    }

    /// The sample with this commit's recipe, as a Wallaroo checkout.
    fn copy_sample(&self, root: &std::path::Path) -> Result<()> {
        let sh = &self.sh;
        cmd!(sh, "cp -r xtask/ami/sample {root}").quiet().run()?;
        Ok(cmd!(sh, "cp -r .release regions {root}").quiet().run()?)
    }

    /// cargo with these words, for as long as it may take. What it compiles of the two packages stays apart: packages at the
    /// same place in two workspaces are one to it, so that it would measure the repository's own once more.
    fn cargo(&self, words: &[&str]) -> Cmd<'_> {
        let (sh, limit) = (&self.sh, LIMIT.as_secs().to_string());
        let apart = ["xtask", "xtask-ami"].map(|name| format!("--config=profile.dev.package.{name}.debug=1"));
        let command = cmd!(sh, "timeout --kill-after=10 {limit} cargo {apart...} {words...}").quiet();
        crate::with_cargo(command.env("CARGO_TARGET_DIR", &self.target))
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
