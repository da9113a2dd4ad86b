use serde_json::json;

use super::*;
use crate::{event::facts::Timing, fixture};

fn region(name: &str) -> Region {
    name.parse().expect("a region")
}

/// A build that ended after these steps, each of which lasted from one second to another.
fn ended(instance_type: &str, made_in: &str, steps: &[(&str, u64, u64)]) -> State {
    let mut about = fixture::about();
    (about.instance_type, about.build_region) = (Some(instance_type.to_owned()), region(made_in));
    let timing = |(step, from, to): &(&str, u64, u64)| Timing {
        step: (*step).to_owned(),
        ended_ms: to * 1000,
        took_ms: (to - from) * 1000,
    };
    let mut state = State::default();
    (state.about, state.attempts) = (Some(about), 1);
    state.timings = steps.iter().map(timing).collect();
    state
}

/// A build whose image took so many seconds to be made, and as many to be copied to each of these regions.
fn build(instance_type: &str, made_in: &str, secs: u64, copied_to: &[&str]) -> State {
    let image = format!("available {made_in}");
    let copies: Vec<String> = copied_to.iter().map(|region| format!("available {region}")).collect();
    let mut steps = vec![("binaries", 0, 60), ("bake login", 0, 10), ("bake packages", 10, 40)];
    steps.extend([("bake sealed i-1", 60, 60), (image.as_str(), 60, 60 + secs)]);
    steps.extend(copies.iter().map(|step| (step.as_str(), 60 + secs, 60 + 2 * secs)));
    let end = 60 + 2 * secs;
    steps.extend([("verify ami-1", end, end), ("publish", end, end)]);
    ended(instance_type, made_in, &steps)
}

fn history(builds: &[State]) -> History {
    History(builds.iter().filter_map(Build::of).collect())
}

fn kind<'a>(instance_type: &'a str, regions: &'a [Region]) -> Kind<'a> {
    Kind {
        local: false,
        promotes: false,
        skips_build: false,
        reuses_base: false,
        opens: true,
        instance_type: Some(instance_type),
        made_in: &regions[0],
        regions,
    }
}

const USUAL: Duration = Duration::from_secs(600);

fn estimate(builds: &[State], instance_type: &str, regions: &[&str]) -> Estimate {
    let regions: Vec<Region> = regions.iter().map(|name| region(name)).collect();
    history(builds).estimate(&kind(instance_type, &regions), USUAL)
}

