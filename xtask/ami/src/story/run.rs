//! One build: what is released, how, and where what is known of it is kept.

use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, BTreeSet},
    fs::File,
    time::SystemTime,
};

use anyhow::{Context as _, Result};
use camino::Utf8PathBuf;
use nix::fcntl::Flock;
use rand::Rng as _;
use serde_json::{Value, json};
use xtask::{region::Region, version::Version};

use crate::{
    ask::{
        inputs,
        spec::{ReleaseSpec, Visibility},
    },
    cloud::tags::{TAG_BUILD, TAG_COMMIT, TAG_EXPIRES, TAG_INSTANCE, TAG_SYSTEM, TAG_VERSION},
    cloud::{NewImage, tags::Tags},
    event::ids::{ImageId, InstanceId},
    event::step::Role,
    machine::keys::{HostKey, Login, LoginKey},
    recipe::System,
    record::folder::{JOURNAL, lock},
    record::{
        journal::{History, Journal},
        unfinished::Unfinished,
    },
    show::terminal::Status,
    state_dir::StateDir,
};

/// How long EC2 lets an image's description be. What it is made of stands at its end, and names of bases can be long.
const MOST_DESCRIPTION_CHARS: usize = 255;

/// A build under way.
pub struct Run {
    /// Unique, and legal in tags, tokens and file names.
    pub id: String,
    /// What is to be released.
    pub order: ReleaseSpec,
    /// Where journal, logs and manifest lie.
    pub folder: Utf8PathBuf,
    /// What was intended and what came of it.
    pub journal: Journal,
    /// What the terminal shows.
    pub status: Status,
    /// The machines that were launched, and who logs in.
    pub logins: RefCell<Vec<(InstanceId, Login)>>,
    /// The machine that sealing was begun on: its timed shutdown is called off, and it may let nobody in any more.
    pub sealing: RefCell<Option<InstanceId>>,
    /// The roles whose machine's launch is on its way: it may be carried out, and isn't shown yet.
    pub launching: RefCell<BTreeSet<Role>>,
    /// The roles whose access was granted, or may have been.
    pub accesses: RefCell<BTreeSet<Role>>,
    /// Whether images are being opened to others: if it ends there, some may be.
    pub publishing: Cell<bool>,
    /// The regions whose block on public images is lifted, or may be.
    pub unblocked: RefCell<BTreeSet<Region>>,
    /// The regions that were given up, and why.
    pub skipped: RefCell<BTreeMap<Region, String>>,
    /// The images that exist now, by region.
    pub made: RefCell<BTreeMap<Region, Made>>,
    /// How many images that failed were removed from each region.
    pub removed: RefCell<BTreeMap<Region, usize>>,
    /// How often somebody began or went on with it, this time included.
    pub attempt: u32,
    began: SystemTime,
    /// Held as long as this process works on the build.
    _lock: Flock<File>,
}

/// An image that a build made.
#[derive(Clone, Debug)]
pub struct Made {
    /// Its id.
    pub id: ImageId,
    /// Whether everybody may launch it.
    pub public: bool,
}

impl Run {
    /// Begins a build: makes its folder and its journal.
    ///
    /// # Errors
    /// When they can't be made, or an unfinished build of this version is there.
    pub fn begin(order: ReleaseSpec, home: &StateDir, status: &Status) -> Result<Run> {
        let began = SystemTime::now();
        let id = new_id(&order.version, began);
        let folder = home.build(&id);
        // Preflight has looked for one, but that is a while ago, and from now on nobody else begins until this one has.
        let _turn = home.turn_to_begin()?;
        Unfinished::refuse_second(home, &order.release())?;
        std::fs::create_dir_all(&folder).with_context(|| format!("failed to make the build's folder {folder}"))?;
        let lock = lock(&folder)?;
        let journal = Journal::begin(&folder.join(JOURNAL), &about(&order, &id, began))?;
        Ok(Run::new(id, order, folder, journal, status, began, lock))
    }

    /// Goes on with a build that did not come to its end.
    ///
    /// # Errors
    /// When another process works on it, its journal can't be read, or what it is made of has changed since.
    pub fn resume(order: ReleaseSpec, id: &str, home: &StateDir, status: &Status) -> Result<Run> {
        let folder = home.build(id);
        let _turn = home.turn_to_begin()?;
        let (lock, path) = (lock(&folder)?, folder.join(JOURNAL));
        Unfinished::refuse_beside(home, &order.release(), Some(id))?;
        let history = History::read(&path)?;
        let order = inputs::as_it_began(order, id, &history)?;
        let journal = Journal::resume(&path, history)?;
        let history = journal.history();
        let began = humantime::parse_rfc3339(history.text("began")).context("its journal doesn't say when it began")?;
        Ok(Run::new(id.to_owned(), order, folder, journal, status, began, lock))
    }

