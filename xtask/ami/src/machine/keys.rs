//! The keys of a machine: the login key, and the host key that identifies it.

use std::{fmt, sync::Arc};

use anyhow::{Context as _, Result};
use camino::Utf8Path;
use russh::keys::{Algorithm, PrivateKey, ssh_key::LineEnding};

/// The parameters of a login.
#[derive(Clone, Debug)]
pub struct Login {
    /// The name of the user.
    pub user: String,
    /// The key to log in with.
    pub key: LoginKey,
    /// The host key that the machine must have.
    pub host_key: HostKey,
}

/// A login key, generated here. Only its public half goes to the cloud.
#[derive(Clone)]
pub struct LoginKey(pub(super) Arc<PrivateKey>);

/// A machine's host key, generated here and passed to the machine, so that it is known before the first login.
#[derive(Clone)]
pub struct HostKey(pub(super) Arc<PrivateKey>);

impl LoginKey {
    /// Generates an Ed25519 key, which OpenSSH 7.2 (Ubuntu 16.04) supports.
    ///
    /// # Errors
    /// When the system has no randomness.
    pub fn generate(comment: &str) -> Result<LoginKey> {
        generate(comment).map(LoginKey)
    }

    /// The public half, as a line of `authorized_keys`.
    ///
    /// # Errors
    /// When encoding fails, which it never does for a generated key.
    pub fn public(&self) -> Result<String> {
        public_line(&self.0)
    }

    /// Reads a key written by [`LoginKey::write`].
    ///
    /// # Errors
    /// When the file is missing or not a private key.
    pub fn read(path: &Utf8Path) -> Result<LoginKey> {
        let key = PrivateKey::read_openssh_file(path.as_std_path());
        key.map(|key| LoginKey(Arc::new(key))).with_context(|| format!("failed to read the login key {path}"))
    }

    /// Writes the private half for `ssh -i`, with mode 0600.
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
    /// Generates an Ed25519 key.
    ///
    /// # Errors
    /// When the system has no randomness.
    pub fn generate(comment: &str) -> Result<HostKey> {
        generate(comment).map(HostKey)
    }

    /// The public half, in the format of sshd's `.pub` files.
    ///
    /// # Errors
    /// When encoding fails, which it never does for a generated key.
    pub fn public(&self) -> Result<String> {
        public_line(&self.0)
    }

    /// The private half, for the machine's user data. Sealing removes it from the image.
    ///
    /// # Errors
    /// When encoding fails, which it never does for a generated key.
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
    let mut key = PrivateKey::random(&mut rand::rng(), Algorithm::Ed25519).context("failed to generate an SSH key")?;
    key.set_comment(comment);
    Ok(Arc::new(key))
}

fn public_line(key: &PrivateKey) -> Result<String> {
    key.public_key().to_openssh().context("failed to encode a public key")
}
