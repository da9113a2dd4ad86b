//! The whole release over the simulated cloud, in virtual time: what it promises when all goes well, and when any part of
//! it is refused, answers too late or not at all, or is interrupted.

mod rig;

mod copying;
mod early;
mod heartbeat;
mod machines;
mod promoted;
mod publisher;
mod publishing;
mod resumed;
mod reused;
mod whole;
