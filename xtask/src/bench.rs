//! `cargo xtask bench`: measures speed and memory, side by side with a floor, another program, or an earlier build.
//!
//! Each part runs a test that prints its figures as `KEY=VALUE` words after the part's name, so a figure and the test that
//! bounds it come from the same code. Nothing is asserted here: a table says which figures meet their targets.

use std::{
    io::Write as _,
    process::ExitCode,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use xshell::{Shell, cmd};
use xtask::cli::{BenchFlags, Part};

use self::row::{Row, Target, Words};

mod compile;
mod earlier;
mod row;

/// What is measured where no part is named.
const QUICK: [Part; 4] = [Part::Ec2, Part::Scale, Part::Heartbeat, Part::Upload];

/// How long a part may take, its compile included.
const LIMIT: Duration = Duration::from_secs(45 * 60);

/// The numbers of regions, and how much longer than the floor a command may take there.
const SCALES: [(&str, f64); 4] = [("1", 1.05), ("14", 1.05), ("34", 1.05), ("200", 1.10)];

/// Measures, and prints the table or its JSON. Ends with 1 when a figure misses its target or cannot be had.
///
/// # Errors
/// When an earlier build cannot be checked out, or the terminal is gone.
pub fn run(flags: &BenchFlags) -> Result<ExitCode> {
    let sh = Shell::new()?;
    sh.change_dir(crate::workspace()?);
    if let Some(wrapper) = crate::rustc::wrapper() {
        sh.set_var("CARGO_BUILD_RUSTC_WRAPPER", wrapper);
    }
    sh.set_var("RUST_BACKTRACE", "0");
    let mut parts = if flags.parts.is_empty() { QUICK.to_vec() } else { flags.parts.clone() };
    parts.sort_unstable();
    parts.dedup();
    let earlier =
        flags.against.as_deref().map(|commit| earlier::Checkout::of(&sh, commit, "bench-earlier")).transpose()?;
    let mut rows = Vec::new();
    let mut all_ran = true;
    for part in parts {
        match measure(&sh, part, earlier.as_ref()) {
            Ok(measured) => rows.extend(measured),
            Err(error) => {
                all_ran = false;
                say(format_args!("error: {part:?}: {error:#}"));
            }
        }
    }
    let text = if flags.json { row::json(&rows) } else { row::table(&rows) };
    std::io::stdout().write_all(text.as_bytes()).context("failed to print")?;
    let good = all_ran && rows.iter().all(Row::meets_its_target);
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn measure(sh: &Shell, part: Part, earlier: Option<&earlier::Checkout>) -> Result<Vec<Row>> {
    match part {
        Part::Ec2 => ec2(sh, earlier),
        Part::Scale => scale(sh),
        Part::Heartbeat => heartbeat(sh),
        Part::Upload => upload(sh),
        Part::Deep => deep(sh),
        Part::Compile => compile::rows(sh),
        Part::Local => local(sh, earlier),
        Part::Bases => bases(sh),
        Part::Private => private(sh, earlier),
        Part::Fresh => fresh(sh, earlier),
    }
}

/// The whole of a release in virtual time.
fn ec2(sh: &Shell, earlier: Option<&earlier::Checkout>) -> Result<Vec<Row>> {
    let words = ["--package", "xtask-ami", "--test", "ec2", "speed", "--", "--nocapture", "--test-threads=1"];
    let printed = test(sh, &words)?;
    let before = earlier.map(|checkout| checkout.test(&words)).transpose()?.map(|printed| told_and_tidy(&printed));
    let mut rows = Vec::new();
    for figures in row::lines(&printed, "speed")? {
        let regions = figures.text("regions")?;
        let floor = figures.number("floor")?;
        let (told, took) = (figures.number("told")?, figures.number("took")?);
        let what = format!("EC2, {regions} regions, until the result is told");
        rows.push(Row::new(what, "s", told).beside("floor", floor).target(Target::AtMost(1.05)));
        let what = format!("EC2, {regions} regions, from the result to the end, as a part of the floor");
        rows.push(Row::new(what, "", (took - told) / floor).target(Target::AtMost(0.02)));
        rows.push(Row::new(format!("EC2, {regions} regions, calls"), "", figures.number("calls")?));
        let before = before.iter().flatten().find(|(of, ..)| *of == regions);
        if let Some((_, told_before, took_before)) = before {
            let what = |end: &str| format!("EC2, {regions} regions, until {end}");
            rows.push(Row::new(what("the result is told"), "s", told).beside("earlier build", *told_before));
            rows.push(Row::new(what("the end"), "s", took).beside("earlier build", *took_before));
        }
    }
    rows.extend(private_rows(&printed, "EC2, 1 region, private image", 0.85)?);
    Ok(rows)
}

/// Private images one after another: the one that keeps a base, and the one that starts from it, beside one without.
fn private_rows(printed: &str, what: &str, bound: f64) -> Result<Vec<Row>> {
    let figures = row::first(printed, "private")?;
    let without = figures.number("without")?;
    let row = |how: &str, key, bound| {
        let row = Row::new(format!("{what}, {how}"), "s", figures.number(key)?);
        anyhow::Ok(row.beside("without a kept base", without).target(Target::AtMost(bound)))
    };
    Ok(vec![row("keeping a base", "keeping", 1.02)?, row("from it", "reusing", bound)?])
}

/// The figures as all builds print them: regions, seconds until the result, seconds until the end.
fn told_and_tidy(printed: &str) -> Vec<(String, f64, f64)> {
    let lines: Vec<&str> = printed.lines().map(str::trim).collect();
    let pair = |pair: &[&str]| {
        let (regions, told) = pair.first()?.split_once(" regions: ")?;
        let told = told.strip_suffix(" s until the result is told")?.parse().ok()?;
        let took = pair.get(1)?.strip_suffix(" s until all is tidy")?.trim().parse().ok()?;
        Some((regions.rsplit(' ').next()?.to_owned(), told, took))
    };
    lines.windows(2).filter_map(pair).collect()
}

/// One process for each size, because a process tells the most memory that it ever had.
fn scale(sh: &Shell) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for (count, bound) in SCALES {
        let _regions = sh.push_env("REGIONS", count);
        let words = ["--package", "xtask-ami", "--test", "ec2", "scale::one_size"];
        let printed = test(sh, &[&words[..], &["--", "--exact", "--ignored", "--nocapture"]].concat())?;
        let figures = row::first(&printed, "scale")?;
        let what = |what: &str| format!("EC2 with limits on requests, {count} regions, {what}");
        let took = Row::new(what("until the end"), "s", figures.number("took")?);
        rows.push(took.beside("floor", figures.number("floor")?).target(Target::AtMost(bound)));
        rows.push(Row::new(what("calls"), "", figures.number("calls")?));
        let memory = Row::new(what("memory, with the simulated EC2's own"), "MB", figures.number("peak_mb")?);
        rows.push(match count {
            "14" => memory.target(Target::AtMost(45.0)),
            "200" => memory.target(Target::AtMost(80.0)),
            _ => memory,
        });
    }
    Ok(rows)
}

fn heartbeat(sh: &Shell) -> Result<Vec<Row>> {
    let _payload = sh.push_env("PAYLOAD_MB", "1024");
    let words = [
        "--package",
        "xtask-ami",
        "--no-default-features",
        "--test",
        "simulation",
        "the_heartbeat",
        "--",
        "--nocapture",
    ];
    let printed = test(sh, &words)?;
    let figures = row::first(&printed, "heartbeat")?;
    let what = format!("the loop's thread is held, at the longest, with {} MB", figures.text("payload_mb")?);
    Ok(vec![Row::new(what, "ms", figures.number("longest_ms")?).target(Target::AtMost(50.0))])
}

fn bases(sh: &Shell) -> Result<Vec<Row>> {
    let words = ["--package", "xtask-ami", "--no-default-features", "--test", "local", "each_debian_beside"];
    let printed = test(sh, &[&words[..], &["--", "--ignored", "--nocapture"]].concat())?;
    let mut figures = row::lines(&printed, "base")?.into_iter();
    let beside = figures.next().context("the test printed no figures")?.number("took")?;
    let row = |figures: Words| {
        let row =
            Row::new(format!("--local of {}, until verified", figures.text("system")?), "s", figures.number("took")?);
        Ok(row.beside("Debian 12", beside).target(Target::AtMost(1.15)))
    };
    figures.map(row).collect()
}

fn upload(sh: &Shell) -> Result<Vec<Row>> {
    let words = ["--package", "xtask-ami", "--no-default-features", "--test", "ssh", "against_scp"];
    let printed = test(sh, &[&words[..], &["--", "--ignored", "--nocapture"]].concat())?;
    let row = |figures: Words| {
        let what = format!("upload of {} MB, {} ms there and back", figures.text("mb")?, figures.text("delay_ms")?);
        let row = Row::new(what, "MB/s", figures.number("ours")?).beside("scp", figures.number("scp")?);
        Ok(row.target(Target::AtLeast(0.9)))
    };
    row::lines(&printed, "upload")?.into_iter().map(row).collect()
}

fn deep(sh: &Shell) -> Result<Vec<Row>> {
    let words = ["--package", "xtask-ami", "--no-default-features", "--test", "local", "a_disk_is_read"];
    let printed = test(sh, &[&words[..], &["--", "--ignored", "--nocapture"]].concat())?;
    let figures = row::first(&printed, "deep")?;
    let what =
        |what: &str| anyhow::Ok(format!("a disk with {} MB is read for check --deep, {what}", figures.text("mb")?));
    let took = Row::new(what("time")?, "s", figures.number("took")?).target(Target::AtMost(10.0));
    Ok(vec![took, Row::new(what("memory")?, "MB", figures.number("peak_mb")?).target(Target::AtMost(100.0))])
}

/// Real machines on this computer, so the time is real, too.
fn local(sh: &Shell, earlier: Option<&earlier::Checkout>) -> Result<Vec<Row>> {
    let words = ["--package", "xtask-ami", "--no-default-features", "--test", "local", "against_packer"];
    let printed = test(sh, &[&words[..], &["--", "--ignored", "--nocapture"]].concat())?;
    let figures = row::first(&printed, "packer")?;
    let (available, verified) = (figures.number("available")?, figures.number("verified")?);
    let mut rows = Vec::new();
    for (beside, key) in [("packer, unverified", "packer"), ("packer on this tool's machine", "same_machine")] {
        for (what, measured, bound) in [("available", available, 0.42), ("verified", verified, 0.65)] {
            let row = Row::new(format!("--local, until the image is {what}"), "s", measured);
            rows.push(row.beside(beside, figures.number(key)?).target(Target::AtMost(bound)));
        }
    }
    if let Some(earlier) = earlier {
        let row = Row::new("--local, the whole job, its base and packages a day old at most".to_owned(), "s", verified);
        rows.push(row.beside("earlier build", earlier.local_secs()?).target(Target::AtMost(0.6)));
    }
    Ok(rows)
}

/// The first job in a clone in which nothing is compiled yet.
fn fresh(sh: &Shell, earlier: Option<&earlier::Checkout>) -> Result<Vec<Row>> {
    say(format_args!("== a fresh clone of what is committed"));
    let took = earlier::Checkout::of(sh, "HEAD", "bench-fresh")?.fresh_secs()?;
    let row = Row::new("--local, from a fresh clone to verified images".to_owned(), "s", took);
    Ok(vec![match earlier {
        Some(earlier) => row.beside("earlier build", earlier.fresh_secs()?).target(Target::AtMost(0.8)),
        None => row,
    }])
}

/// The same of private images, one after another.
fn private(sh: &Shell, earlier: Option<&earlier::Checkout>) -> Result<Vec<Row>> {
    let words = ["--package", "xtask-ami", "--no-default-features", "--test", "local", "private_images"];
    let printed = test(sh, &[&words[..], &["--", "--ignored", "--nocapture"]].concat())?;
    let mut rows = private_rows(&printed, "--local, private image", 0.6)?;
    if let Some(earlier) = earlier {
        // Of the system that its base has.
        let _system = sh.push_env("OF_DEBIAN_12", "1");
        let printed = test(sh, &[&words[..], &["--", "--ignored", "--nocapture"]].concat())?;
        let figures = row::first(&printed, "private")?;
        let row = Row::new(
            "--local of Debian 12, private image, from a kept base".to_owned(),
            "s",
            figures.number("reusing")?,
        );
        rows.push(row.beside("earlier build's job", earlier.local_secs()?).target(Target::AtMost(0.6)));
    }
    Ok(rows)
}

/// Runs `cargo test` with these words, and returns what it printed.
fn test(sh: &Shell, words: &[&str]) -> Result<String> {
    let began = Instant::now();
    say(format_args!("== cargo test {}", words.join(" ")));
    let limit = LIMIT.as_secs().to_string();
    // It ends everything that the test started, too.
    let command = cmd!(sh, "timeout --kill-after=10 {limit} cargo test --quiet {words...}").quiet();
    let printed = crate::with_cargo(command).read();
    say(format_args!("== ended after {} s", began.elapsed().as_secs()));
    printed.context("the test failed, or took too long")
}

fn say(line: impl std::fmt::Display) {
    // If the terminal is gone, there is no place left to report that.
    let _ = writeln!(std::io::stderr(), "{line}");
}

#[cfg(test)]
mod tests {
    use super::told_and_tidy;

    #[test]
    fn figures_are_found_in_what_earlier_builds_print() {
        let printed = "running 3 tests\n14 regions: 80.91 s until the result is told\n 95.10 s until all is tidy\n\
                       test speed::x ... 1 regions: 48.40 s until the result is told\n 56.87 s until all is tidy\n";
        let expected = [("14".to_owned(), 80.91, 95.10), ("1".to_owned(), 48.40, 56.87)];
        assert_eq!(told_and_tidy(printed), expected);
    }
}
