//! The first seconds of an SSH connection: the way to the machine, its host key, and the login.

use std::{borrow::Cow, fmt, net::SocketAddr, sync::Arc, time::Duration};

use anyhow::{Context as _, Result, anyhow};
use camino::Utf8Path;
use russh::{
    Disconnect, Preferred, cipher,
    client::{self, Handle},
    keys::{PrivateKeyWithHashAlg, PublicKey, PublicKeyOrCertificate},
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time::Instant,
};

use super::{
    keys::Login,
    through::{Running, Through},
    upload::Form,
};

/// The timeout for sshd's identification. QEMU's forwarded port accepts connections before the guest is up, and stays
/// silent: giving up such a connection soon makes the login succeed sooner.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(3);

/// The timeout of one attempt to log in. Under emulation, the key exchange takes up to two seconds.
const LOGIN_TIMEOUT: Duration = Duration::from_secs(15);

/// The same through a command, which may have to log in somewhere first.
const LOGIN_TIMEOUT_THROUGH: Duration = Duration::from_secs(60);

/// The interval of keepalives on an idle connection. It is lost after three without an answer.
const KEEPALIVE: Duration = Duration::from_secs(15);

/// A machine that takes longer to accept a connection is neither on this computer nor in the same building, so that it could
/// decompress more than what arrives there.
const NEAR: Duration = Duration::from_millis(3);

/// The way to a machine.
#[derive(Clone, Copy, Debug)]
pub struct Way<'a> {
    /// The command that the connection goes through. None where it is direct.
    pub through: Option<&'a Through>,
    /// What is encrypted with, if the machine's sshd takes it.
    pub cipher: Cipher,
}

/// What a machine encrypts and decrypts most quickly with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cipher {
    /// AES, for which processors have instructions.
    Aes,
    /// ChaCha20: an emulated processor takes less than half as long for it.
    ChaCha20,
}

impl Cipher {
    /// All ciphers, in the order to offer them in.
    fn order(self) -> Vec<cipher::Name> {
        let first = match self {
            Cipher::Aes => cipher::AES_256_GCM,
            Cipher::ChaCha20 => cipher::CHACHA20_POLY1305,
        };
        let others = Preferred::DEFAULT.cipher.iter().copied().filter(|cipher| *cipher != first);
        std::iter::once(first).chain(others).collect()
    }
}

/// An open session, and the command that its connection goes through.
pub(super) struct Dialled {
    pub session: Handle<PinnedHostKey>,
    pub through: Option<Running>,
    /// In which form files are sent more quickly.
    pub form: Form,
}

/// Tries once to log in, as each of the users until one is let in.
///
/// # Errors
/// When the machine doesn't answer in time, has a different host key, or refuses all users.
pub(super) async fn dial(address: SocketAddr, login: &Login, way: Way<'_>, log: &Utf8Path) -> Result<Dialled> {
    let mut refused = Vec::new();
    for user in login.users.candidates() {
        match dial_as(&user, address, login, way, log).await {
            Ok(dialled) => {
                login.users.found(&user);
                return Ok(dialled);
            }
            Err(error) if error.is::<LoginRefused>() => refused.push(user),
            Err(error) => return Err(error),
        }
    }
    Err(LoginRefused::new(address, &refused.join(", ")).into())
}

async fn dial_as(user: &str, address: SocketAddr, login: &Login, way: Way<'_>, log: &Utf8Path) -> Result<Dialled> {
    let Some(through) = way.through else {
        let dialled = async {
            let answering = connect_answering(address).await;
            let (stream, form) = answering.with_context(|| format!("failed to reach {address}"))?;
            anyhow::Ok(Dialled {
                session: log_in(stream, user, address, (login, way.cipher)).await?,
                through: None,
                form,
            })
        };
        return tokio::time::timeout(LOGIN_TIMEOUT, dialled).await.map_err(|_| timed_out(LOGIN_TIMEOUT))?;
    };
    let (stream, running) = through.open(log)?;
    let session = tokio::time::timeout(LOGIN_TIMEOUT_THROUGH, log_in(stream, user, address, (login, way.cipher))).await;
    match session.map_err(|_| timed_out(LOGIN_TIMEOUT_THROUGH)).flatten() {
        Ok(session) => Ok(Dialled { session, through: Some(running), form: Form::Gzip }),
        Err(error) if error.is::<LoginRefused>() => Err(error),
        Err(error) => Err(running.explain(&error).await),
    }
}

fn timed_out(limit: Duration) -> anyhow::Error {
    anyhow!("timed out after {}", humantime::format_duration(limit))
}

async fn log_in(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    user: &str,
    address: SocketAddr,
    (login, cipher): (&Login, Cipher),
) -> Result<Handle<PinnedHostKey>> {
    let preferred = Preferred { cipher: Cow::Owned(cipher.order()), ..Preferred::DEFAULT };
    let config = client::Config { keepalive_interval: Some(KEEPALIVE), preferred, ..client::Config::default() };
    let pinned = PinnedHostKey { host_key: login.host_key.0.public_key().clone() };
    let mut session = client::connect_stream(Arc::new(config), stream, pinned).await.map_err(|error| match error {
        russh::Error::UnknownKey => anyhow!("{address} has a different host key than the machine was given"),
        russh::Error::Disconnect => anyhow!("{address} closed the connection"),
        error => anyhow!(error).context(format!("failed to reach {address} over SSH")),
    })?;
    let key = PrivateKeyWithHashAlg::new(Arc::clone(&login.key.0), None);
    let answer = session.authenticate_publickey(user, key).await.context("failed to log in")?;
    if !answer.success() {
        // A clean disconnect, so that sshd doesn't log an attack.
        let _ = session.disconnect(Disconnect::ByApplication, "", "").await;
        return Err(LoginRefused::new(address, user).into());
    }
    Ok(session)
}

/// Connects, and waits until the other side sends something, which sshd does at once.
async fn connect_answering(address: SocketAddr) -> Result<(TcpStream, Form)> {
    let stream = async {
        let began = Instant::now();
        let stream = TcpStream::connect(address).await?;
        let form = if began.elapsed() < NEAR { Form::Plain } else { Form::Gzip };
        stream.set_nodelay(true)?;
        // Only peeked at, because the SSH client has to read it.
        stream.peek(&mut [0]).await?;
        anyhow::Ok((stream, form))
    };
    tokio::time::timeout(ANSWER_TIMEOUT, stream).await.map_err(|_| anyhow!("no answer yet"))?
}

/// The error of a machine with the right host key that refuses the login key.
#[derive(Debug)]
pub struct LoginRefused {
    address: SocketAddr,
    users: String,
}

impl LoginRefused {
    /// The machine at `address` refuses these users with the key.
    #[must_use]
    pub fn new(address: SocketAddr, users: &str) -> LoginRefused {
        LoginRefused { address, users: users.to_owned() }
    }
}

impl fmt::Display for LoginRefused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} refused the login as {}", self.address, self.users)
    }
}

impl std::error::Error for LoginRefused {}

/// Accepts only this host key, as `StrictHostKeyChecking=yes` does.
pub(super) struct PinnedHostKey {
    host_key: PublicKey,
}

impl client::Handler for PinnedHostKey {
    type Error = russh::Error;

    async fn check_server_key(&mut self, key: &PublicKeyOrCertificate) -> Result<bool, russh::Error> {
        Ok(matches!(key, PublicKeyOrCertificate::PublicKey { key, .. } if key.key_data() == self.host_key.key_data()))
    }
}
