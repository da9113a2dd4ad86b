//! SHA-256 of what passes by: of files, without holding one in memory.

use std::io::{Read, Write};

use anyhow::Result;
use sha2::{Digest as _, Sha256};

/// How much of a file is in memory at a time.
const BUFFER_BYTES: usize = 64 * 1024;

/// The SHA-256 of some bytes, and how many they were.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Digest {
    /// In lower-case hexadecimal digits.
    pub sha256: String,
    /// How many bytes it is of.
    pub size_bytes: u64,
}

/// A reader that takes the SHA-256 of what is read through it.
pub struct Hashing<R> {
    inner: R,
    hasher: Sha256,
    size_bytes: u64,
}

/// The SHA-256 of bytes that are in memory.
#[must_use]
pub fn sha256(bytes: &[u8]) -> String {
    hexadecimal(&Sha256::digest(bytes))
}

/// Copies all that `source` has, and takes its SHA-256 on the way.
///
/// # Errors
/// When one can't be read or the other not be written.
pub fn copy(source: impl Read, mut target: impl Write) -> Result<Digest> {
    let mut source = std::io::BufReader::with_capacity(BUFFER_BYTES, Hashing::new(source));
    std::io::copy(&mut source, &mut target)?;
    target.flush()?;
    Ok(source.into_inner().finish())
}

impl<R> Hashing<R> {
    /// Hashes what is read from `inner` from now on.
    pub fn new(inner: R) -> Hashing<R> {
        Hashing { inner, hasher: Sha256::new(), size_bytes: 0 }
    }

    /// The SHA-256 of what was read.
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
    fn hashes_as_the_standard_says() {
        assert_eq!(sha256(b"abc"), OF_ABC);
        let mut copied = Vec::new();
        let digest = copy(&b"abc"[..], &mut copied).expect("a copy");
        assert_eq!((digest.sha256.as_str(), digest.size_bytes, copied.as_slice()), (OF_ABC, 3, &b"abc"[..]));
    }

    #[test]
    fn hashes_a_file_that_is_larger_than_the_buffer() {
        let (_guard, folder) = folder();
        let path = folder.join("large");
        let bytes = vec![7; 3 * BUFFER_BYTES + 1];
        std::fs::write(&path, &bytes).expect("a file");
        let digest = sha256_file(&path);
        assert_eq!((digest.sha256, digest.size_bytes), (sha256(&bytes), bytes.len() as u64));
    }
}
