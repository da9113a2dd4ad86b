//! The release, from the first machine to the report; and what happens when it stops on the way.

use std::time::Duration;

use anyhow::{Context as _, Error, Result, bail};

use crate::{
    bake,
    build::{Build, Made, Role, TAG_BUILD, Visibility},
    cloud::{Cloud, InstanceId, InstanceState},
    openssh,
    outcome::Failure,
    process, publish,
    report::Report,
    signals::Signals,
    verify,
};

/// How long tidying up after an interruption may take; a second signal ends it at once.
const TIDY_LIMIT: Duration = Duration::from_secs(15);

/// The pause before a machine that could not be ended is ended again.
const TERMINATE_PAUSE: Duration = Duration::from_secs(2);

/// Makes the image, and leaves nothing behind but it: whatever happens, the machines are ended.
///
/// # Errors
/// When a part fails or a signal arrives. Why, what exists then, and what to type next, has been said by then.
pub async fn release<C: Cloud>(cloud: &C, build: &Build, signals: &mut Signals) -> Result<Report, Failure> {
    let outcome = tokio::select! {
        outcome = pipeline(cloud, build) => outcome.map_err(Failure::Failed),
        signal = signals.next() => Err(Failure::Interrupted(signal)),
    };
    if let Err(failure) = &outcome {
        failure.say(&build.status);
        if build.order.keep_on_failure && matches!(failure, Failure::Failed(_)) {
            wait_beside_the_machines(cloud, build, signals).await;
        }
    }
    let tidied = async {
        let tidied = tidy(cloud, build).await;
        if outcome.is_err() {
            look_what_exists(cloud, build).await;
        }
        tidied
    };
    let tidied = tokio::select! {
        tidied = tokio::time::timeout(TIDY_LIMIT, tidied) => tidied.context("it took too long").flatten(),
        signal = signals.next() => Err(Error::msg(format!("{signal} came meanwhile"))),
    };
    if let Err(error) = &tidied {
        build.status.warn(format_args!("the machines of {} may still be there: {error:#}", build.id));
    }
    let how = match &outcome {
        Ok(_) => "done",
        Err(Failure::Interrupted(_)) => "interrupted",
        Err(_) => "failed",
    };
    if let Err(error) = build.journal.end(how) {
        build.status.warn(format_args!("{error:#}"));
    }
    outcome.map_err(|failure| {
        say_what_exists(build, tidied.is_ok());
        Failure::Said(failure.exit_code())
    })
}

/// The picture: nothing is public before the image was verified and every region's copy is available.
async fn pipeline<C: Cloud>(cloud: &C, build: &Build) -> Result<Report> {
    let baked = bake::bake(cloud, build).await?;
    // Each goes on to its end when the other fails, so that all that is wrong is known at once.
    let verified = build.journal.step("verify", &baked.image, verify::verify(cloud, build, &baked));
    let (verified, copied) = tokio::join!(verified, publish::copy_everywhere(cloud, build, &baked));
    let verification = match (verified, copied) {
        (Ok(verification), Ok(())) => verification,
        (Err(verify), Ok(())) => return Err(verify),
        (Ok(_), Err(copy)) => return Err(copy),
        (Err(verify), Err(copy)) => bail!("{verify:#}\nand {copy:#}"),
    };
    // The gate: all of them, and in no region another one of that name.
    gate(cloud, build, false).await?;
    let public = build.order.visibility == Visibility::Public;
    if public {
        publish::publish(cloud, build).await?;
    }
    gate(cloud, build, public).await?;
    let report = Report::new(build, baked, verification);
    if let Err(error) = report.keep(build) {
        // The images are there, and good.
        build.status.warn(format_args!("{error:#}"));
    }
    Ok(report)
}

/// Fails unless the images are there, alike, and as public as they should be, in every region.
async fn gate<C: Cloud>(cloud: &C, build: &Build, public: bool) -> Result<()> {
    let faults = publish::check(cloud, &build.order.name, public, &build.order.regions).await?;
    if !faults.is_empty() {
        bail!("what was made is not as it should be:\n  {}", faults.join("\n  "));
    }
    Ok(())
}

