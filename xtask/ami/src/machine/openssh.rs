//! OpenSSH's `ssh`, for interactive logins, because it handles the terminal.

use std::{net::SocketAddr, process::Stdio, time::Duration};

use anyhow::{Context as _, Result, bail, ensure};
use camino::{Utf8Path, Utf8PathBuf};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _},
    process::Command,
};

use super::{keys::Login, through::Through};
use crate::{ground::process, record::folder, show::screen};

/// Prefixes of the key files; each machine has its own.
const LOGIN_KEY: &str = "login-key-";
const KNOWN_HOSTS: &str = "known-hosts-";

/// Logs in, in the foreground, and returns the exit code of the shell or the command. The key files go to `folder`.
///
/// # Errors
/// When `ssh` can't be started.
pub async fn run(folder: &Utf8Path, login: &Login, address: SocketAddr, command: &[String]) -> Result<i32> {
    let (key, known_hosts) = write(folder, login, address)?;
    // Without a process group of its own, because it has to be in the terminal's foreground group.
    let mut ssh = ssh(&key, &known_hosts, login, address, None);
    ssh.args(remote(command));
    let _held = screen::hold();
    let ended = ssh.kill_on_drop(true).status().await;
    let ended = ended.context("failed to start ssh; it is in Debian's package openssh-client")?;
    Ok(ended.code().unwrap_or(1))
}

/// Logs in on a terminal as a person does, types each line at the next prompt, and logs out. The key files go to `folder`.
///
/// # Errors
/// When `ssh` can't be started, or the login fails.
pub async fn type_lines(folder: &Utf8Path, login: &Login, address: SocketAddr, lines: &[&str]) -> Result<()> {
    let (key, known_hosts) = write(folder, login, address)?;
    let mut ssh = ssh(&key, &known_hosts, login, address, None);
    // Twice: although this program's input is no terminal. A dumb one, which no program paints on.
    ssh.arg("-tt").env("TERM", "dumb").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child =
        ssh.kill_on_drop(true).spawn().context("failed to start ssh; it is in Debian's package openssh-client")?;
    let (Some(mut input), Some(mut output)) = (child.stdin.take(), child.stdout.take()) else {
        bail!("failed to talk to ssh");
    };
    for line in lines.iter().chain(&["exit"]) {
        // A program that shows no prompt gets the line all the same, as from an impatient person.
        let _ = tokio::time::timeout(PROMPT_LIMIT, prompt(&mut output)).await;
        // The end of the session shows below.
        let _ = input.write_all(format!("{line}\n").as_bytes()).await;
    }
    // Its output is read so that it can go on. Its input stays open: the end of that would be a lost connection.
    tokio::io::copy(&mut output, &mut tokio::io::sink()).await.context("failed to read what the machine shows")?;
    let status = child.wait().await.context("failed to wait for ssh")?;
    drop(input);
    // Any other code is that of the last command.
    ensure!(status.code().is_some_and(|code| code != SSH_FAILED), "the login on a terminal failed ({status})");
    Ok(())
}

/// How long to wait for a prompt before a line is typed without one.
const PROMPT_LIMIT: Duration = Duration::from_secs(30);

/// The exit code of ssh when it has no connection (ssh(1)).
const SSH_FAILED: i32 = 255;

/// Reads until the output ends like a prompt, or ends.
async fn prompt(output: &mut (impl AsyncRead + Unpin)) -> Result<()> {
    let (mut shown, mut piece) = (String::new(), [0; 4096]);
    while !shown.ends_with(['$', '#', '%', '>']) {
        let length = output.read(&mut piece).await?;
        if length == 0 {
            return Ok(());
        }
        shown.push_str(&String::from_utf8_lossy(&piece[..length]));
        shown.truncate(shown.trim_end().len());
    }
    Ok(())
}

/// The arguments of ssh after the host, to run this command.
///
/// Ssh joins its arguments with spaces, and the machine's shell splits them again, so several words are quoted. A
/// single word is a line of shell, as with ssh itself: `'ls | wc -l'` runs a pipe.
fn remote(command: &[String]) -> Vec<String> {
    let line = match command {
        [] => return Vec::new(),
        [line] => line.clone(),
        // Quoting only fails for NUL, which no argument of a program contains.
        words => words.iter().map(|word| shlex::try_quote(word).unwrap_or_default()).collect::<Vec<_>>().join(" "),
    };
    // Even after the host, ssh takes an argument with a leading dash for an option.
    vec!["--".to_owned(), line]
}

/// The command that logs in, to show to the user. The key files go to `folder`.
///
/// # Errors
/// When they can't be written.
pub fn command_line(
    folder: &Utf8Path,
    login: &Login,
    address: SocketAddr,
    through: Option<&Through>,
) -> Result<String> {
    let (key, known_hosts) = write(folder, login, address)?;
    Ok(process::display(&ssh(&key, &known_hosts, login, address, through)))
}

/// Deletes the key files of [`run`] and [`command_line`].
pub fn delete_keys(folder: &Utf8Path) {
    for prefix in [LOGIN_KEY, KNOWN_HOSTS] {
        folder::delete(folder, prefix);
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

fn ssh(
    key: &Utf8Path,
    known_hosts: &Utf8Path,
    login: &Login,
    address: SocketAddr,
    through: Option<&Through>,
) -> Command {
    let mut ssh = Command::new("ssh");
    // The user's own configuration must not change this login.
    ssh.args(["-F", "none", "-i", key.as_str(), "-p", &address.port().to_string()]);
    // In this option ssh splits unquoted paths at white space.
    let known_hosts = format!("UserKnownHostsFile=\"{known_hosts}\"");
    let options = ["IdentitiesOnly=yes", "StrictHostKeyChecking=yes", "LogLevel=ERROR", "ServerAliveInterval=15"];
    for option in options.into_iter().chain([known_hosts.as_str()]) {
        ssh.args(["-o", option]);
    }
    if let Some(through) = through {
        ssh.args(["-o", &format!("ProxyCommand={}", through.proxy_command())]);
    }
    ssh.arg(format!("{}@{}", login.users.likeliest(), address.ip()));
    ssh
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs ssh's arguments as the machine's shell does: joined with spaces.
    fn runs(command: &[&str]) -> String {
        let command: Vec<String> = command.iter().map(|&word| word.to_owned()).collect();
        let words = remote(&command);
        // Ssh takes no argument after this one for an option.
        assert_eq!(words.first().map(String::as_str), Some("--"));
        let output = std::process::Command::new("sh").args(["-c", &words[1..].join(" ")]).output().expect("a shell");
        String::from_utf8(output.stdout).expect("UTF-8")
    }

    #[test]
    fn the_machine_runs_the_same_words() {
        assert_eq!(runs(&["sh", "-c", "echo a 'b  c' $0; echo d", "e f"]), "a b  c e f\nd\n");
        let odd =
            ["", " ", "a b", "it's", "\"", "$HOME", "$(echo x)", "`echo x`", "*", "~", "a;b", "A=b", "-n", "\\", "\n"];
        let printed: String = odd.iter().map(|word| format!("<{word}>")).collect();
        assert_eq!(runs(&[&["printf", "<%s>"][..], &odd].concat()), printed);
        // A program named like an assignment.
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
