use super::*;
use crate::{
    event::estimate,
    ground::untrusted::{check, text},
};

/// What is in progress so many seconds after the beginning of the release.
fn live(regions: &[&str], secs: u64) -> (Live, Duration) {
    let mut live = Live::default();
    for (at_ms, event) in played::release(regions).into_iter().take_while(|(at_ms, _)| *at_ms <= secs * 1000) {
        live.apply(&event, Duration::from_millis(at_ms));
    }
    (live, Duration::from_secs(secs))
}

/// While the machine is reached, packages are installed, the payload is uploaded, the image is made, and while it is copied
/// and verified: at the beginning, and when some copies are ready.
const MOMENTS: [u64; 6] = [30, 100, 280, 500, 640, 980];

#[test]
fn at_each_width_the_block_is_as_it_was_looked_at() {
    for width in [60, 80, 100, 200] {
        for regions in [&played::FOURTEEN[..], &played::THIRTY_FOUR[..]] {
            let mut all = String::new();
            for secs in MOMENTS {
                let (live, now) = live(regions, secs);
                let lines = live.lines(now, width, 50);
                assert!(lines.iter().all(|line| width_of(line) < width), "{lines:#?}");
                all += &format!("after {secs} s\n{}\n\n", lines.join("\n"));
            }
            let plain = anstream::adapter::strip_str(all.trim_end()).to_string() + "\n";
            snapshot::expect(&format!("live-{width}-{}", regions.len()), &plain);
            if width == 80 && regions.len() == 14 {
                snapshot::expect("live-colours", &(all.trim_end().replace('\u{1b}', "␛") + "\n"));
            }
        }
    }
}

#[test]
fn the_time_goes_into_three_lines_at_each_width() {
    let (live, now) = live(&played::FOURTEEN, 1177);
    let mut all = String::new();
    for width in [60, 80, 100, 200] {
        let lines: Vec<String> =
            live.summary(now, width).iter().map(|(verb, text)| format!("{verb:>12} {text}")).collect();
        assert!(lines.len() == 3 && lines.iter().all(|line| width_of(line) < width), "{lines:#?}");
        all += &format!("{width}\n{}\n", lines.join("\n"));
    }
    snapshot::expect("summary", &all);
    assert!(Live::default().summary(now, 80).is_empty(), "there was no build");
}

#[test]
fn where_there_is_little_room_the_copies_that_are_ready_go_first() {
    let (live, now) = live(&played::THIRTY_FOUR, 980);
    for height in [6, 10, 24] {
        let lines = live.lines(now, 60, height);
        assert!(lines.len() < height, "{lines:#?}");
        assert!(lines[0].contains(" ready") && lines.last().is_some_and(|line| line.contains("Total")));
        let table = lines[1..lines.len() - 1].join("\n");
        assert!(height == 24 || (!table.contains("ready") && table.contains("more")), "{table}");
    }
}

/// What is in progress while the parameters of a published image are written: those of five regions are, and one failed.
fn naming(regions: &[&str]) -> (Live, Duration) {
    let mut live = Live::default();
    let mut now = Duration::ZERO;
    let published = played::release(regions).into_iter().filter(|(_, event)| !matches!(event, Event::Ended { .. }));
    for (at_ms, event) in published {
        now = Duration::from_millis(at_ms);
        live.apply(&event, now);
    }
    let steps: Vec<Step> = regions.iter().map(|name| format!("parameters {name}").parse().expect("a step")).collect();
    for (number, step) in (0..).zip(&steps) {
        live.apply(&Event::Intended { step: step.clone(), by: "ami-1".into() }, now);
        let on = format!("the parameters in {} to name ami-1", regions[number as usize]);
        let state = if number == 9 { "/wallaroo/ami/latest do not yet" } else { "" };
        live.apply(&Event::Waiting { wait: 9000 + number, on, state: state.to_owned(), source: None }, now);
    }
    now += Duration::from_secs(3);
    for step in &steps[..5] {
        let result = serde_json::json!(["/wallaroo/ami/0.6.1"]);
        live.apply(&Event::Done { step: step.clone(), result, took_ms: 3000 }, now);
    }
    live.apply(&Event::Failed { step: steps[5].clone(), error: "denied".to_owned() }, now);
    for number in 0..6 {
        live.apply(&Event::Waited { wait: 9000 + number, on: String::new(), took_ms: 3000 }, now);
    }
    (live, now)
}

