//! The local cloud: QEMU's virtual machines, and images as files of this computer.
//!
//! It has the same verbs as EC2, and where EC2 takes its time so does this one: an image is pending until `qemu-img` is
//! done. Regions are folders. Its instances are processes of this one and end with it.

use std::{cell::RefCell, collections::BTreeMap, net::SocketAddr, rc::Rc, time::Duration};

use anyhow::{Context as _, Result, bail, ensure};
use camino::{Utf8Path, Utf8PathBuf};
use sha2::{Digest as _, Sha256};
use tokio::sync::{Mutex, OnceCell};
use xtask::region::Region;

use crate::{
    cloud::{
        Audience, Cloud, DiskFiles, Image, ImageState, Instance, InstanceState, Launch, LaunchSource, Leftover,
        NewImage, Phase, SshAccess,
        preflight::{Preflight, Request},
    },
    event::{
        facts::Base,
        ids::{ImageId, InstanceId},
    },
    ground::wait::Pace,
    machine::{keys::Login, ssh::Ssh},
    recipe::{Recipe, System},
    show::terminal::Status,
    state_dir::StateDir,
};
use accelerator::Accelerator;
use conversion::Conversion;
use disk::Disk;
use folder::Folder;
use store::Attributes;
use vm::{Hardware, Power, Vm};

