//! The payload: the binaries, the checks of their ELF headers, the tar for the machine, and the documents about what the
//! image is made of.

pub mod binaries;
pub mod container;
pub mod inventory;
pub mod manifest;
pub mod payload;
pub mod provenance;
pub mod sbom;
