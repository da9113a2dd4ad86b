//! The keys of a machine: the login key, and the host key that identifies it.

use std::{
    fmt,
    io::Write as _,
    sync::{Arc, OnceLock},
};

use anyhow::{Context as _, Result};
use camino::Utf8Path;
use russh::keys::{Algorithm, EcdsaCurve, PrivateKey, ssh_key::LineEnding};

use serde::{Deserialize, Serialize};

use crate::{recipe::KeyType, record::partial};

/// The parameters of a login.
#[derive(Clone, Debug)]
pub struct Login {
    /// The users to log in as.
    pub users: Users,
    /// The key to log in with.
    pub key: LoginKey,
    /// The host key that the machine must have.
    pub host_key: HostKey,
}

/// The users that a machine may let in, likeliest first, until it is known which one it does. Clones share that.
#[derive(Clone, Debug)]
pub struct Users {
    all: Vec<String>,
    found: Arc<OnceLock<String>>,
}

impl Users {
    /// These users, tried in this order. There must be at least one.
    #[must_use]
    pub fn of(all: &[String]) -> Users {
        Users { all: all.to_vec(), found: Arc::default() }
    }

    /// The users to try.
    #[must_use]
    pub fn candidates(&self) -> Vec<String> {
        self.found.get().map_or_else(|| self.all.clone(), |found| vec![found.clone()])
    }

    /// The user that was let in, or is the likeliest.
    #[must_use]
    pub fn likeliest(&self) -> String {
        self.candidates().into_iter().next().unwrap_or_default()
    }

    /// This one was let in.
    pub fn found(&self, user: &str) {
        let _ = self.found.set(user.to_owned());
    }
}

/// A login as it is in a file.
#[derive(Serialize, Deserialize)]
struct Written {
    users: Vec<String>,
    login_key: String,
    host_key: String,
}

impl Login {
    /// Writes it with its private keys, with mode 0600. A file that is there is replaced as a whole.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write(&self, path: &Utf8Path) -> Result<()> {
        let failed = || format!("failed to write the login {path}");
        let login_key = self.key.0.to_openssh(LineEnding::LF).with_context(failed)?.to_string();
        let written = Written { users: self.users.candidates(), login_key, host_key: self.host_key.private()? };
        let mut file = partial::file(path).with_context(failed)?;
        file.write_all(&serde_json::to_vec(&written)?).with_context(failed)?;
        file.as_file().sync_all().with_context(failed)?;
        file.persist(path).with_context(failed)?;
        Ok(())
    }

    /// Reads a login written by [`Login::write`].
    ///
    /// # Errors
    /// When the file is missing, or has no login.
    pub fn read(path: &Utf8Path) -> Result<Login> {
        let failed = || format!("failed to read the login {path}");
        let written: Written =
            serde_json::from_slice(&std::fs::read(path).with_context(failed)?).with_context(failed)?;
        let key = |text: &str| PrivateKey::from_openssh(text).map(Arc::new).with_context(failed);
        let (login_key, host_key) = (key(&written.login_key)?, key(&written.host_key)?);
        Ok(Login { users: Users::of(&written.users), key: LoginKey(login_key), host_key: HostKey(host_key) })
    }
}

/// A login key, generated here. Only its public half goes to the cloud.
#[derive(Clone)]
pub struct LoginKey(pub(super) Arc<PrivateKey>);

/// A machine's host key, generated here and passed to the machine, so that it is known before the first login.
#[derive(Clone)]
pub struct HostKey(pub(super) Arc<PrivateKey>);

impl LoginKey {
    /// Generates a key of a type that the base takes.
    ///
    /// # Errors
    /// When the system has no randomness.
    pub fn generate(key_type: KeyType, comment: &str) -> Result<LoginKey> {
        generate(key_type, comment).map(LoginKey)
    }

    /// The public half, as a line of `authorized_keys`.
    ///
    /// # Errors
    /// When encoding fails, which it never does for a generated key.
    pub fn public(&self) -> Result<String> {
        public_line(&self.0)
    }

    /// Whether clouds hand this key to their machines. EC2 imports Ed25519 and RSA keys only (EC2 user guide, "Create a key
    /// pair"); another one is in the user data.
    #[must_use]
    pub fn is_imported(&self) -> bool {
        self.0.algorithm() == Algorithm::Ed25519
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
    /// Generates a key of a type that the base takes.
    ///
    /// # Errors
    /// When the system has no randomness.
    pub fn generate(key_type: KeyType, comment: &str) -> Result<HostKey> {
        generate(key_type, comment).map(HostKey)
    }

    /// Its type, as cloud-init and the names of sshd's files have it.
    #[must_use]
    pub fn type_name(&self) -> &'static str {
        if self.0.algorithm() == Algorithm::Ed25519 { "ed25519" } else { "ecdsa" }
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

fn generate(key_type: KeyType, comment: &str) -> Result<Arc<PrivateKey>> {
    let algorithm = match key_type {
        KeyType::Ed25519 => Algorithm::Ed25519,
        KeyType::EcdsaP256 => Algorithm::Ecdsa { curve: EcdsaCurve::NistP256 },
    };
    let mut key = PrivateKey::random(&mut rand::rng(), algorithm).context("failed to generate an SSH key")?;
    key.set_comment(comment);
    Ok(Arc::new(key))
}

fn public_line(key: &PrivateKey) -> Result<String> {
    key.public_key().to_openssh().context("failed to encode a public key")
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_login_is_read_as_it_was_written_with_the_user_that_was_let_in_and_its_owner_alone_reads_it() {
        let (_guard, folder) = crate::fixture::folder();
        let path = folder.join("login");
        for key_type in [KeyType::Ed25519, KeyType::EcdsaP256] {
            let key = (LoginKey::generate(key_type, "b-1").expect("a key"), HostKey::generate(key_type, "b-1"));
            let users = Users::of(&["admin".to_owned(), "ubuntu".to_owned()]);
            let login = Login { users, key: key.0, host_key: key.1.expect("a key") };
            login.write(&path).expect("a file");
            assert_eq!(Login::read(&path).expect("a login").users.candidates(), ["admin", "ubuntu"]);
            login.users.found("ubuntu");
            login.write(&path).expect("a file");
            let read = Login::read(&path).expect("a login");
            assert_eq!(read.users.candidates(), ["ubuntu"]);
            assert_eq!(read.key.public().expect("a key"), login.key.public().expect("a key"));
            assert_eq!(read.host_key.private().expect("a key"), login.host_key.private().expect("a key"));
            assert_eq!(path.metadata().expect("a file").permissions().mode() & 0o777, 0o600);
        }
        assert_eq!(folder.read_dir_utf8().expect("the folder").count(), 1);
        std::fs::write(&path, "{\"users\": [").expect("a file");
        let error = Login::read(&path).map(drop).expect_err("half a file").to_string();
        assert_eq!(error, format!("failed to read the login {path}"));
    }
}
