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
    ssh.args(remote(command));
    let ended = ssh.kill_on_drop(true).status().await;
    let ended = ended.context("failed to start ssh; it is in Debian's package openssh-client")?;
    Ok(ended.code().unwrap_or(1))
}

/// What ssh is given behind the host, so that the machine runs just this command.
///
/// Ssh joins the words with spaces, for the machine's shell to take them apart. Several words are quoted, so that it
/// finds the same ones. A single one is left to it as a line, as those expect who know ssh: `'ls | wc -l'` is no program.
fn remote(command: &[String]) -> Vec<String> {
    let line = match command {
        [] => return Vec::new(),
        [line] => line.clone(),
        // NUL, which alone can't be quoted, is in no argument of a program.
        words => words.iter().map(|word| shlex::try_quote(word).unwrap_or_default()).collect::<Vec<_>>().join(" "),
    };
    // Also behind the host ssh takes what begins with a dash for an option of its own.
    vec!["--".to_owned(), line]
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

#[cfg(test)]
mod tests {
    use super::*;

    /// What a machine's shell makes of the words that ssh is given behind the host: it joins them with spaces.
    fn runs(command: &[&str]) -> String {
        let command: Vec<String> = command.iter().map(|&word| word.to_owned()).collect();
        let words = remote(&command);
        // Ssh itself takes what begins with a dash for its own, also behind the host, but for what follows this one.
        assert_eq!(words.first().map(String::as_str), Some("--"));
        let output = std::process::Command::new("sh").args(["-c", &words[1..].join(" ")]).output().expect("a shell");
        String::from_utf8(output.stdout).expect("UTF-8")
    }

    #[test]
    fn the_words_of_a_command_are_those_that_the_machine_runs() {
        assert_eq!(runs(&["sh", "-c", "echo a 'b  c' $0; echo d", "e f"]), "a b  c e f\nd\n");
        let odd =
            ["", " ", "a b", "it's", "\"", "$HOME", "$(echo x)", "`echo x`", "*", "~", "a;b", "A=b", "-n", "\\", "\n"];
        let printed: String = odd.iter().map(|word| format!("<{word}>")).collect();
        assert_eq!(runs(&[&["printf", "<%s>"][..], &odd].concat()), printed);
        // A program that is named so, and no assignment.
        assert_eq!(runs(&["A=b", "echo", "c"]), "");
    }

    #[test]
    fn a_single_word_is_a_line_of_shell() {
        assert_eq!(runs(&["true"]), "");
        assert_eq!(runs(&["echo a; echo b | tr b c"]), "a\nc\n");
    }

    #[test]
    fn without_a_command_there_is_a_shell() {
        assert_eq!(remote(&[]), [""; 0]);
    }
}
