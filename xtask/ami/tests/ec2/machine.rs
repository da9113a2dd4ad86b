//! EC2 with machines that answer: the code under test, but for the logins, which lead into memory.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    rc::Rc,
    time::Duration,
};

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use camino::Utf8Path;
use tokio::time::{Instant, sleep, sleep_until};
use xtask::region::Region;
use xtask_ami::{
    cloud::{
        Audience, Cloud, Deed, DiskFiles, Image, Instance, Launch, Leftover, NewImage, Phase, SshAccess,
        ec2::Ec2,
        preflight::{Preflight, Request},
    },
    event::{
        facts::Base,
        ids::{ImageId, InstanceId},
    },
    ground::wait::Pace,
    machine::{Input, Machine, keys::Login, ssh::LoginRefused},
};

use crate::{
    common::{sums_of_tar, word},
    endpoint::Endpoint,
};

/// How long cloud-init takes from the first login on, and then the three calls of apt-get, as in the benchmark.
const PREPARING: Duration = Duration::from_secs(2 + 3 * 3);

/// How long any other command takes.
const COMMAND: Duration = Duration::from_millis(50);

/// EC2, and what its machines have on their disks.
pub struct Simulated {
    pub ec2: Ec2,
    pub endpoint: Endpoint,
    /// When the binaries are compiled, and so can be uploaded.
    pub compiled: Instant,
    disks: Disks,
}

/// What is on the disks of instances, and in images, by id. They outlive whoever made them.
pub type Disks = Rc<RefCell<BTreeMap<String, Disk>>>;

/// What is on the disk of an instance, or in an image.
#[derive(Clone, Default)]
pub struct Disk {
    packages: Vec<String>,
    staged: BTreeMap<String, String>,
    files: BTreeMap<String, String>,
    machine_id: String,
    keys: BTreeSet<String>,
    /// The keys that ever logged in.
    former_keys: BTreeSet<String>,
}

/// A login on an instance.
pub struct SimulatedMachine {
    endpoint: Endpoint,
    compiled: Instant,
    disks: Disks,
    instance: String,
}

impl Simulated {
    pub fn new(ec2: Ec2, endpoint: Endpoint, disks: &Disks) -> Simulated {
        Simulated { ec2, endpoint, compiled: Instant::now(), disks: Rc::clone(disks) }
    }
}

impl Machine for SimulatedMachine {
    async fn run(&self, what: &str, command: &str, input: Input<'_>, _: Duration) -> Result<String> {
        match word(command) {
            "prepare" => sleep(PREPARING).await,
            "upload" => sleep_until(self.compiled).await,
            _ => sleep(COMMAND).await,
        }
        let runs = self.endpoint.live_instances().iter().any(|(_, instance)| instance.id == self.instance);
        ensure!(runs, "{what}: the connection to the machine was lost");
        let mut disks = self.disks.borrow_mut();
        disks.entry(self.instance.clone()).or_default().answer(command, input)
    }
}

impl Disk {
    fn answer(&mut self, command: &str, input: Input<'_>) -> Result<String> {
        let words = shlex::split(command).context("words")?;
        match word(command) {
            "prepare" => self.packages = words.into_iter().skip_while(|word| word != "prepare").skip(1).collect(),
            "packages" => return Ok(self.packages.iter().map(|name| format!("{name} 1.0-1\n")).collect()),
            "upload" => {
                let Input::File(path) = input else { bail!("there is nothing to unpack") };
                self.staged = sums_of_tar(path)?;
            }
            "install" => self.files = std::mem::take(&mut self.staged),
            "machine-id" => return Ok(format!("{}\n", self.machine_id)),
            "seal" => {
                self.machine_id.clear();
                self.keys.clear();
            }
            "check" => return Ok("ok system is up\nok machida help\nchecked 2\n".to_owned()),
            "sums" => {
                let known = words.iter().filter_map(|path| self.files.get(path).map(|sum| format!("{sum}  {path}\n")));
                return Ok(known.collect());
            }
            other => bail!("nothing is known of {other}"),
        }
        Ok(String::new())
    }
}

impl Cloud for Simulated {
    type Machine = SimulatedMachine;

    async fn connect(&self, address: SocketAddr, login: &Login, _: &Utf8Path) -> Result<SimulatedMachine> {
        let nobody = || anyhow!("nobody answers at {address}");
        let (_, instance) = self.endpoint.instance_at(address.ip()).ok_or_else(nobody)?;
        ensure!(Instant::now() >= self.endpoint.ssh_answers_at(&instance), "nobody answers at {address}");
        ensure!(instance.user_data.contains(&login.host_key.public()?), "{address} has another host key");
        let key = login.key.public()?;
        let imported = self.endpoint.key_pairs().into_iter().map(|(_, pair)| pair);
        let granted = imported.filter(|pair| Some(&pair.name) == instance.key_name.as_ref());
        let granted: Vec<String> = granted.map(|pair| pair.public_key).collect();
        // An image has what its instance's disk had; nothing is written there after.
        let source = self.endpoint.instance_of_image(&instance.image);
        let source = source.and_then(|id| self.disks.borrow().get(&id).cloned()).unwrap_or_default();
        let mut disks = self.disks.borrow_mut();
        let disk = disks.entry(instance.id.clone()).or_insert_with(|| Disk {
            machine_id: format!("machine-id-of-{}", instance.id),
            keys: source.keys.iter().cloned().chain(granted.iter().cloned()).collect(),
            former_keys: source.former_keys.iter().cloned().chain(granted).collect(),
            ..source
        });
        if !disk.keys.iter().any(|known| known.trim() == key.trim()) {
            if !disk.former_keys.iter().any(|known| known.trim() == key.trim()) {
                let what = format!("{} was never logged in to with the key that is tried on it", instance.id);
                self.endpoint.world(|world| world.violations.push(what));
            }
            return Err(anyhow!(LoginRefused::new(address, &login.user)));
        }
        let (endpoint, disks) = (self.endpoint.clone(), Rc::clone(&self.disks));
        Ok(SimulatedMachine { endpoint, compiled: self.compiled, disks, instance: instance.id })
    }

