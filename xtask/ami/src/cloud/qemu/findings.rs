//! The preflight checks of this computer.

use std::time::{Duration, SystemTime};

use anyhow::{Context as _, Result, bail};
use camino::{Utf8Path, Utf8PathBuf};

use super::{
    FileCopy, OfFile, Qemu, base,
    boot::Firmware,
    disk::RawDisk,
    facts,
    firmware::{self, Uefi},
    folder::{self, Folder},
    network, packages,
    packages::{MAKE, Needs, SSH},
    proxy, rights, sources, store,
    sums::{self, Stamp},
};
use crate::event::progress::Progress;
use crate::{
    cloud::{
        Account as _, name_conflict,
        preflight::{Preflight, Request},
    },
    events::Events,
    ground::finding::Finding,
};

/// The disk space of a build, in MiB: overlay, image, and the raw copy to read files from.
const FREE_MIB: u64 = 1536;

/// The same when a base is made: its tree, its raw disk, and the base itself.
const FREE_MIB_FOR_BASE: u64 = 3072;

/// The same when an image is compared with its machines: raw copies of three disks, and what two machines write.
const FREE_MIB_FOR_COMPARISON: u64 = 4096;

/// The duration of a build from a cached base, and of making the base, measured on two cores without KVM.
const BUILD_SECS: u64 = 85;
const MAKE_BASE_SECS: u64 = 35;

impl Qemu {
    /// Runs all checks of the request.
    pub(super) async fn run_preflight(&self, request: &Request) -> Result<Preflight> {
        let mut preflight = Preflight::default();
        if request.promotes.is_some() {
            // Copies are links to the same disk, and nothing runs.
            preflight.findings.extend(self.name_finding(request)?);
            return Ok(preflight);
        }
        let base = match self.base_file {
            Some(_) => None,
            None => self.cached_base(&mut preflight).await?,
        };
        let needs = if self.base_file.is_none() && base.is_none() { Needs::Base } else { Needs::Machines };
        preflight.findings.extend(self.name_finding(request)?);
        let needed_mib = if needs == Needs::Base { FREE_MIB_FOR_BASE } else { FREE_MIB };
        preflight.findings.extend(free_space_finding(self.state_dir.path(), "a build", needed_mib));
        // Packages are only installed for a build that has no other finding.
        let install = request.install_missing && preflight.findings.is_empty();
        let programs: &[_] = if request.skip_build { &[] } else { &[MAKE] };
        let missing = self.missing(needs, programs, install).await?;
        preflight.facts.push(("Cloud".to_owned(), format!("this computer, QEMU on {}", self.accelerator().await)));
        if !missing.is_empty() {
            preflight.findings.push(packages_finding(&missing).await?);
        } else if needs == Needs::Base {
            preflight.findings.extend(rights::findings().await);
        }
        if self.base_file.is_none() && !self.local_system()?.packages.is_empty() {
            preflight.findings.extend(network::finding());
        }
        preflight.warnings.extend(proxy::warning(&self.recipe.apt).await);
        let (system, base) = match (&self.base_file, base) {
            (Some(file), _) if missing.is_empty() => match self.of_base_file(file).await {
                Ok(OfFile { system, facts, size_bytes, sha256, boots }) => {
                    preflight.findings.extend(size_finding(file, size_bytes, self.recipe.instance.root_volume_gib));
                    preflight.findings.extend(self.firmware_finding(needs, file, &boots, install).await?);
                    preflight.base_facts = facts;
                    let how =
                        if boots == Ok(Firmware::Uefi) { ", which boots by UEFI (Secure Boot is off)" } else { "" };
                    // Only a build reads the whole file.
                    let sum = sha256.as_deref().unwrap_or("of its disk");
                    preflight.base_name = file.file_name().map(|name| format!("{name} (sha256 {sum})"));
                    (Some(system), format!("{file}{how}"))
                }
                Err(error) => {
                    let otherwise = "give a disk image that has a system on ext4, one that the recipe describes";
                    preflight.findings.push(Finding::of_fault(&format!("{error:#}"), otherwise));
                    (None, file.to_string())
                }
            },
            (Some(file), _) => (None, file.to_string()),
            (None, Some(base)) => {
                preflight.base_facts = facts::kept(&base)?;
                preflight.base_name = Some(format!("{} (sha256 {})", base.name, base.sha256));
                (Some(base.system), base.name)
            }
            (None, None) => {
                let local = &self.recipe.local_base;
                preflight.base_name = Some(format!("{} made on that day (sha256 of its disk)", local.system));
                (Some(local.system.clone()), format!("{}, to be made from Debian's packages", local.system))
            }
        };
        preflight.base_system = system;
        let base_secs = if needs == Needs::Base { MAKE_BASE_SECS } else { 0 };
        preflight.estimate = Duration::from_secs(BUILD_SECS + base_secs);
        preflight.facts.push(("Base".to_owned(), base));
        if self.base_file.is_none() {
            self.tell_of_sources(&mut preflight).await?;
        }
        preflight.facts.extend(self.recipe.facts());
        Ok(preflight)
    }

