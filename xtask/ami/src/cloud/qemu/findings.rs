//! What of this computer stands in the way of a build.

use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use camino::{Utf8Path, Utf8PathBuf};

use super::{
    Qemu, base, packages,
    packages::{MAKE, Needs, SSH},
    store,
};
use crate::event::progress::Progress;
use crate::{
    cloud::{
        Account as _,
        preflight::{Preflight, Request},
        taken,
    },
    ground::finding::Finding,
};

/// What a build writes at most at the same time, in MiB: overlay, image and the raw disk that is looked at.
const FREE_MIB: u64 = 1536;

/// The same while a base is made: its tree, its disk and the base itself.
const FREE_MIB_FOR_BASE: u64 = 3072;

/// How long a build takes from a cached base, and how long making the base: measured on two cores without KVM.
const BUILD_SECS: u64 = 85;
const MAKE_BASE_SECS: u64 = 35;

impl Qemu {
    /// What the plan tells of this computer, and all that stands in the way.
    pub(super) async fn look(&self, request: &Request) -> Result<Preflight> {
        let mut preflight = Preflight::default();
        let base = match self.base_file {
            Some(_) => None,
            None => base::cached(&self.home, &self.recipe.local_base, self.local_system()?).await?,
        };
        let needs = if self.base_file.is_none() && base.is_none() { Needs::Base } else { Needs::Machines };
        preflight.findings.extend(self.name_finding(request)?);
        preflight.findings.extend(free_space_finding(self.home.path(), needs));
        // Packages are only installed for a build that nothing else stands in the way of.
        let install = request.install_missing && preflight.findings.is_empty();
        let programs: &[_] = if request.skip_build { &[] } else { &[MAKE] };
        let missing = self.missing(needs, programs, install).await?;
        preflight.facts.push(("Cloud".to_owned(), format!("this computer, QEMU on {}", self.accelerator().await)));
        if !missing.is_empty() {
            preflight.findings.push(packages_finding(&missing).await?);
        }
        let (system, base) = match (&self.base_file, base) {
            (Some(file), _) if missing.is_empty() => match self.system_of_base_file(file).await {
                Ok(system) => (Some(system), file.to_string()),
                Err(error) => {
                    let remedy = "give a disk image, qcow2 or raw, of a system that the recipe describes".to_owned();
                    preflight.findings.push(Finding { problem: format!("{error:#}"), remedy });
                    (None, file.to_string())
                }
            },
            (Some(file), _) => (None, file.to_string()),
            (None, Some(base)) => (Some(base.system), base.name),
            (None, None) => {
                let local = &self.recipe.local_base;
                (Some(local.system.clone()), format!("{}, to be made of Debian's packages", local.system))
            }
        };
        preflight.base_system = system;
        let base_secs = if needs == Needs::Base { MAKE_BASE_SECS } else { 0 };
        preflight.estimate = Duration::from_secs(BUILD_SECS + base_secs);
        preflight.facts.push(("Base".to_owned(), base));
        Ok(preflight)
    }

    /// The system of the file given with `--base-image`, which is looked at for it, once.
    pub(super) async fn system_of_base_file(&self, file: &Utf8Path) -> Result<String> {
        let look = async {
            // Nothing is made before the build is: the copy that is looked at lies where others' temporary files do.
            let temporary = Utf8PathBuf::try_from(std::env::temp_dir()).context("set TMPDIR to a path in UTF-8")?;
            let scratch = if self.home.path().is_dir() { self.home.path() } else { &temporary };
            let system = super::disk::Disk::open(file, scratch).await?.system()?;
            self.recipe.system(&system).with_context(|| format!("{file} can't be the base"))?;
            anyhow::Ok(system)
        };
        self.base_file_system.get_or_try_init(|| look).await.cloned()
    }

    fn name_finding(&self, request: &Request) -> Result<Option<Finding>> {
        let mut images = Vec::new();
        for region in &request.regions {
            images.extend(store::list(&self.home, region)?.into_iter().map(|image| (region, image)));
        }
        let taken = images.iter().filter(|(_, image)| image.name == request.name);
        let taken = taken.map(|(region, image)| (*region, image));
        Ok(taken::finding(&request.name, &request.version, taken, &self.flags()))
    }

    /// What this computer lacks, once what may be installed is.
    async fn missing(
        &self,
        needs: Needs,
        programs: &[packages::ByPackage],
        install: bool,
    ) -> Result<Vec<packages::Program>> {
        let missing = packages::missing(needs, programs);
        if missing.is_empty() || !install {
            return Ok(missing);
        }
        packages::install(missing, &self.install_log()?, &self.events).await?;
        Ok(packages::missing(needs, programs))
    }

    /// Installs all that local builds need, so that none of them has to.
    ///
    /// # Errors
    /// When something is missing and `install` doesn't allow to install it, or that fails.
    pub async fn set_up(&self, install: bool) -> Result<()> {
        let missing = self.missing(Needs::Base, &[MAKE, SSH], install).await?;
        refuse(&missing).await?;
        let accelerator = self.accelerator().await.to_string();
        self.events.say(Progress::Ready { accelerator });
        Ok(())
    }

    /// Refuses to boot an image where that can't be done.
    ///
    /// # Errors
    /// When something is missing and `install` doesn't allow to install it, or that fails.
    pub async fn prepare_to_boot(&self, install: bool) -> Result<()> {
        refuse(&self.missing(Needs::Machines, &[SSH], install).await?).await
    }

    /// Where apt's output goes: there is no build yet whose log it could be.
    fn install_log(&self) -> Result<Utf8PathBuf> {
        let folder = self.home.path();
        std::fs::create_dir_all(folder).with_context(|| format!("failed to make {folder}"))?;
        Ok(folder.join("install.log"))
    }
}

async fn refuse(missing: &[packages::Program]) -> Result<()> {
    if missing.is_empty() {
        return Ok(());
    }
    let Finding { problem, remedy } = packages_finding(missing).await?;
    bail!("{problem}\n    {remedy}")
}

async fn packages_finding(missing: &[packages::Program]) -> Result<Finding> {
    let names: Vec<String> = missing.iter().map(ToString::to_string).collect();
    let commands = packages::install_commands(missing, nix::unistd::geteuid().is_root()).await?;
    Ok(Finding {
        problem: format!("this computer lacks {}", names.join(", ")),
        remedy: format!("say --yes to have it installed, or type\n      {}", commands.join("\n      ")),
    })
}

fn free_space_finding(folder: &Utf8Path, needs: Needs) -> Option<Finding> {
    let needed_mib = if needs == Needs::Base { FREE_MIB_FOR_BASE } else { FREE_MIB };
    // Nothing has been made yet, so it is the nearest folder that is there which tells the disk.
    let there = folder.ancestors().find(|folder| folder.is_dir())?;
    let stat = nix::sys::statvfs::statvfs(there.as_std_path()).ok()?;
    let free_mib = stat.blocks_available() * stat.fragment_size() / (1024 * 1024);
    (free_mib < needed_mib).then(|| Finding {
        problem: format!("{folder} has {free_mib} MiB free, and a build needs {needed_mib} MiB"),
        remedy: format!("free some, or set {} to a folder on another disk", crate::state_dir::VARIABLE),
    })
}
