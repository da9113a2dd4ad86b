//! The local cloud of `--local`: QEMU virtual machines, and images as files on this computer.
//!
//! It behaves as EC2 does: an image is pending until `qemu-img` is done. Regions are folders. Instances are child
//! processes and end with this one.

use std::{
    cell::RefCell,
    collections::BTreeMap,
    fs::File,
    rc::Rc,
    time::{Duration, SystemTime},
};

use anyhow::{Context as _, Result};
use camino::{Utf8Path, Utf8PathBuf};
use sha2::{Digest as _, Sha256};
use tokio::sync::{Mutex, OnceCell};
use xtask::region::Region;

use crate::{
    cloud::{Launch, LaunchSource, Paced, Phase},
    elf::facts::Facts,
    event::ids::{ImageId, InstanceId},
    event::progress::Progress,
    events::Events,
    ground::wait::Pace,
    recipe::{Recipe, System},
    state_dir::StateDir,
};
use accelerator::Accelerator;
use boot::Firmware;
use conversion::Conversion;
use folder::Folder;
use identity::Identity;
use vm::{Hardware, Vm};

pub mod accelerator;
mod account;
pub mod boot;
pub mod base;
mod compute;
mod content;
mod conversion;
pub mod debs;
pub mod disk;
pub mod facts;
mod findings;
mod firmware;
mod folder;
mod format;
mod identity;
mod images;
pub mod inventory;
mod names;
mod network;
mod opening;
mod parameters;
pub mod packages;
pub mod programs;
mod proxy;
mod retiring;
mod rights;
pub mod seed;
pub mod sources;
pub mod store;
mod sums;
mod trouble;
pub mod twins;
pub mod vm;

/// Memory of a virtual machine, in MiB: enough for apt to install packages without swapping.
const MEMORY_MIB: u32 = 1024;

/// A booting machine may be silent for this part of the time limit of a login, so another boot still fits in.
const SILENT_PART: u32 = 3;

/// The local cloud, with its state in a folder.
pub struct Qemu {
    state_dir: StateDir,
    recipe: Recipe,
    base_file: Option<Utf8PathBuf>,
    base_file_read: OnceCell<OfFile>,
    base_file_copy: RefCell<Option<FileCopy>>,
    base_file_sum: OnceCell<String>,
    made_base: OnceCell<base::Base>,
    accelerator: OnceCell<Accelerator>,
    events: Events,
    keys: RefCell<BTreeMap<String, String>>,
    instances: RefCell<BTreeMap<InstanceId, Rc<Mutex<LocalInstance>>>>,
    conversions: RefCell<BTreeMap<ImageId, Conversion>>,
}

/// The raw copy of the disk of the file given with `--base-image`, until its content is hashed.
struct FileCopy {
    disk: File,
    /// What the file was like before it was read, and when that was.
    stamp: sums::Stamp,
    read: SystemTime,
}

/// What is on the disk of the file given with `--base-image`.
#[derive(Clone)]
struct OfFile {
    system: String,
    size_bytes: u64,
    /// The SHA-256 of its content in hexadecimal, if an earlier build found it out.
    sha256: Option<String>,
    /// `None` when it has no C library where Debian has it.
    facts: Option<Facts>,
    /// How it boots, or why it doesn't, with what to do about it after a semicolon.
    boots: Result<Firmware, String>,
}

/// An instance of the local cloud.
struct LocalInstance {
    build: String,
    vm: Vm,
    folder: Folder,
    /// What it was launched with, and the public key.
    launch: Launch,
    key: String,
}

impl Qemu {
    /// The local cloud with its state in `state_dir`. `base_file` replaces the recipe's base.
    pub fn new(state_dir: &StateDir, recipe: &Recipe, base_file: Option<&Utf8Path>, events: &Events) -> Qemu {
        Qemu {
            state_dir: state_dir.clone(),
            recipe: recipe.clone(),
            // QEMU resolves a relative path from the disk's folder, not from the current one.
            base_file: base_file.map(|file| camino::absolute_utf8(file).unwrap_or_else(|_| file.to_owned())),
            base_file_read: OnceCell::new(),
            base_file_copy: RefCell::default(),
            base_file_sum: OnceCell::new(),
            made_base: OnceCell::new(),
            accelerator: OnceCell::new(),
            events: events.clone(),
            keys: RefCell::default(),
            instances: RefCell::default(),
            conversions: RefCell::default(),
        }
    }

