//! The commands, one module each.

pub mod boot;
pub mod check;
pub mod clean;
pub mod list;
pub mod plan;
pub mod retire;
pub mod schema;
