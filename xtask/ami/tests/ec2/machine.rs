//! EC2 with machines that answer: the code under test, but for the logins, which lead into memory.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
    time::{Duration, SystemTime},
};

use anyhow::{Context as _, Result, anyhow, ensure};
use camino::Utf8Path;
use tokio::time::{Instant, sleep, sleep_until};
use xtask::region::Region;
use xtask_ami::{
    cloud::{
        Account, Audience, ClosedDisk, Compute, HowTo, Image, Imaging, Instance, Launch, Leftover, NewImage, Opening,
        Paced, Parameters, Permission, Phase, Recycled, Retiring, Shutdown, SshAccess, Termination,
        ec2::Ec2,
        preflight::{Preflight, Request},
        tags::Tags,
    },
    event::{
        about::Identity,
        facts::Base,
        ids::{ImageId, InstanceId},
    },
    ground::wait::Pace,
    machine::{Destination, Input, Job, Lost, Machine, keys::Login, ssh::LoginRefused},
};

use crate::{
    endpoint::Endpoint,
    kit::{Disk, Scripts, word},
    rig::HOME,
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
    /// The parts of the work in which the connection is lost, once each.
    pub loses: Loses,
    pub jobs: Jobs,
    disks: Disks,
}

/// The scripts that were begun on machines, by what they do and the machine: when each ends, and what it prints. They go on
/// whatever becomes of the process that began them.
pub type Jobs = Rc<RefCell<BTreeMap<String, (Instant, String)>>>;

/// Words of commands, as [`word`] has them.
pub type Loses = Rc<RefCell<Vec<&'static str>>>;

/// What is on the disks of instances, and in images, by id. They outlive the process that made them.
pub type Disks = Rc<RefCell<BTreeMap<String, Disk>>>;

/// A login on an instance.
pub struct SimulatedMachine {
    endpoint: Endpoint,
    compiled: Instant,
    loses: Loses,
    jobs: Jobs,
    disks: Disks,
    instance: String,
}

impl Simulated {
    pub fn new(ec2: Ec2, endpoint: Endpoint, disks: &Disks) -> Simulated {
        let (loses, jobs) = (Loses::default(), Rc::default());
        Simulated { ec2, endpoint, compiled: Instant::now(), loses, jobs, disks: Rc::clone(disks) }
    }
}

impl Machine for SimulatedMachine {
    async fn run(&self, what: &str, command: &str, input: Input<'_>, _: Duration) -> Result<String> {
        match word(command) {
            "early" | "upload" => sleep_until(self.compiled).await,
            _ => sleep(COMMAND).await,
        }
        let printed = self.answer(what, command, input)?;
        self.lose(what, command)?;
        Ok(printed)
    }

    /// A job is done once, whatever becomes of the connection.
    async fn script(&self, job: &mut Job) -> Result<String> {
        let (name, command) = (format!("{} on {}", job.what, self.instance), job.command()?);
        let begun = self.jobs.borrow().get(&name).cloned();
        let (ends, printed) = match begun {
            Some(begun) => begun,
            None => {
                let takes = if word(&command) == "prepare" { PREPARING } else { COMMAND };
                let begun = (Instant::now() + takes, self.answer(&job.what, &command, Input::Text(&job.text))?);
                self.jobs.borrow_mut().insert(name, begun.clone());
                begun
            }
        };
        if let Err(lost) = self.lose(&job.what, &command) {
            if let Some(words) = job.announcement() {
                let console = format!("[  12.3] {words}: exit status 0\n");
                self.endpoint.region(HOME, |region| {
                    region.instances.get_mut(&self.instance).expect("it").console.push_str(&console);
                });
            }
            return Err(lost);
        }
        sleep_until(ends).await;
        self.expect_up(&job.what)?;
        Ok(printed)
    }
}

impl SimulatedMachine {
    fn expect_up(&self, what: &str) -> Result<()> {
        let runs = self.endpoint.live_instances().iter().any(|(_, instance)| instance.id == self.instance);
        ensure!(runs, "{what}: the connection to the machine was lost");
        Ok(())
    }

    fn answer(&self, what: &str, command: &str, input: Input<'_>) -> Result<String> {
        self.expect_up(what)?;
        let mut disks = self.disks.borrow_mut();
        disks.get_mut(&self.instance).context("a disk")?.answer(&Scripts::default(), command, input)
    }

    /// Loses the connection, where the test says so.
    fn lose(&self, what: &str, command: &str) -> Result<()> {
        let at = self.loses.borrow().iter().position(|lost| *lost == word(command));
        let Some(at) = at else { return Ok(()) };
        self.loses.borrow_mut().remove(at);
        Err(Lost::new(what, "bake.log".into()).into())
    }
}

impl Paced for Simulated {
    fn pace(&self, phase: Phase) -> Pace {
        self.ec2.pace(phase)
    }
}

/// Methods that EC2 itself carries out.
macro_rules! of_ec2 {
    ($($method:ident($($name:ident: $type:ty),*) -> $answer:ty;)*) => {
        $(async fn $method(&self, $($name: $type),*) -> Result<$answer> {
            self.ec2.$method($($name),*).await
        })*
    };
}

impl Compute for Simulated {
    type Machine = SimulatedMachine;

