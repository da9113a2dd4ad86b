//! The first compile of the tool with the AWS SDK, with and without the hint to rustc that most of aws-sdk-ec2 is unused.

use std::{
    fs,
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use xshell::{Shell, cmd};

use super::{
    LIMIT,
    row::{Row, Target},
    say,
};

/// What the command line of the compile of aws-sdk-ec2 has, its words separated by NUL.
const CRATE: &[u8] = b"--crate-name\0aws_sdk_ec2\0";

/// How often the compiler is looked at.
const INTERVAL: Duration = Duration::from_millis(100);

/// What a compile took.
struct Taken {
    /// All of it, in seconds.
    whole_secs: f64,
    /// aws-sdk-ec2 alone, in seconds, to a tenth.
    crate_secs: f64,
    /// The most memory that rustc had for it, in GB.
    crate_gb: f64,
}

/// Compiles twice, each in a target folder of its own, which is gone afterwards.
///
/// # Errors
/// When a compile fails or takes too long.
pub fn rows(sh: &Shell) -> Result<Vec<Row>> {
    cmd!(sh, "cargo fetch --locked").quiet().run().context("failed to fetch the dependencies")?;
    let wrapper = crate::rustc::wrapper().context("another wrapper of rustc is set: unset it to measure the hint")?;
    let with = compile(sh, &wrapper)?;
    let without = compile(sh, "")?;
    let row = |what: &str, unit, figure: fn(&Taken) -> f64, bound| {
        let row = Row::new(format!("first compile for EC2, {what}"), unit, figure(&with));
        row.beside("without the hint", figure(&without)).target(Target::AtMost(bound))
    };
    Ok(vec![
        row("aws-sdk-ec2 alone", "s", |taken| taken.crate_secs, 0.55),
        row("aws-sdk-ec2's memory", "GB", |taken| taken.crate_gb, 0.8),
        row("all of it", "s", |taken| taken.whole_secs, 1.0),
    ])
}

fn compile(sh: &Shell, wrapper: &str) -> Result<Taken> {
    let target = sh.current_dir().join("xtask/target/bench-compile");
    sh.remove_path(&target)?;
    let began = Instant::now();
    say(format_args!(
        "== the first compile, {}",
        if wrapper.is_empty() { "without the hint" } else { "with the hint" }
    ));
    let limit = LIMIT.as_secs().to_string();
    let words = ["--package", "xtask-ami", "--locked", "--offline"];
    let command = cmd!(sh, "timeout --kill-after=10 {limit} cargo build --quiet {words...}").quiet();
    let command = command.env("CARGO_TARGET_DIR", &target).env("CARGO_BUILD_RUSTC_WRAPPER", wrapper);
    let command = crate::with_cargo(command);
    let is_over = AtomicBool::new(false);
    let (compiled, (crate_secs, crate_gb)) = thread::scope(|scope| {
        let watch = scope.spawn(|| watch(&is_over));
        let compiled = command.run();
        is_over.store(true, Ordering::Relaxed);
        (compiled, watch.join().unwrap_or_default())
    });
    let whole_secs = began.elapsed().as_secs_f64();
    sh.remove_path(&target)?;
    compiled.context("the compile failed, or took too long")?;
    Ok(Taken { whole_secs, crate_secs, crate_gb })
}

/// Watches the compiler of aws-sdk-ec2 until the compile is over: for how many seconds it is there, and how many GB it has at
/// most. The kernel tells the most that a process ever had, so only what comes in its last moments may be missed.
fn watch(is_over: &AtomicBool) -> (f64, f64) {
    let mut began = None;
    let (mut secs, mut gb) = (0.0, 0.0_f64);
    while !is_over.load(Ordering::Relaxed) {
        if let Some(kib) = peak_kib() {
            let began = *began.get_or_insert_with(Instant::now);
            secs = began.elapsed().as_secs_f64();
            gb = gb.max(kib * 1024.0 / 1e9);
        }
        thread::sleep(INTERVAL);
    }
    (secs, gb)
}

/// The most memory that the compiler of aws-sdk-ec2 has had, in KiB. None while there is none.
fn peak_kib() -> Option<f64> {
    let processes = fs::read_dir("/proc").ok()?.flatten();
    let peaks = processes.filter_map(|process| peak_of(&process.path()));
    peaks.reduce(f64::max)
}

fn peak_of(process: &Path) -> Option<f64> {
    let words = fs::read(process.join("cmdline")).ok()?;
    words.windows(CRATE.len()).any(|words| words == CRATE).then_some(())?;
    let status = fs::read_to_string(process.join("status")).ok()?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    peak.trim().strip_suffix(" kB")?.parse().ok()
}
