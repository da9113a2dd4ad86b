//! Whose credentials these are, and what to do when there are none.

use std::time::{Duration, SystemTime};

use anyhow::{Error, Result};

use crate::{
    cloud::ec2::clients::{Caller, Clients},
    ground::{api_error::ApiError, finding::Finding},
};

/// Where credentials come from decides how long that takes: a role's, for one, are asked of another service.
const LIMIT: Duration = Duration::from_secs(14);

/// The variable that comes before every profile.
const KEY_VARIABLE: &str = "AWS_ACCESS_KEY_ID";

/// Who the credentials belong to.
///
/// # Errors
/// A [`Finding`] when they are missing or not valid, or nobody answers.
pub async fn ask(clients: &Clients, profile: Option<&str>) -> Result<Caller> {
    let from_environment = std::env::var("AWS_PROFILE").ok();
    let profile = profile.or(from_environment.as_deref());
    match tokio::time::timeout(LIMIT, clients.caller()).await {
        Ok(Ok(caller)) => Ok(caller),
        Ok(Err(error)) => Err(advice(&error, profile, &clients.host_of_identity()).into()),
        Err(_) => {
            let problem = format!("no AWS credentials could be had within {} s", LIMIT.as_secs());
            let remedy = format!("see what {} says", command("sts get-caller-identity", profile));
            Err(Finding { problem, remedy }.into())
        }
    }
}

/// The command of the AWS CLI, for the profile that was given.
fn command(what: &str, profile: Option<&str>) -> String {
    match profile {
        Some(profile) => format!("aws {what} --profile {}", crate::ground::process::quote(profile)),
        None => format!("aws {what}"),
    }
}

/// What is wrong, and what to do about it.
fn advice(error: &Error, profile: Option<&str>, host: &str) -> Finding {
    let log_in = command("sso login", profile);
    let configure = command("configure", profile);
    let Some(answer) = error.downcast_ref::<ApiError>() else {
        return advice_without_credentials(&format!("{error:#}"), profile, &log_in, &configure);
    };
    let (problem, remedy) = if answer.has_code(&["ExpiredToken*", "RequestExpired"]) {
        let problem = format!("the AWS credentials have expired: {answer}");
        (problem, format!("log in again, for instance with {log_in}; if you just did, set this computer's clock"))
    } else if answer.has_code(&["SignatureDoesNotMatch", "IncompleteSignature"]) {
        let problem = format!("the AWS secret key doesn't belong to the access key: {answer}");
        (problem, format!("set both anew with {configure}; if they are right, set this computer's clock"))
    } else if answer.has_code(&["InvalidClientTokenId", "UnrecognizedClient*", "AuthFailure", "InvalidAccessKeyId"]) {
        let problem = format!("AWS doesn't know these credentials: {answer}");
        (problem, format!("set valid ones with {configure}, or log in with {log_in}, or choose a --profile"))
    } else if answer.code.is_none() {
        let problem = format!("nobody answered at {host}: {}", answer.message);
        (
            problem,
            "see whether this computer reaches it, and what AWS_ENDPOINT_URL and the region are set to".to_owned(),
        )
    } else {
        (answer.to_string(), format!("see what {} says", command("sts get-caller-identity", profile)))
    };
    Finding { problem, remedy }
}

/// The same where not even a question was asked; the SDK has no codes for this, only words.
fn advice_without_credentials(words: &str, profile: Option<&str>, log_in: &str, configure: &str) -> Finding {
    let has = |parts: &[&str]| parts.iter().any(|part| words.contains(part));
    let whose = profile.map(|profile| format!(" for the profile `{profile}`")).unwrap_or_default();
    let (problem, remedy) = if let Some(profile) = unknown_profile(words) {
        let problem = format!("there is no AWS profile `{profile}`");
        (problem, "`aws configure list-profiles` names those that are there; choose one with --profile".to_owned())
    } else if has(&["no providers in chain", "no AWS credentials are set up", "not enabled", "IMDS"]) {
        // The SDK looks everywhere else before it asks for an instance's credentials (IMDS).
        let remedy = format!("log in with {log_in}, or set keys with {configure}, or choose another --profile");
        (format!("no AWS credentials are set up{whose}"), format!("{remedy} (AWS_PROFILE)"))
    } else if has(&["/sso/cache/", "\\sso\\cache\\"]) && has(&["failed to read"]) {
        (format!("nobody is logged in to AWS{whose}"), format!("log in: {log_in}"))
    } else if has(&["expired", "Expired", "invalid_grant", "InvalidGrant", "Unauthorized"]) {
        (format!("the AWS login has expired: {words}"), format!("log in again: {log_in}"))
    } else {
        (words.to_owned(), format!("mend that, or log in with {log_in}, or choose another --profile"))
    };
    Finding { problem, remedy }
}

