//! A release under way: what to release, where its records are, and what happened so far.

use std::{
    cell::RefCell,
    collections::BTreeSet,
    time::{Duration, SystemTime},
};

use anyhow::{Context as _, Result, anyhow, bail};
use camino::Utf8PathBuf;
use rand::Rng as _;
use xtask::{duration::PRIVATE_LIFE, region::Region, version::Version};

use crate::{
    ask::{
        inputs,
        spec::{ReleaseSpec, Visibility},
    },
    cloud::{
        NewImage,
        tags::{self, TAG_REUSED_BASE, Tags},
    },
    event::{
        about::{About, Identity},
        facts::{Base, Built},
        ids::{ImageId, InstanceId},
        step::{Role, Step},
    },
    events::Events,
    ground::locks::lock_builds,
    machine::keys::{HostKey, Login, LoginKey, Users},
    recipe::System,
    record::{
        folder::{JOURNAL, Lock, lock},
        journal::Reading,
        ownership,
        unfinished::Unfinished,
    },
    state_dir::StateDir,
};

/// A release under way.
pub struct Run {
    /// The build's id: unique, and legal in tags, tokens and file names.
    pub id: String,
    /// What to release.
    pub spec: ReleaseSpec,
    /// The folder of journal, logs and manifest.
    pub folder: Utf8PathBuf,
    /// Where its events are emitted, and its state is.
    pub events: Events,
    /// The instances that were launched, and their keys. No event has them: keys are not recorded.
    pub logins: RefCell<Vec<(InstanceId, Login)>>,
    /// The instances whose termination the cloud has confirmed to this process.
    pub terminated: RefCell<BTreeSet<InstanceId>>,
    /// How many processes have begun or resumed the build, this one included.
    pub attempt: u32,
    began: SystemTime,
    /// Held for as long as this process works on the build.
    _lock: Lock,
}

impl Run {
    /// Begins a build: makes its folder and its journal.
    ///
    /// # Errors
    /// When they cannot be made, or an unfinished build of this version exists.
    pub async fn begin(spec: ReleaseSpec, identity: Identity, state_dir: &StateDir, events: &Events) -> Result<Run> {
        let began = SystemTime::now();
        let id = new_id(&spec.version, &spec.unique, began);
        let folder = state_dir.build(&id);
        // Preflight checked this a while ago. Under this lock, no other build can begin meanwhile.
        let _alone = lock_builds(state_dir, events).await?;
        Unfinished::refuse_second(state_dir, &spec.release())?;
        std::fs::create_dir_all(&folder).with_context(|| format!("failed to make the build's folder {folder}"))?;
        let lock = lock(&folder)?;
        events.begin(&folder, about(&spec, &id, began, identity))?;
        let (events, logins, terminated) = (events.clone(), RefCell::default(), RefCell::default());
        Ok(Run { attempt: 1, events, logins, terminated, id, spec, folder, began, _lock: lock })
    }

    /// Resumes an unfinished build.
    ///
    /// # Errors
    /// When another process works on it, its journal cannot be read, it belongs to another account, it began at no
    /// time that can be, or its inputs have changed.
    pub async fn resume(
        spec: ReleaseSpec,
        id: &str,
        identity: &Identity,
        state_dir: &StateDir,
        events: &Events,
    ) -> Result<Run> {
        let folder = state_dir.build(id);
        let _alone = lock_builds(state_dir, events).await?;
        let lock = lock(&folder)?;
        Unfinished::refuse_beside(state_dir, &spec.release(), Some(id))?;
        let reading = Reading::of(&folder.join(JOURNAL))?;
        let about = reading.state.about()?;
        ownership::refuse_elsewhere(about, identity, "resume")?;
        let began = began(about)?;
        let spec = inputs::as_it_began(spec, &reading.state)?;
        let attempt = reading.state.attempts + 1;
        events.resume(&folder, reading)?;
        let (events, logins, terminated) = (events.clone(), RefCell::default(), RefCell::default());
        Ok(Run { id: id.to_owned(), spec, folder, events, logins, terminated, attempt, began, _lock: lock })
    }

    /// The region that the image is made in.
    #[must_use]
    pub fn build_region(&self) -> &Region {
        &self.spec.build_region
    }

    /// The name of the key pair and the security group of a role in an attempt, and the token of its instance. Each attempt
    /// has its own, because the instance that was launched with an earlier one may have terminated since.
    #[must_use]
    pub fn role_token(&self, role: Role, attempt: u32) -> String {
        match attempt {
            0 | 1 => self.token(role.word()),
            attempt => self.token(&format!("{}-{attempt}", role.word())),
        }
    }

    /// The name of the key pair and the security group that this process has for a role, if it has any.
    #[must_use]
    pub fn access(&self, role: Role) -> Option<String> {
        self.events.state(|state| state.access(role)).map(|attempt| self.role_token(role, attempt))
    }

    /// How long ago the build began.
    #[must_use]
    pub fn age(&self) -> Duration {
        self.began.elapsed().unwrap_or_default()
    }

    /// The system of the base.
    ///
    /// # Errors
    /// When the recipe does not describe it.
    pub fn system(&self) -> Result<&System> {
        self.spec.recipe.system(&self.spec.system_name)
    }

