//! What is on a disk, as one number: two disks with the same one are the same.

use std::{fs::File, io::Seek as _};

use anyhow::{Context as _, Result};

use crate::ship::sha256;

/// The SHA-256 of a raw disk, in hexadecimal: that of what `qemu-img convert -O raw` makes of an image of it.
///
/// # Errors
/// When it can't be read.
pub async fn sha256(mut disk: File) -> Result<String> {
    let hashed = tokio::task::spawn_blocking(move || {
        disk.rewind()?;
        sha256::copy(disk, std::io::sink())
    });
    Ok(hashed.await?.context("failed to hash the disk")?.sha256)
}
