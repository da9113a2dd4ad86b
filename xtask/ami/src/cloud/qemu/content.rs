//! What is on a disk, as one number: two disks with the same one are the same.

use std::{
    fs::File,
    io::{Read as _, Seek as _},
};

use anyhow::{Context as _, Result};
use sha2::{Digest as _, Sha256};

/// How much is read at once, in bytes.
const BUFFER_BYTES: usize = 1 << 20;

/// The SHA-256 of a raw disk, in hexadecimal: that of what `qemu-img convert -O raw` makes of an image of it.
///
/// # Errors
/// When it can't be read.
pub async fn sha256(disk: File) -> Result<String> {
    // On a thread of its own, because it takes seconds.
    tokio::task::spawn_blocking(move || hash(disk)).await?.context("failed to hash the disk")
}

fn hash(mut disk: File) -> std::io::Result<String> {
    disk.rewind()?;
    let (mut hasher, mut buffer) = (Sha256::new(), vec![0; BUFFER_BYTES]);
    loop {
        match disk.read(&mut buffer)? {
            0 => return Ok(hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect()),
            count => hasher.update(&buffer[..count]),
        }
    }
}