#[test]
fn while_parameters_are_written_a_line_says_in_how_many_regions_they_are() {
    let mut all = String::new();
    for width in [60, 80, 100, 200] {
        for regions in [&played::FOURTEEN[..], &played::THIRTY_FOUR[..]] {
            let (live, now) = naming(regions);
            let lines = live.lines(now, width, 50);
            assert!(lines.iter().all(|line| width_of(line) < width), "{lines:#?}");
            all += &format!("{width}\n{}\n\n", lines.join("\n"));
        }
    }
    snapshot::expect("live-naming", &(anstream::adapter::strip_str(all.trim_end()).to_string() + "\n"));
    let (mut live, now) = naming(&played::FOURTEEN);
    assert!(live.sentence(now).is_some_and(|sentence| sentence.contains("5 of 14 regions, 1 failed")));
    for region in &played::FOURTEEN[6..] {
        let step = format!("parameters {region}").parse().expect("a step");
        live.apply(&Event::Done { step, result: serde_json::Value::Null, took_ms: 4000 }, now);
    }
    assert!(!live.lines(now, 80, 50).join("").contains("Writing"), "it is over");
}

/// A build that is resumed when its home image is available, and the copy to eu-west-1 ordered.
fn resumed() -> Live {
    let mut live = Live::default();
    let span = |secs: u64| serde_json::json!({ "low_ms": 0, "median_ms": secs * 1000, "high_ms": secs * 1000 });
    let estimated = serde_json::json!({ "event": "progress", "what": "estimated", "work": "rest", "builds": 2,
        "whole": span(1800), "phases": { "machine": span(600), "packages": span(600), "copies": span(1200) } });
    let about = crate::fixture::about();
    live.apply(&Event::Resumed {}, Duration::ZERO);
    live.resumes(&about);
    live.apply(&serde_json::from_value(estimated).expect("an event"), Duration::ZERO);
    live
}

fn intended(step: &str) -> Event {
    Event::Intended { step: step.parse().expect("a step"), by: "by".into() }
}

#[test]
fn a_phase_that_is_not_repeated_is_not_waited_for_once_a_later_one_has_begun() {
    let mut live = resumed();
    assert_eq!(live.left_words(Duration::ZERO), ", 0–40m left");
    live.apply(&intended("bake packages"), Duration::ZERO);
    assert_eq!(live.left_words(Duration::ZERO), ", 0–30m left");
    live.apply(&intended("available eu-west-1"), Duration::ZERO);
    assert_eq!(live.left_words(Duration::ZERO), ", 0–20m left");
}

#[test]
fn a_default_counts_what_is_left_to_do_and_not_the_time_since_the_build_began() {
    let mut live = resumed();
    let default = Estimate::by_default(Duration::from_secs(820), |_| true);
    let estimated = Event::Progress { progress: Progress::Estimated { estimate: default } };
    live.apply(&estimated, Duration::ZERO);
    assert_eq!(live.left_words(Duration::ZERO), ", 14–27m left, by default");
    live.apply(&intended("available eu-west-1"), Duration::ZERO);
    assert_eq!(live.left_words(Duration::ZERO), ", 8–16m left, by default", "it is copied at once");
    live.apply(&intended("publish"), Duration::from_secs(9000));
    assert_eq!(live.left_words(Duration::from_secs(9000)), ", <1m left, by default", "however long it took so far");
}

#[test]
fn an_estimate_is_partly_a_default_until_those_phases_are_over() {
    let mut live = resumed();
    let span = estimate::Span::by_default(Duration::from_secs(600));
    let phases = [(Phase::Machine, span), (Phase::Image, span)].into();
    let estimate = Estimate { builds: 2, phases, by_default: [Phase::Machine].into(), ..Estimate::default() };
    live.apply(&Event::Progress { progress: Progress::Estimated { estimate } }, Duration::ZERO);
    assert_eq!(live.left_words(Duration::ZERO), ", 20–40m left, partly by default");
    live.apply(&intended("bake sealed i-1"), Duration::ZERO);
    assert_eq!(live.left_words(Duration::ZERO), ", 10–20m left");
}

