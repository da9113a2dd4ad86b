//! Images: made, copied, opened, removed.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, SystemTime},
};

use anyhow::{Context as _, Result, bail, ensure};
use tokio::time::Instant;
use xtask::region::Region;
use xtask_ami::{
    cloud::{Audience, Image, ImageState, InstanceState, NewImage},
    event::ids::{ImageId, InstanceId},
};

use crate::{
    books::{Books, LAG},
    fate::Fate,
    kit::Disk,
};

/// How long a block on public images, or its end, takes to take effect.
const BLOCK: Duration = Duration::from_secs(90);

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
    pub disabled: bool,
    /// From when on it is deprecated.
    pub deprecated: Option<SystemTime>,
    pub public: bool,
    pub snapshots_public: bool,
    /// Who may do what, beside the owner.
    pub shared_with: BTreeSet<String>,
    pub disk: Disk,
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
            disabled: false,
            deprecated: None,
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
            false if self.disabled => ImageState::Disabled,
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
            deprecate_at: self.deprecated.map(|at| humantime::format_rfc3339_seconds(at).to_string()),
            hardware: None,
            snapshots: vec![format!("snap-of-{id}")],
            last_launched: None,
            protected: false,
        }
    }

    /// Whether it is a base that is kept for other builds.
    pub fn is_kept_base(&self) -> bool {
        self.new.tags.iter().any(|(key, _)| key == "wallaroo:base-key")
    }

    pub fn build(&self) -> &str {
        self.new.tags.iter().find(|(key, _)| key == "wallaroo:build").map_or("", |(_, build)| build)
    }
}

impl Books {
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
        if !disk.staged.files.is_empty() || !disk.early.is_empty() {
            self.violation(6, format!("an image is made of {from}, where an upload lies that was installed before"));
        }
        // A kept base is the ground truth of what is made of it, like any base: nothing tells a rotten one.
        if !new.tags.iter().any(|(key, _)| key == "wallaroo:base-key") {
            fate.rot(&mut disk.files);
        }
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
        self.changes(id);
        let is_half_public = self.is_half_public();
        let Some(image) = self.images.get_mut(&(region.clone(), id.clone())).filter(|image| !image.gone) else {
            return Ok(());
        };
        let (good, tags, public) = (image.is_good(), image.new.tags.clone(), image.public);
        image.gone = true;
        let retires = self.retires.as_ref() == Some(&image.new.name);
        self.retired.extend(self.retires.is_some().then(|| id.to_string()));
        self.judge_parameters();
        if good && !retires && (!self.cleaning || public && !is_half_public) {
            self.violation(5, format!("{region}: {id} was good, and is destroyed"));
        }
        if fate.leaves_a_snapshot() {
            self.snapshots.insert((region.clone(), format!("snap-of-{id}")), tags);
            bail!("{id} is deregistered, but its snapshot remains");
        }
        Ok(())
    }

    /// Those of these parameters that there are.
    pub fn parameters_of(&self, region: &Region, names: &[String]) -> BTreeMap<String, String> {
        let value = |name: &String| {
            let id = self.parameters.get(&(region.clone(), name.clone()))?;
            Some((name.clone(), id.to_string()))
        };
        names.iter().filter_map(value).collect()
    }

    pub fn put_parameter(&mut self, region: &Region, name: &str, id: &ImageId) {
        if self.retires.is_none() && self.is_half_public() {
            self.violation(11, format!("{region}: {name} is written, and the image is not public in all regions"));
        }
        self.parameters.insert((region.clone(), name.to_owned()), id.clone());
        self.judge_parameters();
    }

    /// Disables an image, or enables it; either way it can be launched by its owner only.
    pub fn able(&mut self, region: &Region, id: &ImageId, enabled: bool) -> Result<()> {
        self.changes(id);
        self.retired.push(id.to_string());
        let image = self.known(region, id)?;
        (image.disabled, image.public) = (!enabled, false);
        self.judge_parameters();
        Ok(())
    }

    /// Deprecates an image.
    pub fn deprecate(&mut self, region: &Region, id: &ImageId, at: SystemTime) -> Result<()> {
        self.changes(id);
        self.retired.push(id.to_string());
        self.known(region, id).map(|image| image.deprecated = Some(at))
    }

    /// Deletes a snapshot that belongs to no image.
    pub fn delete_snapshot(&mut self, region: &Region, id: &str) {
        self.snapshots.remove(&(region.clone(), id.to_owned()));
    }

    /// The images that a region shows.
    pub fn listed<'a>(&'a self, region: &Region) -> impl Iterator<Item = (&'a ImageId, &'a SimImage)> {
        let here = self.images.iter().filter(move |((at, _), _)| at == region);
        let shown = here.filter(|(_, image)| !image.gone && Instant::now() >= image.listed);
        shown.map(|((_, id), image)| (id, image))
    }

    /// Whether public images are blocked, now.
    pub fn is_blocked(&self, region: &Region) -> bool {
        self.blocks.get(region).is_some_and(|(block, from)| *block == (Instant::now() >= *from))
    }

    pub fn permit(&mut self, region: &Region, id: &ImageId, to: &Audience, permit: bool, what: &str) -> Result<()> {
        self.changes(id);
        let blocked = permit && self.is_blocked(region);
        let image = self.known(region, id)?;
        match to {
            Audience::Grantees(grantees) => {
                for entry in grantees.iter().map(|grantee| format!("{grantee} may {what}")) {
                    if permit {
                        image.shared_with.insert(entry)
                    } else {
                        image.shared_with.remove(&entry)
                    };
                }
            }
            Audience::Public => {
                let launch = what == "launch";
                if launch && permit {
                    ensure!(!blocked, "public images are blocked in {region}");
                    ensure!(image.is_good(), "{id} isn't available");
                }
                if launch {
                    image.public = permit
                } else {
                    image.snapshots_public = permit
                }
                if permit {
                    self.judge_public(region, id, launch);
                }
                self.judge_parameters();
            }
        }
        Ok(())
    }

    /// Blocks public images, or lifts the block where there is one.
    pub fn block(&mut self, region: &Region, block: bool) -> Result<()> {
        if self.blocks.get(region).is_some_and(|(ordered, _)| *ordered) != block {
            self.blocks.insert(region.clone(), (block, Instant::now() + BLOCK));
        }
        Ok(())
    }
}
