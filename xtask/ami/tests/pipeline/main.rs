//! The whole release over a cloud in memory, in virtual time: what it promises when all goes well, and when any part of
//! it is refused, answers too late or not at all, or is interrupted.
#![cfg(test)]

#[path = "../common/mod.rs"]
mod common;
#[path = "../common/turn.rs"]
mod turn;
mod fake;
mod rig;

mod copying;
mod machines;
mod publishing;
mod whole;
