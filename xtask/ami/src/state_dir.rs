//! The state folder: journals, local images, cached bases, keys of running builds.

use anyhow::Result;
use camino::{Utf8Path, Utf8PathBuf};
pub use xtask::home::VARIABLE;
use xtask::{home, region::Region};

/// The state folder. Its subfolders are created when needed.
#[derive(Clone, Debug)]
pub struct StateDir(Utf8PathBuf);

impl StateDir {
    /// The folder in `WALLAROO_AMI_HOME`, else `wallaroo-ami` in the platform's data directory.
    ///
    /// # Errors
    /// When neither the variable is set nor a home directory exists, or the path isn't UTF-8.
    pub fn find() -> Result<StateDir> {
        home::folder().map(StateDir).map_err(anyhow::Error::msg)
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

    /// The SHA-256 of disks that were given as bases.
    #[must_use]
    pub fn base_sums(&self) -> Utf8PathBuf {
        self.0.join("base-sums")
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
