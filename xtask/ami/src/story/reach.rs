//! Logs in to an instance as soon as it can be reached.

use std::time::Duration;

use anyhow::{Result, bail};
use tokio::time::Instant;

use super::run::Run;
use crate::{
    cloud::{Compute, Instance, InstanceState, Phase},
    event::{ids::InstanceId, step::Role},
    ground::{
        api_error::is_transient,
        process,
        wait::{self, Patience, Poll},
    },
    machine::{Destination, keys::Login, ssh::LoginRefused},
};

/// How long a DescribeInstances answer is reused: with an address, and without one.
const REUSE_ANSWER_FOR: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(1));

/// How long a machine that runs does not answer before this computer's address is asked for again.
const RENEW_AFTER: Duration = Duration::from_secs(60);

/// What came of trying to log in.
pub enum Reached<M> {
    /// A login.
    Machine(M),
    /// The script that ended all logins has ended, with this exit status.
    Ended(u32),
}

/// Logs in to an instance as soon as possible. `ended` tells whether a script has ended that lets no login in.
///
/// # Errors
/// When the instance is not up, or accepts no login within the limit; the message has its console's last lines.
pub async fn reach<C: Compute>(
    cloud: &C,
    run: &Run,
    role: Role,
    (instance, login): (&InstanceId, &Login),
    limit: Duration,
    ended: impl AsyncFn() -> Option<u32>,
) -> Result<Reached<C::Machine>> {
    let region = run.build_region();
    let log = run.log(role.word());
    let patience = Patience { limit, pace: cloud.pace(Phase::Login) };
    let what = format!("a login on {instance}");
    // Logins are tried more often than the cloud is asked about the instance, because a call costs more.
    let mut last_seen: Option<(Instance, Instant)> = None;
    let mut renewed = Instant::now();
    let (mut is_silent, mut is_told) = (false, false);
    let reached = wait::until(what, patience, &run.events, async || {
        let now = match last_seen.take() {
            Some((seen, at)) if at.elapsed() < reusable_for(&seen) => (seen, at),
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
            (InstanceState::Running, Some(address)) => {
                let to = Destination { region, instance, address };
                match cloud.connect(&to, login, &log).await {
                    Ok(machine) => Ok(Poll::Ready(Reached::Machine(machine))),
                    Err(error) => {
                        if let Some(status) = ended().await {
                            return Ok(Poll::Ready(Reached::Ended(status)));
                        }
                        is_silent = !error.is::<LoginRefused>();
                        if is_silent && renewed.elapsed() >= RENEW_AFTER {
                            renewed = Instant::now();
                            if let Some(access) = run.access(role)
                                && let Err(error) = cloud.renew_access(region, &access, &run.tags()).await
                                && !is_transient(&error)
                                && !std::mem::replace(&mut is_told, true)
                            {
                                run.events.warn(format_args!("SSH is open to the same addresses as before: {error:#}"));
                            }
                        }
                        Ok(Poll::NotYet(format!("running, {}", error.root_cause())))
                    }
                }
            }
            (state, _) => {
                let reason = now.reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
                bail!("{instance} is {state} before a login was possible{reason}")
            }
        }
    });
    match reached.await {
        Ok(reached) => Ok(reached),
        Err(error) => {
            let advice = Some(cloud.way_in()).filter(|advice| is_silent && !advice.is_empty());
            let error = advice.map_or_else(|| format!("{error:#}"), |advice| format!("{error:#}\n{advice}"));
            // The console is the best hint. If it cannot be read, the error has to do.
            let console = cloud.console(region, instance).await.unwrap_or_default();
            match console.trim() {
                "" => bail!("{error}\nthe instance printed nothing on its console"),
                console => bail!("{error}\nthe last lines of its console:\n{}", process::last_lines(console)),
            }
        }
    }
}

fn reusable_for(seen: &Instance) -> Duration {
    if seen.address.is_some() { REUSE_ANSWER_FOR.0 } else { REUSE_ANSWER_FOR.1 }
}