    async fn connect(&self, to: &Destination<'_>, tried: &Login, _: &Utf8Path) -> Result<SimulatedMachine> {
        let address = to.address;
        let unreachable = || anyhow!("no answer from {address}");
        let (_, instance) = self.endpoint.instance_at(address.ip()).ok_or_else(unreachable)?;
        // A service of EC2's own needs no open port; what dials the address does.
        let is_tunnel = self.ec2.through(to).is_some_and(|through| !through.line().contains(&address.ip().to_string()));
        let is_let_in = is_tunnel || self.endpoint.lets_in(&instance, address.ip());
        ensure!(is_let_in, "no answer from {address}");
        ensure!(Instant::now() >= self.endpoint.ssh_answers_at(&instance), "no answer from {address}");
        let imported = self.endpoint.key_pairs().into_iter().map(|(_, pair)| pair);
        let granted = imported.filter(|pair| Some(&pair.name) == instance.key_name.as_ref());
        let granted = granted.map(|pair| pair.public_key).chain(keys_in(&instance.user_data));
        // An image has what its instance's disk had; nothing is written there after.
        let source = self.endpoint.instance_of_image(&instance.image);
        let source = source.and_then(|id| self.disks.borrow().get(&id).cloned());
        let mut disks = self.disks.borrow_mut();
        let boots = || Disk::of_machine(&instance.id, source.as_ref(), granted);
        let disk = disks.entry(instance.id.clone()).or_insert_with(boots);
        let login = disk.log_in(address, &instance.user_data, tried);
        if login.as_ref().is_err_and(|error| error.is::<LoginRefused>()) && !disk.ever_let_in(tried)? {
            let what = format!("{} was never logged in to with the key that is tried on it", instance.id);
            self.endpoint.world(|world| world.violations.push(what));
        }
        login?;
        let (endpoint, disks) = (self.endpoint.clone(), Rc::clone(&self.disks));
        let (loses, jobs) = (Rc::clone(&self.loses), Rc::clone(&self.jobs));
        Ok(SimulatedMachine { endpoint, compiled: self.compiled, loses, jobs, disks, instance: instance.id })
    }

    fn machines_outlive_process(&self) -> bool {
        self.ec2.machines_outlive_process()
    }

    fn way_in(&self) -> String {
        self.ec2.way_in()
    }

    of_ec2! {
        base(log: &Utf8Path) -> Base;
        grant_access(region: &Region, access: &SshAccess) -> ();
        revoke_access(region: &Region, name: &str) -> ();
        detach_access(region: &Region, id: &InstanceId) -> ();
        renew_access(region: &Region, name: &str, tags: &Tags) -> ();
        launch(region: &Region, launch: &Launch) -> InstanceId;
        instance(region: &Region, id: &InstanceId) -> Option<Instance>;
        instances_of(region: &Region, build: &str) -> Vec<InstanceId>;
        console(region: &Region, id: &InstanceId) -> String;
        stop(region: &Region, id: &InstanceId, how: Shutdown) -> ();
        terminate(region: &Region, id: &InstanceId) -> Termination;
    }
}

impl Imaging for Simulated {
    of_ec2! {
        create_image(region: &Region, instance: &InstanceId, image: &NewImage) -> ImageId;
        copy_image(from: &Region, id: &ImageId, to: &Region, image: &NewImage) -> ImageId;
        image(region: &Region, id: &ImageId) -> Option<Image>;
        images(region: &Region) -> Vec<Image>;
        complete_image(region: &Region, id: &ImageId, image: &NewImage) -> ();
        tag_image(region: &Region, id: &ImageId, tags: &Tags) -> ();
        deregister(region: &Region, id: &ImageId) -> ();
        disk(region: &Region, id: &ImageId, scratch: &Utf8Path) -> Option<Box<dyn ClosedDisk>>;
    }
}

impl Opening for Simulated {
    of_ec2! {
        snapshots_are_public(region: &Region, id: &ImageId) -> bool;
        set_volume_permission(region: &Region, id: &ImageId, audience: &Audience, permission: Permission) -> ();
        set_launch_permission(region: &Region, id: &ImageId, audience: &Audience, permission: Permission) -> ();
        public_images_blocked(region: &Region) -> bool;
        block_public_images(region: &Region) -> ();
        unblock_public_images(region: &Region) -> ();
    }
}

impl Parameters for Simulated {
    of_ec2! {
        parameters(region: &Region, names: &[String]) -> BTreeMap<String, String>;
        put_parameter(region: &Region, name: &str, id: &ImageId, tags: &Tags) -> ();
        delete_parameter(region: &Region, name: &str) -> ();
    }
}

impl Retiring for Simulated {
    of_ec2! {
        deprecate(region: &Region, id: &ImageId, at: SystemTime) -> ();
        disable(region: &Region, id: &ImageId) -> ();
        enable(region: &Region, id: &ImageId) -> ();
        delete_snapshot(region: &Region, id: &str) -> ();
        recycled(region: &Region, ids: &[String]) -> Vec<Recycled>;
    }
}

impl Account for Simulated {
    of_ec2! {
        identity() -> Identity;
        regions(others: &BTreeSet<Region>) -> Vec<Region>;
        preflight(request: &Request) -> Preflight;
        leftovers(region: &Region) -> Vec<Leftover>;
        remove(region: &Region, leftover: &Leftover) -> ();
    }

    fn flags(&self) -> String {
        self.ec2.flags()
    }

    fn how_to(&self, what: HowTo<'_>) -> String {
        self.ec2.how_to(what)
    }
}

/// The login keys that cloud-init finds in user data.
fn keys_in(user_data: &str) -> Vec<String> {
    let config = user_data.lines().nth(1).unwrap_or_default();
    let config: serde_json::Value = serde_json::from_str(config).expect("JSON");
    let keys = config["ssh_authorized_keys"].as_array().cloned().unwrap_or_default();
    keys.iter().filter_map(|key| key.as_str().map(str::to_owned)).collect()
}
