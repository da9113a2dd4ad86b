//! Checks the credentials, and explains what to do when they are missing, invalid or about to expire.

use std::time::{Duration, SystemTime};

use anyhow::{Error, Result};

use crate::{
    cloud::ec2::clients::{Caller, Clients},
    ground::{
        api_error::ApiError,
        finding::Finding,
        partition::{self, Partition},
    },
};

/// The time to get credentials and their identity. Some sources of credentials, such as roles, call another service
/// first.
const LIMIT: Duration = Duration::from_secs(14);

/// The environment variable that takes precedence over every profile.
const KEY_VARIABLE: &str = "AWS_ACCESS_KEY_ID";

/// The identity that the credentials belong to.
///
/// # Errors
/// A [`Finding`] when they are missing or invalid, or STS does not answer.
pub async fn verify(clients: &Clients, profile: Option<&str>) -> Result<Caller> {
    let from_environment = std::env::var("AWS_PROFILE").ok();
    let profile = profile.or(from_environment.as_deref());
    match tokio::time::timeout(LIMIT, clients.caller()).await {
        Ok(Ok(caller)) => Ok(caller),
        Ok(Err(error)) => Err(advice(&error, profile, &clients.sts_endpoint()).into()),
        Err(_) => {
            let problem = format!("timed out getting AWS credentials after {} s", LIMIT.as_secs());
            let remedy = format!("run {} to see why", command("sts get-caller-identity", profile));
            Err(Finding { problem, remedy }.into())
        }
    }
}

/// A command of the AWS CLI with the profile.
fn command(what: &str, profile: Option<&str>) -> String {
    match profile {
        Some(profile) => format!("aws {what} --profile {}", crate::ground::process::quote(profile)),
        None => format!("aws {what}"),
    }
}

/// The finding for an error of the SDK or of STS.
fn advice(error: &Error, profile: Option<&str>, host: &str) -> Finding {
    let log_in = command("sso login", profile);
    let configure = command("configure", profile);
    let Some(answer) = error.downcast_ref::<ApiError>() else {
        return advice_without_credentials(&format!("{error:#}"), profile, &log_in, &configure);
    };
    let (problem, remedy) = if answer.has_code(&["ExpiredToken*", "RequestExpired"]) {
        let problem = format!("the AWS credentials have expired: {answer}");
        (problem, format!("log in again, for instance with {log_in}; if you just did, check this computer's clock"))
    } else if answer.has_code(&["SignatureDoesNotMatch", "IncompleteSignature"]) {
        let problem = format!("the AWS secret key does not match the access key: {answer}");
        (problem, format!("set both again with {configure}; if they are correct, check this computer's clock"))
    } else if answer.has_code(&["InvalidClientTokenId", "UnrecognizedClient*", "AuthFailure", "InvalidAccessKeyId"]) {
        let problem = format!("the AWS credentials are not valid: {answer}");
        let remedy = format!("set valid ones with {configure}, or log in with {log_in}, or choose a --profile");
        (problem, format!("{remedy}{}", partition_note(&answer.region)))
    } else if answer.code.is_none() {
        let problem = format!("no answer from {host}: {}", answer.message);
        let slip = partition::region_meant_by(&answer.region);
        let hint = slip.map(|meant| format!("; did you mean the region {meant}?")).unwrap_or_default();
        (problem, format!("check that this computer can reach it, and check AWS_ENDPOINT_URL and the region{hint}"))
    } else {
        (answer.to_string(), format!("run {} to see more", command("sts get-caller-identity", profile)))
    };
    Finding { problem, remedy }
}

/// That credentials of another partition are not valid in a region: STS knows nothing of them.
fn partition_note(region: &str) -> String {
    let partition = region.parse().map(|region| &Partition::of(&region).id);
    partition.map(|id| format!("; {region} takes only those of accounts in the partition {id}")).unwrap_or_default()
}

/// The finding for an error before any request was sent. The SDK has no codes for these, only messages.
fn advice_without_credentials(words: &str, profile: Option<&str>, log_in: &str, configure: &str) -> Finding {
    let has = |parts: &[&str]| parts.iter().any(|part| words.contains(part));
    let whose = profile.map(|profile| format!(" for the profile `{profile}`")).unwrap_or_default();
    let (problem, remedy) = if let Some(profile) = unknown_profile(words) {
        let problem = format!("there is no AWS profile `{profile}`");
        (problem, "choose one of those that `aws configure list-profiles` lists, with --profile".to_owned())
    } else if has(&["no providers in chain", "no AWS credentials are set up", "not enabled", "IMDS"]) {
        // The instance metadata service (IMDS) is the last source that the SDK tries.
        let remedy = format!("log in with {log_in}, or set keys with {configure}, or choose another --profile");
        (format!("no AWS credentials are set up{whose}"), format!("{remedy} (AWS_PROFILE)"))
    } else if has(&["/sso/cache/", "\\sso\\cache\\"]) && has(&["failed to read"]) {
        (format!("not logged in to AWS{whose}"), format!("log in: {log_in}"))
    } else if has(&["expired", "Expired", "invalid_grant", "InvalidGrant", "Unauthorized"]) {
        (format!("the AWS login has expired: {words}"), format!("log in again: {log_in}"))
    } else {
        (words.to_owned(), format!("fix that, or log in with {log_in}, or choose another --profile"))
    };
    Finding { problem, remedy }
}

