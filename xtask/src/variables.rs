//! The variables that cargo sets for a program that it runs.

use std::{env, ffi::OsString};

/// The beginnings of the names of those that tell of the program's package ("Environment variables", The Cargo Book).
const OF_THE_PACKAGE: [&str; 2] = ["CARGO_MANIFEST_", "CARGO_PKG_"];

/// The names of the variables of this process by which cargo tells it of its package. A cargo that is started must not inherit
/// them. Build scripts ask for variables of these names, as ring's does, and cargo would take another package's values for a
/// change: the script's crate and all that stand on it would be compiled again, each time that cargo is started by a program
/// and by a person in turns.
pub fn of_package() -> impl Iterator<Item = OsString> {
    env::vars_os().map(|(name, _)| name).filter(|name| {
        let name = name.to_string_lossy();
        OF_THE_PACKAGE.iter().any(|beginning| name.starts_with(beginning))
    })
}