pub mod accelerator;
pub mod base;
mod conversion;
pub mod disk;
mod findings;
mod folder;
pub mod packages;
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
    status: Status,
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
    pub fn new(home: &StateDir, recipe: &Recipe, base_file: Option<&Utf8Path>, status: &Status) -> Qemu {
        Qemu {
            home: home.clone(),
            recipe: recipe.clone(),
            // QEMU takes a relative path from where the disk lies, not from here.
            base_file: base_file.map(|file| camino::absolute_utf8(file).unwrap_or_else(|_| file.to_owned())),
            base_file_system: OnceCell::new(),
            accelerator: OnceCell::new(),
            status: status.clone(),
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

    /// EC2 refuses a name that is taken when it makes an image, and takes it when it copies one; nobody wants the latter.
    fn refuse_taken(&self, region: &Region, name: &str) -> Result<()> {
        match store::list(&self.home, region)?.iter().find(|image| image.name == name) {
            None => Ok(()),
            Some(taken) => bail!("the name `{name}` is taken in {region}, by {}", taken.id),
        }
    }

    fn local_system(&self) -> Result<&System> {
        self.recipe.system(&self.recipe.local_base.system)
    }
}

impl Cloud for Qemu {
    type Machine = Ssh;

    fn flags(&self) -> String {
        " --local".to_owned()
    }

    fn machines_outlive_us(&self) -> bool {
        false
    }

    async fn regions(&self) -> Result<Vec<Region>> {
        let regions = store::regions(&self.home)?;
        // Also before there is any image there may be what a killed process left of making it.
        Ok(if regions.is_empty() { vec![self.recipe.build_region.clone()] } else { regions })
    }

    async fn preflight(&self, request: &Request) -> Result<Preflight> {
        self.look(request).await
    }

    fn pace(&self, phase: Phase) -> Pace {
        // A look costs next to nothing here; before the first one of these, no machine was ever up or down.
        let first_look = match phase {
            Phase::Login => Duration::from_secs(5),
            Phase::Stop => Duration::from_secs(1),
            Phase::Image | Phase::Copy | Phase::End | Phase::Block => Duration::ZERO,
        };
        Pace { first_look, interval: Duration::from_millis(500) }
    }

    async fn base(&self, log: &Utf8Path) -> Result<Base> {
        self.sweep();
        let Some(file) = &self.base_file else {
            let local = &self.recipe.local_base;
            let base = base::ensure(&self.home, local, self.local_system()?, log, &self.status).await?;
            return Ok(Base { id: base.path.to_string(), name: base.name, system: base.system });
        };
        let system = self.system_of_base_file(file).await?;
        let name = file.file_name().unwrap_or(file.as_str()).to_owned();
        Ok(Base { id: file.to_string(), name, system })
    }

    async fn grant_access(&self, _region: &Region, access: &SshAccess) -> Result<()> {
        self.keys.borrow_mut().insert(access.name.clone(), access.public_key.clone());
        Ok(())
    }

    async fn revoke_access(&self, _region: &Region, name: &str) -> Result<()> {
        self.keys.borrow_mut().remove(name);
        Ok(())
    }

    async fn launch(&self, region: &Region, launch: &Launch) -> Result<InstanceId> {
        let id = InstanceId(format!("i-{}", digits_of(&launch.token)));
        if self.found(&id).is_some() {
            return Ok(id);
        }
        let key = self.keys.borrow().get(&launch.access).cloned();
        let key = key.with_context(|| format!("there is no access `{}`", launch.access))?;
        let folder = Folder::make(self.instance_folder(&id), &self.status).await?;
        let vm = self.start(&id, folder.path(), region, launch, &key);
        let vm = vm.await.with_context(|| format!("failed to launch {id}"))?;
        let build =
            launch.tags.iter().find(|(tag, _)| tag == crate::cloud::tags::TAG_BUILD).map(|(_, build)| build.clone());
        let local = Local { build: build.unwrap_or_default(), vm, folder };
        self.instances.borrow_mut().insert(id.clone(), Rc::new(Mutex::new(local)));
        Ok(id)
    }

    async fn instance(&self, _region: &Region, id: &InstanceId) -> Result<Option<Instance>> {
        let Some(local) = self.found(id) else { return Ok(None) };
        let mut local = local.lock().await;
        if local.vm.restart_if_hung().await? {
            self.status.warn(format_args!("the kernel of {id} hung while it booted, so it was restarted"));
        }
        let (state, reason) = match local.vm.power()? {
            Power::On => (InstanceState::Running, None),
            Power::GoingOff => (InstanceState::Stopping, None),
            Power::Off(reason) => (InstanceState::Stopped, reason),
        };
        Ok(Some(Instance { state, reason, address: Some(local.vm.ssh()) }))
    }

    async fn instances_of(&self, _region: &Region, build: &str) -> Result<Vec<InstanceId>> {
        // Whoever goes on with a build asks this first, and those of the process before are gone, but for their files.
        self.sweep();
        let instances: Vec<_> =
            self.instances.borrow().iter().map(|(id, local)| (id.clone(), Rc::clone(local))).collect();
        let mut found = Vec::new();
        for (id, local) in instances {
            if local.lock().await.build == build {
                found.push(id);
            }
        }
        Ok(found)
    }

    async fn console(&self, _region: &Region, id: &InstanceId) -> Result<String> {
        let path = self.instance_folder(id).join(vm::CONSOLE);
        match std::fs::read(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(String::new()),
            Err(error) => Err(error).with_context(|| format!("failed to read {path}")),
            Ok(bytes) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
        }
    }

    async fn connect(&self, address: SocketAddr, login: &Login, log: &Utf8Path) -> Result<Ssh> {
        let machine = Ssh::connect(address, login, log, &self.status).await?;
        let instances: Vec<_> = self.instances.borrow().values().cloned().collect();
        for local in instances {
            let mut local = local.lock().await;
            if local.vm.ssh() == address {
                local.vm.let_be();
            }
        }
        Ok(machine)
    }

    async fn stop(&self, _region: &Region, id: &InstanceId) -> Result<()> {
        let local = self.found(id).with_context(|| format!("there is no instance {id}"))?;
        local.lock().await.vm.press_power_button().await.with_context(|| format!("failed to stop {id}"))
    }

    async fn terminate(&self, _region: &Region, id: &InstanceId) -> Result<()> {
        let Some(local) = self.instances.borrow_mut().remove(id) else { return Ok(()) };
        let mut local = local.lock().await;
        local.vm.kill().await.with_context(|| format!("failed to end {id}"))?;
        // What is being made of its disk will never be an image; dropped, qemu-img ends.
        self.conversions.borrow_mut().retain(|_, conversion| !conversion.partial.starts_with(local.folder.path()));
        let folder = local.folder.path();
        std::fs::remove_dir_all(folder).with_context(|| format!("failed to remove {folder}"))
    }

    async fn create_image(&self, region: &Region, instance: &InstanceId, image: &NewImage) -> Result<ImageId> {
        let id = ImageId(format!("ami-{}", digits_of(&image.token)));
        if self.conversions.borrow().contains_key(&id) || store::read(&self.home, region, &id)?.is_some() {
            return Ok(id);
        }
        self.refuse_taken(region, &image.name)?;
        let conversion = Conversion::start(&self.instance_folder(instance), Attributes::of(image))?;
        self.conversions.borrow_mut().insert(id.clone(), conversion);
        Ok(id)
    }

    async fn copy_image(&self, from: &Region, id: &ImageId, to: &Region, image: &NewImage) -> Result<ImageId> {
        let copy = ImageId(format!("ami-{}", digits_of(&image.token)));
        if store::read(&self.home, to, &copy)?.is_none() {
            self.refuse_taken(to, &image.name)?;
            let _writing = store::writing(&self.home, &self.status).await?;
            store::place_copy(&self.home, to, &copy, store::disk(&self.home, from, id)).await?;
            store::write(&self.home, to, &copy, &Attributes::of(image), &self.status).await?;
        }
        Ok(copy)
    }

    async fn image(&self, region: &Region, id: &ImageId) -> Result<Option<Image>> {
        if let Some(attributes) = store::read(&self.home, region, id)? {
            return Ok(Some(attributes.image(id, ImageState::Available)));
        }
        let (partial, attributes) = {
            let mut conversions = self.conversions.borrow_mut();
            let Some(conversion) = conversions.get_mut(id) else { return Ok(None) };
            match conversion.progress()? {
                ImageState::Available => (conversion.partial.clone(), conversion.attributes.clone()),
                state => return Ok(Some(conversion.attributes.image(id, state))),
            }
        };
        let _writing = store::writing(&self.home, &self.status).await?;
        // Whoever looks at the same time may have waited for the same lock.
        if store::read(&self.home, region, id)?.is_none() {
            store::place(&self.home, region, id, &partial)?;
            store::write(&self.home, region, id, &attributes, &self.status).await?;
        }
        Ok(Some(attributes.image(id, ImageState::Available)))
    }

    async fn images(&self, region: &Region) -> Result<Vec<Image>> {
        store::list(&self.home, region)
    }

    async fn complete_image(&self, _region: &Region, _id: &ImageId, _image: &NewImage) -> Result<()> {
        Ok(())
    }

    async fn snapshots_are_public(&self, region: &Region, id: &ImageId) -> Result<bool> {
        Ok(store::read(&self.home, region, id)?.is_some_and(|attributes| attributes.snapshots_public))
    }

    async fn permit_copying(&self, region: &Region, id: &ImageId, audience: &Audience, permit: bool) -> Result<()> {
        ensure!(*audience == Audience::Everybody, "images on this computer are not shared with accounts");
        self.change(region, id, |attributes| attributes.snapshots_public = permit).await
    }

    async fn permit_launching(&self, region: &Region, id: &ImageId, audience: &Audience, permit: bool) -> Result<()> {
        ensure!(*audience == Audience::Everybody, "images on this computer are not shared with accounts");
        self.change(region, id, |attributes| attributes.public = permit).await
    }

    async fn public_images_blocked(&self, _region: &Region) -> Result<bool> {
        Ok(false)
    }

    async fn block_public_images(&self, _region: &Region, _block: bool) -> Result<()> {
        bail!("nothing blocks public images on this computer")
    }

    async fn deregister(&self, region: &Region, id: &ImageId) -> Result<()> {
        store::remove(&self.home, region, id)
    }

    async fn leftovers(&self, region: &Region) -> Result<Vec<Leftover>> {
        // Machines are gone with the process that made them.
        self.sweep();
        Ok(store::list(&self.home, region)?.iter().filter_map(Leftover::image).collect())
    }

    async fn remove(&self, region: &Region, leftover: &Leftover) -> Result<()> {
        store::remove(&self.home, region, &ImageId(leftover.id.clone()))
    }

    async fn disk(&self, region: &Region, id: &ImageId, scratch: &Utf8Path) -> Result<Option<Box<dyn DiskFiles>>> {
        let disk = Disk::open(&store::disk(&self.home, region, id), scratch).await?;
        Ok(Some(Box::new(disk)))
    }
}

impl Qemu {
    /// Removes the files that killed processes left: of machines, images and bases that never will be any.
    fn sweep(&self) {
        let folders = folder::sweep(&self.home.instances(), "");
        for path in folders.into_iter().chain(store::sweep(&self.home)).chain(base::sweep(&self.home)) {
            self.status.step("Removed", format_args!("{path}, which a killed process left"));
        }
    }

    async fn change(&self, region: &Region, id: &ImageId, change: impl FnOnce(&mut Attributes)) -> Result<()> {
        let attributes = store::read(&self.home, region, id)?;
        let mut attributes = attributes.with_context(|| format!("there is no image {id} in {region}"))?;
        change(&mut attributes);
        store::write(&self.home, region, id, &attributes, &self.status).await
    }
}

/// The digits of an id, made of the token so that the same request has the same result.
fn digits_of(token: &str) -> String {
    let digest = Sha256::digest(token.as_bytes());
    let digits: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    digits[..17].to_owned()
}
