//! `cargo xtask install-into`: what it writes into a checkout, and what it leaves alone.

#![expect(clippy::expect_used, reason = "a test that cannot go on says so by panicking")]

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use tempfile::TempDir;
use xshell::{Shell, cmd};

/// A checkout of Wallaroo, as far as an installation looks at it, and the repository of the tool to install in it.
struct Folders {
    checkout: TempDir,
    tool: PathBuf,
    _own: Option<TempDir>,
}

/// What a command ended with, and printed.
struct Ended {
    code: i32,
    text: String,
}

impl Folders {
    /// With this repository as the tool.
    fn new() -> Folders {
        let tool = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("a workspace").to_owned();
        Folders { checkout: wallaroo(), tool, _own: None }
    }

    /// With a small repository as the tool, which a test can change.
    fn with_a_tool_of_its_own() -> Folders {
        let own = TempDir::new().expect("a folder");
        let tool = own.path().to_owned();
        for (path, text) in
            [("xtask/Cargo.toml", "1"), ("xtask/a", "1"), ("regions", "1"), (".release/ami/ami.toml", "1")]
        {
            write(&tool, path, text);
        }
        write(&tool, "README.md", "not laid over");
        Folders { checkout: wallaroo(), tool, _own: Some(own) }.committed()
    }

    fn committed(self) -> Folders {
        let sh = Shell::new().expect("a shell");
        sh.change_dir(&self.tool);
        cmd!(sh, "git init --quiet").run().expect("git");
        cmd!(sh, "git add .").run().expect("git");
        self
    }

    fn install(&self, flags: &[&str]) -> Ended {
        let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
        command.arg("install-into").args(flags).arg(self.checkout.path());
        let output = command.env("CARGO_MANIFEST_DIR", self.tool.join("xtask")).stdin(Stdio::null()).output();
        let output = output.expect("the dispatcher runs");
        assert!(output.stdout.is_empty(), "{output:?}");
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        Ended { code: output.status.code().expect("no signal ended it"), text }
    }

    /// The files of the checkout, with their text.
    fn files(&self) -> Vec<(String, String)> {
        let sh = Shell::new().expect("a shell");
        sh.change_dir(self.checkout.path());
        let listed = cmd!(sh, "find . -type f -not -path ./.git/*").quiet().read().expect("find lists the files");
        let mut files: Vec<_> = listed.lines().map(|path| (path.to_owned(), self.text(path))).collect();
        files.sort();
        files
    }

    fn text(&self, path: &str) -> String {
        fs::read_to_string(self.checkout.path().join(path)).unwrap_or_default()
    }
}

fn wallaroo() -> TempDir {
    let checkout = TempDir::new().expect("a folder");
    for (path, text) in [("Makefile", "all:\n"), ("README.md", "Wallaroo"), (".release/release.sh", "#!/bin/sh\n")] {
        write(checkout.path(), path, text);
    }
    checkout
}

fn write(folder: &Path, path: &str, text: &str) {
    let path = folder.join(path);
    fs::create_dir_all(path.parent().expect("a file has a folder")).expect("a folder is made");
    fs::write(path, text).expect("a file is written");
}

fn assert_ended(ended: &Ended, code: i32, words: &[&str]) {
    assert_eq!(ended.code, code, "{}", ended.text);
    for word in words {
        assert!(ended.text.contains(word), "`{word}` is not in:\n{}", ended.text);
    }
}

#[test]
fn a_checkout_gets_all_that_the_tool_needs_and_keeps_what_it_has() {
    let folders = Folders::new();
    assert_ended(&folders.install(&["--yes"]), 0, &["add xtask/ (", "add Cargo.toml", "installed in", "Commit it"]);
    assert_eq!(folders.text("README.md"), "Wallaroo");
    assert_eq!(folders.text(".release/release.sh"), "#!/bin/sh\n");
    for path in ["docs", "LICENSE", ".ci", "findings", "xtask/target", "deny.toml"] {
        assert!(!folders.checkout.path().join(path).exists(), "{path}");
    }
    assert_ended(&folders.install(&[]), 0, &["nothing to do"]);
}

