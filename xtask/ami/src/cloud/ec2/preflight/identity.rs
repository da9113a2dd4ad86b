//! Checks the credentials, and explains what to do when they are missing, invalid or about to expire.

use std::time::{Duration, SystemTime};

use anyhow::{Error, Result};

use crate::{
    cloud::ec2::{
        clients::{Caller, Clients},
        credentials::source::{Kind, Source, container},
        http::proxy::without_password,
    },
    ground::{
        api_error::ApiError,
        environment,
        finding::Finding,
        partition::{self, Partition},
        process::quote,
    },
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
    let advice = |error: &Error| {
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
    fetched.map_err(|error| source.and_then(|it| of_machine(it, &error)).unwrap_or_else(|| advice(&error)))?;
    let caller = tokio::time::timeout(LIMIT, Box::pin(clients.caller())).await.map_err(|_| timed_out(LIMIT))?;
    caller.map_err(|error| advice(&error).into())
}

/// A command of the AWS CLI with the profile.
fn command(what: &str, profile: Option<&str>) -> String {
    match profile {
        Some(profile) => format!("aws {what} --profile {}", quote(profile)),
        None => format!("aws {what}"),
    }
}

/// The command that logs in to the source.
fn log_in(profile: Option<&str>, source: Option<&Source>) -> String {
    let profile = source.and_then(|source| source.profile.as_deref()).or(profile);
    match source.map(|source| &source.kind) {
        Some(Kind::Login(_)) => command("login", profile),
        _ => command("sso login", profile),
    }
}

/// The finding when the machine itself gave no credentials: its container service, or its instance metadata.
fn of_machine(source: &Source, error: &Error) -> Option<Finding> {
    let cause = error.downcast_ref::<Finding>().map_or_else(|| format!("{error:#}"), |finding| finding.problem.clone());
    match source.kind {
        Kind::Container => {
            let url = without_password(&container().unwrap_or_default());
            let url = url.split('?').next().unwrap_or_default();
            let problem = format!("no credentials from the container's service at {url}: {cause}");
            let remedy =
                "check AWS_CONTAINER_CREDENTIALS_FULL_URI and AWS_CONTAINER_CREDENTIALS_RELATIVE_URI, or choose \
                          a --profile"
                    .to_owned();
            Some(Finding { problem, remedy })
        }
        Kind::Instance if source.roles.is_empty() => Some(no_credentials(None)),
        Kind::Instance => {
            let remedy = "give the instance a role, or the profile a source_profile".to_owned();
            Some(Finding { problem: format!("no credentials from this instance's role: {cause}"), remedy })
        }
        _ => None,
    }
}

fn no_credentials(profile: Option<&str>) -> Finding {
    let whose = profile.map(|profile| format!(" for the profile `{profile}`")).unwrap_or_default();
    let (login, sso) = (command("login", profile), command("sso login", profile));
    let configure = command("configure", profile);
    let remedy = format!("log in with {login} or {sso}, or set keys with {configure}, or choose another --profile");
    Finding { problem: format!("no AWS credentials are set up{whose}"), remedy: format!("{remedy} (AWS_PROFILE)") }
}

/// The finding for an error of a source, of the SDK or of STS.
fn advice(error: &Error, profile: Option<&str>, source: Option<&Source>) -> Finding {
    let log_in = log_in(profile, source);
    let configure = command("configure", profile);
    if let Some(finding) = error.downcast_ref::<Finding>() {
        return finding.clone();
    }
    let Some(answer) = error.downcast_ref::<ApiError>() else {
        return advice_without_credentials(&format!("{error:#}"), profile, source, &log_in);
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

/// The finding for an error of a source. The SDK has no codes for these, only messages.
fn advice_without_credentials(words: &str, profile: Option<&str>, source: Option<&Source>, log_in: &str) -> Finding {
    let has = |parts: &[&str]| parts.iter().any(|part| words.contains(part));
    let own = source.and_then(|source| source.profile.as_deref()).or(profile);
    let whose = own.map(|profile| format!(" for the profile `{profile}`")).unwrap_or_default();
    let kind = source.map(|source| &source.kind);
    let is_login = matches!(kind, None | Some(Kind::Sso | Kind::Login(_)));
    let (problem, remedy) = if let Some(Kind::Process(_)) = kind {
        let said =
            words.rsplit_once("Stderr: ").or_else(|| words.rsplit_once("process, ")).map(|(_, said)| said.trim());
        let said = said.unwrap_or(words).lines().collect::<Vec<_>>().join("; ");
        let whose = own.unwrap_or_default();
        let problem = format!("the credential_process of the AWS profile `{whose}` failed: {said}");
        (problem, format!("run {} to see more", command("sts get-caller-identity", profile)))
    } else if is_login && !has(&["xpired"]) && has(&NEVER_LOGGED_IN) {
        (format!("not logged in to AWS{whose}"), format!("log in: {log_in}"))
    } else if is_login && has(&LOGIN_ENDED) {
        (format!("the AWS login{whose} has expired: {words}"), format!("log in again: {log_in}"))
    } else if has(&["no providers in chain", "no AWS credentials are set up"]) {
        return no_credentials(profile);
    } else {
        let remedy = format!("fix that, or log in with {log_in}, or choose another --profile");
        let export = own.map(|own| {
            let name = quote(own);
            format!("; if the AWS CLI can use it: eval \"$(aws configure export-credentials --profile {name} --format env)\"")
        });
        (words.to_owned(), remedy + &export.unwrap_or_default())
    };
    Finding { problem, remedy }
}

/// How the SDK tells that there is no login in the cache.
const NEVER_LOGGED_IN: [&str; 2] = ["failed to read", "failed to load the cached SSO token"];

/// How the SDK tells that a login is of no use any more.
const LOGIN_ENDED: [&str; 9] = [
    "expired",
    "Expired",
    "invalid_grant",
    "InvalidGrant",
    "Unauthorized",
    "reauthenticate",
    "refresh",
    "invalid JSON",
    "missing field",
];

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

    fn answered(code: Option<&str>) -> Finding {
        let (action, region) = ("GetCallerIdentity".to_owned(), "us-west-2".to_owned());
        let (code, message) = (code.map(str::to_owned), "some reason".to_owned());
        let transient = code.is_none();
        advice(&ApiError { action, region, code, message, transient }.into(), Some("team"), None)
    }

    fn not_asked(words: &str) -> Finding {
        advice(&anyhow::anyhow!("{words}"), None, None)
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
    fn missing_credentials_come_with_the_ways_to_get_some() {
        let finding = not_asked("the credential provider was not enabled: no providers in chain provided credentials");
        assert_eq!(finding.problem, "no AWS credentials are set up");
        for way in ["aws login", "aws sso login", "aws configure", "--profile", "AWS_PROFILE"] {
            assert!(finding.remedy.contains(way), "{way}: {finding}");
        }
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