    /// Where the packages of the base come from, and whether security updates are among them.
    async fn tell_of_sources(&self, preflight: &mut Preflight) -> Result<()> {
        let local = &self.recipe.local_base;
        preflight.facts.extend(local.mirror_fact());
        if let Some(suite) = &self.local_system()?.suite {
            preflight.warnings.extend(sources::lack_of_security(local, suite).await);
        }
        Ok(())
    }

    /// The base that was made before, if there is one. That there can be none is a finding.
    async fn cached_base(&self, preflight: &mut Preflight) -> Result<Option<base::Base>> {
        let cached = base::cached(&self.state_dir, &self.recipe.local_base, self.local_system()?).await;
        Ok(cached.unwrap_or_else(|error| {
            let remedy = "or give a base with --base-image FILE".to_owned();
            preflight.findings.push(Finding { problem: format!("{error:#}"), remedy });
            None
        }))
    }

    /// What is on the disk of the file given with `--base-image`. The file is read once.
    pub(super) async fn of_base_file(&self, file: &Utf8Path) -> Result<OfFile> {
        let read = async {
            // Preflight must not create the state folder, so the raw copy may have to be in the folder of temporary
            // files.
            let temporary = Utf8PathBuf::try_from(std::env::temp_dir()).context("set TMPDIR to a path in UTF-8")?;
            let scratch = if self.state_dir.path().is_dir() { self.state_dir.path() } else { &temporary };
            let (stamp, began) = (Stamp::of(file), SystemTime::now());
            let disk = RawDisk::of(file, scratch).await?;
            let (source, size_bytes) = (file.to_string(), disk.size_bytes()?);
            let boots = disk.boots().map_err(|error| format!("{error:#}"));
            let stamp = stamp.with_context(|| format!("failed to look at {file}"))?;
            let sha256 = sums::known(&self.state_dir, &stamp);
            if sha256.is_none() {
                self.base_file_copy.replace(Some(FileCopy { disk: disk.file()?, stamp, read: began }));
            }
            // On a thread of its own, because it takes a while.
            let recipe = self.recipe.clone();
            let name = move |itself| recipe.system_called(itself);
            let read = tokio::task::spawn_blocking(move || facts::on_disk(disk, &source, name));
            let (system, facts) = read.await??;
            self.recipe.system(&system).with_context(|| format!("{file} cannot be the base"))?;
            anyhow::Ok(OfFile { system, facts, size_bytes, sha256, boots })
        };
        self.base_file_read.get_or_try_init(|| read).await.cloned()
    }

    /// Why no machine could boot from the file given with `--base-image`.
    async fn firmware_finding(
        &self,
        needs: Needs,
        file: &Utf8Path,
        boots: &Result<Firmware, String>,
        install: bool,
    ) -> Result<Option<Finding>> {
        match boots {
            Ok(Firmware::Bios) => return Ok(None),
            Ok(Firmware::Uefi) => {}
            Err(fault) => {
                let fault = format!("{file} cannot be the base: {fault}");
                return Ok(Some(Finding::of_fault(&fault, "give a disk that boots")));
            }
        }
        let missing = match &self.recipe.local_base.uefi_firmware {
            Some(given) if given.is_file() => return Ok(None),
            Some(given) => {
                let problem = format!("{file} boots by UEFI only, and there is no file {given}");
                let remedy = "correct local_base.uefi_firmware in ami.toml, or leave it out".to_owned();
                return Ok(Some(Finding { problem, remedy }));
            }
            None => self.missing(needs, &[firmware::UEFI], install).await?,
        };
        if missing.is_empty() {
            return Ok(None);
        }
        let Finding { problem, remedy } = packages_finding(&missing).await?;
        let remedy = format!("{remedy}\n    or name its file with local_base.uefi_firmware in ami.toml");
        Ok(Some(Finding { problem: format!("{file} boots by UEFI only, and {problem}"), remedy }))
    }

