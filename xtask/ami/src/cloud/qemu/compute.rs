//! [`Compute`] on the local cloud.

use std::rc::Rc;

use anyhow::{Context as _, Result};
use camino::Utf8Path;
use tokio::sync::Mutex;
use xtask::region::Region;

use super::{
    FileCopy, LocalInstance, OfFile, Qemu, base, content, facts,
    folder::Folder,
    id_digits, sums,
    vm::{self, Power},
};
use crate::{
    cloud::{Compute, Instance, InstanceState, Launch, Shutdown, SshAccess, Termination, tags::TAG_BUILD},
    elf::facts::Facts,
    event::{facts::Base, ids::InstanceId},
    machine::{
        Destination,
        keys::Login,
        ssh::{Cipher, Ssh, Way},
    },
};

impl Qemu {
    /// The base that is made of packages. Only the first call makes it; others wait for that.
    async fn made_base(&self, log: &Utf8Path) -> Result<base::Base> {
        let make = async {
            let (local, system) = (&self.recipe.local_base, self.local_system()?);
            base::ensure(&self.state_dir, local, system, log, &self.events).await
        };
        self.made_base.get_or_try_init(|| make).await.cloned()
    }

    /// The SHA-256 of the disk of the file given with `--base-image`, which the next build knows.
    async fn sum_of_base_file(&self, file: &Utf8Path) -> Result<String> {
        let copy = self.base_file_copy.take();
        let FileCopy { disk, stamp, read } = copy.with_context(|| format!("there is no copy of {file} to hash"))?;
        let sha256 = content::sha256(disk).await?;
        if let Err(error) = sums::keep(&self.state_dir, &stamp, read, &sha256) {
            self.events.warn(format_args!("the next build reads {file} as a whole again: {error}"));
        }
        Ok(sha256)
    }

    /// Replaces a machine that fails to boot, at most once. Its disk is replaced, too: programs may have written to
    /// it, and what is checked is the first boot.
    async fn launch_again(&self, id: &InstanceId, region: &Region, local: &mut LocalInstance) -> Result<()> {
        local.vm.kill().await?;
        local.vm = self.start(id, local.folder.path(), region, &local.launch, &local.key).await?;
        local.vm.has_booted();
        Ok(())
    }
}

impl Compute for Qemu {
    type Machine = Ssh;

    fn machines_outlive_process(&self) -> bool {
        false
    }

    async fn base(&self, log: &Utf8Path) -> Result<Base> {
        self.sweep();
        let Some(file) = &self.base_file else {
            let base = self.made_base(log).await?;
            let sha256 = Some(base.sha256);
            let made = humantime::format_rfc3339_seconds(base.made).to_string();
            return Ok(Base {
                id: base.path.to_string(),
                name: base.name,
                system: base.system,
                sha256,
                owner: None,
                packages_as_of: Some(made),
                hardware: None,
            });
        };
        let OfFile { system, sha256, .. } = self.of_base_file(file).await?;
        let name = file.file_name().unwrap_or(file.as_str()).to_owned();
        let sum = async { if let Some(known) = sha256 { Ok(known) } else { self.sum_of_base_file(file).await } };
        let sha256 = self.base_file_sum.get_or_try_init(|| sum).await?.clone();
        Ok(Base {
            id: file.to_string(),
            name,
            system,
            sha256: Some(sha256),
            owner: None,
            hardware: None,
            packages_as_of: None,
        })
    }

    async fn base_facts(&self, log: &Utf8Path) -> Result<Option<Facts>> {
        match &self.base_file {
            Some(file) => Ok(self.of_base_file(file).await?.facts),
            None => {
                let packages = &self.local_system()?.packages;
                facts::of_base(&self.made_base(log).await?, packages, &self.events).await
            }
        }
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
        let id = InstanceId(format!("i-{}", id_digits(&launch.token)));
        if self.local_instance(&id).is_some() {
            return Ok(id);
        }
        let key = self.keys.borrow().get(&launch.access).cloned();
        let key = key.with_context(|| format!("there is no SSH access `{}`", launch.access))?;
        let folder = Folder::make(self.instance_folder(&id), &self.events).await?;
        let vm = self.start(&id, folder.path(), region, launch, &key);
        let vm = vm.await.with_context(|| format!("failed to launch {id}"))?;
        let build = launch.tags.iter().find(|(tag, _)| tag == TAG_BUILD).map(|(_, build)| build.clone());
        let local = LocalInstance { build: build.unwrap_or_default(), vm, folder, launch: launch.clone(), key };
        self.instances.borrow_mut().insert(id.clone(), Rc::new(Mutex::new(local)));
        Ok(id)
    }

    async fn instance(&self, region: &Region, id: &InstanceId) -> Result<Option<Instance>> {
        let Some(local) = self.local_instance(id) else { return Ok(None) };
        let mut local = local.lock().await;
        if let Some(failure) = local.vm.failed_boot() {
            self.launch_again(id, region, &mut local).await.with_context(|| format!("failed to launch {id} again"))?;
            self.events
                .warn(format_args!("{id} failed to boot, so it was launched again with a fresh disk: {failure}"));
        }
        let (state, reason) = match local.vm.power()? {
            Power::On => (InstanceState::Running, None),
            Power::GoingOff => (InstanceState::Stopping, None),
            Power::Off(reason) => (InstanceState::Stopped, reason),
        };
        Ok(Some(Instance { state, reason, address: Some(local.vm.ssh()) }))
    }

    async fn instances_of(&self, _region: &Region, build: &str) -> Result<Vec<InstanceId>> {
        // A resumed build calls this first. The instances of the earlier process are gone, only their files remain.
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

    async fn connect(&self, to: &Destination<'_>, login: &Login, log: &Utf8Path) -> Result<Ssh> {
        let cipher = if self.accelerator().await.is_emulation() { Cipher::ChaCha20 } else { Cipher::Aes };
        let machine = Ssh::connect(to, login, Way { through: None, cipher }, log, &self.events).await?;
        let instances: Vec<_> = self.instances.borrow().values().cloned().collect();
        for local in instances {
            let mut local = local.lock().await;
            if local.vm.ssh() == to.address {
                local.vm.has_booted();
            }
        }
        Ok(machine)
    }

    async fn stop(&self, _region: &Region, id: &InstanceId, how: Shutdown) -> Result<()> {
        let local = self.local_instance(id).with_context(|| format!("there is no instance {id}"))?;
        let mut local = local.lock().await;
        let stopped = match how {
            Shutdown::Ordered | Shutdown::Repeated => local.vm.press_power_button().await,
            Shutdown::Forced => local.vm.cut_power().await,
        };
        stopped.with_context(|| format!("failed to stop {id}"))
    }

    async fn terminate(&self, _region: &Region, id: &InstanceId) -> Result<Termination> {
        let Some(local) = self.instances.borrow_mut().remove(id) else { return Ok(Termination::Unknown) };
        let mut local = local.lock().await;
        local.vm.kill().await.with_context(|| format!("failed to terminate {id}"))?;
        // An image still being made from its disk can't be completed. Dropping it kills qemu-img.
        self.conversions.borrow_mut().retain(|_, conversion| !conversion.partial.starts_with(local.folder.path()));
        let folder = local.folder.path();
        // On another thread: to free the blocks of a disk takes a while.
        tokio::fs::remove_dir_all(folder).await.with_context(|| format!("failed to remove {folder}"))?;
        Ok(Termination::Certain)
    }
}
