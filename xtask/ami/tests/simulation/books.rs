//! What the cloud keeps books of, and what it does with it. What must never happen is written down when it happens.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    time::Duration,
};

use anyhow::{Context as _, Result, bail, ensure};
use tokio::time::Instant;
use xtask::region::Region;
use xtask_ami::{
    ask::spec::{ReleaseSpec, Visibility},
    cloud::{Image, ImageState, Instance, InstanceState, Launch, LaunchSource, NewImage, SshAccess, tags::Tags},
    event::ids::{ImageId, InstanceId},
    ground::api_error::ApiError,
    recipe::Binary,
    ship::sha256::sha256,
};

use crate::{
    fate::Fate,
    kit::{Disk, Scripts},
    laws::ordinal,
};

/// The longest that what was created is unknown, and then missing from lists.
pub const LAG: Duration = Duration::from_secs(10);
/// From the launch to sshd listening.
const BOOT: Duration = Duration::from_secs(20);
/// From the order to shut down to the disk at rest, and from the order to end a machine to it being gone.
const SHUTDOWN: Duration = Duration::from_secs(15);

#[derive(Default)]
pub struct Books {
    pub home: String,
    pub regions: Vec<Region>,
    /// Whether the image may become public.
    pub public: bool,
    /// The SHA-256 of the binaries, by their place on the image.
    pub built: BTreeMap<String, String>,
    /// What the scripts do on machines.
    pub scripts: Scripts,
    /// Somebody cleans up, so what is good may go.
    pub cleaning: bool,
    pub instances: BTreeMap<InstanceId, SimInstance>,
    pub images: BTreeMap<(Region, ImageId), SimImage>,
    /// Snapshots that belong to no image.
    pub snapshots: BTreeMap<(Region, String), Tags>,
    pub accesses: BTreeMap<String, SimAccess>,
    /// The home images that were looked at, and were good.
    pub verified: BTreeSet<ImageId>,
    /// Where public images are blocked, and from when on that will be, or will no longer be.
    pub blocks: BTreeMap<Region, (bool, Instant)>,
    pub violations: Vec<String>,
    pub counter: u32,
}

pub struct SimAccess {
    pub public_key: String,
    pub tags: Tags,
    pub listed: Instant,
    /// Whether the process that there is knows of it without having to look.
    known: bool,
}

pub struct SimInstance {
    pub token: String,
    pub access: String,
    pub tags: Tags,
    pub user_data: String,
    pub address: SocketAddr,
    launched: Instant,
    visible: Instant,
    pub listed: Instant,
    stopping: Option<Instant>,
    ending: Option<Instant>,
    /// Whether it ends without being told to.
    dies: bool,
    /// The image that it booted from; none when it was the base.
    pub image: Option<ImageId>,
    pub disk: Disk,
}

#[derive(Clone)]
pub struct SimImage {
    pub new: NewImage,
    /// The home image that it is, or a copy of.
    pub origin: ImageId,
    pub ready: Instant,
    pub fails: bool,
    pub visible: Instant,
    pub listed: Instant,
    pub gone: bool,
    pub completed: bool,
    pub public: bool,
    pub snapshots_public: bool,
    /// Who may do what, beside the owner.
    pub shared_with: BTreeSet<String>,
    pub disk: Disk,
}

/// The SHA-256 of the binaries that an order ships, by their place on the image.
pub fn built(order: &ReleaseSpec) -> BTreeMap<String, String> {
    let sum = |binary: &Binary| {
        let bytes = std::fs::read(order.source.root.join(&binary.result)).expect("a binary");
        (format!("/usr/bin/{}", binary.name), sha256(&bytes))
    };
    order.recipe.binaries.iter().map(sum).collect()
}

pub fn refused(action: &str, code: &str, transient: bool) -> anyhow::Error {
    let (action, code) = (action.to_owned(), Some(code.to_owned()));
    ApiError { action, region: "somewhere".to_owned(), code, message: "no".to_owned(), transient }.into()
}

