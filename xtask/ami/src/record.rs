//! What is recorded: the journal of a build, what it tells, and the builds of this computer.

pub mod unfinished;
pub mod folder;
pub mod journal;
