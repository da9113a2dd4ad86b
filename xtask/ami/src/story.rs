//! The story of a release: launch, bake, verify, copy, publish; and the cleanup, however it ends.

pub mod release;
pub mod bake;
pub mod reuse;
pub mod keep;
pub mod packages;
pub mod make;
pub mod install;
pub mod verify;
pub mod traces;
pub mod mark;
pub mod promote;
pub mod copy;
pub mod open;
pub mod parameters;
pub mod gate;
pub mod block;
pub mod images;
pub mod told;
pub mod teardown;
pub mod resumed;
pub mod launch;
pub mod kept_login;
pub mod session;
pub mod reach;
pub mod run;
pub mod stop;
