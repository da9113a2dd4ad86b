//! The local cloud: QEMU's virtual machines, and images as files of this computer.
//!
//! It has the same verbs as EC2, and where EC2 takes its time so does this one: an image is pending until `qemu-img` is
//! done. Regions are folders. Its instances are processes of this one and end with it.

use std::{cell::RefCell, collections::BTreeMap, rc::Rc, time::Duration};

use anyhow::{Context as _, Result};
use camino::{Utf8Path, Utf8PathBuf};
use sha2::{Digest as _, Sha256};
use tokio::sync::{Mutex, OnceCell};
use xtask::region::Region;

use crate::{
    cloud::{Launch, LaunchSource, Paced, Phase},
    event::ids::{ImageId, InstanceId},
    event::progress::Progress,
    events::Events,
    ground::wait::Pace,
    recipe::{Recipe, System},
    state_dir::StateDir,
};
use accelerator::Accelerator;
use conversion::Conversion;
use folder::Folder;
use vm::{Hardware, Vm};

pub mod accelerator;
mod account;
pub mod base;
mod compute;
mod conversion;
pub mod disk;
mod findings;
mod folder;
mod images;
mod opening;
pub mod packages;
pub mod programs;
pub mod seed;
mod sources;
pub mod store;
pub mod vm;

/// Memory of a virtual machine, in MiB: what apt needs to install packages without swapping.
const MEMORY_MIB: u32 = 1024;

/// The local cloud.
pub struct Qemu {
    home: StateDir,
    recipe: Recipe,
    base_file: Option<Utf8PathBuf>,
    base_file_system: OnceCell<String>,
    accelerator: OnceCell<Accelerator>,
    events: Events,
    keys: RefCell<BTreeMap<String, String>>,
    instances: RefCell<BTreeMap<InstanceId, Rc<Mutex<Local>>>>,
    conversions: RefCell<BTreeMap<ImageId, Conversion>>,
}

/// An instance of the local cloud.
struct Local {
    build: String,
    vm: Vm,
    folder: Folder,
}

impl Qemu {
    /// The local cloud with its state in `home`; `base_file` is taken instead of the recipe's base.
    pub fn new(home: &StateDir, recipe: &Recipe, base_file: Option<&Utf8Path>, events: &Events) -> Qemu {
        Qemu {
            home: home.clone(),
            recipe: recipe.clone(),
            // QEMU takes a relative path from where the disk lies, not from here.
            base_file: base_file.map(|file| camino::absolute_utf8(file).unwrap_or_else(|_| file.to_owned())),
            base_file_system: OnceCell::new(),
            accelerator: OnceCell::new(),
            events: events.clone(),
            keys: RefCell::default(),
            instances: RefCell::default(),
            conversions: RefCell::default(),
        }
    }

    /// What machines run on; found out by starting one, so not before QEMU is there, nor for commands that start none.
    async fn accelerator(&self) -> &Accelerator {
        self.accelerator.get_or_init(Accelerator::find).await
    }

    fn found(&self, id: &InstanceId) -> Option<Rc<Mutex<Local>>> {
        self.instances.borrow().get(id).cloned()
    }

    fn instance_folder(&self, id: &InstanceId) -> Utf8PathBuf {
        self.home.instances().join(&id.0)
    }

    async fn start(
        &self,
        id: &InstanceId,
        folder: &Utf8Path,
        region: &Region,
        launch: &Launch,
        key: &str,
    ) -> Result<Vm> {
        let hardware = Hardware {
            accelerator: self.accelerator().await.arguments(&self.recipe.build.target_cpu),
            disk: folder.join(conversion::DISK),
            seed: folder.join("seed.img"),
            memory_mib: MEMORY_MIB,
        };
        conversion::overlay(&hardware.disk, &self.backing(region, &launch.source)?, launch.root_volume_gib).await?;
        seed::write(&hardware.seed, &id.0, key, &launch.user_data)?;
        Vm::start(folder, &hardware).await
    }

    /// The file that a machine's disk is laid over.
    fn backing(&self, region: &Region, source: &LaunchSource) -> Result<Utf8PathBuf> {
        match source {
            LaunchSource::Base(base) => Ok(Utf8PathBuf::from(&base.id)),
            LaunchSource::Image(id) => {
                let attributes = store::read(&self.home, region, id)?;
                attributes.with_context(|| format!("there is no image {id} in {region}"))?;
                Ok(store::disk(&self.home, region, id))
            }
        }
    }

    fn local_system(&self) -> Result<&System> {
        self.recipe.system(&self.recipe.local_base.system)
    }
}

impl Paced for Qemu {
    fn pace(&self, phase: Phase) -> Pace {
        // A look costs next to nothing here; before the first one of these, no machine was ever up or down.
        let first_look = match phase {
            Phase::Login => Duration::from_secs(5),
            Phase::Stop => Duration::from_secs(1),
            Phase::Image | Phase::Copy | Phase::End | Phase::Block => Duration::ZERO,
        };
        Pace { first_look, interval: Duration::from_millis(500) }
    }
}

impl Qemu {
    /// Removes the files that killed processes left: of machines, images and bases that never will be any.
    fn sweep(&self) {
        let folders = folder::sweep(&self.home.instances(), "");
        for path in folders.into_iter().chain(store::sweep(&self.home)).chain(base::sweep(&self.home)) {
            self.events.say(Progress::Swept { path });
        }
    }
}

/// The digits of an id, made of the token so that the same request has the same result.
fn digits_of(token: &str) -> String {
    let digest = Sha256::digest(token.as_bytes());
    let digits: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    digits[..17].to_owned()
}
