//! How a release grows with the regions and with the time that EC2 takes, where EC2 limits requests as it does. Time is
//! virtual, so the figures are the same on every computer.
//!
//! To see them: `cargo xtask bench scale`

use std::time::Duration;

use crate::{
    books::Region,
    buckets::Buckets,
    kit::Ended,
    rig::{HOME, Rig, all_regions},
    speed::FLOOR_SECS,
};

/// How much longer than the floor a whole command may take, by the number of regions.
const BOUNDS: [(usize, f64); 4] = [(1, 1.05), (14, 1.05), (34, 1.05), (200, 1.10)];

/// Regions of an account: those of the file, and more of AWS's shape.
fn regions(count: usize) -> Vec<String> {
    let more = (1..).map(|number| format!("eu-west-{}", 100 + number));
    let listed = all_regions().into_iter().filter(|name| *name != HOME).map(str::to_owned);
    std::iter::once(HOME.to_owned()).chain(listed).chain(more).take(count).collect()
}

/// A rig whose account has these regions, and only so many requests a second.
fn rig(regions: &[String]) -> Rig {
    let names: Vec<&str> = regions.iter().map(String::as_str).collect();
    let rig = Rig::public(&names);
    rig.endpoint.world(|world| {
        world.buckets = Some(Buckets::default());
        for name in &names {
            world.regions.entry((*name).to_owned()).or_insert_with(|| Region::new(name, "opt-in-not-required"));
        }
    });
    rig
}

/// What no tool can go below: the home image, and then the slowest of the copies, or the boot of the verified image.
fn floor_secs(rig: &Rig, regions: &[String]) -> f64 {
    let copy = |name: &String| rig.endpoint.world(|world| world.delays.copy_to(name)).as_secs_f64();
    let boot = rig.endpoint.world(|world| world.delays.ssh).as_secs_f64();
    FLOOR_SECS.0 + regions.iter().filter(|name| *name != HOME).map(copy).fold(boot, f64::max)
}

/// The most memory that this process had, in MB; none where the system does not tell.
fn peak_mb() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.trim().trim_end_matches(" kB").parse::<f64>().ok()? / 1024.0)
}

/// A release in so many regions: its calls, and how long it took as a part of the floor.
#[expect(clippy::print_stdout, reason = "the figures are what the benchmark is for")]
async fn release(count: usize) -> (usize, f64) {
    let regions = regions(count);
    let rig = rig(&regions);
    let ended: Ended = rig.release().await;
    ended.report();
    assert_eq!(rig.endpoint.left(), [""; 0], "{}", ended.said);
    assert_eq!(rig.endpoint.public_in().len(), count);
    let (calls, floor_secs) = (rig.endpoint.calls(), floor_secs(&rig, &regions));
    let (told, took) = (ended.told.expect("a result").as_secs_f64(), ended.took.as_secs_f64());
    let refused = rig.endpoint.world(|world| world.buckets.as_ref().map_or(0, |buckets| buckets.refused));
    println!(
        "scale regions={count} floor={floor_secs:.2} told={told:.2} took={took:.2} ratio={:.4} calls={calls} \
         throttled={refused} peak_mb={:.1}",
        took / floor_secs,
        peak_mb().unwrap_or_default()
    );
    (calls, took / floor_secs)
}

#[tokio::test(start_paused = true)]
async fn a_release_in_200_regions_takes_hardly_longer_and_its_calls_grow_by_the_region() {
    let mut calls = Vec::new();
    for (count, bound) in BOUNDS {
        let (made, ratio) = release(count).await;
        assert!(ratio <= bound, "{count} regions take {ratio:.3} of the floor, not {bound}");
        calls.push((count, made));
    }
    let by_region =
        |(few, fewer): (usize, usize), (many, more): (usize, usize)| (more - fewer) as f64 / (many - few) as f64;
    let (at_first, at_last) = (by_region(calls[0], calls[1]), by_region(calls[2], calls[3]));
    assert!(at_last <= 1.05 * at_first, "{at_first:.1} calls for each region at first, then {at_last:.1}: {calls:?}");
}

/// One size in a process of its own, for its memory: `cargo xtask bench scale` gives it in `REGIONS`.
#[tokio::test(start_paused = true)]
#[ignore = "cargo xtask bench runs it, once for each number of regions"]
async fn one_size() {
    let count = std::env::var("REGIONS").expect("how many regions").parse().expect("a number");
    release(count).await;
}

/// The image and each copy take ever longer: each doubling costs as many calls as the one before.
#[tokio::test(start_paused = true)]
async fn calls_grow_with_the_logarithm_of_the_time_waited() {
    let regions = regions(3);
    let mut calls = Vec::new();
    for minutes in [10, 20, 40] {
        let rig = rig(&regions);
        rig.endpoint.world(|world| world.delays.copy = Duration::from_secs(minutes * 60));
        rig.release().await.report();
        calls.push(rig.endpoint.calls());
    }
    let [ten, twenty, forty] = calls[..] else { panic!("three") };
    let (before, after) = (twenty - ten, forty - twenty);
    assert!(after as f64 <= 1.1 * before as f64, "each doubling costs as much as the one before: {calls:?}");
}
