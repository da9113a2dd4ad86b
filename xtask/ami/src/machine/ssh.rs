//! Commands and uploads over SSH.

use std::{fmt, net::SocketAddr, sync::Arc, time::Duration};

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use camino::{Utf8Path, Utf8PathBuf};
use russh::{
    ChannelMsg, Disconnect,
    client::{self, Handle},
    keys::{PrivateKeyWithHashAlg, PublicKey, PublicKeyOrCertificate},
};
use tokio::{io::AsyncWriteExt as _, net::TcpStream};

use super::{Input, Machine, keys::Login};
use crate::{events::Events, ground::process};

/// The timeout for sshd's identification. QEMU's forwarded port accepts connections before the guest is up, and stays
/// silent: giving up such a connection soon makes the login succeed sooner.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(3);

/// The timeout of one attempt to log in. Under emulation, the key exchange takes up to two seconds.
const LOGIN_TIMEOUT: Duration = Duration::from_secs(15);

/// The interval of keepalives on an idle connection. It is lost after three without an answer.
const KEEPALIVE: Duration = Duration::from_secs(15);

/// The most that a command may print on standard output. Expected results are a few dozen lines.
const MAX_OUTPUT_BYTES: usize = 16 << 20;

/// How much output is kept for the last lines of a message.
const TAIL_BYTES: usize = 64 << 10;

/// A login session over SSH.
pub struct Ssh {
    session: Handle<PinnedHostKey>,
    log: Utf8PathBuf,
    events: Events,
}

impl Ssh {
    /// Tries once to log in. The output of commands is appended to `log`.
    ///
    /// # Errors
    /// When the machine doesn't answer in time, has a different host key, or refuses the login.
    pub async fn connect(address: SocketAddr, login: &Login, log: &Utf8Path, events: &Events) -> Result<Ssh> {
        tokio::time::timeout(LOGIN_TIMEOUT, log_in(address, login))
            .await
            .map_err(|_| anyhow!("timed out after {}", humantime::format_duration(LOGIN_TIMEOUT)))?
            .map(|session| Ssh { session, log: log.to_owned(), events: events.clone() })
    }

    async fn run_unbounded(&self, what: &str, command: &str, input: Input<'_>) -> Result<String> {
        let source = self.log.file_stem().unwrap_or_default();
        let lost = || format!("{what}: the connection to the machine was lost");
        let file = tokio::fs::OpenOptions::new().create(true).append(true).open(&self.log).await;
        let mut log = file.with_context(|| format!("failed to open the log {}", self.log))?;
        let line = format!("+ {command}\n");
        log.write_all(line.as_bytes()).await.with_context(|| format!("failed to write the log {}", self.log))?;
        let channel = self.session.channel_open_session().await.with_context(lost)?;
        channel.exec(true, command).await.with_context(lost)?;
        let (mut reader, writer) = channel.split();
        let send = async {
            match input {
                Input::None => {}
                Input::Text(text) => writer.data(text.as_bytes()).await.with_context(lost)?,
                Input::File(path) => {
                    let file = tokio::fs::File::open(path).await;
                    writer.data(file.with_context(|| format!("failed to open {path}"))?).await.with_context(lost)?;
                }
            }
            writer.eof().await.with_context(lost)
        };
        let receive = async {
            let mut printed = CommandOutput::default();
            let mut line = Vec::new();
            while let Some(message) = reader.wait().await {
                ensure!(printed.stdout.len() <= MAX_OUTPUT_BYTES, "{what} printed more than {MAX_OUTPUT_BYTES} bytes");
                match message {
                    ChannelMsg::Data { data } => {
                        log.write_all(&data).await?;
                        each_line(&mut line, &data, |line| self.events.output(source, line));
                        printed.stdout.extend_from_slice(&data);
                        printed.add(&data);
                    }
                    ChannelMsg::ExtendedData { data, .. } => {
                        log.write_all(&data).await?;
                        each_line(&mut line, &data, |line| self.events.output(source, line));
                        printed.add(&data);
                    }
                    ChannelMsg::ExitStatus { exit_status } => {
                        printed.ended = Some(format!("exit status {exit_status}"))
                    }
                    ChannelMsg::ExitSignal { signal_name, .. } => {
                        printed.ended = Some(format!("signal {signal_name:?}"))
                    }
                    _ => {}
                }
            }
            log.flush().await?;
            Ok(printed)
        };
        // A command may exit before it has read all its input. Its exit status is then the better message.
        let (sent, printed) = tokio::join!(send, receive);
        let printed = printed.with_context(|| format!("failed to write the log {}", self.log))?;
        match printed.ended.as_deref() {
            Some("exit status 0") => sent.map(|()| String::from_utf8_lossy(&printed.stdout).into_owned()),
            Some(ended) => {
                let last = process::last_lines(&String::from_utf8_lossy(&printed.all));
                bail!("{what} failed ({ended}); the last lines of {}:\n{last}", self.log)
            }
            None => bail!("{}; its output until then is in {}", lost(), self.log),
        }
    }
}