    /// A token or unique name for one thing of this build.
    #[must_use]
    pub fn token(&self, thing: &str) -> String {
        format!("{}-{thing}", self.id)
    }

    /// The tags of everything that this build makes.
    #[must_use]
    pub fn tags(&self) -> Tags {
        self.spec.tags(&self.id, self.began)
    }

    /// The kept base that this build's instance is launched from, if it is.
    #[must_use]
    pub fn reused_base(&self) -> Option<ImageId> {
        self.events.state(|state| state.result::<Option<ImageId>>(&Step::Reuse)).ok().flatten().flatten()
    }

    /// The image that this build makes in `region`, from this base and this instance.
    #[must_use]
    pub fn new_image(&self, region: &Region, base_name: &str, made_of: &InstanceId) -> NewImage {
        let token = self.token(&format!("image-{region}"));
        let mut image = self.spec.new_image(&self.id, self.began, token, &made_of.0);
        let built = self.events.state(|state| state.result::<Vec<Built>>(&Step::Binaries));
        // What cannot be read is an error where it is needed.
        let built = built.ok().flatten().unwrap_or_default().into_iter();
        image.tags.extend(tags::sha256(&built.map(|binary| (binary.name, binary.sha256)).collect()));
        image.tags.extend(self.reused_base().map(|kept| (TAG_REUSED_BASE.to_owned(), kept.0)));
        image.for_base(base_name, &self.spec.system_name)
    }

    /// The path of a log of this build.
    #[must_use]
    pub fn log(&self, name: &str) -> Utf8PathBuf {
        self.folder.join(format!("{name}.log"))
    }

    /// A login key and a host key for an instance of this build, and the users to try: what `users` makes of the recipe's,
    /// unless one was given.
    ///
    /// # Errors
    /// When they cannot be made.
    pub fn new_login(&self, role: Role, base: &Base, users: impl Fn(&[String]) -> Vec<String>) -> Result<Login> {
        let (comment, ssh) = (self.token(role.word()), &self.spec.recipe.ssh);
        let users = match &ssh.user {
            Some(given) => vec![given.clone()],
            None => users(&self.system()?.ssh_users),
        };
        let key_type = ssh.key_type_for(&base.name);
        let (key, host_key) = (LoginKey::generate(key_type, &comment)?, HostKey::generate(key_type, &comment)?);
        Ok(Login { users: Users::of(&users), key, host_key })
    }
}

/// When a build began, by its journal. The dates in tags are reckoned from it, and end with the year 9999.
fn began(about: &About) -> Result<SystemTime> {
    let id = &about.id;
    let says = || format!("the journal says that the build {id} began at `{}`", about.began);
    let began = humantime::parse_rfc3339(&about.began).map_err(|error| anyhow!("{}, {error}", says()))?;
    if began > SystemTime::now() {
        bail!("{}, which is in the future: set the clock of this computer", says());
    }
    let expires = about.expires().filter(|expires| !PRIVATE_LIFE.contains(expires));
    if let Some(expires) = expires {
        bail!(
            "the journal says that the image of the build {id} is kept for {} s, longer than any: it is \
             damaged; clean the build up",
            expires.as_secs()
        );
    }
    Ok(began)
}

/// What is being built, for the first event of the build.
fn about(spec: &ReleaseSpec, id: &str, began: SystemTime, identity: Identity) -> About {
    let expires_secs = match spec.visibility {
        Visibility::Public => None,
        Visibility::Private { expires, .. } => Some(expires.as_secs()),
    };
    About {
        id: id.to_owned(),
        version: spec.version.clone(),
        name: spec.name.clone(),
        began: humantime::format_rfc3339_seconds(began).to_string(),
        root: spec.source.root.clone(),
        commit: spec.source.commit.clone(),
        commit_secs: spec.source.commit_secs,
        branch: spec.source.branch.clone(),
        dirty: spec.source.dirty,
        local: spec.local,
        identity: Some(identity),
        profile: spec.profile.clone(),
        build_region: spec.build_region.clone(),
        regions: spec.regions.clone(),
        private: spec.visibility != Visibility::Public,
        shared_with: spec.visibility.names(),
        expires_secs,
        system: spec.system_name.clone(),
        instance_type: (!spec.local).then(|| spec.recipe.instance.instance_type.clone()),
        skip_build: spec.skip_build,
        reuse_base: spec.reuse_base,
        call: spec.invocation.clone(),
        inputs: inputs::files(spec),
        promotes: spec.promotes.clone().map(Box::new),
    }
}

/// Sorts by time, says the version, and is unique: `20261122T161746Z-0.6.1-3f9a`.
fn new_id(version: &Version, unique: &str, now: SystemTime) -> String {
    let time = humantime::format_rfc3339_seconds(now).to_string().replace(['-', ':'], "");
    let version: String = version
        .as_str()
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || ".-_".contains(c) { c } else { '_' })
        .take(16)
        .collect();
    let suffix = match unique {
        "" => format!("{:04x}", rand::rng().next_u32() & 0xffff),
        unique => unique.to_owned(),
    };
    format!("{time}-{version}-{suffix}")
}
