//! The wrapper of rustc: what it adds, and for which crate.

#![expect(clippy::expect_used, clippy::panic, reason = "a test that cannot go on says so by panicking")]

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use tempfile::TempDir;

/// A rustc that prints the options that it knows, or else its arguments and the variable that permits unstable options.
const RUSTC: &str = r#"#!/bin/sh
case $1 in
-Zhelp) HELP ;;
*) printf '%s|' "$@" "${RUSTC_BOOTSTRAP-unset}"; exit 7 ;;
esac
"#;

/// A wrapper of the workspace, which says so and starts what it wraps.
const WORKSPACE_WRAPPER: &str = "#!/bin/sh\nprintf 'wrapped|'\nexec \"$@\"\n";

/// What a rustc with the option says of its options.
const KNOWS: &str = "echo '    -Z   hint-mostly-unused=val -- hint'";

fn program(path: PathBuf, text: &str) -> PathBuf {
    fs::create_dir_all(path.parent().expect("a program has a folder")).expect("a folder is made");
    fs::write(&path, text).expect("a program is written");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("it can be run");
    path
}

/// The path that the dispatcher gives to cargo as the wrapper of rustc.
fn wrapper() -> String {
    let arguments = cargo_arguments("", None);
    let value = arguments.split("build.rustc-wrapper='").nth(1).and_then(|rest| rest.split('\'').next());
    value.unwrap_or_else(|| panic!("no wrapper: {arguments}")).to_owned()
}

