//! The timeline: bars, rows, and the critical path.

use std::collections::BTreeSet;

use super::{
    super::{
        bars::{Bar, End, Work, bars},
        critical,
        journal::Lines,
    },
    *,
};
use crate::event::step::Step;

/// The steps on the critical path.
fn path(events: &[(u64, Value)]) -> Vec<String> {
    let read = Lines::read(journal(events).as_bytes());
    let bars = bars(&read);
    let region = "us-west-2".parse().expect("a region");
    let name = |index: usize| match &bars[index].work {
        Work::Step(step) => step.to_string(),
        other => format!("{other:?}"),
    };
    critical::path(&bars, Some(&region)).into_iter().map(name).collect()
}

#[test]
fn the_critical_path_leads_from_step_to_step_back_from_the_last() {
    let events = [
        intended(0, "binaries"),
        intended(0, "bake launch"),
        done(400, "bake launch"),
        intended(400, "bake packages"),
        done(900, "binaries"),
        done(1000, "bake packages"),
        intended(1000, "image us-west-2"),
        done(1100, "image us-west-2"),
        intended(1100, "available us-west-2"),
        done(5000, "available us-west-2"),
        intended(5000, "verify ami-1"),
        intended(5000, "copy eu-west-1"),
        done(5100, "copy eu-west-1"),
        intended(5100, "available eu-west-1"),
        intended(5000, "bake revoke"),
        done(9000, "verify ami-1"),
        done(9500, "available eu-west-1"),
        intended(9500, "publish"),
        done(9600, "publish"),
        done(9900, "bake revoke"),
    ];
    let expected = [
        "bake launch",
        "bake packages",
        "image us-west-2",
        "available us-west-2",
        "copy eu-west-1",
        "available eu-west-1",
        "publish",
    ];
    assert_eq!(path(&events), expected);
}

#[test]
fn the_critical_path_of_a_failed_build_ends_at_what_failed() {
    let events = [
        intended(0, "binaries"),
        intended(0, "bake launch"),
        done(400, "bake launch"),
        intended(400, "bake login"),
        failed(700, "binaries"),
        (800, json!({ "event": "ended", "how": "failed", "left": false })),
    ];
    assert_eq!(path(&events), ["binaries"]);
    assert_eq!(path(&[]), [""; 0]);
}

#[test]
fn steps_that_take_no_time_are_on_one_path_without_end() {
    let steps = ["base", "bake access", "bake launch", "bake packages"];
    let events: Vec<_> = steps.into_iter().flat_map(|step| [intended(5, step), done(5, step)]).collect();
    assert_eq!(path(&events).len(), 4);
}

#[test]
fn a_step_that_consists_of_others_has_the_time_that_they_leave() {
    let events = [
        intended(0, "bake sealed i-1"),
        intended(100, "bake install"),
        done(200, "bake install"),
        intended(250, "bake seal"),
        done(300, "bake seal"),
        done(300, "bake sealed i-1"),
    ];
    let read = Lines::read(journal(&events).as_bytes());
    let of_whole = |bar: &&Bar| matches!(bar.work, Work::Step(Step::Sealed(_)));
    let bars = bars(&read);
    let pieces: BTreeSet<u64> = bars.iter().filter(of_whole).map(Bar::took_ms).collect();
    assert_eq!(pieces, BTreeSet::from([100, 50]));
}

#[test]
fn what_a_killed_process_had_begun_is_cut_short_when_it_ended() {
    let resumed = (600_000, json!({ "event": "resumed" }));
    let events = [
        intended(0, "bake launch"),
        (5000, json!({ "event": "noted", "text": "the last line of the process" })),
        resumed,
        intended(600_000, "bake launch"),
        done(601_000, "bake launch"),
    ];
    let read = Lines::read(journal(&events).as_bytes());
    let bars = bars(&read);
    let ends: Vec<_> = bars.iter().map(|bar| (bar.took_ms(), bar.end.clone(), bar.attempt)).collect();
    assert_eq!(ends, [(5000, End::CutShort, 0), (1000, End::Done, 1)]);
    assert!(page(&journal(&events)).contains("Attempt 2 began 9m 55s after the one before it ended"));
}

