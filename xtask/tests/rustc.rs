//! The wrapper of rustc: what it adds, and for which crate.

#![expect(clippy::expect_used, reason = "a test that cannot go on says so by panicking")]

use std::{fs, os::unix::fs::PermissionsExt as _, process::Command};

use tempfile::TempDir;

/// A rustc that prints the options that it knows, or else its arguments and the variable that permits unstable options.
const RUSTC: &str = r#"#!/bin/sh
case $1 in
-Zhelp) HELP ;;
*) printf '%s|' "$@" "${RUSTC_BOOTSTRAP-unset}"; exit 7 ;;
esac
"#;

/// The output of the wrapper for a crate, with a rustc that answers a question for its options with `help`.
fn compiled(name: &str, help: &str) -> String {
    let folder = TempDir::new().expect("a folder");
    let rustc = folder.path().join("a toolchain/rustc");
    fs::create_dir(folder.path().join("a toolchain")).expect("a folder is made");
    fs::write(&rustc, RUSTC.replace("HELP", help)).expect("a program is written");
    fs::set_permissions(&rustc, fs::Permissions::from_mode(0o755)).expect("it can be run");
    let words = ["--crate-name", name, "a path/lib.rs", "--cfg", "feature=\"x\""];
    let output =
        Command::new(env!("CARGO_BIN_EXE_xtask")).arg(rustc).args(words).env_remove("RUSTC_BOOTSTRAP").output();
    let output = output.expect("the wrapper runs");
    assert_eq!(output.status.code(), Some(7), "rustc's own exit code: {output:?}");
    assert!(output.stderr.is_empty(), "{output:?}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn the_large_crates_of_the_sdk_alone_are_compiled_as_mostly_unused() {
    let knows = "echo '    -Z   hint-mostly-unused=val -- hint'";
    let words = |name: &str| format!("--crate-name|{name}|a path/lib.rs|--cfg|feature=\"x\"|");
    for name in ["aws_sdk_ec2", "aws_sdk_ssm"] {
        assert_eq!(compiled(name, knows), format!("{}-Zhint-mostly-unused|1|", words(name)));
    }
    for name in ["aws_sdk_ec2_more", "aws_sdk_sts", "xtask"] {
        assert_eq!(compiled(name, knows), format!("{}unset|", words(name)));
    }
}

#[test]
fn a_rustc_that_refuses_compiles_as_ever() {
    for refuses in ["echo '    -Z   threads=val'", "echo 'the option `Z` is only accepted on nightly' >&2; exit 1"] {
        assert!(compiled("aws_sdk_ec2", refuses).ends_with("feature=\"x\"|unset|"), "{refuses}");
    }
}

/// The arguments that the dispatcher starts cargo with, where cargo's own settings are these.
fn cargo_arguments(config: &str, variable: Option<&str>) -> String {
    let folder = TempDir::new().expect("a folder");
    let home = folder.path().join("home");
    fs::create_dir(&home).expect("a folder is made");
    fs::write(home.join("config.toml"), config).expect("a file is written");
    let mut dispatcher = Command::new(env!("CARGO_BIN_EXE_xtask"));
    dispatcher.args(["ami", "list", "--local"]).current_dir(folder.path()).env("CARGO", "/bin/echo");
    dispatcher.env("CARGO_HOME", home).env_remove("RUSTC_WRAPPER").env_remove("CARGO_BUILD_RUSTC_WRAPPER");
    dispatcher.envs(variable.map(|wrapper| ("RUSTC_WRAPPER", wrapper)));
    let output = dispatcher.output().expect("the dispatcher runs");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn a_wrapper_of_the_users_own_takes_its_place() {
    let ours = format!("--config build.rustc-wrapper='{}'", env!("CARGO_BIN_EXE_xtask"));
    for (config, variable, is_ours) in [
        ("", None, true),
        ("", Some(""), true),
        ("", Some("sccache"), false),
        ("[build]\nrustc-wrapper = \"sccache\"\n", None, false),
    ] {
        let arguments = cargo_arguments(config, variable);
        assert!(arguments.contains("run --package xtask-ami"), "{arguments}");
        assert_eq!(arguments.contains(&ours), is_ours, "{config} {variable:?}: {arguments}");
    }
}
