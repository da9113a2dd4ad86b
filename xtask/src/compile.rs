//! What compiling the AWS SDK takes of this computer.

use std::{fs, num::NonZero, path::Path, thread};

use anyhow::{Result, ensure};

/// How long the tool's crates take to compile with the SDK, aws-sdk-ec2 excluded: seconds of one core's work.
const OTHERS_CORE_SECS: u64 = 320;

/// How much of that comes before aws-sdk-ec2 or after it, in seconds, however many cores there are: with two, 229 s were
/// measured of all, and 171 s of aws-sdk-ec2.
const AROUND_SECS: u64 = 58;

/// Where Linux shows its control groups (cgroups(7)).
const GROUPS: &str = "/sys/fs/cgroup";

/// What compiling aws-sdk-ec2 takes, as measured on two cores. Most of it is the work of one thread.
struct Cost {
    secs: u64,
    /// The memory that rustc needs, in MiB.
    mib: u64,
}

/// Where rustc is told that it is mostly unused; 103 s and 5,677,264 KB were measured.
const HINTED: Cost = Cost { secs: 105, mib: 5800 };

/// Where it is not told; 171 s and 7.4 GB were measured.
const WHOLE: Cost = Cost { secs: 171, mib: 7500 };

/// A line about the compile to come: how long it takes here, and how much memory.
///
/// # Errors
/// When this computer's memory cannot suffice.
pub fn of_the_sdk(is_hinted: bool) -> Result<String> {
    let cores = thread::available_parallelism().map_or(1, NonZero::get) as u64;
    line(if is_hinted { &HINTED } else { &WHOLE }, cores, memory_mib())
}

fn line(cost: &Cost, cores: u64, usable_mib: Option<u64>) -> Result<String> {
    let needed = cost.mib;
    if let Some(usable) = usable_mib {
        ensure!(
            usable >= needed,
            "compiling the AWS SDK takes {needed} MiB of memory, and there are {usable} MiB here, swap included; add swap, \
             or run this on another computer; --local needs no AWS SDK"
        );
    }
    // What other cores do meanwhile takes no time of its own, but there may be too few.
    let secs = ((cost.secs + OTHERS_CORE_SECS) / cores).max(cost.secs + AROUND_SECS);
    let minutes = secs.div_ceil(60);
    Ok(format!("   Compiling the AWS SDK, once: about {minutes} minutes, and up to {:.1} GiB of memory", gib(needed)))
}

#[expect(clippy::cast_precision_loss, reason = "the figure is rounded anyway")]
fn gib(mib: u64) -> f64 {
    mib as f64 / 1024.0
}

/// The memory and the swap that this process may use, in MiB: this computer's, or less if its group has a limit. None if
/// nothing tells.
fn memory_mib() -> Option<u64> {
    let own = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let [memory, swap] = ["memory.max", "memory.swap.max"].map(|file| lowest_limit_mib(Path::new(GROUPS), &own, file));
    usable_mib(&fs::read_to_string("/proc/meminfo").ok()?, memory, swap)
}

/// The lowest limit of a process's control group and those above it. `own` is the text of its /proc/self/cgroup, where the line
/// of the hierarchy that limits memory begins with `0::`.
fn lowest_limit_mib(groups: &Path, own: &str, file: &str) -> Option<u64> {
    let own = own.lines().find_map(|line| line.strip_prefix("0::/")).unwrap_or_default();
    // Where a container shows only its own part of the hierarchy, folders of that name are missing, and the first one counts.
    let folders = Path::new(own).ancestors().map(|folder| groups.join(folder));
    folders.filter_map(|folder| limit_mib(&fs::read_to_string(folder.join(file)).ok()?)).min()
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
    fn the_lowest_limit_of_all_groups_above_counts() -> Result<()> {
        let groups = tempfile::tempdir()?;
        let own = groups.path().join("user.slice/user-1000.slice");
        fs::create_dir_all(&own)?;
        let cgroup = "1:name=systemd:/other\n0::/user.slice/user-1000.slice\n";
        let lowest = |cgroup: &str| lowest_limit_mib(groups.path(), cgroup, "memory.max");
        assert_eq!(lowest(cgroup), None);
        fs::write(own.join("memory.max"), "max\n")?;
        fs::write(groups.path().join("user.slice/memory.max"), "4294967296\n")?;
        assert_eq!(lowest(cgroup), Some(4096));
        fs::write(own.join("memory.max"), "2147483648\n")?;
        assert_eq!(lowest(cgroup), Some(2048));
        // In a container.
        fs::write(groups.path().join("memory.max"), "1073741824\n")?;
        assert_eq!(lowest("0::/\n"), Some(1024));
        assert_eq!(lowest("0::/system.slice/docker-1.scope\n"), Some(1024));
        assert_eq!(lowest(""), Some(1024));
        Ok(())
    }

    #[test]
    fn what_it_takes_depends_on_the_hint_and_the_cores() -> Result<()> {
        for (cost, cores, minutes, gib) in [
            (&HINTED, 1, 8, "5.7"),
            // What the guide says.
            (&HINTED, 2, 4, "5.7"),
            (&HINTED, 16, 3, "5.7"),
            (&WHOLE, 1, 9, "7.3"),
            (&WHOLE, 2, 5, "7.3"),
            (&WHOLE, 16, 4, "7.3"),
        ] {
            let expected = format!("once: about {minutes} minutes, and up to {gib} GiB of memory");
            let line = line(cost, cores, None)?;
            assert!(line.ends_with(&expected), "{cores} cores: {line}");
        }
        Ok(())
    }

    #[test]
    fn it_is_refused_only_where_the_memory_cannot_suffice() {
        let is_refused = |cost, mib| line(cost, 2, Some(mib)).is_err();
        assert!(!is_refused(&HINTED, 6000) && is_refused(&WHOLE, 6000));
        assert!(is_refused(&HINTED, 5000) && !is_refused(&WHOLE, 8000));
    }

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
