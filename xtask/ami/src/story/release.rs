//! The release, from the first instance to the result, and the cleanup when it fails or is interrupted.

use std::{cell::Cell, time::Duration};

use anyhow::{Context as _, Error, Result, anyhow, bail};
use futures_util::future::{OptionFuture, maybe_done};
use tokio::sync::oneshot;

use super::{
    bake, copy, keep, launch, mark, open, parameters, promote, resumed, reuse::Order, run::Run, teardown, told, verify,
};
use crate::{
    cloud::Cloud,
    event::{
        How,
        step::{Role, Step},
    },
    ground::{outcome::Failure, signals::Signals},
    show::{page, result::Report},
};

/// How long cleaning up after an interruption may take; a second signal ends it at once. README promises 15 s, which leaves
/// a second to say what exists.
const INTERRUPTED_LIMIT: Duration = Duration::from_secs(14);

/// How long cleaning up after a failure may take: longer than any single wait in it.
const CLEANUP_LIMIT: Duration = launch::TERMINATION_LIMIT.saturating_mul(3);

/// Makes the image, and leaves nothing else behind: the instances are terminated even after a failure. `tell` gets the
/// result as soon as it is complete, before the last instance has terminated.
///
/// # Errors
/// When a part fails or a signal arrives. By then the user has been told why, what exists, and what to type next.
pub async fn release<C: Cloud>(
    cloud: &C,
    run: &Run,
    signals: &mut Signals,
    tell: impl Fn(&Report) -> Result<()>,
) -> Result<Report, Failure> {
    let swept = Cell::new(false);
    let outcome = work(cloud, run, &swept, signals, &tell).await;
    let mut kept = Vec::new();
    if let Err(failure) = &outcome {
        failure.report(&run.events);
        if run.spec.keep_on_failure && matches!(failure, Failure::Failed(_)) {
            kept = teardown::keep_instances(cloud, run, signals).await;
        }
    }
    let urgency = match outcome {
        Err(Failure::Interrupted(_)) => teardown::Urgency::Interrupted,
        _ => teardown::Urgency::None,
    };
    let cleanup = async {
        let cleaned = teardown::clean_up(cloud, run, &kept, urgency).await;
        if outcome.is_err() {
            teardown::look_what_exists(cloud, run).await;
        }
        cleaned
    };
    let limit = if urgency == teardown::Urgency::Interrupted { INTERRUPTED_LIMIT } else { CLEANUP_LIMIT };
    let cleaned = tokio::select! {
        cleaned = tokio::time::timeout(limit, cleanup) => cleaned
            .map_err(|_| anyhow!("cleanup timed out after {}", humantime::format_duration(limit)))
            .flatten(),
        signal = signals.next() => Err(Error::msg(format!("{signal} interrupted the cleanup"))),
    };
    if let Err(error) = &cleaned {
        let id = &run.id;
        run.events.warn(format_args!("{error:#}; resources of build {id} may still exist and cost money"));
    }
    if outcome.is_ok() {
        // A build that is done is never resumed.
        bake::delete_leftovers(&run.folder);
    }
    let (how, failure) = match outcome {
        Ok(report) => (How::Done, Ok(report)),
        Err(failure @ Failure::Interrupted(_)) => (How::Interrupted, Err(failure)),
        Err(failure) => (How::Failed, Err(failure)),
    };
    if failure.is_err() {
        teardown::say_what_exists(cloud, run, &kept, cleaned.is_ok());
    }
    if let Err(error) = run.events.end(how, cleaned.is_err() || !swept.get()) {
        run.events.warn(format_args!("{error:#}"));
    }
    write_page(run).await;
    failure.map_err(|failure| Failure::Reported(failure.exit_code()))
}

/// Writes the page of the build. It can be made again at any time, so the build does not fail without it.
async fn write_page(run: &Run) {
    let folder = run.folder.clone();
    let written = tokio::task::spawn_blocking(move || page::write(&folder)).await;
    if let Err(error) = written.map_err(Error::from).flatten() {
        run.events.warn(format_args!("{error:#}; to make the page: cargo xtask ami report {}", run.id));
    }
}

