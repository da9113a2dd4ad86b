//! What the cloud keeps books of.

use super::*;

impl State {
    pub(super) fn id(&mut self, kind: &str) -> String {
        self.counter += 1;
        format!("{kind}-{:017x}", self.counter)
    }

    pub(super) fn image(&mut self, region: &Region, id: &ImageId) -> Result<&mut FakeImage> {
        let image = self.images.get_mut(&(region.clone(), id.clone()));
        image.with_context(|| format!("there is no {id} in {region}"))
    }

    pub(super) fn instance(&mut self, id: &InstanceId) -> Result<&mut FakeInstance> {
        self.instances.get_mut(id).with_context(|| format!("there is no {id}"))
    }

    /// Something becomes public: is it time?
    pub(super) fn judge(&mut self, region: &Region, id: &ImageId, is_image: bool) {
        let name = self.images.get(&(region.clone(), id.clone())).map(|image| image.new.name.clone());
        let mut faults = Vec::new();
        if !self.verified {
            faults.push(format!("{region}: {id} becomes public before the image was verified"));
        }
        for other in &self.regions {
            let is_there = |image: &FakeImage| Some(&image.new.name) == name.as_ref();
            let here = self.images.iter().filter(|((at, _), image)| at == other && is_there(image));
            let is_ready = |image: &FakeImage| image.state() == ImageState::Available;
            let here: Vec<_> = here.map(|(_, image)| image).filter(|image| is_ready(image)).collect();
            if here.is_empty() {
                faults.push(format!("{region}: {id} becomes public before there is one in {other}"));
            }
            // Whoever can launch an image in one region expects to be able to copy it in all.
            if is_image && !here.iter().any(|image| image.snapshots_public) {
                faults.push(format!("{region}: {id} becomes public before the snapshots in {other}"));
            }
        }
        self.violations.extend(faults);
    }

    pub(super) fn launch(&mut self, launch: &Launch) -> Result<InstanceId> {
        if let Some((id, _)) = self.instances.iter().find(|(_, instance)| instance.token == launch.token) {
            return Ok(id.clone());
        }
        let key = self.accesses.get(&launch.access).with_context(|| format!("no access {}", launch.access))?;
        let mut keys = BTreeSet::from([key.clone()]);
        let id = InstanceId(self.id("i"));
        let mut machine_id = format!("id-of-{id}");
        let (mut image, mut files) = (None, BTreeMap::new());
        if let LaunchSource::Image(source) = &launch.source {
            let found = self.images.iter().find(|((_, id), _)| id == source).map(|(_, image)| image);
            let found = found.with_context(|| format!("there is no {source}"))?;
            ensure!(found.state() == ImageState::Available, "{source} is {}", found.state());
            keys.extend(found.keys.iter().cloned());
            files.clone_from(&found.files);
            image = Some(source.clone());
            if !found.machine_id.is_empty() {
                machine_id.clone_from(&found.machine_id);
            }
        }
        if let Some(path) = self.altered.as_ref().filter(|_| image.is_some()) {
            files.insert(path.clone(), xtask_ami::ship::sha256::sha256(b"other bytes"));
        }
        let host = u8::try_from(self.counter)?;
        let instance = FakeInstance {
            token: launch.token.clone(),
            tags: launch.tags.clone(),
            user_data: launch.user_data.clone(),
            address: ([10, 0, 0, host], 22).into(),
            launched: Instant::now(),
            stopped: None,
            dies: self.dies_at_boot,
            image,
            keys,
            machine_id,
            packages: Vec::new(),
            staged: BTreeMap::new(),
            files,
            checked: false,
        };
        self.instances.insert(id.clone(), instance);
        Ok(id)
    }

    pub(super) fn begin_image(&mut self, region: &Region, image: FakeImage) -> ImageId {
        let same = |other: &FakeImage| other.new.token == image.new.token;
        let mut here = self.images.iter().filter(|((at, _), _)| at == region);
        if let Some(((_, id), _)) = here.find(|(_, other)| same(other)) {
            return id.clone();
        }
        let outcome = self.outcomes.get(region).copied().unwrap_or(Outcome::Available);
        let id = ImageId(self.id("ami"));
        let image = FakeImage { begun: Instant::now(), outcome, public: false, snapshots_public: false, ..image };
        self.images.insert((region.clone(), id.clone()), image);
        id
    }

    pub(super) fn create_image(&mut self, region: &Region, instance: &InstanceId, new: &NewImage) -> Result<ImageId> {
        let taken = self.images.iter().any(|((at, _), image)| at == region && image.new.name == new.name);
        ensure!(!taken, "the name `{}` is taken in {region}", new.name);
        let source = self.instance(instance)?;
        ensure!(source.state() == InstanceState::Stopped, "{instance} is {:?}", source.state());
        let image = FakeImage {
            new: new.clone(),
            begun: Instant::now(),
            outcome: Outcome::Available,
            public: false,
            snapshots_public: false,
            shared_with: BTreeSet::new(),
            keys: source.keys.clone(),
            machine_id: source.machine_id.clone(),
            files: source.files.clone(),
        };
        Ok(self.begin_image(region, image))
    }

    pub(super) fn terminate(&mut self, id: &InstanceId) {
        let Some(ended) = self.instances.remove(id) else { return };
        let good = self.checks.iter().all(|line| line.starts_with("ok "));
        self.verified |= ended.image.is_some() && ended.checked && good;
    }
}
