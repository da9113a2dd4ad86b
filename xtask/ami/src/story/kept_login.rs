//! The login on the instance that the image is made of, kept in the build's folder: the next process needs it where this one
//! is killed.
//!
//! It is there from before the launch until the instance is sealed, or its termination begins. So an instance whose login
//! is there has been left alone.

use anyhow::Result;
use camino::{Utf8Path, Utf8PathBuf};

use super::run::Run;
use crate::{machine::keys::Login, record::folder};

/// The prefix of the file; the number of the process that launched the instance follows.
const BAKE_LOGIN: &str = "bake-login-";

/// Keeps the login of the instance that attempt `attempt` launches, with mode 0600.
///
/// # Errors
/// When it cannot be written.
pub async fn keep(run: &Run, attempt: u32, login: &Login) -> Result<()> {
    let (login, path) = (login.clone(), path(run, attempt));
    // On another thread, because it waits for the disk.
    tokio::task::spawn_blocking(move || login.write(&path)).await?
}

/// The login of the instance that attempt `attempt` launched.
///
/// # Errors
/// When there is none, or it cannot be read.
pub fn read(run: &Run, attempt: u32) -> Result<Login> {
    Login::read(&path(run, attempt))
}

/// Deletes it.
pub fn delete(build_folder: &Utf8Path) {
    folder::delete(build_folder, BAKE_LOGIN);
}

fn path(run: &Run, attempt: u32) -> Utf8PathBuf {
    run.folder.join(format!("{BAKE_LOGIN}{attempt}"))
}
