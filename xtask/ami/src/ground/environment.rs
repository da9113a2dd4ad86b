//! The variables of the environment: blank is unset.

use std::{
    env,
    ffi::{OsStr, OsString},
    io,
    os::unix::process::CommandExt as _,
    process::Command,
};

use super::finding::Finding;

/// Variables of others that the way to AWS depends on, beside those that begin with `AWS_`.
const OF_NETWORKS: [&str; 11] = [
    "HTTP_PROXY",
    "http_proxy",
    "HTTPS_PROXY",
    "https_proxy",
    "ALL_PROXY",
    "all_proxy",
    "NO_PROXY",
    "no_proxy",
    "REQUESTS_CA_BUNDLE",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
];

/// A variable that is set to something.
#[must_use]
pub fn variable(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.trim().is_empty())
}

/// The profile that the environment names, in the AWS CLI's order.
#[must_use]
pub fn profile() -> Option<String> {
    variable("AWS_DEFAULT_PROFILE").or_else(|| variable("AWS_PROFILE"))
}

/// A finding for each variable of AWS and of networks that is no text in UTF-8. It must not count as unset: another
/// account's credentials could be found instead.
#[must_use]
pub fn unreadable() -> Vec<Finding> {
    let names = env::vars_os().filter(|(_, value)| value.to_str().is_none());
    let names = names.filter_map(|(name, _)| name.into_string().ok()).filter(|name| is_of_aws(name));
    let finding = |name: String| Finding {
        problem: format!("the value of {name} is not text in UTF-8"),
        remedy: format!("set it again in UTF-8, or run unset {name}"),
    };
    names.map(finding).collect()
}

fn is_of_aws(name: &str) -> bool {
    name.starts_with("AWS_") || OF_NETWORKS.contains(&name)
}

/// The variables of AWS and of networks that are set to nothing, as CI and compose files pass them on.
#[must_use]
pub fn blanks() -> Vec<OsString> {
    let is_blank = |value: &OsStr| value.to_str().is_some_and(|value| value.trim().is_empty());
    let found = env::vars_os().filter(|(name, value)| name.to_str().is_some_and(is_of_aws) && is_blank(value));
    found.map(|(name, _)| name).collect()
}

/// Starts this program again in this process, without these variables. The AWS SDK reads the environment by itself, and
/// takes a blank variable for a value; a process cannot change its own environment safely once it has threads.
///
/// # Errors
/// Only returns when the program cannot be started.
pub fn restart_without(names: &[OsString]) -> io::Error {
    let program = match env::current_exe() {
        Ok(program) => program,
        Err(error) => return error,
    };
    let mut again = Command::new(program);
    let mut words = env::args_os();
    if let Some(name) = words.next() {
        again.arg0(name);
    }
    for name in names {
        again.env_remove(name);
    }
    again.args(words).exec()
}