impl SimInstance {
    pub fn state(&self) -> InstanceState {
        let over = |at: Instant| Instant::now() >= at + SHUTDOWN;
        match (self.ending, self.stopping) {
            (Some(at), _) if over(at) => InstanceState::Terminated,
            (Some(at), _) if Instant::now() >= at => InstanceState::Stopping,
            (_, Some(at)) if over(at) => InstanceState::Stopped,
            (_, Some(_)) => InstanceState::Stopping,
            _ if self.launched.elapsed() < BOOT / 2 => InstanceState::Pending,
            _ => InstanceState::Running,
        }
    }

    /// Whether its end was ordered.
    pub fn is_ending(&self) -> bool {
        self.ending.is_some_and(|at| Instant::now() >= at)
    }

    /// Whether its sshd answers.
    pub fn answers(&self) -> bool {
        self.state() == InstanceState::Running && self.launched.elapsed() >= BOOT
    }
}

impl SimImage {
    /// One that is begun now.
    pub fn begun(new: &NewImage, origin: &ImageId, disk: Disk, region: &Region, fate: &mut impl Fate) -> SimImage {
        let now = Instant::now();
        let visible = now + fate.lag(LAG / 2);
        let (long, fails) = fate.of_image(region);
        SimImage {
            new: new.clone(),
            origin: origin.clone(),
            ready: now + long,
            fails,
            visible,
            listed: visible + fate.lag(LAG / 2),
            gone: false,
            completed: false,
            public: false,
            snapshots_public: false,
            shared_with: BTreeSet::new(),
            disk,
        }
    }

    pub fn state(&self) -> ImageState {
        match self.fails {
            _ if Instant::now() < self.ready => ImageState::Pending("40%".to_owned()),
            true => ImageState::Failed("the snapshot was lost".to_owned()),
            false => ImageState::Available,
        }
    }

    pub fn is_good(&self) -> bool {
        !self.gone && self.state() == ImageState::Available
    }

    pub fn seen(&self, id: &ImageId) -> Image {
        Image {
            id: id.clone(),
            name: self.new.name.clone(),
            description: self.new.description.clone(),
            state: self.state(),
            public: self.public,
            tags: self.new.tags.clone(),
            created: "2026-01-01T00:00:00Z".to_owned(),
            deprecate_at: None,
        }
    }

    fn build(&self) -> &str {
        self.new.tags.iter().find(|(key, _)| key == "wallaroo:build").map_or("", |(_, build)| build)
    }
}

impl Books {
    /// Those of a cloud in which nothing was made yet, for a release that is asked for.
    pub fn of(order: &ReleaseSpec, built: BTreeMap<String, String>) -> Books {
        Books {
            home: order.build_region.to_string(),
            regions: order.regions.clone(),
            public: order.visibility == Visibility::Public,
            built,
            ..Books::default()
        }
    }

    pub fn new_process(&mut self) {
        self.accesses.values_mut().for_each(|access| access.known = false);
    }

    pub fn id(&mut self, kind: &str) -> String {
        self.counter += 1;
        format!("{kind}-{:017x}", self.counter)
    }

    pub fn violation(&mut self, law: u8, what: String) {
        self.violations.push(format!("invariant {law}: {what}"));
    }

    pub fn grant(&mut self, access: &SshAccess, fate: &mut impl Fate) {
        if !access.public_key.starts_with("ssh-ed25519 ") {
            self.violation(7, format!("the key of the access {} is no public one", ordinal(&access.name)));
        }
        let listed = Instant::now() + fate.lag(LAG);
        let SshAccess { name, public_key, tags } = access.clone();
        self.accesses.insert(name, SimAccess { public_key, tags, listed, known: true });
    }

