//! `cargo xtask ami`: makes, verifies and publishes Wallaroo's machine image.
//!
//! A newcomer starts with [`story::release`], where a release is told from its first instance to its result. The story
//! asks a cloud to do the work ([`cloud`]: EC2, or QEMU on this computer), and emits events ([`event`]) about it. The
//! journal, the state of the build, the terminal and the log are all made from these events.
//!
//! The modules below are floors, listed from the top. A module imports from its own floor and from lower ones, never from
//! a higher one, and no two modules import each other. So each module can be read, tested and replaced with only what
//! lies below it: a cloud knows nothing of releases, and a journal nothing of clouds. `xtask/tests/floors.rs` reads this
//! list and enforces both rules.

// The commands, one module each, and the story of a release.
pub mod verbs;
pub mod story;

// The question: flags read against the checkout, preflight, and the images that exist.
pub mod ask;
pub mod catalogue;

// The goods and the places: the payload, the clouds, the machines that they launch, the programs and what a base brings
// for them, and the checkout's recipe.
pub mod ship;
pub mod cloud;
pub mod machine;
pub mod elf;
pub mod recipe;

// The ground: waits, programs, signals, locks, and how a command ends.
pub mod ground;

// The events: where they are emitted, shown and recorded, and the types that they consist of.
pub mod events;
pub mod show;
pub mod record;
pub mod event;

// The state folder, and quoting for commands that users paste.
pub mod state_dir;
pub mod shell;

#[cfg(test)]
extern crate self as xtask_ami;
#[cfg(test)]
mod fixture;
#[cfg(test)]
#[path = "../tests/kit/schema.rs"]
mod valid;
