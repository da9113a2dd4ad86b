//! What must hold, by the cloud's own books.

use xtask::region::Region;
use xtask_ami::{
    cloud::ImageState,
    event::ids::{ImageId, InstanceId},
};

use crate::{books::Books, images::SimImage};

impl Books {
    /// The bytes on an instance of the image were compared; whether they are good, these books know themselves.
    pub fn looked_at(&mut self, id: &InstanceId) {
        let Some(instance) = self.instances.get(id) else { return };
        let good = instance.disk.checked && self.has_the_bytes(&instance.disk.files);
        if let Some(image) = instance.image.clone().filter(|_| good) {
            self.verified.insert(image);
        }
    }

    fn has_the_bytes(&self, files: &std::collections::BTreeMap<String, String>) -> bool {
        self.built.iter().all(|(path, sum)| files.get(path) == Some(sum)) && !files.values().any(|sum| sum == "rotten")
    }

    /// Something becomes public: is it time?
    pub fn judge_public(&mut self, region: &Region, id: &ImageId, is_image: bool) {
        let Some(image) = self.images.get(&(region.clone(), id.clone())).cloned() else { return };
        if !self.public {
            self.violation(2, format!("{region}: {id} is private, and becomes public"));
        }
        if !self.verified.contains(&image.origin) {
            self.violation(2, format!("{region}: {id} becomes public, and was not verified"));
        }
        if !image.disk.keys.is_empty() {
            self.violation(7, format!("{region}: {id} becomes public with a key on it"));
        }
        if !self.has_the_bytes(&image.disk.files) {
            self.violation(6, format!("{region}: {id} becomes public with other bytes than were built"));
        }
        // One that is enabled again was public before, and the other regions come as they can.
        let awaited = if self.retires.is_some() { Vec::new() } else { self.regions.clone() };
        for other in awaited {
            let is_copy = |it: &SimImage| it.is_good() && it.origin == image.origin && it.new.name == image.new.name;
            let here = self.images.iter().find(|((at, _), it)| *at == other && is_copy(it)).map(|(_, it)| it);
            let snapshots = here.is_some_and(|it| it.snapshots_public);
            if here.is_none() || is_image && !snapshots {
                self.violation(2, format!("{region}: {id} becomes public, and {other} isn't ready for it"));
            }
        }
    }

    /// No parameter names an image that is not there, or not public.
    pub fn judge_parameters(&mut self) {
        let is_public = |region: &Region, id: &ImageId| {
            self.images.get(&(region.clone(), id.clone())).is_some_and(|image| image.is_good() && image.public)
        };
        let wrong = self.parameters.iter().filter(|((region, _), id)| !is_public(region, id));
        let wrong: Vec<String> =
            wrong.map(|((at, name), id)| format!("{name} names {id} in {at}, which is not public")).collect();
        wrong.into_iter().for_each(|wrong| self.violation(11, wrong));
    }

    /// The images of the build.
    fn made(&self) -> impl Iterator<Item = (&(Region, ImageId), &SimImage)> {
        self.images.iter().filter(|((_, id), _)| self.candidate.as_ref() != Some(id))
    }

    /// How many images have another name.
    pub fn of_others(&self, name: &str) -> usize {
        self.images.values().filter(|image| !image.gone && image.new.name != name).count()
    }

    /// A version was retired: nothing of it is left, and all of the others is.
    pub fn judge_retired(&mut self, name: &str, others: usize) {
        let of_it = self.images.values().filter(|image| !image.gone && image.new.name == name).count();
        let of_others = self.of_others(name);
        if of_it > 0 || !self.snapshots.is_empty() {
            let snapshots = self.snapshots.keys().map(|(region, id)| format!("{id} in {region}"));
            let snapshots = snapshots.collect::<Vec<_>>().join(", ");
            self.violation(1, format!("{of_it} images of a retired version are left, and the snapshots {snapshots}"));
        }
        if of_others != others {
            self.violation(5, format!("{of_others} images of other versions are there, not {others}"));
        }
    }

    /// Whether the image is public in some regions, and not in all of them.
    pub fn is_half_public(&self) -> bool {
        let is_public =
            |region: &Region| self.made().any(|((at, _), image)| at == region && !image.gone && image.public);
        let public = self.regions.iter().filter(|region| is_public(region)).count();
        public > 0 && public < self.regions.len()
    }

    /// A release came to its good end.
    pub fn judge_released(&mut self, shared_with: usize) {
        for region in self.regions.clone() {
            let is_of_it = |image: &SimImage| !image.gone && !image.is_kept_base();
            let here = self.made().filter(|((at, _), image)| *at == region && is_of_it(image));
            let here: Vec<SimImage> = here.map(|(_, image)| image.clone()).collect();
            let [image] = here.as_slice() else {
                self.violation(3, format!("{region} has {} images after the release", here.len()));
                continue;
            };
            let faults = [
                (2, image.public != self.public || image.snapshots_public != self.public, "is public, or not, wrongly"),
                (2, image.shared_with.len() != 2 * shared_with, "is shared with others than was asked for"),
                (2, !self.verified.contains(&image.origin), "was not verified"),
                (5, !image.is_good() || !image.completed, "isn't available and complete"),
                (6, !self.has_the_bytes(&image.disk.files), "has other bytes than were built"),
                (7, !image.disk.keys.is_empty(), "has a key on it"),
            ];
            for (law, _, fault) in faults.into_iter().filter(|(_, found, _)| *found) {
                self.violation(law, format!("the image in {region} {fault}"));
            }
        }
    }

