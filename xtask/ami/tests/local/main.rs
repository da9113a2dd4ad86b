//! The whole job with real virtual machines, as a user runs it, and all that may go wrong once a machine runs.
//!
//! The tests wait for each other: two machines at a time would only make both slow. Where the job itself is not the point,
//! a test has scripts of its own that do next to nothing, because a machine that is emulated installs packages for
//! a minute.
#![cfg(test)]

#[path = "../support/mod.rs"]
mod support;

mod bench;
mod failures;
mod interruptions;
mod running;
mod whole;