/// As it is typed in the guide, beside the clone; on a terminal it would ask first.
#[test]
fn the_guides_command_installs_the_tool_in_the_checkout_beside_the_clone() {
    let folders = Folders::with_a_tool_of_its_own();
    let guide = Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("docs/guide.md");
    let guide = fs::read_to_string(guide).expect("the guide");
    let (_, rest) = guide.split_once("<!-- run: install-into -->\n\n    cargo xtask ").expect("the command");
    let words = rest.lines().next().expect("a line").split(' ');
    let both = TempDir::new().expect("a folder");
    let (clone, checkout) = (both.path().join("clone"), both.path().join("wallaroo"));
    fs::create_dir(&clone).expect("a folder is made");
    write(&checkout, "Makefile", "all:\n");
    write(&checkout, ".release/release.sh", "#!/bin/sh\n");
    let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
    command.args(words).arg("--yes").current_dir(&clone).env("CARGO_MANIFEST_DIR", folders.tool.join("xtask"));
    let output = command.stdin(Stdio::null()).output().expect("the dispatcher runs");
    assert!(output.status.success(), "{output:?}");
    assert!(checkout.join("xtask/Cargo.toml").exists() && checkout.join(".release/ami/ami.toml").exists());
    assert!(fs::read_dir(&clone).expect("a folder").next().is_none(), "nothing is written beside it");
}

#[test]
fn the_tool_runs_where_it_was_installed() {
    // Always the same folder, so that what is compiled for it is found again.
    let temporary = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let checkout = temporary.join("installed");
    let _ = fs::remove_dir_all(&checkout);
    // Packages at the same place in two workspaces are one to cargo, which would take what is compiled of this copy for what
    // is compiled of the repository.
    let profile = "[profile.dev.package]\nxtask.debug = false\nxtask-ami.debug = false\n";
    write(temporary, ".cargo/config.toml", profile);
    let folders = Folders::new();
    let copied = Command::new("cp").arg("-r").arg(folders.tool.join("xtask/ami/sample")).arg(&checkout).status();
    assert!(copied.expect("cp runs").success());
    let mut install = Command::new(env!("CARGO_BIN_EXE_xtask"));
    install.args(["install-into", "--yes"]).arg(&checkout).env("CARGO_MANIFEST_DIR", folders.tool.join("xtask"));
    assert!(install.status().expect("the dispatcher runs").success());
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["xtask", "ami", "plan", "--version", "0.6.1", "--local", "--json"]).current_dir(&checkout);
    // The third-party crates of this repository's own build serve, so this compiles the two packages of the tool only. What
    // it links stays apart, because other tests run the programs of this repository.
    cargo.env("CARGO_BUILD_BUILD_DIR", folders.tool.join("xtask/target")).env_remove("CARGO_TARGET_DIR");
    cargo.env("WALLAROO_AMI_HOME", checkout.join("home"));
    xtask::variables::of_package().for_each(|name| _ = cargo.env_remove(name));
    let output = cargo.stdin(Stdio::null()).output().expect("cargo runs");
    // What this computer lacks for it is in the plan, too.
    let plan = String::from_utf8_lossy(&output.stdout);
    assert!(plan.contains("Wallaroo 0.6.1") && plan.contains("machida"), "{output:?}");
    assert!(checkout.join("xtask/target/debug/xtask-ami").exists());
}

#[test]
fn nothing_is_written_without_a_yes() {
    let folders = Folders::with_a_tool_of_its_own();
    let before = folders.files();
    assert_ended(&folders.install(&[]), 2, &["add regions", "stdin is not a terminal; pass --yes"]);
    assert_eq!(folders.files(), before);
}

#[test]
fn a_file_that_differs_is_named_and_nothing_is_written() {
    let folders = Folders::with_a_tool_of_its_own();
    write(folders.checkout.path(), "regions", "another");
    write(folders.checkout.path(), "xtask/a", "another");
    let before = folders.files();
    assert_ended(&folders.install(&["--yes"]), 2, &["regions", "xtask/a", "move them away"]);
    assert_ended(&folders.install(&["--yes", "--update"]), 2, &["there is nothing to update", "leave out --update"]);
    assert_eq!(folders.files(), before);
    write(folders.checkout.path(), "regions", "1");
    write(folders.checkout.path(), "xtask/a", "1");
    assert_ended(&folders.install(&["--yes"]), 0, &["leave 2 files that are alike"]);
}

