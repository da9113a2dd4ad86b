//! A machine of a build: launched, logged in to, ended.

use std::time::Duration;

use anyhow::{Result, bail};
use tokio::time::Instant;

use crate::{
    cloud::{Cloud, Instance, InstanceState, Launch, LaunchSource, Phase, SshAccess},
    event::{ids::InstanceId, step::Role},
    ground::{
        process,
        wait::{self, Pace, Patience, Poll},
    },
    machine::cloud_init,
    machine::keys::Login,
    story::run::Run,
};

/// How long what is known of a machine that has an address is good for, and of one that hasn't.
const ASK_AGAIN_AFTER: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(1));

/// How long a machine may take to be gone, and the cloud to let go of what it used.
pub const END_LIMIT: Duration = Duration::from_secs(600);

/// How long a machine that is about to be ended may take to let go of what lets in to it.
const DETACH_LIMIT: Duration = Duration::from_secs(5);

/// A machine that one is logged in to.
pub struct Reached<M> {
    /// The instance.
    pub instance: InstanceId,
    /// Who logged in.
    pub login: Login,
    /// The login.
    pub machine: M,
}

/// Launches an instance and logs in, as soon as that is possible.
///
/// # Errors
/// When it can't be launched, ends, or lets nobody in within the limit; the message has its console's last lines.
pub async fn reach<C: Cloud>(cloud: &C, build: &Run, role: Role, source: LaunchSource) -> Result<Reached<C::Machine>> {
    let (order, region) = (&build.order, &build.order.build_region);
    let login = build.new_login(role)?;
    let token = build.role_token(role, build.attempt);
    let access = SshAccess { name: token.clone(), public_key: login.key.public()?, tags: build.tags() };
    // An error may come after the deed, so it counts as granted from here on.
    build.accesses.borrow_mut().insert(role);
    let step = format!("{} access", role.word());
    build.journal.step(step, &access.name, cloud.grant_access(region, &access)).await?;
    let launch = Launch {
        token,
        source,
        access: access.name,
        user_data: cloud_init::user_data(&login.host_key, order.recipe.limits.machine)?,
        instance_type: order.recipe.instance.instance_type.clone(),
        root_volume_gib: order.recipe.instance.root_volume_gib,
        tags: build.tags(),
    };
    let step = format!("{} launch", role.word());
    // Whoever drops this future meanwhile has to look for the machine.
    build.launching.borrow_mut().insert(role);
    let launched = build.journal.step(step, &launch.token, cloud.launch(region, &launch)).await;
    build.launching.borrow_mut().remove(&role);
    let instance = launched?;
    build.logins.borrow_mut().push((instance.clone(), login.clone()));
    build.status.step("Launched", format_args!("{instance} to {} the image", role.word()));
    let step = format!("{} login", role.word());
    let machine = build.journal.step(step, &instance, async {
        let machine = log_in(cloud, build, role, &instance, &login).await?;
        Ok(Unrecorded(machine))
    });
    let Unrecorded(machine) = machine.await?;
    Ok(Reached { instance, login, machine })
}

/// A result that means nothing to another process, so the journal only says that it was there.
struct Unrecorded<T>(T);

impl<T> serde::Serialize for Unrecorded<T> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_unit()
    }
}

async fn log_in<C: Cloud>(
    cloud: &C,
    build: &Run,
    role: Role,
    instance: &InstanceId,
    login: &Login,
) -> Result<C::Machine> {
    let region = &build.order.build_region;
    let log = build.log(role.word());
    let patience = Patience { limit: build.order.recipe.limits.login, pace: cloud.pace(Phase::Login) };
    let what = format!("a login on {instance}");
    // While it runs, its door is knocked at more often than the cloud is asked how it is.
    let mut last_seen: Option<(Instance, Instant)> = None;
    let reached = wait::until(what, patience, &build.status, async || {
        let now = match last_seen.take() {
            Some((seen, at)) if at.elapsed() < good_for(&seen) => (seen, at),
            _ => match cloud.instance(region, instance).await? {
                Some(seen) => (seen, Instant::now()),
                // Right after the launch EC2 may not know the instance yet (eventual consistency).
                None => return Ok(Poll::NotYet("unknown to the cloud".to_owned())),
            },
        };
        let (now, _) = last_seen.insert(now);
        match (now.state, now.address) {
            (InstanceState::Pending, _) => Ok(Poll::NotYet("pending".to_owned())),
            (InstanceState::Running, None) => Ok(Poll::NotYet("running, without an address".to_owned())),
            (InstanceState::Running, Some(address)) => match cloud.connect(address, login, &log).await {
                Ok(machine) => Ok(Poll::Ready(machine)),
                Err(error) => Ok(Poll::NotYet(format!("running, {}", error.root_cause()))),
            },
            (state, _) => {
                let reason = now.reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
                bail!("{instance} is {state} before anyone could log in{reason}")
            }
        }
    });
    match reached.await {
        Ok(machine) => Ok(machine),
        Err(error) => {
            // What the machine said is the best hint there is; without it the error stands alone.
            let console = cloud.console(region, instance).await.unwrap_or_default();
            match console.trim() {
                "" => bail!("{error:#}\nthe machine printed nothing on its console"),
                console => bail!("{error:#}\nthe last lines of its console:\n{}", process::last_lines(console)),
            }
        }
    }
}

