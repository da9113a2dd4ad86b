//! The records: the journal of a build, the state that is read from it, and the builds of this computer.

pub mod history;
pub mod unfinished;
pub mod ownership;
pub mod retirement;
pub mod folder;
pub mod partial;
pub mod journal;
pub mod state;
