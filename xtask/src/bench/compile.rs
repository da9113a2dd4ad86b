//! The first compile of the tool with the AWS SDK, with and without the hint to rustc that most of aws-sdk-ec2 is unused.

use std::time::Instant;

use anyhow::{Context as _, Result};
use xshell::{Shell, cmd};

use super::{
    LIMIT,
    row::{Row, Target},
    say,
};

/// Compiles twice, each in a target folder of its own, which is gone afterwards.
///
/// # Errors
/// When a compile fails or takes too long.
pub fn rows(sh: &Shell) -> Result<Vec<Row>> {
    cmd!(sh, "cargo fetch --locked").quiet().run().context("failed to fetch the dependencies")?;
    let wrapper = crate::rustc::wrapper().context("another wrapper of rustc is set: unset it to measure the hint")?;
    let with = compile_secs(sh, &wrapper)?;
    let without = compile_secs(sh, "")?;
    let row = Row::new("first compile with the AWS SDK and the hint".to_owned(), "s", with);
    Ok(vec![row.beside("without the hint", without).target(Target::AtMost(1.0))])
}

fn compile_secs(sh: &Shell, wrapper: &str) -> Result<f64> {
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
    let compiled = command.env_remove("CARGO_MANIFEST_DIR").env_remove("CARGO_MANIFEST_PATH").run();
    let took_secs = began.elapsed().as_secs_f64();
    sh.remove_path(&target)?;
    compiled.context("the compile failed, or took too long")?;
    Ok(took_secs)
}