/// The profile in the SDK's "profile `x` was not defined".
fn unknown_profile(words: &str) -> Option<&str> {
    let (before, _) = words.split_once("` was not defined")?;
    before.rsplit_once("profile `").map(|(_, profile)| profile)
}

/// A profile that was asked for, and isn't what is used: the SDK looks into the environment first.
pub fn overridden_profile(profile: Option<&str>, variable: impl Fn(&str) -> bool) -> Option<Finding> {
    let profile = profile.filter(|_| variable(KEY_VARIABLE))?;
    Some(Finding {
        problem: format!("--profile {profile} would have no effect: {KEY_VARIABLE} in the environment comes before it"),
        remedy: format!("type unset {KEY_VARIABLE} AWS_SECRET_ACCESS_KEY AWS_SESSION_TOKEN, or leave --profile out"),
    })
}

/// How credentials that nothing renews relate to the time that a build takes.
#[derive(Debug, PartialEq, Eq)]
pub enum Lifetime {
    /// They last.
    Enough,
    /// They end when a build takes longer than it usually does.
    Short(String),
    /// They end before a build can.
    TooShort(Finding),
}

/// Whether the credentials last for the build. Twice the estimate is what a slow day takes.
pub fn lifetime(expires: Option<SystemTime>, now: SystemTime, estimate: Duration) -> Lifetime {
    let Some(expires) = expires else { return Lifetime::Enough };
    let left = expires.duration_since(now).unwrap_or_default();
    if left >= 2 * estimate {
        return Lifetime::Enough;
    }
    let rounded = |time: Duration| humantime::format_duration(Duration::from_secs(time.as_secs()));
    let remedy = "log in anew, for as long as you can";
    if left.is_zero() {
        let problem = "the AWS credentials have expired".to_owned();
        return Lifetime::TooShort(Finding { problem, remedy: remedy.to_owned() });
    }
    let problem = format!(
        "the AWS credentials end in {}, nothing renews them, and a build takes about {}, on a slow day {}",
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
        let (code, message) = (code.map(str::to_owned), "told so".to_owned());
        let transient = code.is_none();
        advice(&ApiError { action, region, code, message, transient }.into(), Some("team"), HOST)
    }

    fn not_asked(words: &str) -> Finding {
        advice(&anyhow::anyhow!("{words}"), None, HOST)
    }

    #[test]
    fn expired_credentials_are_renewed() {
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
    fn credentials_that_aws_does_not_know_are_set_anew() {
        for code in ["InvalidClientTokenId", "AuthFailure", "UnrecognizedClientException"] {
            let finding = answered(Some(code));
            assert!(finding.problem.starts_with("AWS doesn't know these credentials"), "{finding}");
            assert!(finding.remedy.contains("aws configure --profile team"), "{finding}");
        }
        let finding = answered(Some("SignatureDoesNotMatch"));
        assert!(finding.problem.starts_with("the AWS secret key doesn't belong"), "{finding}");
    }

    #[test]
    fn where_nobody_answers_the_host_is_named() {
        let finding = answered(None);
        assert_eq!(finding.problem, format!("nobody answered at {HOST}: told so"));
    }

    #[test]
    fn an_unknown_profile_is_named() {
        let finding = not_asked("profile `tema` was not defined: could not find source profile tema");
        assert_eq!(finding.problem, "there is no AWS profile `tema`");
        assert!(finding.remedy.contains("--profile"), "{finding}");
    }

    #[test]
    fn without_credentials_the_ways_to_get_some_are_named() {
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
        assert!(finding.remedy.starts_with("type unset AWS_ACCESS_KEY_ID"), "{finding}");
    }

    #[test]
    fn credentials_must_last_for_the_build_and_should_for_a_slow_one() {
        let (now, minute) = (SystemTime::UNIX_EPOCH, Duration::from_secs(60));
        let after = |minutes: u32| lifetime(Some(now + minutes * minute), now, 14 * minute);
        assert_eq!(lifetime(None, now, minute), Lifetime::Enough);
        assert_eq!(after(28), Lifetime::Enough);
        let Lifetime::Short(warning) = after(20) else { panic!("20 min are short") };
        assert!(warning.contains("end in 20m") && warning.contains("about 14m, on a slow day 28m"), "{warning}");
        assert!(matches!(after(13), Lifetime::TooShort(_)));
        assert_eq!(lifetime(Some(now), now + minute, minute), after(0));
    }
}
