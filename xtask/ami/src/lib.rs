//! `cargo xtask ami`: makes, verifies and publishes Wallaroo's machine image.
//!
//! The floors of the house, from the top, in reading order. A module imports from its own floor and from those below
//! it, never from one above, and no two modules import each other; `xtask/tests/tidy.rs` holds both.

// The commands, one module each, and the story of a release, which most of them are about.
pub mod verbs;
pub mod story;

// What is asked for, and what the clouds have.
pub mod ask;
pub mod catalogue;

// What is shipped, where to, and the checkout's own word on it.
pub mod ship;
pub mod cloud;
pub mod machine;
pub mod recipe;

// The ground: waits, programs, signals, and how a command ends.
pub mod ground;

// What happens, in one stream: where it is emitted, shown and recorded, and what it consists of.
pub mod events;
pub mod show;
pub mod record;
pub mod event;
pub mod state_dir;
pub mod shell;

#[cfg(test)]
extern crate self as xtask_ami;
#[cfg(test)]
mod fixture;
#[cfg(test)]
#[path = "../tests/kit/schema.rs"]
mod valid;