#[test]
fn an_update_replaces_what_was_installed_and_keeps_what_was_changed_or_is_gone() {
    let folders = Folders::with_a_tool_of_its_own();
    assert_ended(&folders.install(&["--yes"]), 0, &[]);
    // Changed there and here, changed there alone, changed here alone, gone here.
    write(folders.checkout.path(), ".release/ami/ami.toml", "theirs");
    write(folders.checkout.path(), "regions", "theirs");
    write(&folders.tool, ".release/ami/ami.toml", "2");
    write(&folders.tool, "xtask/Cargo.toml", "2");
    fs::remove_file(folders.tool.join("xtask/a")).expect("a file is removed");
    assert_ended(&folders.install(&["--yes"]), 2, &["is installed there already", "xtask/Cargo.toml", "--update"]);
    assert_eq!(folders.text("xtask/Cargo.toml"), "1");
    let updated = folders.install(&["--yes", "--update"]);
    let kept =
        ["ami.toml, which was changed there, and has changed here: diff -u", "keeping regions, which was changed"];
    assert_ended(
        &updated,
        0,
        &["replace xtask/ (1 file)", kept[0], kept[1], "keeping xtask/a, which the tool no longer"],
    );
    let texts = [".release/ami/ami.toml", "regions", "xtask/Cargo.toml", "xtask/a"].map(|path| folders.text(path));
    assert_eq!(texts, ["theirs", "theirs", "2", "1"]);
    assert_ended(&folders.install(&["--update"]), 0, &["nothing to do"]);
}

#[test]
fn an_installation_that_was_interrupted_is_completed() {
    let folders = Folders::with_a_tool_of_its_own();
    assert_ended(&folders.install(&["--yes"]), 0, &[]);
    for path in ["xtask/installed-files", "xtask/a"] {
        fs::remove_file(folders.checkout.path().join(path)).expect("a file is removed");
    }
    assert_ended(&folders.install(&["--yes"]), 0, &["add xtask/ (1 file)", "leave 3 files"]);
    assert_eq!(folders.text("xtask/a"), "1");
}

#[test]
fn what_is_in_the_way_is_named_all_at_once() {
    let folders = Folders::with_a_tool_of_its_own();
    let elsewhere = TempDir::new().expect("a folder");
    std::os::unix::fs::symlink(elsewhere.path(), folders.checkout.path().join("xtask")).expect("a link is made");
    fs::create_dir(folders.checkout.path().join("regions")).expect("a folder is made");
    assert_ended(&folders.install(&["--yes"]), 2, &["regions is a folder there", "xtask is there, and is no folder"]);
    assert_eq!(fs::read_dir(elsewhere.path()).expect("a folder").count(), 0);
}

#[test]
fn what_is_no_checkout_is_refused() {
    let folders = Folders::with_a_tool_of_its_own();
    fs::remove_file(folders.checkout.path().join("Makefile")).expect("a file is removed");
    assert_ended(&folders.install(&["--yes"]), 2, &["has no Makefile, so it is not the root of a Wallaroo checkout"]);
    let gone = Folders { checkout: wallaroo(), ..folders };
    fs::remove_dir_all(gone.checkout.path()).expect("a folder is removed");
    assert_ended(&gone.install(&["--yes"]), 2, &["there is no folder"]);
}

#[test]
fn files_that_git_ignores_there_are_named() {
    let folders = Folders::with_a_tool_of_its_own();
    let sh = Shell::new().expect("a shell");
    sh.change_dir(folders.checkout.path());
    cmd!(sh, "git init --quiet").run().expect("git");
    write(folders.checkout.path(), ".gitignore", "ami\nregions\n");
    assert_ended(&folders.install(&["--yes"]), 0, &["git add --force .release/ami regions\nCommit it"]);
}
