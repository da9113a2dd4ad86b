//! The ground floor: the wait loop, locks, work in all regions, partitions, child processes, signals, dates, SHA-256,
//! API errors, and the outcome of a command.

pub mod outcome;
pub mod wait;
pub mod locks;
pub mod process;
pub mod programs;
pub mod environment;
pub mod guard;
pub mod signals;
pub mod everywhere;
pub mod partition;
pub mod date;
pub mod sha256;
pub mod api_error;
pub mod finding;
#[cfg(test)]
pub mod untrusted;
