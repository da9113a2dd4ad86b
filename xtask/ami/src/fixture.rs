//! Fixtures of unit tests: temporary folders, and small programs compiled by gcc.

use std::process::Command;

use camino::{Utf8Path, Utf8PathBuf};

use crate::{
    elf::{facts::Facts, host::Host, naming::name_packages},
    event::about::{About, Invocation},
    events::Events,
    ground::sha256::{self, Digest},
    recipe::Recipe,
    show::terminal::{Form, Level, Terminal},
};

#[path = "../tests/kit/skip.rs"]
mod skip;

pub use skip::{missing, skipped};

/// A folder that is removed when the guard is dropped.
pub fn folder() -> (tempfile::TempDir, Utf8PathBuf) {
    let guard = tempfile::tempdir().expect("a temporary folder");
    // Resolved, so that paths compare equal where /tmp is a link, as on macOS.
    let path = guard.path().canonicalize().expect("the folder").try_into().expect("a path in UTF-8");
    (guard, path)
}

/// Events that only show warnings and errors.
pub fn events() -> Events {
    Events::new(Terminal::stderr(Level::Quiet, Form::Text))
}

/// The SHA-256 of a file.
pub fn sha256_file(path: &Utf8Path) -> Digest {
    sha256::copy(std::fs::File::open(path).expect("a file"), std::io::sink()).expect("its content")
}

/// The facts of a build for two regions.
pub fn about() -> About {
    About {
        id: "b".to_owned(),
        version: "0.6.1".parse().expect("a version"),
        name: "Wallaroo 0.6.1".to_owned(),
        began: "2026-11-22T00:00:00Z".to_owned(),
        root: "/wallaroo".into(),
        commit: None,
        commit_secs: None,
        branch: None,
        dirty: false,
        local: false,
        identity: None,
        profile: None,
        build_region: "us-west-2".parse().expect("a region"),
        regions: ["eu-west-1", "us-west-2"].map(|region| region.parse().expect("a region")).to_vec(),
        private: false,
        shared_with: Vec::new(),
        expires_secs: None,
        system: "ubuntu-16.04".to_owned(),
        instance_type: None,
        skip_build: false,
        reuse_base: false,
        call: Invocation::default(),
        inputs: Default::default(),
        promotes: None,
    }
}

/// The shipped recipe, with the names of packages by the shipped facts.
pub fn recipe() -> Recipe {
    let text = include_str!("../../../.release/ami/ami.toml");
    let mut recipe = Recipe::parse(Utf8Path::new("ami.toml"), text).expect("the shipped recipe");
    name_packages(&mut recipe, &[facts_folder()]);
    recipe
}

/// The folder with the facts of the systems in the shipped recipe.
pub fn facts_folder() -> Utf8PathBuf {
    Utf8Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.release/ami/systems")
}

/// The machine of the shipped recipe and facts that has this system.
pub fn host(system: &str) -> Host {
    let (recipe, facts) = (recipe(), Facts::find(&[facts_folder()], system).expect("facts"));
    Host::new(&recipe, system, recipe.system(system).expect("a system"), facts, true)
}

/// Compiles C to the program `folder/name`.
pub fn gcc(folder: &Utf8Path, name: &str, source: &str, flags: &[&str]) -> Utf8PathBuf {
    let c = folder.join(format!("{name}.c"));
    std::fs::write(&c, source).expect("C");
    let path = folder.join(name);
    let output = Command::new("gcc").current_dir(folder).args(["-o", path.as_str(), c.as_str()]).args(flags).output();
    let output = output.expect("gcc");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    path
}

/// Writes a file, and creates its folders.
pub fn write(path: &Utf8Path, bytes: impl AsRef<[u8]>) {
    std::fs::create_dir_all(path.parent().expect("a parent")).expect("folders");
    std::fs::write(path, bytes).expect("a file");
}

/// Runs git in `folder`, without the user's configuration.
pub fn git(folder: &Utf8Path, words: &[&str]) {
    let mut command = Command::new("git");
    command.current_dir(folder).env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_SYSTEM", "/dev/null");
    command.args(["-c", "user.name=Tester", "-c", "user.email=tester@example.com"]);
    let output = command.args(words).output().expect("git");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