    pub fn revoke(&mut self, name: &str) -> Result<()> {
        let hidden = |access: &SimAccess| !access.known && Instant::now() < access.listed;
        if self.accesses.get(name).is_none_or(hidden) {
            return Ok(());
        }
        let holds = |it: &SimInstance| it.access == name && it.state() != InstanceState::Terminated;
        if self.instances.values().any(holds) {
            return Err(refused("DeleteSecurityGroup", "DependencyViolation", true));
        }
        self.accesses.remove(name);
        Ok(())
    }

    pub fn detach(&mut self, id: &InstanceId) -> Result<()> {
        let instance = self.instance(id)?;
        // EC2 user guide, "Change the security groups for your instance".
        if !matches!(instance.state(), InstanceState::Running | InstanceState::Stopped) {
            return Err(refused("ModifyInstanceAttribute", "IncorrectInstanceState", true));
        }
        instance.access.clear();
        Ok(())
    }

    pub fn launch(&mut self, launch: &Launch, fate: &mut impl Fate) -> Result<InstanceId> {
        if let Some((id, _)) = self.instances.iter().find(|(_, instance)| instance.token == launch.token) {
            return Ok(id.clone());
        }
        if fate.is_full() {
            return Err(refused("RunInstances", "InsufficientInstanceCapacity", false));
        }
        self.judge_launch(launch);
        let access = self.accesses.get(&launch.access).with_context(|| format!("no access {}", launch.access))?;
        let (now, key) = (Instant::now(), access.public_key.clone());
        let image = match &launch.source {
            LaunchSource::Base(_) => None,
            LaunchSource::Image(source) => {
                let found = self.images.iter().find(|((_, id), image)| id == source && image.is_good());
                let (_, found) = found.with_context(|| format!("there is no {source}"))?;
                Some((source.clone(), found.disk.clone()))
            }
        };
        let id = InstanceId(self.id("i"));
        let visible = now + fate.lag(LAG / 2);
        let listed = visible + fate.lag(LAG / 2);
        let ending = fate.death();
        let instance = SimInstance {
            token: launch.token.clone(),
            access: launch.access.clone(),
            tags: launch.tags.clone(),
            user_data: launch.user_data.clone(),
            address: ([10, 0, 0, u8::try_from(self.counter)?], 22).into(),
            launched: now,
            visible,
            listed,
            stopping: None,
            ending,
            dies: ending.is_some(),
            disk: Disk::of_machine(&id.0, image.as_ref().map(|(_, disk)| disk), [key]),
            image: image.map(|(image, _)| image),
        };
        self.instances.insert(id.clone(), instance);
        Ok(id)
    }

    fn judge_launch(&mut self, launch: &Launch) {
        if launch.user_data.matches("BEGIN OPENSSH PRIVATE KEY").count() != 1 {
            self.violation(7, "user data has another private key than the host key".to_owned());
        }
        let baked = |((region, _), image): (&(Region, ImageId), &SimImage)| {
            region.as_str() == self.home && image.is_good() && launch.token.starts_with(image.build())
        };
        if matches!(launch.source, LaunchSource::Base(_)) && self.images.iter().any(baked) {
            self.violation(4, "a machine to bake on is launched, and the home image is available".to_owned());
        }
    }

    pub fn instance(&mut self, id: &InstanceId) -> Result<&mut SimInstance> {
        self.instances.get_mut(id).with_context(|| format!("there is no {id}"))
    }

    pub fn seen(&self, id: &InstanceId) -> Option<Instance> {
        let instance = self.instances.get(id).filter(|instance| Instant::now() >= instance.visible)?;
        let state = instance.state();
        let died = instance.dies && state == InstanceState::Terminated;
        let reason = died.then(|| "the volume's key is not there".to_owned());
        Some(Instance { state, reason, address: (state == InstanceState::Running).then_some(instance.address) })
    }

