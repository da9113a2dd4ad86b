//! What no other tool checks of the sources: that they can be read.

#![expect(clippy::expect_used, reason = "a test that cannot go on says so by panicking")]

use std::{fs, path::Path};

use xshell::{Shell, cmd};

/// A longer file is asking to be two.
const MAX_LINES: usize = 400;

fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask lies in the workspace")
}

/// The text files that are, or would be, in the repository, with their text.
fn files() -> Vec<(String, String)> {
    let sh = Shell::new().expect("a shell");
    sh.change_dir(workspace());
    let listed =
        cmd!(sh, "git ls-files --cached --others --exclude-standard").quiet().read().expect("git lists the files");
    let there = listed.lines().filter(|name| workspace().join(name).is_file());
    let files: Vec<_> =
        there.filter_map(|name| Some((name.to_owned(), fs::read_to_string(workspace().join(name)).ok()?))).collect();
    assert!(files.len() > 20, "git listed {} files only", files.len());
    files
}

fn check(faults: Vec<String>) {
    assert!(faults.is_empty(), "\n{}\n", faults.join("\n"));
}

#[test]
fn every_module_says_what_it_is() {
    let sources = files().into_iter().filter(|(name, _)| name.ends_with(".rs") && !name.ends_with("tests.rs"));
    check(sources.filter(|(_, text)| !text.starts_with("//! ")).map(|(name, _)| name).collect());
}

#[test]
fn no_file_is_two_in_one() {
    let sources = files().into_iter().filter(|(name, _)| name.ends_with(".rs") || name.ends_with(".sh"));
    let long = sources.map(|(name, text)| (text.lines().count(), name)).filter(|(lines, _)| *lines > MAX_LINES);
    check(long.map(|(lines, name)| format!("{name} has {lines} lines")).collect());
}

#[test]
fn lines_end_where_their_text_ends() {
    let mut faults = Vec::new();
    for (name, text) in files().iter().filter(|(name, _)| name != "LICENSE") {
        let trailing = (1..).zip(text.lines()).filter(|(_, line)| line.ends_with([' ', '\t', '\r']));
        faults.extend(trailing.map(|(number, _)| format!("{name}:{number} ends with white space")));
        if !text.is_empty() && !text.ends_with('\n') {
            faults.push(format!("{name} has no newline at its end"));
        }
    }
    check(faults);
}

#[test]
fn versions_of_dependencies_stand_in_one_place() {
    let manifests = files().into_iter().filter(|(name, _)| name.ends_with("Cargo.toml") && name != "Cargo.toml");
    let mut faults = Vec::new();
    for (name, text) in manifests {
        let dependencies = text.split("\n[dependencies]").nth(1).unwrap_or_default();
        let dependencies = dependencies.split("\n[").next().unwrap_or_default();
        let own = dependencies.lines().filter(|line| line.contains('=') && !line.starts_with('#'));
        let own = own.filter(|line| !line.contains("workspace = true") && !line.contains("path = "));
        faults.extend(own.map(|line| format!("{name}: {line}: its version belongs into the workspace's Cargo.toml")));
    }
    check(faults);
}

#[test]
fn what_is_laid_over_a_checkout_stays_clear_of_its_files() {
    // Wallaroo has these itself; the ones here belong to this repository alone.
    let overlay = ["Cargo.toml", "Cargo.lock", "regions"];
    let of_this_repository =
        ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", "LICENSE", "clippy.toml", "deny.toml", "rustfmt.toml"];
    let folders = [".cargo/", ".ci/", ".release/ami/", "docs/", "findings/", "xtask/"];
    let known = |name: &String| {
        overlay.contains(&name.as_str())
            || of_this_repository.contains(&name.as_str())
            || folders.iter().any(|folder| name.starts_with(folder))
    };
    check(files().into_iter().map(|(name, _)| name).filter(|name| !known(name)).collect());
}