#[test]
fn without_an_earlier_build_there_is_only_a_default() {
    let estimate = estimate(&[], "m5.large", &["us-west-2"]);
    assert_eq!(estimate.builds, 0);
    assert_eq!(estimate.whole, Span { low_ms: 600_000, median_ms: 900_000, high_ms: 1_200_000 });
    assert!(!estimate.phases.contains_key(&Phase::Copies), "it is not copied: {estimate:?}");
    let secs = |span: Span| (span.low_ms + 500) / 1000;
    assert_eq!(secs(whole(&estimate.phases)), secs(estimate.whole), "the phases make up the whole");
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
fn a_build_counts_as_learned_from_if_it_tells_about_any_part() {
    let whole = || build("m5.large", "eu-west-1", 100, &[]);
    let here = |steps: &[(&str, u64, u64)]| ended("m5.large", "us-west-2", steps);
    let builds = [here(&[]), here(&[("binaries", 0, 50)]), whole(), whole(), whole()];
    let told = estimate(&builds, "m5.large", &["us-west-2"]);
    assert_eq!((told.builds, told.phases[&Phase::Make].median_ms), (4, 50_000), "all but one that ended at once");
    let told = estimate(&builds[2..], "m5.large", &["us-west-2"]);
    assert_eq!(told.builds, 3);
    let without_image = estimate(&builds[..2], "m5.large", &["us-west-2"]);
    assert_eq!((without_image.builds, without_image.phases[&Phase::Make].median_ms), (1, 50_000));
    assert_eq!(without_image.by_default.len(), 6, "it tells nothing of the others: {without_image:?}");
}

#[test]
fn a_phase_that_no_build_tells_about_is_the_default_and_the_others_are_not() {
    let build = build("m5.large", "us-west-2", 100, &[]);
    let copied = estimate(&[build], "m5.large", &["us-west-2", "eu-west-1"]);
    assert_eq!((copied.builds, copied.by_default.clone()), (1, [Phase::Copies].into()));
    assert_eq!(copied.phases[&Phase::Image].median_ms, 100_000);
    let default = estimate(&[], "m5.large", &["us-west-2", "eu-west-1"]);
    assert_eq!(copied.phases[&Phase::Copies], default.phases[&Phase::Copies]);
    assert!(copied.copies.is_empty(), "of no region is it known: {copied:?}");
    assert_eq!(copied.whole.median_ms, 60_000 + 100_000 + copied.phases[&Phase::Copies].median_ms);
}

#[test]
fn a_phase_is_told_by_builds_that_did_it_in_the_same_way() {
    let skipped = |mut state: State| {
        state.about.as_mut().expect("a build").skip_build = true;
        state.timings[0].took_ms = 1000;
        state.timings[0].ended_ms = 1000;
        state
    };
    let reused = |mut state: State| {
        let event = json!({ "event": "done", "step": "reuse base", "result": "ami-9", "took_ms": 1 });
        let event = serde_json::from_value(event).expect("an event");
        state.about.as_mut().expect("a build").reuse_base = true;
        state.apply(&crate::event::Line { at: "2026-11-22T00:00:00.000Z".to_owned(), event });
        state.timings[2] = Timing { step: "bake packages".to_owned(), ended_ms: 12_000, took_ms: 2000 };
        state
    };
    let plain = || build("m5.large", "us-west-2", 100, &[]);
    let builds = [skipped(plain()), reused(plain()), skipped(reused(plain())), plain()];
    let regions = [region("us-west-2")];
    let of = |builds: &[State], skips_build, reuses_base| {
        let kind = Kind { skips_build, reuses_base, ..kind("m5.large", &regions) };
        let estimate = history(builds).estimate(&kind, USUAL);
        let secs = |phase| estimate.phases.get(&phase).map(|span: &Span| span.median_ms / 1000);
        (estimate.builds, secs(Phase::Make), secs(Phase::Packages))
    };
    assert_eq!(of(&builds, false, false), (4, Some(60), Some(30)));
    assert_eq!(of(&builds, true, true), (4, Some(1), Some(2)));
    assert_eq!(of(&builds[..1], false, false), (1, None, Some(30)), "nothing tells how long make takes");
    assert_eq!(of(&builds[3..], true, false), (1, None, Some(30)), "and where it does not run, nothing has to");
    assert_eq!(of(&builds[3..], false, true), (1, Some(60), Some(30)), "the first one keeps a base");
}

#[test]
fn what_is_still_being_uploaded_once_all_else_is_ready_is_time_of_the_payload() {
    let build = |sealed: (u64, u64)| {
        let mut steps = vec![("binaries", 0, 60), ("bake login", 0, 10), ("bake packages", 10, 40)];
        steps.extend([("bake sealed i-1", sealed.0, sealed.1), ("available us-west-2", sealed.1, sealed.1 + 100)]);
        steps.extend([("verify ami-1", 300, 310), ("publish", 310, 311)]);
        let told = estimate(&[ended("m5.large", "us-west-2", &steps)], "m5.large", &["us-west-2"]);
        told.phases[&Phase::Payload].median_ms / 1000
    };
    assert_eq!(build((60, 80)), 20);
    assert_eq!(build((90, 110)), 50, "30 of them before it was sealed");
}

/// Writes the journal of a build that took so long to make its image.
fn write(folder: &camino::Utf8Path, name: &str, local: bool, secs: u64) {
    let mut about = fixture::about();
    (about.local, about.instance_type) = (local, (!local).then(|| "m5.large".to_owned()));
    let mut lines = vec![json!({ "at": "2026-11-22T00:00:00.000Z", "event": "began", "format": 2, "build": about })];
    for step in
        ["binaries", "bake login", "bake packages", "bake sealed i-1", "available us-west-2", "verify ami-1", "publish"]
    {
        let at = "2026-11-22T01:00:00.000Z";
        lines.push(json!({ "at": at, "event": "done", "step": step, "result": null, "took_ms": secs * 1000 }));
    }
    let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
    fixture::write(&folder.join("builds").join(name).join(JOURNAL), text);
}

#[test]
fn builds_of_another_kind_hide_none_however_many_there_are() {
    let (_guard, folder) = fixture::folder();
    for number in 0..MAX_BUILDS + 5 {
        write(&folder, &format!("1{number:03}"), false, 100);
    }
    write(&folder, "0000", false, 9000);
    for number in 0..2 * MAX_JOURNALS {
        write(&folder, &format!("2{number:03}"), true, 1);
    }
    let regions = [region("us-west-2")];
    let kind = kind("m5.large", &regions);
    let history = History::read(&StateDir::at(&folder), &kind);
    assert_eq!(history.0.len(), MAX_BUILDS, "those that are too old are not read");
    let estimate = history.estimate(&kind, USUAL);
    assert_eq!((estimate.builds, estimate.phases[&Phase::Image].high_ms), (MAX_BUILDS, 120_000));
    let local = Kind { local: true, instance_type: None, ..kind };
    assert_eq!(History::read(&StateDir::at(&folder), &local).estimate(&local, USUAL).builds, MAX_BUILDS);
}

#[test]
fn a_build_of_several_processes_and_a_broken_journal_say_nothing() {
    let mut resumed = build("m5.large", "us-west-2", 100, &[]);
    resumed.attempts = 2;
    assert_eq!(estimate(&[resumed], "m5.large", &["us-west-2"]).builds, 0);
    let (_guard, folder) = fixture::folder();
    fixture::write(&folder.join("builds/1/journal.jsonl"), json!({ "event": "began" }).to_string());
    let regions = [region("us-west-2")];
    assert_eq!(History::read(&StateDir::at(&folder), &kind("m5.large", &regions)).0.len(), 0);
}