#[test]
fn an_image_and_copies_that_say_nothing_of_themselves_take_as_long_as_earlier_ones() {
    let mut live = resumed();
    let span =
        |low: u64, high: u64| estimate::Span { low_ms: low * 60_000, median_ms: high * 60_000, high_ms: high * 60_000 };
    let phases = [(Phase::Image, span(4, 6))].into();
    let estimate =
        Estimate { builds: 2, phases, copies: [("eu-west-1".to_owned(), span(10, 14))].into(), ..Estimate::default() };
    live.apply(&Event::Progress { progress: Progress::Estimated { estimate } }, Duration::ZERO);
    let pending =
        |wait, on: &str| Event::Waiting { wait, on: on.to_owned(), state: "pending".to_owned(), source: None };
    let lines = |live: &Live, secs| {
        let lines = live.lines(Duration::from_secs(secs), 100, 50).join("\n");
        anstream::adapter::strip_str(&lines).to_string()
    };
    live.apply(&intended("available us-west-2"), Duration::ZERO);
    live.apply(&pending(1, "ami-1 in us-west-2"), Duration::ZERO);
    assert!(lines(&live, 60).contains("ami-1, 3–5m left: pending\n"), "{}", lines(&live, 60));
    assert!(lines(&live, 400).contains("ami-1: pending\n"), "it takes longer than ever: {}", lines(&live, 400));
    live.apply(&intended("available eu-west-1"), Duration::ZERO);
    live.apply(&pending(2, "ami-2 in eu-west-1"), Duration::ZERO);
    let copying = lines(&live, 120);
    assert!(copying.contains("to 1 region, 0 ready, 8–12m left\n"), "{copying}");
    assert!(copying.contains("    eu-west-1   …  8–12m\n"), "{copying}");
}

#[test]
fn a_copy_that_went_on_meanwhile_takes_as_long_as_it_does_now() {
    let mut live = resumed();
    let waiting = |state: &str| {
        let (on, state) = ("ami-2 in eu-west-1".to_owned(), state.to_owned());
        Event::Waiting { wait: 1, on, state, source: None }
    };
    live.apply(&intended("available eu-west-1"), Duration::ZERO);
    live.apply(&waiting("pending, 60%"), Duration::from_secs(2));
    // Not two seconds for each 60 per cent.
    assert_eq!(live.slowest_left(Duration::from_secs(2)), None);
    live.apply(&waiting("pending, 70%"), Duration::from_secs(102));
    let left = (Duration::from_secs(240), Duration::from_secs(375));
    assert_eq!(live.slowest_left(Duration::from_secs(102)), Some(left));
    let home =
        Event::Waiting { wait: 2, on: "ami-1 in us-west-2".to_owned(), state: "pending, 60%".to_owned(), source: None };
    live.apply(&intended("available us-west-2"), Duration::from_secs(102));
    live.apply(&home, Duration::from_secs(103));
    let lines = live.lines(Duration::from_secs(103), 100, 50).join("\n");
    let lines = anstream::adapter::strip_str(&lines).to_string();
    assert!(lines.contains("ami-1, 60%\n"), "{lines}");
}

#[test]
fn an_error_and_the_end_leave_nothing_in_progress() {
    for event in [Event::Error { text: String::new() }, Event::Ended { how: crate::event::How::Failed, left: true }] {
        let (mut live, now) = live(&played::FOURTEEN, 20);
        assert!(!live.lines(now, 80, 24).is_empty());
        let waits: Vec<u64> = live.waits.iter().map(|wait| wait.number).collect();
        live.apply(&event, now);
        for wait in waits {
            live.apply(&Event::Waited { wait, on: String::new(), took_ms: 1 }, now);
        }
        assert_eq!(live.lines(now, 80, 24), [""; 0]);
        assert_eq!(live.sentence(now), None);
    }
}

#[test]
fn a_check_that_fails_is_seen_at_once() {
    let (mut live, now) = live(&played::FOURTEEN, 640);
    let line = "not ok siblings: cpu1 is online".to_owned();
    live.apply(&Event::Output { source: "verify".to_owned(), line }, now);
    let lines = live.lines(now, 100, 50).join("\n");
    let lines = anstream::adapter::strip_str(&lines).to_string();
    assert!(lines.contains("checks passed, 1 failed: siblings: cpu1 is online"), "{lines}");
    assert!(live.sentence(now).is_some_and(|sentence| sentence.contains("1 failed: siblings")));
}

