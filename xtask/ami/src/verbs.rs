//! The commands, one module each.

pub mod boot;
pub mod clean;
pub mod manage;
pub mod plan;