/// Runs the pipeline, and keeps a base beside it, which ends with a pipeline that fails. A signal that comes after the result
/// ends only the latter.
async fn work<C: Cloud>(
    cloud: &C,
    run: &Run,
    swept: &Cell<bool>,
    signals: &mut Signals,
    tell: &impl Fn(&Report) -> Result<()>,
) -> Result<Report, Failure> {
    if let Some(promotion) = &run.spec.promotes {
        // It launches nothing, so no earlier process left anything.
        swept.set(true);
        return tokio::select! {
            outcome = Box::pin(promote::promote(cloud, run, promotion, tell)) => outcome.map_err(Failure::Failed),
            signal = signals.next() => Err(Failure::Interrupted(signal)),
        };
    }
    let (keeping, ordered) = oneshot::channel();
    let mut keep = Box::pin(maybe_done(keep::beside(cloud, run, ordered)));
    let beside = async {
        keep.as_mut().await;
        std::future::pending().await
    };
    // Boxed, because the SDK's futures within ours are nested too deeply for the compiler.
    let outcome = tokio::select! {
        outcome = Box::pin(pipeline(cloud, run, swept, keeping, tell)) => outcome.map_err(Failure::Failed),
        signal = signals.next() => Err(Failure::Interrupted(signal)),
        never = beside => never,
    };
    if outcome.is_ok() {
        tokio::select! {
            () = keep => {}
            signal = signals.next() => {
                run.events.warn(format_args!("{signal}: the image is complete, and no base is kept for later builds"));
            }
        }
    }
    outcome
}

/// The pipeline. Nothing is public before the image is verified and the copy in every region is available. Instances that
/// have done their work terminate meanwhile.
/// Sets `swept` once what earlier processes left is gone.
async fn pipeline<C: Cloud>(
    cloud: &C,
    run: &Run,
    swept: &Cell<bool>,
    keeping: oneshot::Sender<Order>,
    tell: &impl Fn(&Report) -> Result<()>,
) -> Result<Report> {
    let resumed = resumed::resume(cloud, run).await;
    teardown::sweep(cloud, run).await?;
    swept.set(true);
    let home = bake::bake(cloud, run, resumed, keeping).await?;
    let (pass_on, verified) = oneshot::channel();
    let verify = async {
        // The step names the image: the checks of one image say nothing about its replacement.
        let step = Step::Verify(home.image.clone());
        let verified = run.events.once(step, &home.image, verify::verify(cloud, run, &home)).await;
        if let Ok(verified) = &verified {
            mark::verified(cloud, run, &home.image, verified).await;
        }
        let instance = verified.as_ref().ok().map(|verified| verified.instance.clone());
        // The receiver also waits for the copies, so it still exists.
        let _ = pass_on.send(verified);
        if let Some(instance) = instance {
            launch::discard(cloud, run, Role::Verify, &instance).await;
        }
    };
    let release = async {
        // Each continues when the other fails, so that all faults are reported at once.
        let (verified, copied) = tokio::join!(verified, copy::everywhere(cloud, run, &home));
        let images = match (verified.context("the verification ended without a result")?, copied) {
            (Ok(_), Ok(images)) => images,
            (Err(verify), Ok(_)) => return Err(verify),
            (Ok(_), Err(copy)) => return Err(copy),
            (Err(verify), Err(copy)) => bail!("{verify:#}\nand {copy:#}"),
        };
        parameters::after(cloud, run, &images, open::through_the_gate(cloud, run, &home.disk.base, &images)).await?;
        told::provenance(run, &home.disk, &images);
        told::result(run, &images, tell)
    };
    let discard =
        OptionFuture::from(home.instance.as_ref().map(|instance| launch::discard(cloud, run, Role::Bake, instance)));
    let (released, (), _) = tokio::join!(release, verify, discard);
    released
}
