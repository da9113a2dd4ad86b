//! The release, from the first machine to the report; and what happens when it stops on the way.

use std::{collections::BTreeSet, time::Duration};

use anyhow::{Context as _, Error, Result, bail};
use futures_util::future::{OptionFuture, join_all};
use tokio::{sync::oneshot, time::Instant};

use crate::{
    cloud::{Audience, Cloud, InstanceState, tags::TAG_BUILD},
    event::{ids::InstanceId, step::Role},
    ground::{
        outcome::Failure,
        signals::Signals,
        wait::{self, Pace, Patience, Poll},
    },
    machine::openssh,
    story::{
        bake, block, launch, publish,
        report::Report,
        run::{Made, Run},
        verify,
    },
};

/// How long tidying up after an interruption may take; a second signal ends it at once. With what it takes to say what
/// exists, that is less than the 15 s that are promised.
const INTERRUPTED_LIMIT: Duration = Duration::from_secs(14);

/// How long tidying up after a failure may take: longer than each wait in it.
const TIDY_LIMIT: Duration = launch::END_LIMIT.saturating_mul(3);

/// How long a machine whose launch was cut short may take to be shown.
const SHOWN: Patience = Patience {
    limit: Duration::from_secs(30),
    pace: Pace { first_look: Duration::ZERO, interval: Duration::from_secs(2) },
};

/// The same for whoever wants to go.
const SHOWN_SOON: Patience =
    Patience { limit: Duration::from_secs(6), pace: Pace { interval: Duration::from_secs(1), ..SHOWN.pace } };

/// From the beginning of tidying up, how long machines may take to be shown, and to let go of what lets in to them, which
/// they don't while they start. Then they are ended all the same, and there must be time for it.
const DETACH_LIMIT: Duration = Duration::from_secs(9);

/// How long a machine's console may take to be read before it is ended.
const CONSOLE_LIMIT: Duration = Duration::from_secs(5);

/// The pause before a machine that could not be ended is ended again.
const TERMINATE_PAUSE: Duration = Duration::from_secs(2);

/// Makes the image, and leaves nothing behind but it: whatever happens, the machines are ended. The result is told as
/// soon as it is there; that the last machine is gone is waited for after.
///
/// # Errors
/// When a part fails or a signal arrives. Why, what exists then, and what to type next, has been said by then.
pub async fn release<C: Cloud>(
    cloud: &C,
    build: &Run,
    signals: &mut Signals,
    tell: impl Fn(&Report) -> Result<()>,
) -> Result<Report, Failure> {
    // Boxed, because the compiler gives up on futures that are nested as deeply as the SDK's within ours.
    let outcome = tokio::select! {
        outcome = Box::pin(pipeline(cloud, build, &tell)) => outcome.map_err(Failure::Failed),
        signal = signals.next() => Err(Failure::Interrupted(signal)),
    };
    let mut kept = Vec::new();
    if let Err(failure) = &outcome {
        failure.say(&build.status);
        if build.order.keep_on_failure && matches!(failure, Failure::Failed(_)) {
            kept = keep_machines(cloud, build, signals).await;
        }
    }
    let hurry = matches!(outcome, Err(Failure::Interrupted(_)));
    let tidied = async {
        let tidied = tidy(cloud, build, &kept, hurry).await;
        if outcome.is_err() {
            look_what_exists(cloud, build).await;
        }
        tidied
    };
    // Whoever interrupts wants to go; else there is time to wait until the cloud lets go of everything.
    let limit = if hurry { INTERRUPTED_LIMIT } else { TIDY_LIMIT };
    let tidied = tokio::select! {
        tidied = tokio::time::timeout(limit, tidied) => tidied.context("it took too long").flatten(),
        signal = signals.next() => Err(Error::msg(format!("{signal} came meanwhile"))),
    };
    if let Err(error) = &tidied {
        build.status.warn(format_args!("what {} used may still be there: {error:#}", build.id));
    }
    if outcome.is_ok() {
        // Nobody goes on with what is done.
        bake::forget(&build.folder);
    }
    let how = match &outcome {
        Ok(_) => "done",
        Err(Failure::Interrupted(_)) => "interrupted",
        Err(_) => "failed",
    };
    if let Err(error) = build.journal.end(how, tidied.is_err()) {
        build.status.warn(format_args!("{error:#}"));
    }
    outcome.map_err(|failure| {
        say_what_exists(build, &cloud.flags(), &kept, tidied.is_ok());
        Failure::Said(failure.exit_code())
    })
}

