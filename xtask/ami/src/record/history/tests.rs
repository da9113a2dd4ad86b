use serde_json::json;

use super::*;
use crate::{event::facts::Timing, fixture};

fn region(name: &str) -> Region {
    name.parse().expect("a region")
}

/// A build whose image took so many seconds to be made, and as many to be copied to each of these regions.
fn build(instance_type: &str, made_in: &str, secs: u64, copied_to: &[&str]) -> State {
    let mut about = fixture::about();
    (about.instance_type, about.build_region) = (Some(instance_type.to_owned()), region(made_in));
    let steps = [("binaries", 0, 60), ("bake login", 0, 10), ("bake packages", 10, 40)];
    let image = format!("available {made_in}");
    let mut steps: Vec<(String, u64, u64)> = steps.map(|(step, from, to)| (step.to_owned(), from, to)).into();
    steps.push((image, 60, 60 + secs));
    steps.extend(copied_to.iter().map(|region| (format!("available {region}"), 60 + secs, 60 + 2 * secs)));
    let timing =
        |(step, from, to): (String, u64, u64)| Timing { step, ended_ms: to * 1000, took_ms: (to - from) * 1000 };
    let mut state = State::default();
    (state.about, state.attempts) = (Some(about), 1);
    state.timings = steps.into_iter().map(timing).collect();
    state
}

fn estimate(builds: &[State], instance_type: &str, regions: &[&str]) -> Estimate {
    let regions: Vec<Region> = regions.iter().map(|name| region(name)).collect();
    let kind = Kind {
        local: false,
        promotes: false,
        opens: true,
        instance_type: Some(instance_type),
        made_in: &regions[0],
        regions: &regions,
    };
    History(builds.iter().filter_map(Build::of).collect()).estimate(&kind, Duration::from_secs(600))
}

#[test]
fn without_an_earlier_build_there_is_only_a_default() {
    let estimate = estimate(&[], "m5.large", &["us-west-2"]);
    assert_eq!((estimate.builds, estimate.phases.len()), (0, 0));
    assert_eq!(estimate.whole, Span { low_ms: 600_000, median_ms: 900_000, high_ms: 1_200_000 });
}

#[test]
fn the_median_is_of_builds_of_the_same_type_and_region_if_there_are_any() {
    let builds = [
        build("m5.large", "us-west-2", 100, &[]),
        build("m5.large", "us-west-2", 300, &[]),
        build("m5.large", "us-west-2", 200, &[]),
        build("m5.large", "eu-west-1", 1000, &[]),
        build("t3.small", "us-west-2", 9000, &[]),
    ];
    let image = |instance_type: &str, made_in: &str| {
        let estimate = estimate(&builds, instance_type, &[made_in]);
        (estimate.builds, estimate.phases[&Phase::Image].median_ms / 1000)
    };
    assert_eq!(image("m5.large", "us-west-2"), (3, 200));
    assert_eq!(image("m5.large", "eu-west-1"), (1, 1000));
    assert_eq!(image("m5.large", "sa-east-1").0, 4, "of the same type elsewhere");
    assert_eq!(image("c5.large", "sa-east-1").0, 5, "of any type");
}

#[test]
fn copies_are_estimated_by_region_and_the_slowest_counts() {
    let builds =
        [build("m5.large", "us-west-2", 100, &["eu-west-1"]), build("m5.large", "us-west-2", 400, &["sa-east-1"])];
    let copied = estimate(&builds, "m5.large", &["us-west-2", "eu-west-1", "sa-east-1", "us-east-1"]);
    let medians: Vec<_> = copied.copies.iter().map(|(region, span)| (region.as_str(), span.median_ms / 1000)).collect();
    assert_eq!(medians, [("eu-west-1", 100), ("sa-east-1", 400)]);
    assert_eq!(copied.phases[&Phase::Copies].median_ms, 400_000);
    // Make, the image and the slowest copy, one after the other.
    assert_eq!(copied.whole.median_ms, 60_000 + copied.phases[&Phase::Image].median_ms + 400_000);
    let unknown = estimate(&builds[..0], "m5.large", &["us-west-2", "us-east-1"]);
    assert_eq!(unknown.builds, 0);
}

#[test]
fn a_build_of_several_processes_and_a_broken_journal_say_nothing() {
    let mut resumed = build("m5.large", "us-west-2", 100, &[]);
    resumed.attempts = 2;
    assert_eq!(estimate(&[resumed], "m5.large", &["us-west-2"]).builds, 0);
    let (_guard, folder) = fixture::folder();
    fixture::write(&folder.join("builds/1/journal.jsonl"), json!({ "event": "began" }).to_string());
    assert_eq!(History::read(&StateDir::at(&folder)).0.len(), 0);
}