/// How a binary is uploaded while packages are installed.
fn uploads(begin_ms: u64, end_ms: u64, binary: &str, how: &Value) -> [(u64, Value); 2] {
    let begin = json!({ "event": "progress", "what": "uploading_binary", "binary": binary });
    let mut end = json!({ "event": "progress", "binary": binary });
    for (field, value) in how.as_object().expect("fields") {
        end[field] = value.clone();
    }
    [(begin_ms, begin), (end_ms, end)]
}

#[test]
fn a_binary_that_is_uploaded_early_has_a_bar_that_is_named_and_its_time_is_on_the_critical_path() {
    let uploaded = json!({ "what": "uploaded", "size_bytes": 1, "took_ms": 0 });
    let mut events = vec![intended(0, "binaries"), intended(0, "bake packages")];
    events.extend(uploads(100, 1500, "machida", &uploaded));
    events.extend([done(1000, "bake packages"), done(1600, "binaries")]);
    events.extend(uploads(1600, 2600, "sender", &uploaded));
    events.extend([intended(2600, "bake sealed i-1"), done(3000, "bake sealed i-1")]);
    assert_eq!(path(&events), ["binaries", "Upload(\"sender\")", "bake sealed i-1"]);
    let page = page(&journal(&events));
    for words in
        ["Upload machida: 1.4 s, from 0:00.1 to 0:01.5; working", "Upload sender: 1.0 s, from 0:01.6 to 0:02.6"]
    {
        assert!(page.contains(words), "{words}");
    }
    let rows = page.matches(" title=\"Upload binaries\"").count();
    assert_eq!(rows, 1, "they share one");
}

#[test]
fn an_early_upload_that_fails_is_told_and_is_not_why_a_build_ended() {
    let mut events = vec![intended(0, "bake packages")];
    events.extend(uploads(100, 200, "machida", &json!({ "what": "not_uploaded", "why": "the machine is full" })));
    events.extend([done(300, "bake packages"), intended(300, "bake sealed i-1"), done(400, "bake sealed i-1")]);
    assert_eq!(path(&events), ["bake packages", "bake sealed i-1"]);
    assert!(
        page(&journal(&events))
            .contains("Upload machida: 100 ms, from 0:00.1 to 0:00.2; working; failed: the machine is full")
    );
}

/// Where the next element that begins so is drawn, in percent.
fn place(page: &str, element: &str) -> f64 {
    let attributes = page.split(element).nth(1).expect("the element");
    let x = attributes.split_once(" x=\"").and_then(|(_, rest)| rest.split_once('%')).expect("a place").0;
    x.parse().expect("a number")
}

#[test]
fn a_row_of_several_bars_has_the_time_of_all_of_them_after_its_last() {
    let events = [
        intended(0, "image us-west-2"),
        done(7000, "image us-west-2"),
        intended(7000, "copy eu-west-1"),
        done(9000, "copy eu-west-1"),
        intended(12_000, "available eu-west-1"),
        done(15_000, "available eu-west-1"),
    ];
    let page = page(&journal(&events));
    let times = page.split("<text class=\"took\"").skip(1);
    let times: Vec<&str> = times.filter_map(|text| Some(text.split_once('>')?.1.split_once("</text>")?.0)).collect();
    assert_eq!(times, ["7.0 s", "5.0 s in all"]);
    let row = page.split("Order the copy to eu-west-1: ").nth(1).expect("the row");
    let (bar, text) = (place(row, "<rect class=\"shape"), place(row, "<text class=\"took\""));
    assert!((bar - text).abs() < 0.01, "where there is no room, it is before all of them: {bar} {text}");
}
