//! The instance that an earlier process was killed on while it made the image of it: this process resumes it where it is,
//! instead of launching another one.
//!
//! The scripts on it run by themselves, so they went on meanwhile, and are followed. It is replaced where no login on it
//! succeeds, where a step on it failed or it terminates by itself soon, and where its sealing began: sealing ends all
//! logins, and what it said of the instance was told to the process that is gone.

use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};

use super::{kept_login, launch, run::Run, session::Session};
use crate::{
    cloud::{Compute, Instance, InstanceState},
    event::{facts::Base, progress::Progress, step::Role},
    record::state::baking::{Baking, Begun},
};

/// How long a login may take on an instance that was logged in to before. It is longer than it takes until a silent one
/// lets this computer in at another address.
const LOGIN_LIMIT: Duration = Duration::from_secs(180);

/// An instance of an earlier process, with a login on it.
pub struct Resumed<'a, C: Compute> {
    /// What it was launched from.
    pub base: Base,
    /// The login.
    pub session: Session<'a, C>,
    /// What was done on it.
    pub begun: Begun,
}

/// Resumes the instance that an earlier process was making the image of. None if there is none that runs, or it has to be
/// replaced, which is said.
pub async fn resume<'a, C: Compute>(cloud: &'a C, run: &'a Run) -> Option<Resumed<'a, C>> {
    if run.attempt == 1 || !cloud.machines_outlive_process() {
        return None;
    }
    // A journal that cannot be read in full names instances for the sweep all the same.
    let baking = run.events.state(|state| state.baking()).ok().flatten()?;
    let instance = baking.instance.clone();
    let seen = cloud.instance(run.build_region(), &instance).await.ok().flatten()?;
    let Instance { state: InstanceState::Pending | InstanceState::Running, .. } = seen else { return None };
    match log_in(cloud, run, baking).await {
        Ok(resumed) => {
            run.events.say(Progress::Resumed { instance });
            Some(resumed)
        }
        Err(error) => {
            let why = format!("{error:#}").lines().next().unwrap_or_default().to_owned();
            run.events.say(Progress::Replacing { instance, why });
            None
        }
    }
}

async fn log_in<'a, C: Compute>(cloud: &'a C, run: &'a Run, baking: Baking) -> Result<Resumed<'a, C>> {
    let (limits, Baking { instance, base, begun, .. }) = (&run.spec.recipe.limits, baking.clone());
    if let Some(spoilt) = baking.spoilt {
        bail!(spoilt);
    }
    let age = run.age().saturating_sub(Duration::from_millis(baking.launched_ms));
    let left = limits.machine_lifetime.saturating_sub(age);
    let rounded = humantime::format_duration(Duration::from_secs(left.as_secs()));
    ensure!(left >= limits.script, "it terminates by itself in {rounded}");
    let login = kept_login::read(run, baking.attempt).context("its login was not kept")?;
    let limit = if baking.was_reached { LOGIN_LIMIT } else { limits.login };
    let session = launch::reach(cloud, run, Role::Bake, (instance.clone(), login.clone()), limit).await?;
    run.logins.borrow_mut().push((instance, login));
    Ok(Resumed { base, session, begun })
}