    /// A process made the image, and has written down that nothing else is left. What an earlier one was granted in its last
    /// moment may not be listed yet; cleaning up finds it later.
    pub fn judge_tidy(&mut self) {
        let mut left = self.alive();
        let accesses = self.accesses.iter().filter(|(_, access)| access.known);
        left.extend(accesses.map(|(name, _)| format!("the access {}", ordinal(name))));
        if !left.is_empty() {
            self.violation(1, format!("a process released and left {}", left.join(", ")));
        }
    }

    /// A process failed, and has written down that it cleaned up.
    pub fn judge_failed(&mut self) {
        if self.is_half_public() {
            self.violation(9, "a process failed and cleaned up, and left the image public in some regions".to_owned());
        }
        let left = self.alive();
        if !left.is_empty() {
            self.violation(1, format!("a process failed and cleaned up, and left {}", left.join(", ")));
        }
    }

    /// Whether an image that is there can't be released, whatever is done: it has other bytes, or is never available.
    pub fn is_hopeless(&self) -> bool {
        let pending = |image: &SimImage| matches!(image.state(), ImageState::Pending(_));
        let is_of_it = |image: &SimImage| !image.gone && !image.is_kept_base();
        self.images.values().any(|image| is_of_it(image) && (pending(image) || !self.has_the_bytes(&image.disk.files)))
    }

    /// The machines that are left, except those that terminate: that cannot be undone.
    fn alive(&self) -> Vec<String> {
        let alive = self.instances.iter().filter(|(_, it)| !it.is_ending());
        alive.map(|(id, _)| id.to_string()).collect()
    }

    /// The machines and accesses that are left.
    pub fn running(&self) -> Vec<String> {
        let accesses = self.accesses.keys().map(|name| format!("the access {}", ordinal(name)));
        self.alive().into_iter().chain(accesses).collect()
    }

    /// What is kept for other builds is sealed, private, nothing of a build, and goes by itself.
    pub fn judge_kept(&mut self) {
        let kept: Vec<SimImage> = self.images.values().filter(|it| !it.gone && it.is_kept_base()).cloned().collect();
        // provision.sh writes to /etc.
        let is_of_payload = |path: &String| !path.starts_with("/etc/");
        for image in kept {
            let has = |wanted: &str| image.new.tags.iter().any(|(key, value)| key == wanted && !value.is_empty());
            let faults = [
                (1, !has("wallaroo:build") || !has("wallaroo:expires"), "is found by no command, or never expires"),
                (2, image.public || image.snapshots_public || !image.shared_with.is_empty(), "is not private"),
                (3, has("wallaroo:version"), "is taken for an image of a version"),
                (6, image.disk.files.keys().any(is_of_payload), "has a payload"),
                (6, image.disk.manifest.is_empty(), "has no mark"),
                (7, !image.disk.keys.is_empty() || !image.disk.machine_id.is_empty(), "is not sealed"),
            ];
            for (law, _, fault) in faults.into_iter().filter(|(_, found, _)| *found) {
                self.violation(law, format!("the kept base `{}` {fault}", image.new.name));
            }
        }
    }

    /// All was cleaned up: only what is public may be there, and what is kept for other builds.
    pub fn judge_cleaned(&mut self) {
        let mut left = self.running();
        let is_left = |image: &SimImage| !image.gone && !image.public && !image.is_kept_base();
        let images = self.images.iter().filter(|(_, image)| is_left(image));
        left.extend(images.map(|((region, id), _)| format!("{id} in {region}")));
        left.extend(self.snapshots.keys().map(|(region, id)| format!("{id} in {region}")));
        if !left.is_empty() {
            self.violation(1, format!("these are left after cleaning up: {}", left.join(", ")));
        }
    }
}

/// What stands in a journal at the end: no secret is written down, and nothing is built that was built.
pub fn judge_journal(journal: &str) -> Vec<(u8, &'static str)> {
    let since_built = journal.split_once(r#""event":"done","step":"binaries""#).map_or("", |(_, since)| since);
    let again = since_built.contains(r#""step":"binaries""#);
    let faults = [
        (7, journal.contains("PRIVATE KEY"), "there is a private key in the journal"),
        (4, again, "what was built is built again"),
    ];
    faults.into_iter().filter(|(_, found, _)| *found).map(|(law, _, fault)| (law, fault)).collect()
}

/// The end of a token, which is the same whenever its seed runs.
pub fn ordinal(token: &str) -> &str {
    token.splitn(4, '-').nth(3).unwrap_or(token)
}
