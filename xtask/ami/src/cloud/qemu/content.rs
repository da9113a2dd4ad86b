//! What is on a disk, as one number: two disks with the same one are the same.

use std::{
    fs::File,
    io::{Seek as _, sink},
};

use anyhow::{Context as _, Result};

use crate::ground::sha256;

/// The SHA-256 of a raw disk, in hexadecimal: that of what `qemu-img convert -O raw` makes of an image of it.
///
/// # Errors
/// When it can't be read.
pub async fn sha256(disk: File) -> Result<String> {
    // On a thread of its own, because it takes seconds.
    tokio::task::spawn_blocking(move || hash(disk)).await?.context("failed to hash the disk")
}

fn hash(mut disk: File) -> Result<String> {
    disk.rewind()?;
    Ok(sha256::copy(disk, sink())?.sha256)
}
