//! The cleanup when a build ends: terminates its instances, deletes their key pairs and security groups, closes images
//! that are open in some regions only, and says what exists then.

use std::{collections::BTreeSet, time::Duration};

use anyhow::{Error, Result, bail};
use futures_util::future::join_all;
use tokio::time::Instant;

use super::{block, kept_login, launch, open, run::Run};
use crate::{
    cloud::{Cloud, HowTo, Instance, InstanceState, tags::TAG_BUILD},
    event::{
        Event,
        ids::InstanceId,
        progress::Progress,
        step::{Role, Step},
    },
    ground::{
        signals::Signals,
        wait::{self, Pace, Patience, Poll},
    },
    machine::{Destination, openssh},
    record::{folder::PAGE, state::State},
};

/// How long an instance whose launch was cut short may take to become visible (EC2's eventual consistency).
const VISIBLE: Patience =
    Patience { limit: Duration::from_secs(30), pace: Pace::new(Duration::ZERO, Duration::from_secs(2)) };

/// The same after an interruption.
const VISIBLE_SOON: Patience =
    Patience { limit: Duration::from_secs(6), pace: Pace { interval: Duration::from_secs(1), ..VISIBLE.pace } };

/// Cleanup's budget for instances to become visible and to leave their security group, which a pending one cannot. After
/// it they are terminated anyway.
const DETACH_LIMIT: Duration = Duration::from_secs(9);

/// How long reading the console of an instance may delay its termination.
const CONSOLE_LIMIT: Duration = Duration::from_secs(5);

/// The pause before an instance that could not be terminated is terminated again.
const TERMINATE_PAUSE: Duration = Duration::from_secs(2);

/// Whether there is time to wait until everything is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Urgency {
    /// There is.
    None,
    /// A signal came. It is enough to order the instances to terminate, which cannot be undone.
    Interrupted,
}

/// Terminates the instances that earlier processes left, and deletes their key pairs and security groups; all but the one
/// that this process resumes.
///
/// # Errors
/// When the cloud refuses, or the limit passes.
pub async fn sweep<C: Cloud>(cloud: &C, run: &Run) -> Result<()> {
    if run.attempt == 1 {
        return Ok(());
    }
    let resumed: Vec<InstanceId> = run.logins.borrow().iter().map(|(id, _)| id.clone()).collect();
    let access = if resumed.is_empty() { None } else { run.access(Role::Bake) };
    if resumed.is_empty() {
        kept_login::delete(&run.folder);
    }
    let launched = launched_earlier(cloud, run).await;
    let known = [launched.clone(), resumed.clone()].concat();
    let mut found = find_instances(cloud, run, &known, Urgency::None).await?;
    found.retain(|instance| !resumed.contains(instance));
    for instance in &found {
        run.events.say(Progress::Terminating { instance: instance.clone() });
    }
    let detach_until = Instant::now() + DETACH_LIMIT;
    for instance in found.into_iter().chain(launched).collect::<BTreeSet<_>>() {
        end_instance(cloud, run, &instance, detach_until, Urgency::None).await?;
    }
    for attempt in 1..run.attempt {
        for role in Role::ALL {
            let earlier = run.role_token(role, attempt);
            if access.as_ref() != Some(&earlier) {
                launch::await_revoked(cloud, run, &earlier).await?;
            }
        }
    }
    Ok(())
}

/// Terminates the build's instances, deletes their key pairs and security groups, and closes images that are open in some
/// regions only. A failure stops none of the rest, and all are reported together. If instances are `kept`, none is
/// terminated.
///
/// # Errors
/// With everything that could not be done.
pub async fn clean_up<C: Cloud>(cloud: &C, run: &Run, kept: &[InstanceId], urgency: Urgency) -> Result<()> {
    // Before anything is done to its instance, which no process resumes from here on.
    kept_login::delete(&run.folder);
    let withdraw = async {
        // Also where an earlier process began to open them, and this one came to its end before it could go on.
        let images = run.events.state(|state| state.is_half_open().then(|| state.image_ids()));
        match images {
            Some(images) => open::withdraw(cloud, run, &images).await,
            None => Ok(()),
        }
    };
    let terminate = async {
        // A promotion launches nothing.
        if !kept.is_empty() || run.spec.promotes.is_some() {
            return Vec::new();
        }
        openssh::delete_keys(&run.folder);
        end_instances(cloud, run, urgency).await
    };
    // At once: time may be short, and a region that does not answer must not delay the rest.
    let (withdrawn, restored, mut faults) = tokio::join!(withdraw, block::restore(cloud, run), terminate);
    faults.splice(0..0, [withdrawn, restored].into_iter().filter_map(Result::err));
    let faults: Vec<String> = faults.iter().map(|error| format!("{error:#}")).collect();
    if faults.is_empty() { Ok(()) } else { bail!("{}", faults.join("\n  ")) }
}

