//! Stops a sealed instance from outside: once it is sealed it may refuse logins.

use std::time::Duration;

use anyhow::{Result, bail, ensure};
use tokio::time::Instant;

use super::run::Run;
use crate::{
    cloud::{Compute, Instance, InstanceState, Phase, Shutdown},
    event::{ids::InstanceId, step::Step},
    ground::wait::{self, Patience, Poll},
};

/// How long an instance may take before it is asked to shut down again: the first request may have come before its system
/// listened for it.
const ASK_AGAIN: Duration = Duration::from_secs(60);

/// How long an instance may take to stop after its power was cut. EC2 may take minutes, too (EC2 user guide, "Troubleshoot
/// Amazon EC2 instance stop issues").
const FORCED_LIMIT: Duration = Duration::from_secs(600);

/// How long an instance may be unknown to the cloud before it counts as gone (EC2's eventual consistency).
const UNKNOWN_LIMIT: Duration = Duration::from_secs(120);

/// Stops a sealed instance. One that takes longer than the recipe's `limits.stop` has its power cut, because sealing synced
/// its disk.
///
/// # Errors
/// When it cannot be stopped, has terminated, or stopped by itself.
pub async fn stop<C: Compute>(cloud: &C, run: &Run, instance: &InstanceId) -> Result<()> {
    run.events.record(Step::Stop, instance, unrecorded(cloud, run, instance)).await
}

/// The same of an instance that no other process takes over.
///
/// # Errors
/// As [`stop`].
pub async fn unrecorded<C: Compute>(cloud: &C, run: &Run, instance: &InstanceId) -> Result<()> {
    Stopping::of(cloud, run, instance).work().await
}

struct Stopping<'a, C> {
    cloud: &'a C,
    run: &'a Run,
    instance: &'a InstanceId,
    began: Instant,
    asked: Instant,
    unknown_since: Option<Instant>,
    forced: bool,
}

impl<'a, C: Compute> Stopping<'a, C> {
    fn of(cloud: &'a C, run: &'a Run, instance: &'a InstanceId) -> Stopping<'a, C> {
        let now = Instant::now();
        Stopping { cloud, run, instance, began: now, asked: now, unknown_since: None, forced: false }
    }

    async fn work(mut self) -> Result<()> {
        let (run, region, instance) = (self.run, self.run.build_region(), self.instance);
        self.cloud.stop(region, instance, Shutdown::Ordered).await?;
        let limit = run.spec.recipe.limits.stop + FORCED_LIMIT;
        let patience = Patience { limit, pace: self.cloud.pace(Phase::Stop) };
        wait::until(format_args!("{instance} to stop"), patience, &run.events, async || {
            let Some(now) = self.cloud.instance(region, instance).await? else {
                let since = *self.unknown_since.get_or_insert_with(Instant::now);
                ensure!(since.elapsed() < UNKNOWN_LIMIT, "{instance} is gone, and its disk with it");
                return Ok(Poll::NotYet("unknown to the cloud".to_owned()));
            };
            self.unknown_since = None;
            match now {
                Instance { state: InstanceState::Stopped, reason: None, .. } => Ok(Poll::Ready(())),
                Instance { state: InstanceState::Stopped | InstanceState::Terminated, reason, .. } => {
                    let reason = reason.unwrap_or_else(|| "it is terminated".to_owned());
                    bail!("{instance} did not shut down as asked: {reason}")
                }
                Instance { state, .. } => Ok(Poll::NotYet(self.press(state).await)),
            }
        })
        .await
    }

    /// Asks an instance that is still up again, or cuts its power. Returns its state in words. An error only counts if the
    /// instance does not stop, so it is part of these words.
    async fn press(&mut self, state: InstanceState) -> String {
        let limit = self.run.spec.recipe.limits.stop;
        let how = match () {
            () if !self.forced && self.began.elapsed() >= limit => Shutdown::Forced,
            () if !self.forced && self.asked.elapsed() >= ASK_AGAIN => Shutdown::Repeated,
            () => return state.to_string(),
        };
        if how == Shutdown::Forced {
            let (instance, limit) = (self.instance, humantime::format_duration(limit));
            self.run.events.warn(format_args!("{instance} has not shut down in {limit}; its power is cut"));
        }
        match self.cloud.stop(self.run.build_region(), self.instance, how).await {
            Ok(()) => {
                self.asked = Instant::now();
                self.forced = how == Shutdown::Forced;
                state.to_string()
            }
            Err(error) => format!("{state}; {error:#}"),
        }
    }
}
