//! `cargo xtask ami`: makes, verifies and publishes Wallaroo's machine image.
//!
//! The modules, in reading order: what is asked for, the story of a release, the other commands, what is built and
//! shipped, the clouds and their machines, what all of it stands on.