/// Ends the build's machines, takes their accesses away, and makes private what was about to be public. Goes through
/// all of it whatever fails, and reports that together.
async fn tidy<C: Cloud>(cloud: &C, build: &Build) -> Result<()> {
    let region = &build.order.home_region;
    let mut faults = Vec::new();
    if build.publishing.get() {
        faults.extend(publish::withdraw(cloud, build).await.err());
    }
    for instance in cloud.instances_of(region, &build.id).await.unwrap_or_else(|error| {
        faults.push(error.context("failed to look for machines"));
        Vec::new()
    }) {
        // The console is gone with the machine, and it is what a failure is understood by.
        let console = cloud.console(region, &instance).await.unwrap_or_default();
        faults.extend(terminate(cloud, build, &instance).await.err());
        let path = build.log(&format!("console-{instance}"));
        if let Err(error) = std::fs::write(&path, console) {
            build.status.warn(format_args!("failed to write {path}: {error}"));
        }
    }
    for role in [Role::Bake, Role::Verify] {
        faults.extend(cloud.revoke_access(region, &build.token(role.word())).await.err());
    }
    openssh::forget(&build.folder);
    let faults: Vec<String> = faults.iter().map(|error| format!("{error:#}")).collect();
    if faults.is_empty() { Ok(()) } else { bail!("{}", faults.join("\n  ")) }
}

/// Ends a machine; what costs money by the hour is worth a second and a third try.
async fn terminate<C: Cloud>(cloud: &C, build: &Build, instance: &InstanceId) -> Result<()> {
    let mut ended = cloud.terminate(&build.order.home_region, instance).await;
    for _ in 0..2 {
        if ended.is_ok() {
            break;
        }
        tokio::time::sleep(TERMINATE_PAUSE).await;
        ended = cloud.terminate(&build.order.home_region, instance).await;
    }
    ended
}

/// Finds out which images a build that did not come to its end has left: those that carry its tag, whatever was written
/// down of them.
async fn look_what_exists<C: Cloud>(cloud: &C, build: &Build) {
    for region in &build.order.regions {
        let Ok(images) = cloud.images(region).await else { continue };
        let image = images.into_iter().find(|image| image.tag(TAG_BUILD) == Some(&build.id));
        let mut made = build.made.borrow_mut();
        match image {
            Some(image) => drop(made.insert(region.clone(), Made { id: image.id, public: image.public })),
            None => drop(made.remove(region)),
        }
    }
}

/// Says what exists after a build that did not come to its end, and what to type next.
fn say_what_exists(build: &Build, no_machine_runs: bool) {
    let status = &build.status;
    let made = build.made.borrow();
    if no_machine_runs {
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
        let version = process::quote(build.order.version.as_str());
        status.note(format_args!("To remove them: cargo xtask ami retire --version {version} --local"));
    }
    status.note(format_args!("Journal and logs: {}", build.folder));
}

/// Leaves the machines up, says how to log in, and waits for the signal to go on.
async fn wait_beside_the_machines<C: Cloud>(cloud: &C, build: &Build, signals: &mut Signals) {
    let region = &build.order.home_region;
    let logins = build.logins.borrow().clone();
    let mut up = false;
    for (id, login) in logins {
        let Ok(Some(instance)) = cloud.instance(region, &id).await else { continue };
        let Some(address) = instance.address.filter(|_| instance.state == InstanceState::Running) else { continue };
        match openssh::command_line(&build.folder, &login, address) {
            Ok(command) => {
                build.status.note(format_args!("{id} is left up. To log in:\n    {command}"));
                up = true;
            }
            Err(error) => build.status.warn(format_args!("{id} is up, and its key could not be kept: {error:#}")),
        }
    }
    if up {
        build.status.note("It ends when this command does: with Ctrl-C.");
        signals.next().await;
    }
}