/// The instances that earlier processes launched, except those that terminate or have terminated: to end these again would
/// only cost time.
async fn launched_earlier<C: Cloud>(cloud: &C, run: &Run) -> Vec<InstanceId> {
    let mut earlier = run.events.state(State::launched);
    earlier.retain(|id| run.logins.borrow().iter().all(|(own, _)| own != id));
    let looks = join_all(earlier.iter().map(|id| cloud.instance(run.build_region(), id))).await;
    let is_over = |look: &Result<Option<Instance>>| {
        let seen = look.as_ref().ok().and_then(Option::as_ref);
        seen.is_some_and(|it| matches!(it.state, InstanceState::Terminating | InstanceState::Terminated))
    };
    earlier.into_iter().zip(looks).filter(|(_, look)| !is_over(look)).map(|(id, _)| id).collect()
}

async fn end_instances<C: Cloud>(cloud: &C, run: &Run, urgency: Urgency) -> Vec<Error> {
    let mut faults = Vec::new();
    let detach_until = Instant::now() + DETACH_LIMIT;
    // A tag search may not find an instance yet that was launched just now.
    let mut launched = launched_earlier(cloud, run).await;
    launched.extend(run.logins.borrow().iter().map(|(id, _)| id.clone()));
    let found = find_instances(cloud, run, &launched, urgency).await.unwrap_or_else(|error| {
        faults.push(error.context("failed to look for instances"));
        Vec::new()
    });
    let mut instances: BTreeSet<InstanceId> = found.into_iter().chain(launched).collect();
    // A tag search may still find one as it was before it was ordered to terminate.
    instances.retain(|instance| !run.terminated.borrow().contains(instance));
    let ended =
        join_all(instances.iter().map(|instance| end_instance(cloud, run, instance, detach_until, urgency))).await;
    faults.extend(ended.into_iter().filter_map(Result::err));
    let all_ended = faults.is_empty();
    let revoke = async |role: Role| match all_ended {
        true => launch::revoke(cloud, run, role).await,
        // The security group of an instance that still runs cannot be deleted, so there is nothing to wait for.
        false => match run.access(role) {
            Some(access) => cloud.revoke_access(run.build_region(), &access).await,
            None => Ok(()),
        },
    };
    faults.extend(join_all(Role::ALL.map(revoke)).await.into_iter().filter_map(Result::err));
    faults
}

/// The instances with the build's tag. If a launch was cut short, its instance may become visible late and keep running, so
/// this waits for it.
async fn find_instances<C: Cloud>(
    cloud: &C,
    run: &Run,
    known: &[InstanceId],
    urgency: Urgency,
) -> Result<Vec<InstanceId>> {
    let region = run.build_region();
    if !run.events.state(|state| state.is_launching()) {
        return cloud.instances_of(region, &run.id).await;
    }
    let patience = if urgency == Urgency::Interrupted { VISIBLE_SOON } else { VISIBLE };
    let found = wait::until("the instance that was being launched", patience, &run.events, async || {
        let found = cloud.instances_of(region, &run.id).await?;
        let is_shown = found.iter().any(|id| !known.contains(id));
        Ok(if is_shown { Poll::Ready(found) } else { Poll::NotYet("not visible".to_owned()) })
    });
    match found.await {
        Ok(found) => Ok(found),
        // Most likely there was no launch.
        Err(_) => cloud.instances_of(region, &run.id).await,
    }
}

/// Terminates an instance; unless interrupted, waits until that is certain.
async fn end_instance<C: Cloud>(
    cloud: &C,
    run: &Run,
    instance: &InstanceId,
    detach_until: Instant,
    urgency: Urgency,
) -> Result<()> {
    let region = run.build_region();
    // The console explains a failure, and may be lost with the instance. But the instance costs money while it is read.
    let console = tokio::time::timeout(CONSOLE_LIMIT, cloud.console(region, instance));
    let what = format!("{instance} to leave its security group");
    let limit = detach_until.saturating_duration_since(Instant::now());
    let detached = wait::until(what, Patience { limit, pace: VISIBLE_SOON.pace }, &run.events, async || {
        cloud.detach_access(region, instance).await.map(Poll::Ready)
    });
    // A security group that it does not leave now is free once it has terminated.
    let (console, _) = tokio::join!(console, detached);
    let console = console.ok().and_then(Result::ok).unwrap_or_default();
    let path = run.log(&format!("console-{instance}"));
    // An instance that is gone has none, and an earlier process may have kept what it was.
    if let Some(Err(error)) = (!console.is_empty()).then(|| std::fs::write(&path, console)) {
        run.events.warn(format_args!("failed to write {path}: {error}"));
    }
    terminate(cloud, run, instance).await?;
    if urgency == Urgency::Interrupted { Ok(()) } else { launch::await_termination(cloud, run, instance).await }
}

