//! An instance of a build: launching it, logging in, terminating it.

use std::time::Duration;

use anyhow::{Result, bail};

use super::{
    kept_login,
    reach::{self, Reached},
    run::Run,
    session::Session,
};
use crate::{
    cloud::{Compute, Instance, InstanceState, Launch, LaunchSource, Phase, SshAccess, Termination},
    event::{
        Event,
        facts::Base,
        ids::InstanceId,
        step::{Role, Step},
    },
    ground::{
        api_error::is_transient,
        wait::{self, Pace, Patience, Poll},
    },
    machine::{cloud_init, keys::Login},
};

/// How long an instance may take to terminate, and the cloud to delete its key pair and security group.
pub const TERMINATION_LIMIT: Duration = Duration::from_secs(600);

/// After how long an order to terminate that is not taken is told.
const TERMINATE_SILENCE: Duration = Duration::from_secs(10);

/// How long an instance may take to leave its security group before it is terminated.
const DETACH_LIMIT: Duration = Duration::from_secs(5);

/// Launches an instance, and logs in as soon as possible. `base` is what it is made of in the end.
///
/// # Errors
/// As [`launch`] and [`first_login`].
pub async fn log_in<'a, C: Compute>(
    cloud: &'a C,
    run: &'a Run,
    role: Role,
    source: LaunchSource,
    base: &Base,
) -> Result<Session<'a, C>> {
    let launched = launch(cloud, run, role, source, base).await?;
    first_login(cloud, run, role, launched).await
}

/// Launches an instance. `base` is what it is made of in the end.
///
/// # Errors
/// When the cloud refuses.
pub async fn launch<C: Compute>(
    cloud: &C,
    run: &Run,
    role: Role,
    source: LaunchSource,
    base: &Base,
) -> Result<(InstanceId, Login)> {
    let (spec, region) = (&run.spec, run.build_region());
    let login = run.new_login(role, base, |configured| cloud.users(base, configured))?;
    let token = run.role_token(role, run.attempt);
    let (public_key, is_imported) = (login.key.public()?, login.key.is_imported());
    if role == Role::Bake && cloud.machines_outlive_process() {
        kept_login::keep(run, run.attempt, &login).await?;
    }
    let access = SshAccess { name: token.clone(), public_key, is_imported, tags: run.tags() };
    run.events.record(Step::Access(role), &access.name, cloud.grant_access(region, &access)).await?;
    let launch = Launch {
        token,
        source,
        access: access.name,
        user_data: cloud_init::user_data(&login, spec.recipe.limits.machine_lifetime)?,
        instance_type: spec.recipe.instance.instance_type.clone(),
        root_volume_gib: spec.recipe.instance.root_volume_gib,
        tags: run.tags(),
    };
    let launched = run.events.record(Step::Launch(role), &launch.token, cloud.launch(region, &launch)).await;
    if launched.as_ref().is_err_and(is_transient) {
        // No answer came in all attempts, so cleaning up has to wait for an instance that may become visible late.
        run.events.say(Event::InDoubt { step: Step::Launch(role) });
    }
    let instance = launched?;
    run.logins.borrow_mut().push((instance.clone(), login.clone()));
    Ok((instance, login))
}

/// Logs in to an instance that was launched just now.
///
/// # Errors
/// When it terminates, or accepts no login within the limit; the message has its console's last lines.
pub async fn first_login<'a, C: Compute>(
    cloud: &'a C,
    run: &'a Run,
    role: Role,
    launched: (InstanceId, Login),
) -> Result<Session<'a, C>> {
    let session = reach(cloud, run, role, launched, run.spec.recipe.limits.login).await?;
    if role == Role::Bake && cloud.machines_outlive_process() {
        // With the user that was let in.
        kept_login::keep(run, run.attempt, &session.login).await?;
    }
    Ok(session)
}

/// Logs in to an instance that runs or starts.
///
/// # Errors
/// When it accepts no login within the limit.
pub async fn reach<'a, C: Compute>(
    cloud: &'a C,
    run: &'a Run,
    role: Role,
    (instance, login): (InstanceId, Login),
    limit: Duration,
) -> Result<Session<'a, C>> {
    let machine = run.events.record(Step::Login(role), &instance, async {
        let reached = reach::reach(cloud, run, role, (&instance, &login), limit, async || None).await?;
        let Reached::Machine(machine) = reached else { bail!("no script has ended on {instance}") };
        Ok(Unrecorded(machine))
    });
    let Unrecorded(machine) = machine.await?;
    Ok(Session::new(cloud, run, role, (instance, login), machine))
}

/// A result that is of no use to another process. The journal only records that there was one.
struct Unrecorded<T>(T);

impl<T> serde::Serialize for Unrecorded<T> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_unit()
    }
}