impl Machine for Ssh {
    async fn run(&self, what: &str, command: &str, input: Input<'_>, limit: Duration) -> Result<String> {
        let waiting = self.events.waiting(what);
        let ended = tokio::time::timeout(limit, self.run_unbounded(what, command, input)).await;
        drop(waiting);
        ended.map_err(|_| {
            let limit = humantime::format_duration(limit);
            anyhow!("{what} timed out after {limit}; its output until then is in {}", self.log)
        })?
    }
}

/// Shows each line as soon as it is complete, or has the maximum length. An incomplete line stays in `line`.
fn each_line(line: &mut Vec<u8>, data: &[u8], mut show: impl FnMut(&str)) {
    for &byte in data {
        if byte != b'\n' {
            line.push(byte);
        }
        if byte == b'\n' || line.len() as u64 >= process::MAX_LINE_BYTES {
            show(String::from_utf8_lossy(line).trim_end());
            line.clear();
        }
    }
}

/// The output of a command, and its exit status or signal.
#[derive(Default)]
struct CommandOutput {
    stdout: Vec<u8>,
    all: Vec<u8>,
    ended: Option<String>,
}

impl CommandOutput {
    fn add(&mut self, data: &[u8]) {
        self.all.extend_from_slice(data);
        if self.all.len() > 2 * TAIL_BYTES {
            self.all.drain(..self.all.len() - TAIL_BYTES);
        }
    }
}

async fn log_in(address: SocketAddr, login: &Login) -> Result<Handle<PinnedHostKey>> {
    let config = client::Config { keepalive_interval: Some(KEEPALIVE), ..client::Config::default() };
    let pinned = PinnedHostKey { host_key: login.host_key.0.public_key().clone() };
    let stream = connect_answering(address).await.with_context(|| format!("failed to reach {address}"))?;
    let mut session = client::connect_stream(Arc::new(config), stream, pinned).await.map_err(|error| match error {
        russh::Error::UnknownKey => anyhow!("{address} has a different host key than the machine was given"),
        error => anyhow!(error).context(format!("failed to reach {address} over SSH")),
    })?;
    let key = PrivateKeyWithHashAlg::new(Arc::clone(&login.key.0), None);
    let answer = session.authenticate_publickey(&login.user, key).await.context("failed to log in")?;
    if !answer.success() {
        // A clean disconnect, so that sshd doesn't log an attack.
        let _ = session.disconnect(Disconnect::ByApplication, "", "").await;
        return Err(LoginRefused::new(address, &login.user).into());
    }
    Ok(session)
}

/// Connects, and waits until the other side sends something, which sshd does at once.
async fn connect_answering(address: SocketAddr) -> Result<TcpStream> {
    let stream = async {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        // Only peeked at, because the SSH client has to read it.
        stream.peek(&mut [0]).await?;
        anyhow::Ok(stream)
    };
    tokio::time::timeout(ANSWER_TIMEOUT, stream).await.map_err(|_| anyhow!("no answer yet"))?
}

/// The error of a machine with the right host key that refuses the login key.
#[derive(Debug)]
pub struct LoginRefused {
    address: SocketAddr,
    user: String,
}

impl LoginRefused {
    /// The machine at `address` refuses `user` with the key.
    #[must_use]
    pub fn new(address: SocketAddr, user: &str) -> LoginRefused {
        LoginRefused { address, user: user.to_owned() }
    }
}

impl fmt::Display for LoginRefused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} refused the login as {}", self.address, self.user)
    }
}

impl std::error::Error for LoginRefused {}

/// Accepts only this host key, as `StrictHostKeyChecking=yes` does.
struct PinnedHostKey {
    host_key: PublicKey,
}

impl client::Handler for PinnedHostKey {
    type Error = russh::Error;

    async fn check_server_key(&mut self, key: &PublicKeyOrCertificate) -> Result<bool, russh::Error> {
        Ok(matches!(key, PublicKeyOrCertificate::PublicKey { key, .. } if key.key_data() == self.host_key.key_data()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ground::untrusted::{bytes, check};

    #[test]
    fn an_endless_line_is_shown_in_parts() {
        let (mut line, mut shown) = (Vec::new(), Vec::new());
        for _ in 0..3 {
            each_line(&mut line, &[b'a'; 50_000], |line| shown.push(line.len()));
        }
        assert_eq!((shown, line.len()), (vec![65_536, 65_536], 150_000 - 2 * 65_536));
    }

    #[test]
    fn lines_are_shown_the_same_however_they_arrive() {
        check(
            300,
            bytes("Get:1 http://mirror.example bookworm\r\n(Reading database ... 5%\nünïcödé\n"),
            |printed| {
                let all = |size: usize| {
                    let (mut line, mut shown) = (Vec::new(), Vec::new());
                    printed
                        .chunks(size)
                        .for_each(|data| each_line(&mut line, data, |line| shown.push(line.to_owned())));
                    shown
                };
                assert_eq!(all(1), all(4096));
                assert!(all(7).len() >= printed.iter().filter(|&&byte| byte == b'\n').count());
            },
        );
    }
}
