//! The dispatcher as a wrapper of rustc, which cargo runs in its place (`build.rustc-wrapper`).
//!
//! Of aws-sdk-ec2, with its 1.2 million lines, the tool uses some hundred functions, and of aws-sdk-ssm three. The crates
//! themselves say that they are mostly unused, which only nightly cargo passes on to rustc. Told so, rustc compiles just
//! what is used, together with the code that uses it. Cargo does not compare wrappers, so nothing is compiled a second time
//! where one command has it and another has not. A wrapper of the user's own takes its place, and a toolchain that does not
//! know the option compiles the whole crate.

use std::{
    env,
    ffi::{OsStr, OsString},
    fs, io,
    os::unix::{fs::symlink, process::CommandExt as _},
    path::{Path, PathBuf},
    process::Command,
};

/// The crates that are mostly unused.
const CRATES: [&str; 2] = ["aws_sdk_ec2", "aws_sdk_ssm"];

/// The option of rustc, of those that are unstable.
const OPTION: &str = "hint-mostly-unused";

/// What permits a stable rustc unstable options.
const PERMISSION: (&str, &str) = ("RUSTC_BOOTSTRAP", "1");

/// The name that cargo starts this program by: a link beside it. So the name alone tells cargo's command lines from people's,
/// whatever the compiler is called, and whatever else wraps it.
const LINK: &str = "xtask-rustc";

/// The path of this program as cargo's `build.rustc-wrapper`. None if the user has a wrapper of their own, or its path
/// cannot be written in a setting.
pub fn wrapper() -> Option<String> {
    let program = env!("CARGO_BIN_NAME");
    let link = env::current_exe().ok()?.with_file_name(LINK);
    let path = link.to_str().filter(|path| !path.contains('\''))?;
    if has_another() {
        return None;
    }
    // It mostly is there, or another dispatcher makes it at the same moment.
    let _ = symlink(program, &link);
    fs::read_link(&link).is_ok_and(|target| target == Path::new(program)).then(|| path.to_owned())
}

/// Whether a variable or one of cargo's files names a wrapper. Whether a file says so in a comment only is not looked at:
/// then the whole crate is compiled.
fn has_another() -> bool {
    let mut files = settings();
    ["RUSTC_WRAPPER", "CARGO_BUILD_RUSTC_WRAPPER"].into_iter().any(|variable| set(variable).is_some())
        || files.any(|file| fs::read_to_string(file).is_ok_and(|text| text.contains("rustc-wrapper")))
}

fn set(variable: &str) -> Option<OsString> {
    env::var_os(variable).filter(|value| !value.is_empty())
}

/// The files of cargo's settings, those of the nearest folder first.
fn settings() -> impl Iterator<Item = PathBuf> {
    let home = env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(Path::new(&env::var_os("HOME")?).join(".cargo")));
    let here = env::current_dir().unwrap_or_default();
    let above: Vec<PathBuf> = here.ancestors().map(|folder| folder.join(".cargo")).collect();
    let folders = above.into_iter().chain(home);
    folders.flat_map(|folder| ["config.toml", "config"].map(|name| folder.join(name)))
}

/// The compiler that cargo uses.
pub fn compiler() -> OsString {
    let variables = ["RUSTC", "CARGO_BUILD_RUSTC"].into_iter().find_map(set);
    variables.or_else(|| settings().find_map(|file| compiler_of(&file))).unwrap_or_else(|| "rustc".into())
}

/// The compiler that a file of settings names, as `build.rustc` or `rustc` below `[build]`: nothing else has that name.
fn compiler_of(file: &Path) -> Option<OsString> {
    let text = fs::read_to_string(file).ok()?;
    let value = |line: &str| {
        let line = line.trim();
        let value =
            line.strip_prefix("build.").unwrap_or(line).strip_prefix("rustc")?.trim_start().strip_prefix('=')?;
        Some(value.trim().split(['"', '\'']).nth(1)?.to_owned())
    };
    let name = text.lines().find_map(value)?;
    if !name.contains('/') {
        return Some(name.into());
    }
    // Cargo begins where the folder `.cargo` lies.
    Some(file.parent()?.parent()?.join(name).into())
}

/// Whether cargo's compiler will be told which crates are mostly unused, with this wrapper.
pub fn is_told(wrapper: Option<&str>) -> bool {
    wrapper.is_some() && knows_the_option(&[compiler()])
}

/// Runs rustc if this process was started in its place: then it does not return unless that fails.
pub fn stand_in() -> Option<io::Error> {
    let mut words = env::args_os();
    if Path::new(&words.next()?).file_name()? != LINK {
        return None;
    }
    let words: Vec<OsString> = words.collect();
    let mut rustc = command(&words)?;
    if is_of_such_a_crate(&words) && knows_the_option(programs(&words)) {
        rustc.arg(format!("-Z{OPTION}")).env(PERMISSION.0, PERMISSION.1);
    }
    Some(rustc.exec())
}

/// The words before the first option: rustc, after what else wraps it.
fn programs(words: &[OsString]) -> &[OsString] {
    let is_option = |word: &OsString| word.as_encoded_bytes().starts_with(b"-");
    words.split_at(words.iter().position(is_option).unwrap_or(words.len())).0
}

fn command(words: &[OsString]) -> Option<Command> {
    let (program, arguments) = words.split_first()?;
    let mut command = Command::new(program);
    command.args(arguments);
    Some(command)
}

fn is_of_such_a_crate(words: &[OsString]) -> bool {
    let is_of = |name: &str| words.windows(2).any(|pair| pair == [OsStr::new("--crate-name"), OsStr::new(name)]);
    CRATES.iter().any(|name| is_of(name))
}

/// Whether the last of these programs knows the option.
fn knows_the_option(programs: &[OsString]) -> bool {
    let Some(mut rustc) = command(programs) else { return false };
    let help = rustc.arg("-Zhelp").env(PERMISSION.0, PERMISSION.1).output();
    help.is_ok_and(|help| String::from_utf8_lossy(&help.stdout).contains(OPTION))
}