#[test]
fn a_check_that_is_skipped_is_not_counted_as_passed() {
    let (mut live, now) = live(&played::FOURTEEN, 640);
    let before = live.sentence(now).expect("a verification");
    let line = "skipped memory: the machine has little".to_owned();
    live.apply(&Event::Output { source: "verify".to_owned(), line }, now);
    assert!(before.contains(" checks passed"), "{before}");
    assert_eq!(live.sentence(now), Some(before));
}

#[test]
fn per_cent_are_read_from_states() {
    for (state, expected) in [
        ("pending, 40%", Some(40)),
        ("7 %", Some(7)),
        ("100%", Some(100)),
        ("pending", None),
        ("%", None),
        ("101%", None),
    ] {
        assert_eq!(per_cent(state), expected, "{state}");
    }
}

#[test]
fn whatever_is_printed_and_awaited_each_line_is_one_on_terminals_of_any_width() {
    let (played, now) = live(&played::FOURTEEN, 100);
    for width in [0, 1, 2, 13, 60, 80] {
        check(
            50,
            text("\u{1b}[2J\u{1b}]0;title\nGet:1 http://m \r 5%\t日本語 👩‍👩‍👧‍👦\n"),
            |text| {
                let mut live = played.clone();
                let said = || text.clone();
                for event in [
                    Event::Output { source: "bake".to_owned(), line: said() },
                    Event::Output { source: "make-machida".to_owned(), line: said() },
                    Event::Waiting { wait: 9999, on: said(), state: said(), source: None },
                ] {
                    live.apply(&event, now);
                }
                for line in live.lines(now + Duration::from_secs(1), width, 24) {
                    assert!(width_of(&line) < width.max(1), "{line:?}");
                    let rest = anstream::adapter::strip_str(&line).to_string();
                    assert!(!rest.contains(char::is_control), "{line:?}");
                }
            },
        );
    }
}

#[test]
fn a_binary_on_its_way_has_a_line_beside_the_packages() {
    let (mut live, now) = live(&played::FOURTEEN, 100);
    let lines = |live: &Live| {
        let lines = live.lines(now, 100, 50).join("\n");
        anstream::adapter::strip_str(&lines).to_string()
    };
    let before = lines(&live);
    assert!(before.contains("Installing") && !before.contains("Uploading"), "{before}");
    let (source, on) = ("bake".to_owned(), "uploading machida".to_owned());
    live.apply(&Event::Waiting { wait: 9999, on: on.clone(), state: String::new(), source: Some(source.clone()) }, now);
    live.apply(&Event::Sent { source, sent_bytes: 1 << 20, total_bytes: 4 << 20, took_ms: 1000 }, now);
    let during = lines(&live);
    assert!(during.contains("   Uploading     0s machida, 1.0 of 4.0 MiB\n"), "{during}");
    assert_eq!(during.lines().count(), before.lines().count() + 1, "{during}");
    live.apply(&Event::Waited { wait: 9999, on, took_ms: 2000 }, now);
    assert_eq!(lines(&live), before);
}

#[test]
fn what_is_still_being_uploaded_once_all_else_is_ready_counts_down_the_payload() {
    let mut live = resumed();
    let span = |low: u64| estimate::Span { low_ms: low * 60_000, median_ms: low * 60_000, high_ms: low * 60_000 };
    let phases = [(Phase::Make, span(5)), (Phase::Payload, span(10))].into();
    let estimate = Estimate { builds: 2, phases, ..Estimate::default() };
    let done = |step: &str| {
        let (step, result) = (step.parse().expect("a step"), serde_json::Value::Null);
        Event::Done { step, result, took_ms: 1 }
    };
    let mins = |mins: u64| Duration::from_secs(60 * mins);
    live.apply(&Event::Progress { progress: Progress::Estimated { estimate } }, Duration::ZERO);
    for step in ["binaries", "bake packages"] {
        live.apply(&intended(step), Duration::ZERO);
    }
    live.apply(&done("bake packages"), mins(1));
    assert_eq!(live.left_words(mins(1)), ", 15m left", "make is not over");
    live.apply(&done("binaries"), mins(2));
    assert_eq!(live.left_words(mins(4)), ", 8m left");
    live.apply(&intended("bake sealed i-1"), mins(5));
    assert_eq!(live.left_words(mins(6)), ", 6m left");
}
