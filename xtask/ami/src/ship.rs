//! The payload: the binaries, the checks of their ELF headers, and the tar for the machine.

pub mod binaries;
pub mod container;
pub mod payload;
