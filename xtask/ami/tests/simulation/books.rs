//! What the cloud keeps books of. What must never happen is written down when it happens.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use tokio::time::Instant;
use xtask::region::Region;
use xtask_ami::{
    ask::spec::{ReleaseSpec, Visibility},
    cloud::{Leftover, LeftoverKind, NewImage, tags::Tags},
    event::{
        ids::{ImageId, InstanceId},
        promotion::Promotion,
    },
    ground::api_error::ApiError,
    ground::sha256::sha256,
    recipe::Binary,
};

use crate::{
    fate::Fate,
    images::SimImage,
    kit::{Disk, Scripts},
    machines::{SimAccess, SimInstance},
};

/// The longest that what was created is unknown, and then missing from lists.
pub const LAG: Duration = Duration::from_secs(10);
#[derive(Default)]
pub struct Books {
    pub home: String,
    pub regions: Vec<Region>,
    /// Whether the image may become public.
    pub public: bool,
    /// The SHA-256 of the binaries, by their place on the image.
    pub built: BTreeMap<String, String>,
    /// The image that is promoted, if that is what is asked for. No process may change it.
    pub candidate: Option<ImageId>,
    /// What the scripts do on machines.
    pub scripts: Scripts,
    /// A cleaning is under way, so good images may go.
    pub cleaning: bool,
    /// The name of the images that are being retired.
    pub retires: Option<String>,
    /// The images that were removed or changed since.
    pub retired: Vec<String>,
    pub instances: BTreeMap<InstanceId, SimInstance>,
    pub images: BTreeMap<(Region, ImageId), SimImage>,
    /// Snapshots that belong to no image.
    pub snapshots: BTreeMap<(Region, String), Tags>,
    pub accesses: BTreeMap<String, SimAccess>,
    /// The home images that were looked at, and were good.
    pub verified: BTreeSet<ImageId>,
    /// Where public images are blocked, and from when on that will be, or will no longer be.
    pub blocks: BTreeMap<Region, (bool, Instant)>,
    /// The images that parameters name, by region and name.
    pub parameters: BTreeMap<(Region, String), ImageId>,
    pub violations: Vec<String>,
    pub counter: u32,
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
        self.instances.values_mut().for_each(|instance| instance.known = false);
    }

    pub fn id(&mut self, kind: &str) -> String {
        self.counter += 1;
        format!("{kind}-{:017x}", self.counter)
    }

    pub fn violation(&mut self, law: u8, what: String) {
        self.violations.push(format!("invariant {law}: {what}"));
    }

    /// Adds an image that was released and verified, and that is to be promoted.
    pub fn add_candidate(&mut self, promotion: &Promotion, fate: &mut impl Fate) {
        let new = NewImage {
            token: "the candidate's".to_owned(),
            name: promotion.name.clone(),
            description: promotion.description.clone(),
            tags: vec![("wallaroo:build".to_owned(), promotion.build.clone())],
            deprecate_at: None,
            require_imds_v2: false,
        };
        let (region, id) = (promotion.region.clone(), promotion.image.clone());
        let mut disk = Disk::default();
        disk.files.clone_from(&self.built);
        let now = Instant::now();
        let begun = SimImage::begun(&new, &id, disk, &region, fate);
        let (ready, visible, listed) = (now, now, now);
        let image = SimImage {
            ready,
            visible,
            listed,
            fails: false,
            public: true,
            snapshots_public: true,
            completed: true,
            ..begun
        };
        self.verified.insert(id.clone());
        self.candidate = Some(id.clone());
        self.images.insert((region, id), image);
    }

    /// An image is about to be changed.
    pub fn changes(&mut self, id: &ImageId) {
        if self.candidate.as_ref() == Some(id) {
            self.violation(5, format!("{id} is only to be copied, and is changed"));
        }
    }

    /// What carries a build's tag.
    pub fn leftovers(&self, region: &Region) -> Vec<Leftover> {
        let images = self.listed(region).filter_map(|(id, image)| Leftover::image(&image.seen(id)));
        let alone = self.snapshots.iter().filter(|((at, _), _)| at == region);
        let alone = alone.filter_map(|((_, id), tags)| Leftover::tagged(LeftoverKind::Snapshot, id, tags));
        let mut found: Vec<Leftover> = images.chain(alone).collect();
        if region.as_str() == self.home {
            let now = Instant::now();
            let instances = self.instances.iter().filter(|(_, it)| now >= it.listed && !it.is_ending());
            found.extend(instances.filter_map(|(id, it)| Leftover::tagged(LeftoverKind::Instance, &id.0, &it.tags)));
            let accesses = self.accesses.iter().filter(|(_, it)| now >= it.listed);
            found.extend(accesses.filter_map(|(id, it)| Leftover::tagged(LeftoverKind::SecurityGroup, id, &it.tags)));
        }
        found
    }
}
