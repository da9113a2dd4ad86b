//! What reads foreign bytes and is public: nothing that it is given makes it panic or hang, what is wrong is said with
//! its place, and what it takes is what it says it takes.
//!
//! What is private is tried the same way in its own module, with `foreign::check`.
#![cfg(test)]

#[path = "../../src/foreign.rs"]
mod foreign;

mod files;
mod words;

/// How many values are tried of each kind: with all kinds that takes some seconds.
const CASES: u32 = 2000;
