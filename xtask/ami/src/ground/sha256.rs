//! SHA-256 of streams, without holding a file in memory.

use std::io::{Read, Write};

use anyhow::Result;
use sha2::{Digest as _, Sha256};

/// The size of the buffer, in bytes.
const BUFFER_BYTES: usize = 64 * 1024;

/// The SHA-256 and the size of some bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Digest {
    /// In lower-case hexadecimal.
    pub sha256: String,
    /// The number of bytes.
    pub size_bytes: u64,
}

/// A reader that hashes what is read through it.
pub struct Hashing<R> {
    inner: R,
    hasher: Sha256,
    size_bytes: u64,
}

/// The SHA-256 of bytes, in lower-case hexadecimal.
#[must_use]
pub fn sha256(bytes: &[u8]) -> String {
    hexadecimal(&Sha256::digest(bytes))
}

/// Copies `source` to `target`, and hashes it on the way.
///
/// # Errors
/// When reading or writing fails.
pub fn copy(source: impl Read, mut target: impl Write) -> Result<Digest> {
    let mut source = std::io::BufReader::with_capacity(BUFFER_BYTES, Hashing::new(source));
    std::io::copy(&mut source, &mut target)?;
    target.flush()?;
    Ok(source.into_inner().finish())
}

impl<R> Hashing<R> {
    /// Wraps a reader.
    pub fn new(inner: R) -> Hashing<R> {
        Hashing { inner, hasher: Sha256::new(), size_bytes: 0 }
    }

    /// The SHA-256 of the bytes read so far.
    pub fn finish(self) -> Digest {
        Digest { sha256: hexadecimal(&self.hasher.finalize()), size_bytes: self.size_bytes }
    }
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.hasher.update(&buffer[..count]);
        self.size_bytes += count as u64;
        Ok(count)
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{folder, sha256_file};

    /// From FIPS 180-2, appendix B.1.
    const OF_ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    #[test]
    fn the_hash_is_that_of_the_standard() {
        assert_eq!(sha256(b"abc"), OF_ABC);
        let mut copied = Vec::new();
        let digest = copy(&b"abc"[..], &mut copied).expect("a copy");
        assert_eq!((digest.sha256.as_str(), digest.size_bytes, copied.as_slice()), (OF_ABC, 3, &b"abc"[..]));
    }

    #[test]
    fn a_file_larger_than_the_buffer_is_hashed_whole() {
        let (_guard, folder) = folder();
        let path = folder.join("large");
        let bytes = vec![7; 3 * BUFFER_BYTES + 1];
        std::fs::write(&path, &bytes).expect("a file");
        let digest = sha256_file(&path);
        assert_eq!((digest.sha256, digest.size_bytes), (sha256(&bytes), bytes.len() as u64));
    }
}
