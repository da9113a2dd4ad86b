//! What to do when there are no credentials, or they are refused.

use anyhow::Error;

use crate::{
    cloud::ec2::{
        credentials::source::{Kind, Source, container},
        http::{ODD_STATUS, proxy::without_password},
    },
    ground::{api_error::ApiError, finding::Finding, partition::Partition, process::quote},
};

/// A command of the AWS CLI with the profile.
pub fn command(what: &str, profile: Option<&str>) -> String {
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
pub fn of_machine(source: &Source, error: &Error) -> Option<Finding> {
    let cause = error.downcast_ref::<Finding>().map_or_else(|| format!("{error:#}"), |finding| finding.problem.clone());
    let whose = source.roles.first().map(|role| format!(" for the AWS profile `{}`", role.profile)).unwrap_or_default();
    let (problem, remedy) = match source.kind {
        Kind::Container => {
            let url = without_password(&container().unwrap_or_default());
            let url = url.split('?').next().unwrap_or_default();
            // The SDK tells no more of an answer that is no credentials.
            let status = cause.split_once("StatusCode(").and_then(|(_, rest)| rest.split_once(')'));
            let cause = status.map_or(cause.clone(), |(status, _)| format!("{ODD_STATUS}{status}"));
            let remedy = "check AWS_CONTAINER_CREDENTIALS_FULL_URI, AWS_CONTAINER_CREDENTIALS_RELATIVE_URI and \
                          AWS_CONTAINER_AUTHORIZATION_TOKEN, or choose a --profile";
            (format!("no credentials from the container's service at {url}{whose}: {cause}"), remedy)
        }
        Kind::Instance if source.roles.is_empty() => return Some(no_credentials(None)),
        Kind::Instance => {
            let remedy = "run this on an EC2 instance with a role, or give the profile a source_profile instead of \
                          credential_source";
            (format!("no credentials from this instance's role{whose}: {cause}"), remedy)
        }
        _ => return None,
    };
    Some(Finding { problem, remedy: remedy.to_owned() })
}

fn no_credentials(profile: Option<&str>) -> Finding {
    let whose = profile.map(|profile| format!(" for the profile `{profile}`")).unwrap_or_default();
    let (login, sso) = (command("login", profile), command("sso login", profile));
    let configure = command("configure", profile);
    let remedy = format!("log in with {login} or {sso}, or set keys with {configure}, or choose another --profile");
    Finding { problem: format!("no AWS credentials are set up{whose}"), remedy: format!("{remedy} (AWS_PROFILE)") }
}

/// The finding for an error of a source, of the SDK or of STS.
pub fn advice(error: &Error, profile: Option<&str>, source: Option<&Source>) -> Finding {
    let log_in = log_in(profile, source);
    let configure = command("configure", source.and_then(|source| source.profile.as_deref()).or(profile));
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
    let is_login = matches!(kind, None | Some(Kind::Sso { .. } | Kind::Login(_)));
    let (problem, remedy) = if let Some(Kind::Process(line)) = kind {
        let problem = process_problem(line, own.unwrap_or_default(), words);
        (problem, format!("run {} to see more", command("sts get-caller-identity", profile)))
    } else if is_login && !has(&["xpired"]) && has(&NEVER_LOGGED_IN) {
        (format!("not logged in to AWS{whose}"), format!("log in: {log_in}"))
    } else if is_login && has(&UNREADABLE) {
        (format!("the AWS login{whose} cannot be read from its cache: {words}"), format!("log in again: {log_in}"))
    } else if is_login && has(&LOGIN_ENDED) {
        (format!("the AWS login{whose} has expired: {words}"), format!("log in again: {log_in}"))
    } else if let (Some(Kind::Sso { account, role }), true) = (kind, has(&ROLE_DENIED)) {
        let problem = format!(
            "the SSO portal does not give the role {role} of the account {account} to the login{whose}: {words}"
        );
        let remedy = "check sso_account_id and sso_role_name of the profile, or ask for that role in IAM Identity Center; \
                      another user logs in with";
        (problem, format!("{remedy} {log_in}"))
    } else if has(&["no providers in chain", "no AWS credentials are set up"]) {
        return no_credentials(profile);
    } else {
        let from = source.map(|source| format!(" from {}", source.words())).unwrap_or_default();
        let remedy = format!("fix that, or log in with {log_in}, or choose another --profile");
        let export = own.map(|own| {
            let name = quote(own);
            format!("; if the AWS CLI can use it: eval \"$(aws configure export-credentials --profile {name} --format env)\"")
        });
        (format!("no AWS credentials{from}: {words}"), remedy + &export.unwrap_or_default())
    };
    Finding { problem, remedy }
}

/// What a helper did instead of printing credentials. Its arguments are left out: they may hold secrets.
fn process_problem(line: &str, profile: &str, words: &str) -> String {
    let program = line.split_whitespace().next().unwrap_or_default();
    let did = if let Some((_, told)) = words.split_once("exited with code ") {
        let (status, said) = told.split_once(". Stderr: ").unwrap_or((told, ""));
        let said = said.trim().lines().collect::<Vec<_>>().join("; ");
        let said = if said.is_empty() { "there was nothing on stderr".to_owned() } else { said };
        format!("ended with {}: {said}", status.replace(": ", " "))
    } else if let Some((_, fault)) = words.split_once("could not parse response: ") {
        format!("printed no credentials in JSON: {}", fault.split(": Error at").next().unwrap_or_default())
    } else {
        words.rsplit_once("process: ").map_or(words, |(_, why)| why).to_owned()
    };
    format!("the credential_process of the AWS profile `{profile}`, {program}, {did}")
}

/// How the SDK tells that there is no login in the cache.
const NEVER_LOGGED_IN: [&str; 2] = ["failed to read", "failed to load the cached SSO token"];

/// How the SDK tells that what is in the cache is no login.
const UNREADABLE: [&str; 4] =
    ["invalid JSON", "missing field", "failed to load cached Login token", "but it was missing"];

/// How the SDK tells that a login is of no use any more.
const LOGIN_ENDED: [&str; 8] = [
    "expired",
    "Expired",
    "invalid_grant",
    "InvalidGrant",
    "Unauthorized",
    "HTTP status 401",
    "reauthenticate",
    "refresh",
];

/// How the SDK tells that the portal knows the login, but not the role for it.
const ROLE_DENIED: [&str; 4] = ["Forbidden", "HTTP status 403", "ResourceNotFound", "HTTP status 404"];

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
}
