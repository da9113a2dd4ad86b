//! `cargo xtask ami`: makes, verifies and publishes Wallaroo's machine image.
//!
//! The modules, in reading order: what is asked for, the story of a release, the other commands, what is built and
//! shipped, the clouds and their machines, what all of it stands on.

pub mod outcome;
pub mod recipe;
pub mod source;
pub mod preflight;
pub mod plan;
pub mod policy;
pub mod build;
pub mod unfinished;

pub mod release;
pub mod bake;
pub mod launch;
pub mod verify;
pub mod publish;
pub mod unblock;
pub mod report;

pub mod manage;
pub mod clean;
pub mod boot;

pub mod binaries;
pub mod elf;
pub mod staging;
pub mod sha256;

pub mod cloud;
pub mod machine;
pub mod openssh;

pub mod journal;
pub mod wait;
pub mod status;
pub mod signals;
pub mod process;
pub mod home;

#[cfg(test)]
mod fixture;
#[cfg(test)]
mod foreign;
