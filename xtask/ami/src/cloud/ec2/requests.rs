//! The requests that create, change or open something. Each is built in one place only, so that the dry runs of preflight
//! ask for exactly what the build asks for: they add `dry_run`, and name a placeholder where a resource is yet to come.

pub mod access;
pub mod image;
pub mod instance;
pub mod opening;