    /// The accelerator, found by starting a machine: only when one is needed, and after QEMU is installed.
    async fn accelerator(&self) -> &Accelerator {
        self.accelerator.get_or_init(Accelerator::find).await
    }

    fn local_instance(&self, id: &InstanceId) -> Option<Rc<Mutex<LocalInstance>>> {
        self.instances.borrow().get(id).cloned()
    }

    fn instance_folder(&self, id: &InstanceId) -> Utf8PathBuf {
        self.state_dir.instances().join(&id.0)
    }

    async fn start(
        &self,
        id: &InstanceId,
        folder: &Utf8Path,
        region: &Region,
        launch: &Launch,
        key: &str,
    ) -> Result<Vm> {
        let backing = self.backing(region, &launch.source)?;
        let firmware = match Firmware::of(&backing).await? {
            Firmware::Bios => Vec::new(),
            Firmware::Uefi => {
                let (what, package) = firmware::UEFI;
                let found = self.uefi().with_context(|| {
                    format!(
                        "{backing} boots by UEFI only, and this computer lacks {what}: install the package {package}"
                    )
                })?;
                found.place(folder)?
            }
        };
        let hardware = Hardware {
            firmware,
            accelerator: self.accelerator().await.arguments(&self.recipe.build.target_cpu),
            disk: folder.join(conversion::DISK),
            seed: folder.join("seed.img"),
            identity: Identity::of(&id.0),
            memory_mib: MEMORY_MIB,
            silence_limit: self.recipe.limits.login / SILENT_PART,
        };
        conversion::overlay(&hardware.disk, &backing, launch.root_volume_gib).await?;
        seed::write(&hardware.seed, &id.0, key, &launch.user_data)?;
        Vm::start(folder, &hardware).await
    }

    /// The backing file of a machine's disk.
    fn backing(&self, region: &Region, source: &LaunchSource) -> Result<Utf8PathBuf> {
        match source {
            LaunchSource::Base(base) => Ok(Utf8PathBuf::from(&base.id)),
            LaunchSource::Image(id) => {
                let attributes = store::read(&self.state_dir, region, id)?;
                attributes.with_context(|| format!("there is no image {id} in {region}"))?;
                Ok(store::disk(&self.state_dir, region, id))
            }
        }
    }

    fn local_system(&self) -> Result<&System> {
        self.recipe.system(&self.recipe.local_base.system)
    }
}

impl Paced for Qemu {
    fn pace(&self, phase: Phase) -> Pace {
        // No machine boots or stops faster than the first check. Checks are cheap here, those for a login less so: each is a
        // connection.
        let (first_check_secs, interval_ms) = match phase {
            Phase::Login => (5, 250),
            Phase::Stop => (1, 100),
            Phase::Image | Phase::Copy | Phase::Termination | Phase::Block => (0, 100),
        };
        Pace::steady(Duration::from_secs(first_check_secs), Duration::from_millis(interval_ms))
    }
}

impl Qemu {
    /// Removes the files of killed processes: machines, incomplete images and incomplete bases.
    fn sweep(&self) {
        let folders = folder::sweep(&self.state_dir.instances(), "");
        for path in folders.into_iter().chain(store::sweep(&self.state_dir)).chain(base::sweep(&self.state_dir)) {
            self.events.say(Progress::Swept { path });
        }
    }
}

/// The digits of an id. Derived from the token, so that a repeated request has the same result.
fn id_digits(token: &str) -> String {
    let digest = Sha256::digest(token.as_bytes());
    let digits: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    digits[..17].to_owned()
}