/// The picture: nothing is public before the image was verified and every region's copy is available. Machines that have
/// done their work go away beside it.
async fn pipeline<C: Cloud>(cloud: &C, build: &Run, tell: impl Fn(&Report) -> Result<()>) -> Result<Report> {
    sweep(cloud, build).await?;
    let baked = bake::bake(cloud, build).await?;
    let (pass_on, verified) = oneshot::channel();
    let verify = async {
        // What was seen on an image says nothing of another one, which may have taken its place.
        let step = format!("verify {}", baked.image);
        let verified = build.journal.once(step, &baked.image, verify::verify(cloud, build, &baked)).await;
        let instance = verified.as_ref().ok().map(|verified| verified.instance.clone());
        // Whoever waits for it waits for the copies, too, and so is still there.
        let _ = pass_on.send(verified);
        if let Some(instance) = instance {
            launch::discard(cloud, build, Role::Verify, &instance).await;
        }
    };
    let release = async {
        // Each goes on to its end when the other fails, so that all that is wrong is known at once.
        let (verified, copied) = tokio::join!(verified, publish::copy_everywhere(cloud, build, &baked));
        let verified = match (verified.context("the verification ended without a result")?, copied) {
            (Ok(verified), Ok(())) => verified,
            (Err(verify), Ok(())) => return Err(verify),
            (Ok(_), Err(copy)) => return Err(copy),
            (Err(verify), Err(copy)) => bail!("{verify:#}\nand {copy:#}"),
        };
        gate_and_open(cloud, build).await?;
        let report = Report::new(build, &baked, verified.seen);
        if let Err(error) = report.keep(build) {
            // The images are there, and good.
            build.status.warn(format_args!("{error:#}"));
        }
        tell(&report)?;
        Ok(report)
    };
    let discard =
        OptionFuture::from(baked.instance.as_ref().map(|instance| launch::discard(cloud, build, Role::Bake, instance)));
    let (released, (), _) = tokio::join!(release, verify, discard);
    released
}

/// Ends what earlier attempts may have left: machines, and what lets in to them.
async fn sweep<C: Cloud>(cloud: &C, build: &Run) -> Result<()> {
    if build.attempt == 1 {
        return Ok(());
    }
    let region = &build.order.build_region;
    for instance in cloud.instances_of(region, &build.id).await? {
        build.status.step("Ending", format_args!("{instance}, which an earlier attempt left"));
        end_machine(cloud, build, &instance, Instant::now(), false).await?;
    }
    for attempt in 1..build.attempt {
        for role in [Role::Bake, Role::Verify] {
            cloud.revoke_access(region, &build.role_token(role, attempt)).await?;
        }
    }
    Ok(())
}

/// Opens the image to its audience, if all of it is there, and in no region another one of its name.
async fn gate_and_open<C: Cloud>(cloud: &C, build: &Run) -> Result<()> {
    // An earlier attempt may have opened some of it, which it only did because all of it was good.
    let open = if build.journal.history().intended("publish") { None } else { Some(false) };
    let faults = publish::check(cloud, &build.order.name, open, &build.regions()).await?;
    if !faults.is_empty() {
        bail!("what was made is not as it should be:\n  {}", faults.join("\n  "));
    }
    let Some(audience) = build.order.visibility.audience() else { return Ok(()) };
    let opened = async {
        if audience == Audience::Everybody && build.order.unblock_public_access {
            block::lift(cloud, build).await?;
        }
        publish::publish(cloud, build, &audience).await
    };
    let opened = opened.await;
    if let Err(error) = block::restore(cloud, build).await {
        // Tidying up tries again; the images are as they should be, or the error that says they aren't matters more.
        build.status.warn(format_args!("{error:#}"));
    }
    opened
}

