//! What the dispatcher and the tools behind it share: the command line, and the types that its flags are parsed into.
//!
//! It is a library so that flags are checked, and `--help` is answered, before anything heavier is compiled.

pub mod cli;
pub mod duration;
pub mod grantee;
pub mod region;
pub mod version;
