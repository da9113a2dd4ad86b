//! What reads foreign bytes and is public: nothing that it is given makes it panic or hang, what is wrong is said with
//! its place, and what it takes is what it says it takes.
//!
//! What is private is tried the same way in its own module, with `untrusted::check`.
#![cfg(test)]

#[path = "../../src/ground/untrusted.rs"]
mod untrusted;

mod files;
mod words;

/// How many values are tried of each kind: with all kinds that takes some seconds.
const CASES: u32 = 2000;
