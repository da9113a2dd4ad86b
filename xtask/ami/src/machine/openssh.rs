//! OpenSSH's `ssh`, for people: it knows how to be a terminal.

use std::net::SocketAddr;

use anyhow::{Context as _, Result};
use camino::{Utf8Path, Utf8PathBuf};
use tokio::process::Command;

use crate::{ground::process, machine::keys::Login, record::folder};

/// How the names of the keys begin; each machine has its own.
const LOGIN_KEY: &str = "login-key-";
const KNOWN_HOSTS: &str = "known-hosts-";

/// Logs in, in the foreground, and gives back the code that the shell or the command ended with. Keys go to `folder`.
///
/// # Errors
/// When `ssh` can't be started.
pub async fn run(folder: &Utf8Path, login: &Login, address: SocketAddr, command: &[String]) -> Result<i32> {
    let (key, known_hosts) = write(folder, login, address)?;
    // It belongs to the terminal's foreground, so not in a process group of its own.
    let mut ssh = ssh(&key, &known_hosts, login, address);
    let ended = ssh.args(command).kill_on_drop(true).status().await;
    let ended = ended.context("failed to start ssh; it is in Debian's package openssh-client")?;
    Ok(ended.code().unwrap_or(1))
}

/// The command that logs in, for somebody to type. Keys go to `folder`.
///
/// # Errors
/// When they can't be written.
pub fn command_line(folder: &Utf8Path, login: &Login, address: SocketAddr) -> Result<String> {
    let (key, known_hosts) = write(folder, login, address)?;
    Ok(process::display(&ssh(&key, &known_hosts, login, address)))
}

/// Removes the keys that a command was given for.
pub fn forget(folder: &Utf8Path) {
    for beginning in [LOGIN_KEY, KNOWN_HOSTS] {
        folder::delete(folder, beginning);
    }
}

fn write(folder: &Utf8Path, login: &Login, address: SocketAddr) -> Result<(Utf8PathBuf, Utf8PathBuf)> {
    let machine = format!("{}-{}", address.ip(), address.port());
    let (key, known_hosts) =
        (folder.join(format!("{LOGIN_KEY}{machine}")), folder.join(format!("{KNOWN_HOSTS}{machine}")));
    login.key.write(&key)?;
    let line = format!("[{}]:{} {}\n", address.ip(), address.port(), login.host_key.public()?);
    std::fs::write(&known_hosts, line).with_context(|| format!("failed to write {known_hosts}"))?;
    Ok((key, known_hosts))
}

fn ssh(key: &Utf8Path, known_hosts: &Utf8Path, login: &Login, address: SocketAddr) -> Command {
    let mut ssh = Command::new("ssh");
    // The user's own configuration is for the user's own machines.
    ssh.args(["-F", "none", "-i", key.as_str(), "-p", &address.port().to_string()]);
    // In this value ssh takes white space for the end of a path, unless it is quoted.
    let known_hosts = format!("UserKnownHostsFile=\"{known_hosts}\"");
    let options = ["IdentitiesOnly=yes", "StrictHostKeyChecking=yes", "LogLevel=ERROR", "ServerAliveInterval=15"];
    for option in options.into_iter().chain([known_hosts.as_str()]) {
        ssh.args(["-o", option]);
    }
    ssh.arg(format!("{}@{}", login.user, address.ip()));
    ssh
}
