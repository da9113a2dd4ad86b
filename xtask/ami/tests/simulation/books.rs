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
    cloud::{Image, ImageState, Instance, InstanceState, Launch, LaunchSource, NewImage, SshAccess, tags::Tags},
    event::ids::{ImageId, InstanceId},
    ground::api_error::ApiError,
};

use crate::{
    laws::ordinal,
    seed::{Random, Weather},
};

/// The longest that what was created is unknown, and then missing from lists.
pub const LAG: Duration = Duration::from_secs(10);
/// From the launch to sshd listening.
const BOOT: Duration = Duration::from_secs(20);
/// From the order to shut down to the disk at rest, and from the order to end a machine to it being gone.
const SHUTDOWN: Duration = Duration::from_secs(15);
/// How long it takes to make an image, or to copy it; at the least.
const IMAGE: Duration = Duration::from_secs(60);
/// How much longer it may take: nobody waits so long.
const ENDLESS: Duration = Duration::from_secs(30 * 86_400);

#[derive(Default)]
pub struct Books {
    pub home: String,
    pub regions: Vec<Region>,
    /// Whether the image may become public.
    pub public: bool,
    /// The SHA-256 of the binaries, by their place on the image.
    pub built: BTreeMap<String, String>,
    pub weather: Weather,
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
    /// The image that it booted from; none when it was the base.
    pub image: Option<ImageId>,
    pub keys: BTreeSet<String>,
    pub machine_id: String,
    pub packages: Vec<String>,
    pub staged: BTreeMap<String, String>,
    pub files: BTreeMap<String, String>,
    pub checked: bool,
}

#[derive(Clone)]
pub struct SimImage {
    pub new: NewImage,
    /// The home image that it is, or a copy of.
    pub origin: ImageId,
    pub ready: Instant,
    fails: bool,
    visible: Instant,
    pub listed: Instant,
    pub gone: bool,
    pub completed: bool,
    pub public: bool,
    pub snapshots_public: bool,
    /// Who may do what, beside the owner.
    pub shared_with: BTreeSet<String>,
    pub keys: BTreeSet<String>,
    pub machine_id: String,
    pub files: BTreeMap<String, String>,
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
    pub fn new_process(&mut self) {
        self.accesses.values_mut().for_each(|access| access.known = false);
    }

    fn id(&mut self, kind: &str) -> String {
        self.counter += 1;
        format!("{kind}-{:017x}", self.counter)
    }

    pub fn violation(&mut self, law: u8, what: String) {
        self.violations.push(format!("invariant {law}: {what}"));
    }