/// Ends the build's machines, takes their accesses away, and closes what was about to be opened. Goes through all of it
/// whatever fails, and reports that together. What is `kept` is not ended. In a `hurry` it is enough that machines are
/// told to end, which nothing takes back.
async fn tidy<C: Cloud>(cloud: &C, build: &Run, kept: &[InstanceId], hurry: bool) -> Result<()> {
    let withdraw = async { if build.publishing.get() { publish::withdraw(cloud, build).await } else { Ok(()) } };
    let end = async {
        if !kept.is_empty() {
            return Vec::new();
        }
        openssh::forget(&build.folder);
        end_machines(cloud, build, hurry).await
    };
    // Side by side: time may be short, and none of them is to wait for another's region that doesn't answer.
    let (withdrawn, restored, mut faults) = tokio::join!(withdraw, block::restore(cloud, build), end);
    faults.splice(0..0, [withdrawn, restored].into_iter().filter_map(Result::err));
    let faults: Vec<String> = faults.iter().map(|error| format!("{error:#}")).collect();
    if faults.is_empty() { Ok(()) } else { bail!("{}", faults.join("\n  ")) }
}

/// Ends the build's machines, and takes away what let us in to them.
async fn end_machines<C: Cloud>(cloud: &C, build: &Run, hurry: bool) -> Vec<Error> {
    let region = &build.order.build_region;
    let mut faults = Vec::new();
    let detach_until = Instant::now() + DETACH_LIMIT;
    // What was launched just now may not be found by its tag yet.
    let launched = build.logins.borrow().iter().map(|(id, _)| id.clone()).collect::<Vec<_>>();
    let found = find_machines(cloud, build, &launched, hurry).await.unwrap_or_else(|error| {
        faults.push(error.context("failed to look for machines"));
        Vec::new()
    });
    let machines: BTreeSet<InstanceId> = found.into_iter().chain(launched).collect();
    let ended =
        join_all(machines.iter().map(|instance| end_machine(cloud, build, instance, detach_until, hurry))).await;
    faults.extend(ended.into_iter().filter_map(Result::err));
    let all_ended = faults.is_empty();
    let revoke = async |role: Role| match all_ended {
        true => launch::revoke(cloud, build, role).await,
        // A machine that lives on holds some of it fast, so there is nothing to wait for.
        false => cloud.revoke_access(region, &build.role_token(role, build.attempt)).await,
    };
    faults.extend(join_all([Role::Bake, Role::Verify].map(revoke)).await.into_iter().filter_map(Result::err));
    faults
}

/// The machines that carry the build's tag. One whose launch was cut short is waited for: it may come to light late, and
/// run on.
async fn find_machines<C: Cloud>(cloud: &C, build: &Run, known: &[InstanceId], hurry: bool) -> Result<Vec<InstanceId>> {
    let region = &build.order.build_region;
    if build.launching.borrow().is_empty() {
        return cloud.instances_of(region, &build.id).await;
    }
    let patience = if hurry { SHOWN_SOON } else { SHOWN };
    let found = wait::until("what was being launched to be shown", patience, &build.status, async || {
        let found = cloud.instances_of(region, &build.id).await?;
        let is_shown = found.iter().any(|id| !known.contains(id));
        Ok(if is_shown { Poll::Ready(found) } else { Poll::NotYet("nothing new is there".to_owned()) })
    });
    match found.await {
        Ok(found) => Ok(found),
        // Mostly the launch was not carried out.
        Err(_) => cloud.instances_of(region, &build.id).await,
    }
}

/// Ends a machine; without a hurry, waits until it is gone.
async fn end_machine<C: Cloud>(
    cloud: &C,
    build: &Run,
    instance: &InstanceId,
    detach_until: Instant,
    hurry: bool,
) -> Result<()> {
    let region = &build.order.build_region;
    // It is what a failure is understood by, and may be gone with the machine; but the machine costs money meanwhile.
    let console = tokio::time::timeout(CONSOLE_LIMIT, cloud.console(region, instance));
    let what = format!("{instance} to be detached");
    let patience = Patience { limit: detach_until.saturating_duration_since(Instant::now()), pace: SHOWN_SOON.pace };
    let detached = wait::until(what, patience, &build.status, async || {
        cloud.detach_access(region, instance).await.map(Poll::Ready)
    });
    // What it doesn't let go of now, it does when it is gone.
    let (console, _) = tokio::join!(console, detached);
    let console = console.ok().and_then(Result::ok).unwrap_or_default();
    let path = build.log(&format!("console-{instance}"));
    if let Err(error) = std::fs::write(&path, console) {
        build.status.warn(format_args!("failed to write {path}: {error}"));
    }
    terminate(cloud, build, instance).await?;
    if hurry { Ok(()) } else { launch::until_gone(cloud, build, instance).await }
}