/// Ends a machine that has done its work. Failing to is no reason to lose what it did: tidying up tries again.
pub async fn end<C: Cloud>(cloud: &C, build: &Run, instance: &InstanceId) {
    // What it doesn't let go of now, it does when it is gone.
    let _ = tokio::time::timeout(DETACH_LIMIT, cloud.detach_access(&build.order.build_region, instance)).await;
    if let Err(error) = cloud.terminate(&build.order.build_region, instance).await {
        build.status.warn(format_args!("{instance} could not be ended: {error:#}"));
    }
}

/// Waits until a machine whose end was ordered is gone, and takes away what let us in. Failing to is no reason to lose
/// what it did: tidying up tries again.
pub async fn discard<C: Cloud>(cloud: &C, build: &Run, role: Role, instance: &InstanceId) {
    let (gone, revoked) = tokio::join!(until_gone(cloud, build, instance), revoke(cloud, build, role));
    if gone.is_ok() && revoked.is_ok() {
        build.logins.borrow_mut().retain(|(id, _)| id != instance);
    }
    for error in [gone, revoked].into_iter().filter_map(Result::err) {
        build.status.warn(format_args!("{error:#}"));
    }
}

fn good_for(seen: &Instance) -> Duration {
    if seen.address.is_some() { ASK_AGAIN_AFTER.0 } else { ASK_AGAIN_AFTER.1 }
}

/// Waits until a machine whose end was ordered is gone.
///
/// # Errors
/// When the limit passes, or the cloud doesn't answer.
pub async fn until_gone<C: Cloud>(cloud: &C, build: &Run, instance: &InstanceId) -> Result<()> {
    let region = &build.order.build_region;
    let patience = Patience { limit: END_LIMIT, pace: cloud.pace(Phase::End) };
    wait::until(format_args!("{instance} to be gone"), patience, &build.status, async || {
        let now = match cloud.instance(region, instance).await? {
            None | Some(Instance { state: InstanceState::Terminated, .. }) => return Ok(Poll::Ready(())),
            Some(now) => now,
        };
        if now.state != InstanceState::Stopping {
            // The order to end it did not get through.
            cloud.terminate(region, instance).await?;
        }
        Ok(Poll::NotYet(now.state.to_string()))
    })
    .await
}

/// Takes away what let us in to a machine that is gone.
///
/// # Errors
/// When the limit passes, or the cloud refuses.
pub async fn revoke<C: Cloud>(cloud: &C, build: &Run, role: Role) -> Result<()> {
    if !build.accesses.borrow().contains(&role) {
        return Ok(());
    }
    let access = build.role_token(role, build.attempt);
    let pace = Pace { first_look: Duration::ZERO, ..cloud.pace(Phase::End) };
    let patience = Patience { limit: END_LIMIT, pace };
    let what = format!("the access {access} to go");
    let revoke = wait::until(what, patience, &build.status, async || {
        cloud.revoke_access(&build.order.build_region, &access).await.map(Poll::Ready)
    });
    build.journal.step(format!("{} revoke", role.word()), &access, revoke).await?;
    build.accesses.borrow_mut().remove(&role);
    Ok(())
}

/// What came of work on a machine; when it failed because the machine is gone, the error says that.
///
/// # Errors
/// The work's own.
pub async fn with_its_state<C: Cloud, T>(
    cloud: &C,
    build: &Run,
    instance: &InstanceId,
    result: Result<T>,
) -> Result<T> {
    let Err(error) = result else { return result };
    match cloud.instance(&build.order.build_region, instance).await {
        Ok(Some(Instance { state: InstanceState::Running, .. })) | Err(_) => Err(error),
        Ok(None) => Err(error.context(format!("{instance} is gone"))),
        Ok(Some(now)) => {
            let reason = now.reason.map(|reason| format!(" ({reason})")).unwrap_or_default();
            Err(error.context(format!("{instance} is {}{reason}", now.state)))
        }
    }
}
