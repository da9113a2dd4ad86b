//! What is shipped: the binaries, what their headers say, and the tar that carries them.

pub mod binaries;
pub mod elf;
pub mod payload;
pub mod sha256;
