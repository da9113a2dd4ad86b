//! The story of a release: launch, bake, verify, copy, publish.

pub mod release;
pub mod bake;
pub mod make;
pub mod launch;
pub mod verify;
pub mod publish;
pub mod block;
pub mod report;
pub mod run;
