//! What compiling the AWS SDK takes of this computer.

use std::{fs, num::NonZero, thread};

use anyhow::{Result, ensure};

/// How long the tool's crates take to compile with the SDK, the time of aws-sdk-ec2 excluded: seconds of one core's work.
const OTHERS_CORE_SECS: u64 = 320;

/// How long aws-sdk-ec2 takes, in seconds. Most of it is the work of one thread.
const SDK_SECS: u64 = 105;

/// What rustc needs for aws-sdk-ec2, in MiB; 5,677,264 KB were measured.
const NEEDED_MIB: u64 = 5800;

/// A line about the compile to come: how long it takes here, and how much memory.
///
/// # Errors
/// When this computer's memory cannot suffice.
pub fn of_the_sdk() -> Result<String> {
    let cores = thread::available_parallelism().map_or(1, NonZero::get) as u64;
    if let Some(has) = memory_mib() {
        ensure!(
            has >= NEEDED_MIB,
            "compiling the AWS SDK takes {NEEDED_MIB} MiB of memory, and this computer has {has} MiB with its swap; add \
             swap, or run this on another computer; --local needs no AWS SDK"
        );
    }
    let minutes = (SDK_SECS + OTHERS_CORE_SECS / cores).div_ceil(60);
    Ok(format!(
        "   Compiling the AWS SDK, once: about {minutes} minutes, and up to {:.1} GiB of memory",
        gib(NEEDED_MIB)
    ))
}

#[expect(clippy::cast_precision_loss, reason = "the figure is rounded anyway")]
fn gib(mib: u64) -> f64 {
    mib as f64 / 1024.0
}

/// The memory and the swap that this process may use, in MiB: this computer's, or less if its group has a limit. None if
/// nothing tells.
fn memory_mib() -> Option<u64> {
    let of_computer = meminfo_mib(&fs::read_to_string("/proc/meminfo").ok()?)?;
    let limits = ["memory.max", "memory.swap.max"]
        .map(|file| fs::read_to_string(format!("/sys/fs/cgroup/{file}")).ok().and_then(|text| limit_mib(&text)));
    let [memory, swap] = limits;
    let of_group = memory.map_or(u64::MAX, |memory| memory.saturating_add(swap.unwrap_or(u64::MAX)));
    Some(of_computer.min(of_group))
}

/// Memory and swap in all, of the text of /proc/meminfo.
fn meminfo_mib(text: &str) -> Option<u64> {
    let kib =
        |key: &str| text.lines().find_map(|line| line.strip_prefix(key)?.trim().strip_suffix(" kB")?.parse().ok());
    let (memory, swap): (u64, u64) = (kib("MemTotal:")?, kib("SwapTotal:").unwrap_or(0));
    Some((memory + swap) / 1024)
}

/// A limit of a control group in bytes; `max` is none.
fn limit_mib(text: &str) -> Option<u64> {
    Some(text.trim().parse::<u64>().ok()? >> 20)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_and_swap_count() {
        let text = "MemTotal:       24576000 kB\nMemFree:  1 kB\nSwapTotal:       1024000 kB\n";
        assert_eq!(meminfo_mib(text), Some(25000));
        assert_eq!(meminfo_mib("MemTotal:       2048 kB\n"), Some(2));
        assert_eq!(meminfo_mib("nothing"), None);
        assert_eq!((limit_mib("max\n"), limit_mib("1073741824\n")), (None, Some(1024)));
    }
}