/// Terminates an instance that has done its work. A failure is only warned of: the work counts, and the cleanup tries
/// again.
pub async fn terminate<C: Compute>(cloud: &C, run: &Run, instance: &InstanceId) {
    // A security group that it does not leave now is free once it has terminated.
    let _ = tokio::time::timeout(DETACH_LIMIT, cloud.detach_access(run.build_region(), instance)).await;
    if let Err(error) = order_to_terminate(cloud, run, instance).await {
        run.events.warn(format_args!("failed to terminate {instance}: {error:#}"));
    }
}

/// Orders an instance to terminate. The cloud tries for minutes by itself, and says nothing meanwhile.
///
/// # Errors
/// When the cloud does not take the order.
pub async fn order_to_terminate<C: Compute>(cloud: &C, run: &Run, instance: &InstanceId) -> Result<()> {
    let region = run.build_region();
    let say = async {
        tokio::time::sleep(TERMINATE_SILENCE).await;
        run.events.warn(format_args!(
            "waiting for {region} to take the order to terminate {instance}, which costs money while it runs"
        ));
        std::future::pending().await
    };
    let taken = tokio::select! { taken = cloud.terminate(region, instance) => taken?, never = say => never };
    if taken == Termination::Certain {
        run.terminated.borrow_mut().insert(instance.clone());
    }
    Ok(())
}

/// Deletes the key pair and the security group of an instance whose termination was ordered, and waits until that is certain.
/// One that has left its group holds nothing, so it is not waited for; otherwise its group is free once it has terminated. A
/// failure is only warned of, as in [`terminate`].
pub async fn discard<C: Compute>(cloud: &C, run: &Run, role: Role, instance: &InstanceId) {
    let (gone, revoked) = tokio::join!(await_termination(cloud, run, instance), revoke(cloud, run, role));
    if gone.is_ok() && revoked.is_ok() {
        run.logins.borrow_mut().retain(|(id, _)| id != instance);
    }
    for error in [gone, revoked].into_iter().filter_map(Result::err) {
        run.events.warn(format_args!("{error:#}"));
    }
}

/// Waits until it is certain that an instance terminates, which it is at once where the cloud took the order. It may have
/// been refused, or an instance that was launched just now may have been unknown.
///
/// # Errors
/// When the limit passes, or the cloud does not answer.
pub async fn await_termination<C: Compute>(cloud: &C, run: &Run, instance: &InstanceId) -> Result<()> {
    if run.terminated.borrow().contains(instance) {
        return Ok(());
    }
    let region = run.build_region();
    let patience = Patience { limit: TERMINATION_LIMIT, pace: cloud.pace(Phase::Termination) };
    wait::until(format_args!("{instance} to terminate"), patience, &run.events, async || {
        let now = match cloud.instance(region, instance).await? {
            None | Some(Instance { state: InstanceState::Terminating | InstanceState::Terminated, .. }) => {
                return Ok(Poll::Ready(()));
            }
            Some(now) => now,
        };
        order_to_terminate(cloud, run, instance).await?;
        Ok(match run.terminated.borrow().contains(instance) {
            true => Poll::Ready(()),
            false => Poll::NotYet(now.state.to_string()),
        })
    })
    .await
}

/// Deletes the key pair and the security group that this process has for a role.
///
/// # Errors
/// When the limit passes, or the cloud refuses.
pub async fn revoke<C: Compute>(cloud: &C, run: &Run, role: Role) -> Result<()> {
    let Some(access) = run.access(role) else { return Ok(()) };
    run.events.record(Step::Revoke(role), &access, await_revoked(cloud, run, &access)).await
}

/// Deletes a key pair and a security group. EC2 refuses to delete a group for a while after its instance has terminated
/// (`DependencyViolation`), which is waited out.
///
/// # Errors
/// When the limit passes, or the cloud refuses for good.
pub async fn await_revoked<C: Compute>(cloud: &C, run: &Run, access: &str) -> Result<()> {
    let pace = Pace { first_check: Duration::ZERO, ..cloud.pace(Phase::Termination) };
    let patience = Patience { limit: TERMINATION_LIMIT, pace };
    let what = format!("the key pair and security group {access} to be deleted");
    wait::until(what, patience, &run.events, async || {
        cloud.revoke_access(run.build_region(), access).await.map(Poll::Ready)
    })
    .await
}

/// The result of work on an instance. If it failed and the instance is not running, the error says so.
///
/// # Errors
/// The error of the work.
pub async fn with_its_state<C: Compute, T>(
    cloud: &C,
    run: &Run,
    instance: &InstanceId,
    result: Result<T>,
) -> Result<T> {
    let Err(error) = result else { return result };
    match cloud.instance(run.build_region(), instance).await {
        Ok(Some(Instance { state: InstanceState::Running, .. })) | Err(_) => Err(error),
        Ok(None) => Err(error.context(format!("{instance} is gone"))),
        Ok(Some(now)) => {
            let reason = now.reason.map(|reason| format!(" ({reason})")).unwrap_or_default();
            Err(error.context(format!("{instance} is {}{reason}", now.state)))
        }
    }
}