/// The profile in the SDK's "profile `x` was not defined".
fn unknown_profile(words: &str) -> Option<&str> {
    let (before, _) = words.split_once("` was not defined")?;
    before.rsplit_once("profile `").map(|(_, profile)| profile)
}

/// The finding when a profile was given that the SDK would ignore: it reads keys from the environment first.
pub fn overridden_profile(profile: Option<&str>, variable: impl Fn(&str) -> bool) -> Option<Finding> {
    let profile = profile.filter(|_| variable(KEY_VARIABLE))?;
    Some(Finding {
        problem: format!(
            "--profile {profile} would have no effect: {KEY_VARIABLE} is set in the environment and takes precedence"
        ),
        remedy: format!("run unset {KEY_VARIABLE} AWS_SECRET_ACCESS_KEY AWS_SESSION_TOKEN, or omit --profile"),
    })
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

    const HOST: &str = "https://sts.us-west-2.amazonaws.com";

    fn answered(code: Option<&str>) -> Finding {
        let (action, region) = ("GetCallerIdentity".to_owned(), "us-west-2".to_owned());
        let (code, message) = (code.map(str::to_owned), "some reason".to_owned());
        let transient = code.is_none();
        advice(&ApiError { action, region, code, message, transient }.into(), Some("team"), HOST)
    }

    fn not_asked(words: &str) -> Finding {
        advice(&anyhow::anyhow!("{words}"), None, HOST)
    }

    #[test]
    fn expired_credentials_are_to_be_renewed() {
        for code in ["ExpiredToken", "ExpiredTokenException", "RequestExpired"] {
            let finding = answered(Some(code));
            assert!(finding.problem.starts_with("the AWS credentials have expired"), "{finding}");
            assert!(finding.remedy.contains("aws sso login --profile team"), "{finding}");
        }
        let finding = not_asked("the SSO token has expired and cannot be refreshed");
        assert!(finding.problem.starts_with("the AWS login has expired"), "{finding}");
        assert_eq!(finding.remedy, "log in again: aws sso login");
        let finding = not_asked("failed to read `/home/me/.aws/sso/cache/e8be.json`: No such file or directory");
        assert_eq!(finding.remedy, "log in: aws sso login");
    }

    #[test]
    fn invalid_credentials_are_to_be_set_again() {
        for code in ["InvalidClientTokenId", "AuthFailure", "UnrecognizedClientException"] {
            let finding = answered(Some(code));
            assert!(finding.problem.starts_with("the AWS credentials are not valid"), "{finding}");
            assert!(
                finding.remedy.ends_with("; us-west-2 takes only those of accounts in the partition aws"),
                "{finding}"
            );
            assert!(finding.remedy.contains("aws configure --profile team"), "{finding}");
        }
        let finding = answered(Some("SignatureDoesNotMatch"));
        assert!(finding.problem.starts_with("the AWS secret key does not match"), "{finding}");
    }

    #[test]
    fn the_host_that_does_not_answer_is_named() {
        let finding = answered(None);
        assert_eq!(finding.problem, format!("no answer from {HOST}: some reason"));
    }

    #[test]
    fn an_unknown_profile_is_named() {
        let finding = not_asked("profile `tema` was not defined: could not find source profile tema");
        assert_eq!(finding.problem, "there is no AWS profile `tema`");
        assert!(finding.remedy.contains("--profile"), "{finding}");
    }

    #[test]
    fn missing_credentials_come_with_the_ways_to_get_some() {
        let finding = not_asked("the credential provider was not enabled: no providers in chain provided credentials");
        assert_eq!(finding.problem, "no AWS credentials are set up");
        for way in ["aws sso login", "aws configure", "--profile", "AWS_PROFILE"] {
            assert!(finding.remedy.contains(way), "{way}: {finding}");
        }
    }

    #[test]
    fn a_profile_that_the_environment_overrides_is_refused() {
        assert_eq!(overridden_profile(Some("team"), |_| false), None);
        assert_eq!(overridden_profile(None, |_| true), None);
        let finding = overridden_profile(Some("team"), |name| name == KEY_VARIABLE).expect("a finding");
        assert!(finding.remedy.starts_with("run unset AWS_ACCESS_KEY_ID"), "{finding}");
    }

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