/// Ends a machine; what costs money by the hour is worth a second and a third try.
async fn terminate<C: Cloud>(cloud: &C, build: &Run, instance: &InstanceId) -> Result<()> {
    let mut ended = cloud.terminate(&build.order.build_region, instance).await;
    for _ in 0..2 {
        if ended.is_ok() {
            break;
        }
        tokio::time::sleep(TERMINATE_PAUSE).await;
        ended = cloud.terminate(&build.order.build_region, instance).await;
    }
    ended
}

/// Finds out which images a build that did not come to its end has left: those that carry its tag, whatever was written
/// down of them.
async fn look_what_exists<C: Cloud>(cloud: &C, build: &Run) {
    let looks = build.order.regions.iter().map(async |region| (region, cloud.images(region).await));
    for (region, images) in join_all(looks).await {
        let Ok(images) = images else { continue };
        let image = images.into_iter().find(|image| image.tag(TAG_BUILD) == Some(&build.id));
        let mut made = build.made.borrow_mut();
        match image {
            Some(image) => drop(made.insert(region.clone(), Made { id: image.id, public: image.public })),
            None => drop(made.remove(region)),
        }
    }
}

/// Says what exists after a build that did not come to its end, and what to type next.
fn say_what_exists(build: &Run, flags: &str, kept: &[InstanceId], no_machine_runs: bool) {
    let status = &build.status;
    let made = build.made.borrow();
    let sealing = build.sealing.borrow();
    for id in kept {
        let life = humantime::format_duration(build.order.recipe.limits.machine);
        if sealing.as_ref() == Some(id) {
            let command = "aws ec2 terminate-instances --instance-ids";
            let region = &build.order.build_region;
            status.note(format_args!(
                "{id} was being sealed: it may let nobody in, and no longer ends itself. To end it:\n    {command} {id} --region {region}{flags}"
            ));
        } else {
            status.note(format_args!("{id} ends itself {life} after its launch."));
        }
    }
    if !kept.is_empty() {
        // What is left up has been said.
    } else if no_machine_runs {
        status.note("No machine runs.");
    }
    if made.is_empty() {
        status.note("No image was made.");
    } else {
        status.note("These images exist:");
        for (region, made) in made.iter() {
            let public = if made.public { "PUBLIC" } else { "private" };
            status.note(format_args!("  {region}: {} ({public})", made.id));
        }
    }
    if !made.is_empty() || !no_machine_runs {
        status.note(format_args!("To go on: cargo xtask ami resume {}{flags}", build.id));
    } else if build.journal.is_done("binaries") {
        status.note(format_args!("To go on, without building again: cargo xtask ami resume {}{flags}", build.id));
    }
    if !made.is_empty() || !no_machine_runs || !kept.is_empty() {
        status.note(format_args!("To remove it all: cargo xtask ami clean {}{flags}", build.id));
    }
    status.note(format_args!("Journal and logs: {}", build.folder));
}

/// Leaves the machines up, and says how to log in. Where they end with this process, waits for the signal to go on;
/// else gives back which are left.
async fn keep_machines<C: Cloud>(cloud: &C, build: &Run, signals: &mut Signals) -> Vec<InstanceId> {
    let region = &build.order.build_region;
    let logins = build.logins.borrow().clone();
    let mut up = Vec::new();
    for (id, login) in logins {
        let Ok(Some(instance)) = cloud.instance(region, &id).await else { continue };
        let Some(address) = instance.address.filter(|_| instance.state == InstanceState::Running) else { continue };
        match openssh::command_line(&build.folder, &login, address) {
            Ok(command) => {
                build.status.note(format_args!("{id} is left up. To log in:\n    {command}"));
                up.push(id);
            }
            Err(error) => build.status.warn(format_args!("{id} is up, and its key could not be kept: {error:#}")),
        }
    }
    if up.is_empty() || cloud.machines_outlive_us() {
        return up;
    }
    build.status.note("It ends when this command does: with Ctrl-C.");
    signals.next().await;
    Vec::new()
}