    async fn create_image(&self, region: &Region, instance: &InstanceId, image: &NewImage) -> Result<ImageId> {
        self.ec2.create_image(region, instance, image).await
    }

    fn flags(&self) -> String {
        self.ec2.flags()
    }

    fn how_to(&self, deed: Deed, region: &Region, id: &ImageId) -> Option<String> {
        self.ec2.how_to(deed, region, id)
    }

    fn machines_outlive_us(&self) -> bool {
        self.ec2.machines_outlive_us()
    }

    fn pace(&self, phase: Phase) -> Pace {
        self.ec2.pace(phase)
    }

    async fn regions(&self) -> Result<Vec<Region>> {
        self.ec2.regions().await
    }

    async fn preflight(&self, request: &Request) -> Result<Preflight> {
        self.ec2.preflight(request).await
    }

    async fn base(&self, log: &Utf8Path) -> Result<Base> {
        self.ec2.base(log).await
    }

    async fn grant_access(&self, region: &Region, access: &SshAccess) -> Result<()> {
        self.ec2.grant_access(region, access).await
    }

    async fn revoke_access(&self, region: &Region, name: &str) -> Result<()> {
        self.ec2.revoke_access(region, name).await
    }

    async fn detach_access(&self, region: &Region, id: &InstanceId) -> Result<()> {
        self.ec2.detach_access(region, id).await
    }

    async fn launch(&self, region: &Region, launch: &Launch) -> Result<InstanceId> {
        self.ec2.launch(region, launch).await
    }

    async fn instance(&self, region: &Region, id: &InstanceId) -> Result<Option<Instance>> {
        self.ec2.instance(region, id).await
    }

    async fn instances_of(&self, region: &Region, build: &str) -> Result<Vec<InstanceId>> {
        self.ec2.instances_of(region, build).await
    }

    async fn console(&self, region: &Region, id: &InstanceId) -> Result<String> {
        self.ec2.console(region, id).await
    }

    async fn stop(&self, region: &Region, id: &InstanceId) -> Result<()> {
        self.ec2.stop(region, id).await
    }

    async fn terminate(&self, region: &Region, id: &InstanceId) -> Result<()> {
        self.ec2.terminate(region, id).await
    }

    async fn copy_image(&self, from: &Region, id: &ImageId, to: &Region, image: &NewImage) -> Result<ImageId> {
        self.ec2.copy_image(from, id, to, image).await
    }

    async fn image(&self, region: &Region, id: &ImageId) -> Result<Option<Image>> {
        self.ec2.image(region, id).await
    }

    async fn images(&self, region: &Region) -> Result<Vec<Image>> {
        self.ec2.images(region).await
    }

    async fn complete_image(&self, region: &Region, id: &ImageId, image: &NewImage) -> Result<()> {
        self.ec2.complete_image(region, id, image).await
    }

    async fn snapshots_are_public(&self, region: &Region, id: &ImageId) -> Result<bool> {
        self.ec2.snapshots_are_public(region, id).await
    }

    async fn permit_copying(&self, region: &Region, id: &ImageId, audience: &Audience, permit: bool) -> Result<()> {
        self.ec2.permit_copying(region, id, audience, permit).await
    }

    async fn permit_launching(&self, region: &Region, id: &ImageId, audience: &Audience, permit: bool) -> Result<()> {
        self.ec2.permit_launching(region, id, audience, permit).await
    }

    async fn public_images_blocked(&self, region: &Region) -> Result<bool> {
        self.ec2.public_images_blocked(region).await
    }

    async fn block_public_images(&self, region: &Region, block: bool) -> Result<()> {
        self.ec2.block_public_images(region, block).await
    }

    async fn deregister(&self, region: &Region, id: &ImageId) -> Result<()> {
        self.ec2.deregister(region, id).await
    }

    async fn leftovers(&self, region: &Region) -> Result<Vec<Leftover>> {
        self.ec2.leftovers(region).await
    }

    async fn remove(&self, region: &Region, leftover: &Leftover) -> Result<()> {
        self.ec2.remove(region, leftover).await
    }

    async fn disk(&self, region: &Region, id: &ImageId, scratch: &Utf8Path) -> Result<Option<Box<dyn DiskFiles>>> {
        self.ec2.disk(region, id, scratch).await
    }
}
