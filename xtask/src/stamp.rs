//! What the AWS SDK was last compiled with, kept beside it: an update of Rust or of the SDK means minutes again.

use std::{
    collections::{BTreeMap, BTreeSet},
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use crate::rustc;

/// The package that takes minutes.
const SDK: &str = "aws-sdk-ec2";

/// What decides whether the SDK that is there is up to date, and where that of its last compile is kept.
pub struct Stamp {
    path: PathBuf,
    text: String,
}

impl Stamp {
    /// What decides now, for the artifacts in `folder`: the compiler, its flags, and the versions of what the SDK stands on.
    pub fn now(folder: &Path, lock: &str) -> Stamp {
        let version = Command::new(rustc::compiler()).arg("-vV").output().map(|output| output.stdout);
        let mut text = String::from_utf8_lossy(&version.unwrap_or_default()).into_owned();
        for variable in ["RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "CARGO_BUILD_RUSTFLAGS"] {
            text.extend(env::var(variable).map(|flags| format!("{variable}={flags}\n")));
        }
        text.extend(packages(lock).into_iter().map(|package| package + "\n"));
        Stamp { path: folder.join("aws-sdk-compiled-with"), text }
    }

    /// Whether the last compile that succeeded was with the same.
    pub fn is_kept(&self) -> bool {
        fs::read_to_string(&self.path).is_ok_and(|kept| kept == self.text)
    }

    /// Keeps it, after a compile that succeeded.
    pub fn keep(&self) {
        // Without it the next command only says once more that the SDK is compiled.
        let _ = fs::write(&self.path, &self.text);
    }
}

/// The SDK and all that it depends on by the text of Cargo.lock, with their versions.
fn packages(lock: &str) -> BTreeSet<String> {
    let value = |package: &str, key: &str| {
        let value = package.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(" = "));
        value.unwrap_or_default().trim_matches('"').to_owned()
    };
    let mut by_name: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for package in lock.split("[[package]]\n").skip(1) {
        by_name.entry(value(package, "name")).or_default().push(package);
    }
    let mut found = BTreeSet::new();
    let mut names = vec![SDK.to_owned()];
    while let Some(name) = names.pop() {
        for package in by_name.remove(&name).unwrap_or_default() {
            found.insert(format!("{name} {}", value(package, "version")));
            let dependencies = package.lines().filter_map(|line| line.strip_prefix(" \"")?.split([' ', '"']).next());
            names.extend(dependencies.map(str::to_owned));
        }
    }
    found
}
