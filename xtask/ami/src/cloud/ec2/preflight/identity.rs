//! Checks the credentials, and explains what to do when they are missing, invalid or about to expire.

use std::time::{Duration, SystemTime};

use anyhow::{Error, Result};

use super::advice::{advice, command, of_machine};
use crate::{
    cloud::ec2::{
        clients::{Caller, Clients},
        credentials::source::Source,
    },
    ground::{api_error::ApiError, environment, finding::Finding, partition},
};

/// The time to get credentials, and then their identity. Some sources of credentials, such as roles, call another service
/// first.
const LIMIT: Duration = Duration::from_secs(14);

/// The time to get credentials from a source that may ask a person.
const LIMIT_OF_PEOPLE: Duration = Duration::from_secs(600);

/// The identity that the credentials belong to.
///
/// # Errors
/// A [`Finding`] when they are missing or invalid, or STS does not answer.
pub async fn verify(clients: &Clients, profile: Option<&str>) -> Result<Caller> {
    let from_environment = environment::profile();
    let profile = profile.or(from_environment.as_deref());
    let source = clients.source();
    let limit = if source.is_some_and(Source::may_ask_a_person) { LIMIT_OF_PEOPLE } else { LIMIT };
    let timed_out = |limit: Duration| {
        let problem = format!("timed out getting AWS credentials after {} s", limit.as_secs());
        let from = source.map(|source| format!(" from {}", source.words())).unwrap_or_default();
        let remedy = format!("run {} to see why", command("sts get-caller-identity", profile));
        Error::from(Finding { problem: problem + &from, remedy })
    };
    let finding = |error: &Error| {
        let answer = error.downcast_ref::<ApiError>().filter(|answer| answer.code.is_none());
        match answer {
            Some(answer) => {
                let mut finding = clients.http().no_answer(&clients.asked_host(), &answer.message);
                if let Some(meant) = partition::region_meant_by(&answer.region) {
                    finding.remedy.push_str(&format!("; did you mean the region {meant}?"));
                }
                finding
            }
            None => advice(error, profile, source),
        }
    };
    let fetched = tokio::time::timeout(limit, Box::pin(clients.fetch())).await.map_err(|_| timed_out(limit))?;
    fetched.map_err(|error| source.and_then(|it| of_machine(it, &error)).unwrap_or_else(|| finding(&error)))?;
    let caller = tokio::time::timeout(LIMIT, Box::pin(clients.caller())).await.map_err(|_| timed_out(LIMIT))?;
    caller.map_err(|error| finding(&error).into())
}

/// Whether the credentials outlast a build.
#[derive(Debug, PartialEq, Eq)]
pub enum Lifetime {
    /// They do.
    Enough,
    /// They expire if the build is slower than usual. The warning.
    Short(String),
    /// They expire before a usual build ends.
    TooShort(Finding),
}

/// Compares the expiration of the credentials with the estimate of a build. A slow build takes twice the estimate.
pub fn lifetime(expires: Option<SystemTime>, now: SystemTime, estimate: Duration) -> Lifetime {
    let Some(expires) = expires else { return Lifetime::Enough };
    let left = expires.duration_since(now).unwrap_or_default();
    if left >= 2 * estimate {
        return Lifetime::Enough;
    }
    let rounded = |time: Duration| humantime::format_duration(Duration::from_secs(time.as_secs()));
    let remedy = "log in again, for the longest session that you can get";
    if left.is_zero() {
        let problem = "the AWS credentials have expired".to_owned();
        return Lifetime::TooShort(Finding { problem, remedy: remedy.to_owned() });
    }
    let problem = format!(
        "the AWS credentials expire in {} and are not renewed; a build takes about {}, a slow one {}",
        rounded(left),
        rounded(estimate),
        rounded(2 * estimate)
    );
    if left < estimate {
        return Lifetime::TooShort(Finding { problem, remedy: remedy.to_owned() });
    }
    Lifetime::Short(format!("{problem}; {remedy}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_must_outlast_a_usual_build_and_should_outlast_a_slow_one() {
        let (now, minute) = (SystemTime::UNIX_EPOCH, Duration::from_secs(60));
        let after = |minutes: u32| lifetime(Some(now + minutes * minute), now, 14 * minute);
        assert_eq!(lifetime(None, now, minute), Lifetime::Enough);
        assert_eq!(after(28), Lifetime::Enough);
        let Lifetime::Short(warning) = after(20) else { panic!("20 min are short") };
        assert!(warning.contains("expire in 20m") && warning.contains("about 14m, a slow one 28m"), "{warning}");
        assert!(matches!(after(13), Lifetime::TooShort(_)));
        assert_eq!(lifetime(Some(now), now + minute, minute), after(0));
    }
}
