//! The tool as a real process with credentials, proxies and certificates as people really have them, against servers on
//! loopback.
#![cfg(test)]
#![cfg(feature = "ec2")]

mod files;
mod kinds;
mod network;
mod profiles;
mod server;
mod setting;
mod words;
#[path = "../support/mod.rs"]
#[expect(dead_code, unused_imports, reason = "shared with tests that need more")]
mod support;