    fn new(
        id: String,
        order: ReleaseSpec,
        folder: Utf8PathBuf,
        journal: Journal,
        status: &Status,
        began: SystemTime,
        lock: Flock<File>,
    ) -> Run {
        Run {
            id,
            order,
            folder,
            attempt: journal.history().attempts.max(1),
            status: status.clone(),
            logins: RefCell::default(),
            sealing: RefCell::default(),
            launching: RefCell::default(),
            accesses: RefCell::default(),
            publishing: Cell::new(false),
            unblocked: RefCell::new(journal.history().unblocked()),
            journal,
            skipped: RefCell::default(),
            made: RefCell::default(),
            removed: RefCell::default(),
            began,
            _lock: lock,
        }
    }

    /// The name of the access for a role in an attempt, and the token of its machine: never used twice, because what was
    /// launched for one may have ended since.
    #[must_use]
    pub fn role_token(&self, role: Role, attempt: u32) -> String {
        match attempt {
            0 | 1 => self.token(role.word()),
            attempt => self.token(&format!("{}-{attempt}", role.word())),
        }
    }

    /// The system that the base is.
    ///
    /// # Errors
    /// When the recipe doesn't describe it.
    pub fn system(&self) -> Result<&System> {
        self.order.recipe.system(&self.order.system_name)
    }

    /// The regions that the image will be in, less those that were given up.
    #[must_use]
    pub fn regions(&self) -> Vec<Region> {
        let skipped = self.skipped.borrow();
        self.order.regions.iter().filter(|region| !skipped.contains_key(region)).cloned().collect()
    }

    /// A token or unique name for one thing of this build.
    #[must_use]
    pub fn token(&self, thing: &str) -> String {
        format!("{}-{thing}", self.id)
    }

    /// The tags of what this build makes.
    #[must_use]
    pub fn tags(&self) -> Tags {
        let order = &self.order;
        let mut tags = vec![
            ("Name".to_owned(), order.name.clone()),
            (TAG_BUILD.to_owned(), self.id.clone()),
            (TAG_VERSION.to_owned(), order.version.to_string()),
            (TAG_COMMIT.to_owned(), order.source.commit.clone().unwrap_or_else(|| "unknown".to_owned())),
            (TAG_SYSTEM.to_owned(), order.system_name.clone()),
        ];
        if let Visibility::Private { expires, .. } = order.visibility {
            let expires = humantime::format_rfc3339_seconds(self.began + expires).to_string();
            tags.push((TAG_EXPIRES.to_owned(), expires));
        }
        tags
    }

    /// The image that this build makes in `region`, of this base and this instance.
    #[must_use]
    pub fn new_image(&self, region: &Region, base_name: &str, made_of: &InstanceId) -> NewImage {
        let order = &self.order;
        let description = order
            .recipe
            .description
            .replace("{version}", order.version.as_str())
            .replace("{commit}", &order.source.commit_text())
            .replace("{base}", base_name)
            .chars()
            .take(MOST_DESCRIPTION_CHARS)
            .collect();
        let deprecate_at = (order.visibility == Visibility::Public).then(|| self.began + order.recipe.deprecate_after);
        let mut tags = self.tags();
        tags.push((TAG_INSTANCE.to_owned(), made_of.to_string()));
        NewImage {
            token: self.token(&format!("image-{region}")),
            name: order.name.clone(),
            description,
            tags,
            deprecate_at,
            require_imds_v2: order.recipe.require_imds_v2,
        }
    }

    /// A log of this build.
    #[must_use]
    pub fn log(&self, name: &str) -> Utf8PathBuf {
        self.folder.join(format!("{name}.log"))
    }

    /// New keys for a machine of this build.
    ///
    /// # Errors
    /// When they can't be made.
    pub fn new_login(&self, role: Role) -> Result<Login> {
        let comment = self.token(role.word());
        Ok(Login {
            user: self.system()?.ssh_user.clone(),
            key: LoginKey::generate(&comment)?,
            host_key: HostKey::generate(&comment)?,
        })
    }
}

/// What the first line of the journal tells.
fn about(order: &ReleaseSpec, id: &str, began: SystemTime) -> Value {
    let regions: Vec<&str> = order.regions.iter().map(Region::as_str).collect();
    json!({
        "id": id,
        "version": order.version.as_str(),
        "name": order.name,
        "began": humantime::format_rfc3339_seconds(began).to_string(),
        "root": order.source.root,
        "commit": order.source.commit,
        "branch": order.source.branch,
        "dirty": order.source.dirty,
        "local": order.local,
        "build_region": order.build_region.as_str(),
        "regions": regions,
        "private": order.visibility != Visibility::Public,
        "shared_with": order.visibility.names(),
        "system": order.system_name,
        "call": order.call,
        "inputs": inputs::files(order),
    })
}

/// Sorts by time, says the version, and is unique: `20261122T161746Z-0.6.1-3f9a`.
fn new_id(version: &Version, now: SystemTime) -> String {
    let time = humantime::format_rfc3339_seconds(now).to_string().replace(['-', ':'], "");
    let version: String = version
        .as_str()
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || ".-_".contains(c) { c } else { '_' })
        .take(16)
        .collect();
    let suffix = rand::rng().next_u32() & 0xffff;
    format!("{time}-{version}-{suffix:04x}")
}
