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
    let [memory, swap] = ["memory.max", "memory.swap.max"]
        .map(|file| fs::read_to_string(format!("/sys/fs/cgroup/{file}")).ok().and_then(|text| limit_mib(&text)));
    usable_mib(&fs::read_to_string("/proc/meminfo").ok()?, memory, swap)
}

/// Memory and swap in all, of the text of /proc/meminfo and the limits of the group. Each limit is of its own kind: what a group
/// may swap is no memory where the computer has no swap.
fn usable_mib(meminfo: &str, memory_max: Option<u64>, swap_max: Option<u64>) -> Option<u64> {
    let mib = |key: &str| {
        let kib =
            meminfo.lines().find_map(|line| line.strip_prefix(key)?.trim().strip_suffix(" kB")?.parse::<u64>().ok());
        kib.map(|kib| kib / 1024)
    };
    let (memory, swap) = (mib("MemTotal:")?, mib("SwapTotal:").unwrap_or(0));
    Some(memory.min(memory_max.unwrap_or(u64::MAX)) + swap.min(swap_max.unwrap_or(u64::MAX)))
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
        assert_eq!(usable_mib(text, None, None), Some(25000));
        assert_eq!(usable_mib("MemTotal:       2048 kB\n", None, None), Some(2));
        assert_eq!(usable_mib("nothing", None, None), None);
        assert_eq!((limit_mib("max\n"), limit_mib("1073741824\n")), (None, Some(1024)));
    }

    #[test]
    fn a_group_has_at_most_what_the_computer_has_of_each_kind() {
        let (gib, unlimited) = (|gib: u64| Some(gib * 1024), None);
        let swapless = "MemTotal: 33554432 kB\nSwapTotal: 0 kB\n";
        let swapping = "MemTotal: 33554432 kB\nSwapTotal: 8388608 kB\n";
        for (meminfo, memory_max, swap_max, usable) in [
            (swapless, gib(4), unlimited, gib(4)),
            (swapless, gib(4), gib(4), gib(4)),
            (swapping, gib(4), unlimited, gib(12)),
            (swapping, gib(4), gib(1), gib(5)),
            (swapping, gib(4), gib(0), gib(4)),
            (swapping, unlimited, gib(1), gib(33)),
            (swapping, gib(64), gib(64), gib(40)),
        ] {
            assert_eq!(usable_mib(meminfo, memory_max, swap_max), usable, "{meminfo}{memory_max:?} {swap_max:?}");
        }
    }
}
