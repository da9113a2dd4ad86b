//! The state folder: journals, local images, cached bases, keys of running builds.

use anyhow::{Context as _, Result};
use camino::{Utf8Path, Utf8PathBuf};
use etcetera::BaseStrategy as _;
use xtask::region::Region;

/// The environment variable for another folder than the default.
pub const VARIABLE: &str = "WALLAROO_AMI_HOME";

/// The state folder. Its subfolders are created when needed.
#[derive(Clone, Debug)]
pub struct StateDir(Utf8PathBuf);

impl StateDir {
    /// The folder in `WALLAROO_AMI_HOME`, else `wallaroo-ami` in the platform's data directory.
    ///
    /// # Errors
    /// When neither the variable is set nor a home directory exists, or the path isn't UTF-8.
    pub fn find() -> Result<StateDir> {
        if let Some(folder) = std::env::var_os(VARIABLE).filter(|folder| !folder.is_empty()) {
            let folder = Utf8PathBuf::try_from(std::path::PathBuf::from(folder))
                .with_context(|| format!("{VARIABLE} must be a path in UTF-8"))?;
            let folder = camino::absolute_utf8(&folder).with_context(|| format!("failed to resolve {folder}"))?;
            return Ok(StateDir(folder));
        }
        let strategy = etcetera::choose_base_strategy()
            .with_context(|| format!("no home directory to keep state in; set {VARIABLE} to a folder"))?;
        let folder = strategy.data_dir().join("wallaroo-ami");
        Ok(StateDir(Utf8PathBuf::try_from(folder).with_context(|| format!("set {VARIABLE} to a path in UTF-8"))?))
    }

    /// The state in this folder.
    #[must_use]
    pub fn at(folder: &Utf8Path) -> StateDir {
        StateDir(folder.to_owned())
    }

    /// Its path.
    #[must_use]
    pub fn path(&self) -> &Utf8Path {
        &self.0
    }

    /// The lock file for beginning or resuming a build.
    #[must_use]
    pub fn builds_lock(&self) -> Utf8PathBuf {
        self.0.join("builds.lock")
    }

    /// The folder of one build: its journal, logs, manifest and report.
    #[must_use]
    pub fn build(&self, id: &str) -> Utf8PathBuf {
        self.0.join("builds").join(id)
    }

    /// The journals of retirements.
    #[must_use]
    pub fn retirements(&self) -> Utf8PathBuf {
        self.0.join("retirements")
    }

    /// The cached base images of the local cloud.
    #[must_use]
    pub fn bases(&self) -> Utf8PathBuf {
        self.0.join("bases")
    }

    /// The local images of a region.
    #[must_use]
    pub fn images(&self, region: &Region) -> Utf8PathBuf {
        self.0.join("images").join(region.as_str())
    }

    /// The disks and consoles of running virtual machines.
    #[must_use]
    pub fn instances(&self) -> Utf8PathBuf {
        self.0.join("instances")
    }
}