/// What the wrapper prints where cargo starts these programs through it.
fn wrapped(programs: &[&Path], words: &[&str]) -> String {
    let mut command = Command::new(wrapper());
    let output = command.args(programs).args(words).env_remove("RUSTC_BOOTSTRAP").output();
    let output = output.expect("the wrapper runs");
    assert_eq!(output.status.code(), Some(7), "rustc's own exit code: {output:?}");
    assert!(output.stderr.is_empty(), "{output:?}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// The output of the wrapper for a crate, with a rustc that answers a question for its options with `help`.
fn compiled(name: &str, help: &str) -> String {
    let folder = TempDir::new().expect("a folder");
    let rustc = program(folder.path().join("a toolchain/rustc"), &RUSTC.replace("HELP", help));
    wrapped(&[&rustc], &["--crate-name", name, "a path/lib.rs", "--cfg", "feature=\"x\""])
}

#[test]
fn the_large_crates_of_the_sdk_alone_are_compiled_as_mostly_unused() {
    let words = |name: &str| format!("--crate-name|{name}|a path/lib.rs|--cfg|feature=\"x\"|");
    for name in ["aws_sdk_ec2", "aws_sdk_ssm"] {
        assert_eq!(compiled(name, KNOWS), format!("{}-Zhint-mostly-unused|1|", words(name)));
    }
    for name in ["aws_sdk_ec2_more", "aws_sdk_sts", "xtask"] {
        assert_eq!(compiled(name, KNOWS), format!("{}unset|", words(name)));
    }
}

#[test]
fn a_rustc_that_refuses_compiles_as_ever() {
    for refuses in ["echo '    -Z   threads=val'", "echo 'the option `Z` is only accepted on nightly' >&2; exit 1"] {
        assert!(compiled("aws_sdk_ec2", refuses).ends_with("feature=\"x\"|unset|"), "{refuses}");
    }
}

#[test]
fn a_compiler_may_have_any_name_and_a_wrapper_of_the_workspace() {
    let folder = TempDir::new().expect("a folder");
    let outer = program(folder.path().join("test"), WORKSPACE_WRAPPER);
    // One is named as a task of the dispatcher.
    for name in ["rustc-1.95", "my rustc", "ami"] {
        let rustc = program(folder.path().join("toolchain").join(name), &RUSTC.replace("HELP", KNOWS));
        for (programs, said) in [(vec![&*rustc], ""), (vec![&*outer, &*rustc], "wrapped|")] {
            assert_eq!(wrapped(&programs, &["-vV"]), format!("{said}-vV|unset|"));
            assert_eq!(wrapped(&programs, &["-", "--crate-name", "___"]), format!("{said}-|--crate-name|___|unset|"));
            let expected = format!("{said}--crate-name|aws_sdk_ec2|-Zhint-mostly-unused|1|");
            assert_eq!(wrapped(&programs, &["--crate-name", "aws_sdk_ec2"]), expected);
        }
    }
}

#[test]
fn what_a_person_types_is_never_taken_for_a_compiler() {
    let rustc = |folder: &TempDir| program(folder.path().join("rustc"), &RUSTC.replace("HELP", KNOWS));
    let folder = TempDir::new().expect("a folder");
    let typed = Command::new(env!("CARGO_BIN_EXE_xtask")).arg(rustc(&folder)).arg("-vV").output();
    let Output { status, stderr, .. } = typed.expect("the dispatcher runs");
    assert_eq!(status.code(), Some(2));
    assert!(String::from_utf8_lossy(&stderr).contains("unrecognized subcommand"));
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
fn cargo_gets_nothing_of_what_cargo_says_of_the_dispatchers_package() {
    let mut dispatcher = Command::new(env!("CARGO_BIN_EXE_xtask"));
    let folder = TempDir::new().expect("a folder");
    let cargo = program(folder.path().join("cargo"), "#!/bin/sh\nenv\n");
    dispatcher.args(["ami", "list", "--local"]).current_dir(folder.path()).env("CARGO", cargo);
    let output = dispatcher.output().expect("the dispatcher runs");
    let variables = String::from_utf8_lossy(&output.stdout);
    assert!(variables.contains("PATH="), "{output:?}");
    for beginning in ["CARGO_PKG_", "CARGO_MANIFEST_"] {
        assert!(std::env::vars().any(|(name, _)| name.starts_with(beginning)), "cargo sets no {beginning}");
        assert!(!variables.lines().any(|line| line.starts_with(beginning)), "{variables}");
    }
}

#[test]
fn a_wrapper_of_the_users_own_takes_its_place() {
    let ours = "--config build.rustc-wrapper='";
    for (config, variable, is_ours) in [
        ("", None, true),
        ("", Some(""), true),
        ("", Some("sccache"), false),
        ("[build]\nrustc-wrapper = \"sccache\"\n", None, false),
    ] {
        let arguments = cargo_arguments(config, variable);
        assert!(arguments.contains("run --package xtask-ami"), "{arguments}");
        assert_eq!(arguments.contains(ours), is_ours, "{config} {variable:?}: {arguments}");
    }
}

/// A dispatcher in a folder of its own, where nothing is compiled yet. It starts `echo` as its cargo.
struct Dispatcher {
    folder: TempDir,
}

impl Dispatcher {
    fn new() -> Dispatcher {
        let folder = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
        let at = folder.path().join("debug");
        fs::create_dir_all(at.join("deps")).expect("a folder is made");
        fs::create_dir_all(folder.path().join("home")).expect("a folder is made");
        fs::hard_link(env!("CARGO_BIN_EXE_xtask"), at.join("xtask")).expect("a link is made");
        Dispatcher { folder }
    }

    /// What it says where a command talks to AWS, with this compiler as cargo's, and these variables.
    fn ended(&self, rustc: &Path, variables: &[(&str, &str)]) -> Output {
        self.ended_with(&["ami", "list"], rustc, variables)
    }

    /// As [`Dispatcher::ended`], with these words on the command line.
    fn ended_with(&self, words: &[&str], rustc: &Path, variables: &[(&str, &str)]) -> Output {
        let mut dispatcher = Command::new(self.folder.path().join("debug/xtask"));
        dispatcher.args(words).current_dir(self.folder.path()).env("CARGO", "/bin/echo");
        dispatcher.env("CARGO_HOME", self.folder.path().join("home")).env("RUSTC", rustc);
        dispatcher.env_remove("RUSTC_WRAPPER").env_remove("CARGO_BUILD_RUSTC_WRAPPER").env_remove("RUSTFLAGS");
        dispatcher.envs(variables.iter().copied()).output().expect("the dispatcher runs")
    }
}

#[test]
fn what_is_said_of_the_compile_depends_on_whether_the_compiler_is_told() {
    let folder = TempDir::new().expect("a folder");
    let knows = program(folder.path().join("knows"), &RUSTC.replace("HELP", KNOWS));
    let refuses = program(folder.path().join("refuses"), &RUSTC.replace("HELP", "exit 1"));
    let dispatcher = Dispatcher::new();
    let name = knows.to_str().expect("a path");
    let is_told = |rustc: &Path, variables: &[(&str, &str)]| {
        let Output { stderr, .. } = dispatcher.ended(rustc, variables);
        let said = String::from_utf8_lossy(&stderr);
        // A small computer says that it is too small.
        match ["5.7 GiB", "5800 MiB", "7.3 GiB", "7500 MiB"].iter().position(|memory| said.contains(memory)) {
            Some(place) => place < 2,
            None => panic!("it does not say how much memory: {said}"),
        }
    };
    assert!(is_told(&knows, &[]));
    assert!(!is_told(&refuses, &[]));
    assert!(!is_told(&knows, &[("RUSTC_WRAPPER", "sccache")]));
    // Without a variable cargo's settings name the compiler.
    let settings = dispatcher.folder.path().join("home/config.toml");
    for named in [format!("[build]\nrustc = \"{name}\" # ours\n"), format!("build.rustc='{name}'\n")] {
        fs::write(&settings, named).expect("a file is written");
        assert!(is_told(Path::new(""), &[]));
    }
    fs::write(&settings, format!("[build]\nrustc = '{}'\n", refuses.display())).expect("a file is written");
    assert!(!is_told(Path::new(""), &[]));
}

#[test]
fn the_compile_is_announced_again_after_an_update() {
    let dispatcher = Dispatcher::new();
    let folder = dispatcher.folder.path();
    for file in ["debug/xtask-ami", "debug/deps/libaws_sdk_ec2-1.rlib"] {
        fs::write(folder.join(file), "").expect("a file is written");
    }
    let package = |name: &str, version: &str, on: &str| {
        format!("[[package]]\nname = \"{name}\"\nversion = \"{version}\"\ndependencies = [\n \"{on}\",\n]\n\n")
    };
    let lock = |sdk: &str, smithy: &str, other: &str| {
        let sdk = package("aws-sdk-ec2", sdk, "aws-smithy 1.0.0");
        fs::write(folder.join("Cargo.lock"), package("other", other, "x") + &package("aws-smithy", smithy, "x") + &sdk)
            .expect("a file is written");
    };
    let rustc = |version: &str| {
        let text = format!("#!/bin/sh\n[ $1 = -vV ] || exit 1\necho 'rustc {version}'\n");
        program(folder.join(version), &text)
    };
    let manifest = folder.join("xtask");
    let manifest = manifest.to_str().expect("a path");
    let is_announced = |rustc: &Path, cargo: &str| {
        let Output { stdout, stderr, .. } =
            dispatcher.ended(rustc, &[("CARGO_MANIFEST_DIR", manifest), ("CARGO", cargo)]);
        let (started, said) = (String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
        let is_announced = said.contains("Compiling the AWS SDK") || said.contains("MiB of memory");
        assert!(is_announced || (started.starts_with("run ") && started.contains(" --quiet --")), "{started}{said}");
        assert!(!is_announced || !started.starts_with("run "), "{started}{said}");
        is_announced
    };
    let (old, new, echo) = (rustc("1.95.0"), rustc("1.96.0"), "/bin/echo");
    lock("1.0.0", "1.0.0", "1.0.0");
    // A compile that fails leaves it to be announced.
    assert!(is_announced(&old, "/bin/false") && is_announced(&old, echo) && !is_announced(&old, echo));
    assert!(is_announced(&new, echo) && !is_announced(&new, echo));
    lock("1.0.0", "1.0.0", "2.0.0");
    assert!(!is_announced(&new, echo), "what the SDK does not stand on");
    lock("1.0.1", "1.0.0", "2.0.0");
    assert!(is_announced(&new, echo) && !is_announced(&new, echo));
    lock("1.0.1", "1.0.1", "2.0.0");
    assert!(is_announced(&new, echo) && !is_announced(&new, echo));
}

#[test]
fn where_it_is_to_be_quiet_cargo_is_too_and_nothing_is_said_of_the_compile() {
    let folder = TempDir::new().expect("a folder");
    let knows = program(folder.path().join("knows"), &RUSTC.replace("HELP", KNOWS));
    for (words, started) in [
        (&["ami", "list", "-q"][..], &["build ", "run "][..]),
        (&["ami", "list", "--local", "-q"], &["run "]),
        (&["ami", "list", "--local"], &["run "]),
    ] {
        let Output { stdout, stderr, .. } = Dispatcher::new().ended_with(words, &knows, &[]);
        let (said, printed) = (String::from_utf8_lossy(&stderr), String::from_utf8_lossy(&stdout));
        if said.contains("MiB of memory") {
            // This computer is too small for the compile, which is told all the same.
            continue;
        }
        let lines: Vec<&str> = printed.lines().collect();
        assert_eq!((lines.len(), said.as_ref()), (started.len(), ""), "{words:?}: {printed}");
        let is_quiet = words.iter().any(|word| ["-q", "--quiet"].contains(word));
        for (line, beginning) in lines.iter().zip(started) {
            let own = line.split(" -- ").next().unwrap_or_default();
            assert!(line.starts_with(beginning), "{words:?}: {line}");
            assert_eq!(own.ends_with(" --quiet"), is_quiet, "{words:?}: {line}");
        }
    }
}
