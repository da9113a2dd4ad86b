//! The command line, and the types that its flags are parsed into. The dispatcher and the tool share them.
//!
//! They are a library so that flags are checked, and `--help` is answered, before anything heavier is compiled.

pub mod cli;
pub mod completion;
pub mod count;
pub mod duration;
pub mod grantee;
pub mod home;
pub mod instance;
pub mod parameter;
pub mod region;
pub mod variables;
pub mod version;
