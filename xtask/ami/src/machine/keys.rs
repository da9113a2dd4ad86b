//! The keys of a machine: who logs in, and what proves which machine it is.

use std::{fmt, sync::Arc};

use anyhow::{Context as _, Result};
use camino::Utf8Path;
use russh::keys::{Algorithm, PrivateKey, ssh_key::LineEnding};

/// Who logs in, and what proves which machine it is.
#[derive(Clone, Debug)]
pub struct Login {
    /// The user's name.
    pub user: String,
    /// The private half stays here.
    pub key: LoginKey,
    /// The host key that the machine was given.
    pub host_key: HostKey,
}

/// A key that logs in, made here; only its public half goes to a cloud.
#[derive(Clone)]
pub struct LoginKey(pub(super) Arc<PrivateKey>);

/// A machine's host key, made here and handed to it, so that it is known before the machine is.
#[derive(Clone)]
pub struct HostKey(pub(super) Arc<PrivateKey>);

impl LoginKey {
    /// A new ed25519 key; OpenSSH 7.2 (Ubuntu 16.04) takes those.
    ///
    /// # Errors
    /// When the system has no randomness.
    pub fn generate(comment: &str) -> Result<LoginKey> {
        generate(comment).map(LoginKey)
    }

    /// The public half, as a line of `authorized_keys`.
    ///
    /// # Errors
    /// None that is known of: encoding a key that was just made.
    pub fn public(&self) -> Result<String> {
        public_line(&self.0)
    }

    /// Reads what [`LoginKey::write`] wrote.
    ///
    /// # Errors
    /// When there is no key.
    pub fn read(path: &Utf8Path) -> Result<LoginKey> {
        let key = PrivateKey::read_openssh_file(path.as_std_path());
        key.map(|key| LoginKey(Arc::new(key))).with_context(|| format!("failed to read the login key {path}"))
    }

    /// Writes the private half where only its owner may read it, for `ssh -i`.
    ///
    /// # Errors
    /// When the file can't be written.
    pub fn write(&self, path: &Utf8Path) -> Result<()> {
        self.0
            .write_openssh_file(path.as_std_path(), LineEnding::LF)
            .with_context(|| format!("failed to write the login key {path}"))
    }
}

impl HostKey {
    /// A new ed25519 key.
    ///
    /// # Errors
    /// When the system has no randomness.
    pub fn generate(comment: &str) -> Result<HostKey> {
        generate(comment).map(HostKey)
    }

    /// The public half, as sshd keeps it.
    ///
    /// # Errors
    /// None that is known of: encoding a key that was just made.
    pub fn public(&self) -> Result<String> {
        public_line(&self.0)
    }

    /// The private half, for the machine's user data. It is a throw-away: sealing removes it from the image.
    ///
    /// # Errors
    /// None that is known of: encoding a key that was just made.
    pub fn private(&self) -> Result<String> {
        Ok(self.0.to_openssh(LineEnding::LF).context("failed to encode the host key")?.to_string())
    }
}

impl fmt::Debug for LoginKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LoginKey(…)")
    }
}

impl fmt::Debug for HostKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HostKey(…)")
    }
}

fn generate(comment: &str) -> Result<Arc<PrivateKey>> {
    let mut key = PrivateKey::random(&mut rand::rng(), Algorithm::Ed25519).context("failed to make an SSH key")?;
    key.set_comment(comment);
    Ok(Arc::new(key))
}

fn public_line(key: &PrivateKey) -> Result<String> {
    key.public_key().to_openssh().context("failed to encode a public key")
}
