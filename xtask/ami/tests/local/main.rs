//! The whole job with real virtual machines, as a user runs it, and all that may go wrong once a machine runs.
//!
//! The tests wait for each other: two machines at a time would only make both slow. Where the job itself is not the point,
//! a test has scripts of its own that do next to nothing, because a machine that is emulated installs packages for
//! a minute.
#![cfg(test)]

mod bases;
mod bench;
mod connections;
mod container;
mod failures;
#[path = "../kit/guide.rs"]
mod guide;
mod guided;
mod interruptions;
mod kills;
mod loader;
mod packer;
mod planted;
mod reading;
mod reuse;
#[path = "../kit/patches.rs"]
mod patches;
#[path = "../support/phases.rs"]
#[expect(dead_code, reason = "machines of this computer end with the build, so none is followed")]
mod phases;
#[path = "../kit/programs.rs"]
mod programs;
#[path = "../support/retired.rs"]
mod retired;
#[path = "../support/running.rs"]
mod running;
#[path = "../support/mod.rs"]
mod support;
mod uefi;
mod whole;