    pub fn grant(&mut self, access: &SshAccess, random: &mut Random) {
        if !access.public_key.starts_with("ssh-ed25519 ") {
            self.violation(7, format!("the key of the access {} is no public one", ordinal(&access.name)));
        }
        let listed = Instant::now() + random.time(LAG);
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

    pub fn launch(&mut self, launch: &Launch, random: &mut Random) -> Result<InstanceId> {
        if let Some((id, _)) = self.instances.iter().find(|(_, instance)| instance.token == launch.token) {
            return Ok(id.clone());
        }
        if random.happens(self.weather.refused * 4) {
            return Err(refused("RunInstances", "InsufficientInstanceCapacity", false));
        }
        self.judge_launch(launch);
        let access = self.accesses.get(&launch.access).with_context(|| format!("no access {}", launch.access))?;
        let (now, key) = (Instant::now(), access.public_key.clone());
        let id = InstanceId(self.id("i"));
        let visible = now + random.time(LAG / 2);
        let mut instance = SimInstance {
            token: launch.token.clone(),
            access: launch.access.clone(),
            tags: launch.tags.clone(),
            user_data: launch.user_data.clone(),
            address: ([10, 0, 0, u8::try_from(self.counter)?], 22).into(),
            launched: now,
            visible,
            listed: visible + random.time(LAG / 2),
            stopping: None,
            ending: random.happens(self.weather.dying).then(|| now + random.time(Duration::from_secs(120))),
            image: None,
            keys: BTreeSet::from([key]),
            machine_id: format!("id-of-{id}"),
            packages: Vec::new(),
            staged: BTreeMap::new(),
            files: BTreeMap::new(),
            checked: false,
        };
        if let LaunchSource::Image(source) = &launch.source {
            let found = self.images.iter().find(|((_, id), _)| id == source).map(|(_, image)| image);
            let found = found.filter(|image| image.is_good()).with_context(|| format!("there is no {source}"))?;
            instance.keys.extend(found.keys.iter().cloned());
            instance.files.clone_from(&found.files);
            instance.image = Some(source.clone());
            if !found.machine_id.is_empty() {
                instance.machine_id.clone_from(&found.machine_id);
            }
        }
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
        Some(Instance { state, reason: None, address: (state == InstanceState::Running).then_some(instance.address) })
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

    pub fn create(&mut self, from: &InstanceId, new: &NewImage, home: &Region, random: &mut Random) -> Result<ImageId> {
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
        let (keys, machine_id, mut files) = (source.keys.clone(), source.machine_id.clone(), source.files.clone());
        if random.happens(self.weather.rotten)
            && let Some(file) = files.values_mut().next()
        {
            *file = "rotten".to_owned();
        }
        let id = ImageId(self.id("ami"));
        let image = self.image(new, &id, keys, machine_id, files, random);
        self.begin_image(home, id, image)
    }

    pub fn copy(
        &mut self,
        from: (&Region, &ImageId),
        to: &Region,
        new: &NewImage,
        random: &mut Random,
    ) -> Result<ImageId> {
        let same = |((at, _), image): &(&(Region, ImageId), &SimImage)| at == to && image.new.token == new.token;
        if let Some(((_, id), _)) = self.images.iter().find(same) {
            return Ok(id.clone());
        }
        let source = self.images.get(&(from.0.clone(), from.1.clone())).filter(|image| image.is_good());
        let source = source.with_context(|| format!("there is no {} to copy", from.1))?.clone();
        let id = ImageId(self.id("ami"));
        let image = self.image(new, &source.origin, source.keys, source.machine_id, source.files, random);
        self.begin_image(to, id, image)
    }

    fn image(
        &self,
        new: &NewImage,
        origin: &ImageId,
        keys: BTreeSet<String>,
        machine_id: String,
        files: BTreeMap<String, String>,
        random: &mut Random,
    ) -> SimImage {
        let now = Instant::now();
        let visible = now + random.time(LAG / 2);
        let endless = match random.happens(self.weather.endless) {
            true => random.pick(&[ENDLESS, Duration::from_secs(5000)]),
            false => Duration::ZERO,
        };
        SimImage {
            new: new.clone(),
            origin: origin.clone(),
            ready: now + IMAGE + random.time(IMAGE * 6) + endless,
            fails: random.happens(self.weather.failing),
            visible,
            listed: visible + random.time(LAG / 2),
            gone: false,
            completed: false,
            public: false,
            snapshots_public: false,
            shared_with: BTreeSet::new(),
            keys,
            machine_id,
            files,
        }
    }

    fn begin_image(&mut self, region: &Region, id: ImageId, image: SimImage) -> Result<ImageId> {
        let same = |((at, _), other): (&(Region, ImageId), &SimImage)| {
            let failed = matches!(other.state(), ImageState::Failed(_));
            at == region && !other.gone && !failed && other.new.name == image.new.name
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

    pub fn deregister(&mut self, region: &Region, id: &ImageId, random: &mut Random) -> Result<()> {
        let is_half_public = self.is_half_public();
        let Some(image) = self.images.get_mut(&(region.clone(), id.clone())).filter(|image| !image.gone) else {
            return Ok(());
        };
        let (good, tags, public) = (image.is_good(), image.new.tags.clone(), image.public);
        image.gone = true;
        if good && (!self.cleaning || public && !is_half_public) {
            self.violation(5, format!("{region}: {id} was good, and is destroyed"));
        }
        if random.happens(self.weather.halves) {
            self.snapshots.insert((region.clone(), format!("snap-of-{id}")), tags);
            bail!("{id} is deregistered, but its snapshot remains");
        }
        Ok(())
    }
}