    /// The firmware for machines that boot by UEFI.
    pub(super) fn uefi(&self) -> Option<Uefi> {
        let given = &self.recipe.local_base.uefi_firmware;
        given.clone().map(Uefi::File).or_else(Uefi::find)
    }

    fn name_finding(&self, request: &Request) -> Result<Option<Finding>> {
        let mut images = Vec::new();
        for region in &request.regions {
            images.extend(store::list(&self.state_dir, region)?.into_iter().map(|image| (region, image)));
        }
        let taken = images.iter().filter(|(_, image)| image.name == request.name);
        let taken = taken.map(|(region, image)| (*region, image));
        Ok(name_conflict::finding(&request.name, &request.version, taken, &self.flags()))
    }

    /// The programs that are missing; with `install`, after installing what was.
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

    /// Installs everything that local builds need.
    ///
    /// # Errors
    /// When a program is missing and `install` is false, or installing fails.
    pub async fn set_up(&self, install: bool) -> Result<()> {
        let missing = self.missing(Needs::Base, &[MAKE, SSH], install).await?;
        refuse(&missing).await?;
        let findings = rights::findings().await;
        if !findings.is_empty() {
            let lines: Vec<String> =
                findings.into_iter().map(|Finding { problem, remedy }| format!("{problem}\n    {remedy}")).collect();
            bail!("{}", lines.join("\n"));
        }
        let accelerator = self.accelerator().await.to_string();
        self.events.say(Progress::Ready { accelerator });
        Ok(())
    }

    /// Checks that an image can be booted here.
    ///
    /// # Errors
    /// When a program is missing and `install` is false, or installing fails.
    pub async fn prepare_to_boot(&self, install: bool) -> Result<()> {
        refuse(&self.missing(Needs::Machines, &[SSH], install).await?).await
    }

    /// The same to compare machines with each other. Returns a folder for copies of their disks, on the same file system
    /// as everything else that is large.
    ///
    /// # Errors
    /// As [`Qemu::prepare_to_boot`], and when too little of the file system is free.
    pub async fn prepare_to_compare(&self, install: bool, events: &Events) -> Result<Folder> {
        self.prepare_to_boot(install).await?;
        if let Some(Finding { problem, remedy }) =
            free_space_finding(self.state_dir.path(), "a comparison", FREE_MIB_FOR_COMPARISON)
        {
            bail!("{problem}\n    {remedy}");
        }
        let instances = self.state_dir.instances();
        std::fs::create_dir_all(&instances).with_context(|| format!("failed to create {instances}"))?;
        let made = tempfile::Builder::new().prefix("deep-").tempdir_in(&instances);
        let made = made.with_context(|| format!("failed to create a folder in {instances}"))?.keep();
        let path = Utf8PathBuf::try_from(made).context("set WALLAROO_AMI_HOME to a path in UTF-8")?;
        Folder::make(path, events).await
    }

    /// The log for apt's output, which belongs to no build.
    fn install_log(&self) -> Result<Utf8PathBuf> {
        let folder = self.state_dir.path();
        std::fs::create_dir_all(folder).with_context(|| format!("failed to create {folder}"))?;
        Ok(folder.join("install.log"))
    }
}

/// A volume can't be smaller than what is copied to it, on EC2 either (API reference, `RunInstances`).
fn size_finding(file: &Utf8Path, size_bytes: u64, root_volume_gib: u32) -> Option<Finding> {
    let gib = size_bytes.div_ceil(1 << 30);
    (gib > u64::from(root_volume_gib)).then(|| Finding {
        problem: format!("the disk of {file} has {gib} GiB, but the recipe's root_volume_gib is {root_volume_gib}"),
        remedy: format!("set root_volume_gib = {gib} in ami.toml, or give a smaller disk"),
    })
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
        remedy: format!("add --yes to install what is missing, or run\n      {}", commands.join("\n      ")),
    })
}

fn free_space_finding(folder: &Utf8Path, what: &str, needed_mib: u64) -> Option<Finding> {
    // The folder may not exist yet; its nearest existing ancestor is on the same disk.
    let existing = folder.ancestors().find(|folder| folder.is_dir())?;
    let free_mib = folder::free_bytes(existing).ok()? >> 20;
    (free_mib < needed_mib).then(|| Finding {
        problem: format!("{folder} has {free_mib} MiB free, but {what} needs {needed_mib} MiB"),
        remedy: format!("free some space, or set {} to a folder on another disk", crate::state_dir::VARIABLE),
    })
}