/// Orders an instance to terminate, in up to three attempts, because it costs money by the hour.
async fn terminate<C: Cloud>(cloud: &C, run: &Run, instance: &InstanceId) -> Result<()> {
    let mut ended = launch::order_to_terminate(cloud, run, instance).await;
    for _ in 0..2 {
        if ended.is_ok() {
            break;
        }
        tokio::time::sleep(TERMINATE_PAUSE).await;
        ended = launch::order_to_terminate(cloud, run, instance).await;
    }
    ended
}

/// Asks the cloud which images with the build's tag exist. This counts more than the journal.
pub async fn look_what_exists<C: Cloud>(cloud: &C, run: &Run) {
    let looks = run.spec.regions.iter().map(async |region| (region, cloud.images(region).await));
    for (region, images) in join_all(looks).await {
        let Ok(images) = images else { continue };
        let image = images.into_iter().find(|image| image.tag(TAG_BUILD) == Some(&run.id));
        let open = image.as_ref().is_some_and(|image| image.public);
        run.events.say(Event::Seen { region: region.clone(), image: image.map(|image| image.id), open });
    }
}

/// Says what exists after a build that failed or was interrupted, and what to type next.
pub fn say_what_exists<C: Cloud>(cloud: &C, run: &Run, kept: &[InstanceId], all_ended: bool) {
    let (events, flags) = (&run.events, cloud.flags());
    let sealing = events.state(|state| state.sealing());
    for id in kept {
        if sealing.as_ref() == Some(id) {
            let command = cloud.how_to(HowTo::Terminate(run.build_region(), id));
            events.note(format_args!(
                "{id} was being sealed. It may refuse logins, and does not terminate by itself. To terminate it:\n    {command}"
            ));
        } else {
            let lifetime = humantime::format_duration(run.spec.recipe.limits.machine_lifetime);
            events.note(format_args!("{id} terminates by itself {lifetime} after its launch."));
        }
    }
    if kept.is_empty() && all_ended && run.spec.promotes.is_none() {
        events.note("No instance is running.");
    }
    let images = events.state(|state| state.images.clone());
    if images.is_empty() {
        events.note("No image was made.");
    } else {
        events.note("These images exist:");
        for (region, image) in &images {
            let public = if image.open { "PUBLIC" } else { "private" };
            events.note(format_args!("  {region}: {} ({public})", image.id));
        }
    }
    let id = &run.id;
    if !images.is_empty() || !all_ended {
        events.note(format_args!("To resume: cargo xtask ami resume {id}{flags}"));
    } else if events.state(|state| state.is_done(&Step::Binaries)) {
        events.note(format_args!("To resume without building again: cargo xtask ami resume {id}{flags}"));
    }
    if !images.is_empty() || !all_ended || !kept.is_empty() {
        events.note(format_args!("To clean up: cargo xtask ami clean {id}{flags}"));
    }
    events.note(format_args!("Journal and logs: {}", run.folder));
    events.note(format_args!("Page of the build: {}", run.folder.join(PAGE)));
}

/// Leaves the instances running, and says how to log in. If they end with this process, waits for a signal to end it;
/// otherwise returns them.
pub async fn keep_instances<C: Cloud>(cloud: &C, run: &Run, signals: &mut Signals) -> Vec<InstanceId> {
    let logins = run.logins.borrow().clone();
    let mut up = Vec::new();
    for (id, login) in logins {
        let Ok(Some(instance)) = cloud.instance(run.build_region(), &id).await else { continue };
        let Some(address) = instance.address.filter(|_| instance.state == InstanceState::Running) else { continue };
        let through = cloud.through(&Destination { region: run.build_region(), instance: &id, address });
        match openssh::command_line(&run.folder, &login, address, through.as_ref()) {
            Ok(command) => {
                run.events.note(format_args!("{id} keeps running. To log in:\n    {command}"));
                up.push(id);
            }
            Err(error) => {
                run.events.warn(format_args!("{id} is running, but its login key could not be saved: {error:#}"))
            }
        }
    }
    if up.is_empty() || cloud.machines_outlive_process() {
        return up;
    }
    run.events.note("It ends with this command. To end both, press Ctrl-C.");
    signals.next().await;
    Vec::new()
}