    pub fn stop(&mut self, id: &InstanceId) -> Result<()> {
        let instance = self.instance(id)?;
        ensure!(instance.state() != InstanceState::Terminated, "{id} is terminated");
        instance.stopping.get_or_insert(Instant::now());
        Ok(())
    }

    pub fn terminate(&mut self, id: &InstanceId) {
        let Some(instance) = self.instances.get_mut(id) else { return };
        let now = Instant::now();
        instance.ending = Some(instance.ending.map_or(now, |at| at.min(now)));
    }

    pub fn create(
        &mut self,
        from: &InstanceId,
        new: &NewImage,
        home: &Region,
        fate: &mut impl Fate,
    ) -> Result<ImageId> {
        let named = |((at, _), image): &(&(Region, ImageId), &SimImage)| {
            at == home && !image.gone && image.new.name == new.name
        };
        if let Some(((_, id), image)) = self.images.iter().find(named) {
            // As on EC2: what the same build began, without hearing of it, is taken up.
            ensure!(image.new.tags == new.tags, "the name `{}` is taken in {home}", new.name);
            return Ok(id.clone());
        }
        let source = self.instance(from)?;
        ensure!(source.state() == InstanceState::Stopped, "{from} is {}", source.state());
        let mut disk = source.disk.clone();
        fate.rot(&mut disk.files);
        let id = ImageId(self.id("ami"));
        let image = SimImage::begun(new, &id, disk, home, fate);
        self.begin_image(home, id, image)
    }

    pub fn copy(
        &mut self,
        from: (&Region, &ImageId),
        to: &Region,
        new: &NewImage,
        fate: &mut impl Fate,
    ) -> Result<ImageId> {
        let same = |((at, _), image): &(&(Region, ImageId), &SimImage)| at == to && image.new.token == new.token;
        if let Some(((_, id), _)) = self.images.iter().find(same) {
            return Ok(id.clone());
        }
        let source = self.images.get(&(from.0.clone(), from.1.clone())).filter(|image| image.is_good());
        let source = source.with_context(|| format!("there is no {} to copy", from.1))?.clone();
        let id = ImageId(self.id("ami"));
        let image = SimImage::begun(new, &source.origin, source.disk, to, fate);
        self.begin_image(to, id, image)
    }

    fn begin_image(&mut self, region: &Region, id: ImageId, image: SimImage) -> Result<ImageId> {
        let same = |((at, _), other): (&(Region, ImageId), &SimImage)| {
            let failed = matches!(other.state(), ImageState::Failed(_));
            let ours = other.new.name == image.new.name && other.build() == image.build();
            at == region && !other.gone && !failed && ours
        };
        if self.images.iter().any(same) {
            self.violation(3, format!("{region}: a second image has the name `{}`", image.new.name));
        }
        self.images.insert((region.clone(), id.clone()), image);
        Ok(id)
    }

    /// An image that is there, and known.
    pub fn known(&mut self, region: &Region, id: &ImageId) -> Result<&mut SimImage> {
        let image = self.images.get_mut(&(region.clone(), id.clone()));
        let image = image.filter(|image| !image.gone && Instant::now() >= image.visible);
        image.with_context(|| format!("there is no {id} in {region}"))
    }

    pub fn deregister(&mut self, region: &Region, id: &ImageId, fate: &mut impl Fate) -> Result<()> {
        let is_half_public = self.is_half_public();
        let Some(image) = self.images.get_mut(&(region.clone(), id.clone())).filter(|image| !image.gone) else {
            return Ok(());
        };
        let (good, tags, public) = (image.is_good(), image.new.tags.clone(), image.public);
        image.gone = true;
        if good && (!self.cleaning || public && !is_half_public) {
            self.violation(5, format!("{region}: {id} was good, and is destroyed"));
        }
        if fate.leaves_a_snapshot() {
            self.snapshots.insert((region.clone(), format!("snap-of-{id}")), tags);
            bail!("{id} is deregistered, but its snapshot remains");
        }
        Ok(())
    }
}
