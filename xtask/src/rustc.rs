//! The dispatcher as a wrapper of rustc, which cargo runs in its place (`build.rustc-wrapper`).
//!
//! Of aws-sdk-ec2, with its 1.2 million lines, the tool uses some hundred functions, and of aws-sdk-ssm three. The crates
//! themselves say that they are mostly unused, which only nightly cargo passes on to rustc. Told so, rustc compiles just what is used, together with the code
//! that uses it. Cargo does not compare wrappers, so nothing is compiled a second time where one command has it and another
//! has not. A wrapper of the user's own takes its place, and a toolchain that does not know the option compiles the whole
//! crate.

use std::{
    env,
    ffi::{OsStr, OsString},
    fs, io,
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::Command,
};

/// The crates that are mostly unused.
const CRATES: [&str; 2] = ["aws_sdk_ec2", "aws_sdk_ssm"];

/// The option of rustc, of those that are unstable.
const OPTION: &str = "hint-mostly-unused";

/// What permits a stable rustc unstable options.
const PERMISSION: (&str, &str) = ("RUSTC_BOOTSTRAP", "1");

/// The programs that cargo runs through a wrapper.
const COMPILERS: [&str; 2] = ["rustc", "clippy-driver"];

/// The path of this program as cargo's `build.rustc-wrapper`. None if the user has a wrapper of their own, or its path
/// cannot be written in a setting.
pub fn wrapper() -> Option<String> {
    let path = env::current_exe().ok()?.into_os_string().into_string().ok()?;
    (!path.contains('\'') && !has_another()).then_some(path)
}

/// Whether a variable or one of cargo's files names a wrapper. Whether a file says so in a comment only is not looked at:
/// then the whole crate is compiled.
fn has_another() -> bool {
    let is_set = |variable: &str| env::var_os(variable).is_some_and(|value| !value.is_empty());
    let home = env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(Path::new(&env::var_os("HOME")?).join(".cargo")));
    let above = env::current_dir().unwrap_or_default();
    let folders = above.ancestors().map(|folder| folder.join(".cargo")).chain(home);
    let mut files = folders.flat_map(|folder| ["config.toml", "config"].map(|name| folder.join(name)));
    ["RUSTC_WRAPPER", "CARGO_BUILD_RUSTC_WRAPPER"].into_iter().any(is_set)
        || files.any(|file| fs::read_to_string(file).is_ok_and(|text| text.contains("rustc-wrapper")))
}

/// Runs rustc if this process was started in its place: then it does not return unless that fails.
pub fn stand_in() -> Option<io::Error> {
    let mut words = env::args_os().skip(1);
    let program = words.next()?;
    let name = Path::new(&program).file_stem()?.to_str()?;
    if !COMPILERS.contains(&name) {
        return None;
    }
    let words: Vec<OsString> = words.collect();
    let mut rustc = Command::new(&program);
    rustc.args(&words);
    if is_of_such_a_crate(&words) && knows_the_option(&program) {
        rustc.arg(format!("-Z{OPTION}")).env(PERMISSION.0, PERMISSION.1);
    }
    Some(rustc.exec())
}

fn is_of_such_a_crate(words: &[OsString]) -> bool {
    let is_of = |name: &str| words.windows(2).any(|pair| pair == [OsStr::new("--crate-name"), OsStr::new(name)]);
    CRATES.iter().any(|name| is_of(name))
}

fn knows_the_option(rustc: &OsStr) -> bool {
    let help = Command::new(rustc).arg("-Zhelp").env(PERMISSION.0, PERMISSION.1).output();
    help.is_ok_and(|help| String::from_utf8_lossy(&help.stdout).contains(OPTION))
}
