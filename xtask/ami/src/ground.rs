//! The ground that the rest stands on: the wait loop, locks, work in all regions, programs, signals, dates, errors of clouds,
//! and how a command ends.

pub mod outcome;
pub mod wait;
pub mod locks;
pub mod process;
pub mod signals;
pub mod everywhere;
pub mod date;
pub mod api_error;
pub mod finding;
#[cfg(test)]
pub mod untrusted;
