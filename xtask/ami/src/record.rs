//! What is recorded: the journal of a build, what it tells, and the builds of this computer.

pub mod unfinished;
pub mod ownership;
pub mod folder;
pub mod journal;
pub mod state;
