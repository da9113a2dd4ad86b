use serde_json::{Value, json};

use super::*;
use crate::{
    event::{Event, Line, promotion::Promotion, step::Step},
    fixture,
    record::history::Build,
};

const HOME: &str = "us-west-2";

fn region(name: &str) -> Region {
    name.parse().expect("a region")
}

/// The state after a build began and these steps were done, each with its result and the seconds that it took.
fn after(steps: &[(&str, Value, u64)]) -> State {
    let mut state = State::default();
    let began = Event::Began { format: crate::event::FORMAT, build: Box::new(fixture::about()) };
    state.apply(&Line { at: "2026-11-22T00:00:00.000Z".to_owned(), event: began });
    let mut at = 0;
    for (step, result, secs) in steps {
        let step: Step = step.parse().expect("a step");
        at += secs;
        let at = format!("2026-11-22T00:{:02}:{:02}.000Z", at / 60, at % 60);
        let intended = Event::Intended { step: step.clone(), by: "by".into() };
        let done = Event::Done { step, result: result.clone(), took_ms: secs * 1000 };
        state.apply(&Line { at: at.clone(), event: intended });
        state.apply(&Line { at, event: done });
    }
    state
}

/// The steps of a whole release, in their order.
fn steps() -> Vec<(&'static str, Value, u64)> {
    vec![
        ("binaries", json!([]), 100),
        ("base", base(), 1),
        ("bake launch", json!("i-1"), 9),
        ("bake login", Value::Null, 40),
        ("bake packages", Value::Null, 80),
        ("bake sealed i-1", json!({}), 30),
        ("bake stop", Value::Null, 20),
        ("image us-west-2", json!("ami-1"), 1),
        ("available us-west-2", json!({ "id": "ami-1" }), 199),
        ("verify ami-1", json!({}), 60),
        ("copy eu-west-1", json!("ami-2"), 1),
        ("available eu-west-1", json!({ "id": "ami-2" }), 400),
        ("publish", Value::Null, 10),
    ]
}

fn base() -> Value {
    json!({ "id": "ami-0", "name": "a base", "system": "ubuntu-16.04" })
}

fn kind(regions: &[Region]) -> Kind<'_> {
    let made_in = regions.iter().find(|region| region.as_str() == HOME).expect("the build region");
    Kind {
        local: false,
        promotes: false,
        skips_build: false,
        reuses_base: false,
        opens: true,
        instance_type: None,
        made_in,
        regions,
    }
}

fn history(states: &[State]) -> History {
    History(states.iter().filter_map(Build::of).collect())
}

/// What is left of a release in two regions after so many of its steps, as one whole release took.
fn rest(steps_done: usize) -> Option<Estimate> {
    let regions = ["eu-west-1", HOME].map(region);
    history(&[after(&steps())]).rest(&kind(&regions), &after(&steps()[..steps_done]))
}

/// The seconds that phases take at least and in the median; those alone that are left.
fn phases(estimate: &Estimate) -> Vec<(Phase, u64, u64)> {
    estimate.phases.iter().map(|(phase, span)| (*phase, span.low_ms / 1000, span.median_ms / 1000)).collect()
}

#[test]
fn what_the_journal_has_as_done_is_not_left() {
    let begun = rest(0).expect("an estimate");
    assert_eq!((begun.work, begun.builds, begun.phases.len()), (Work::Rest, 1, 8));
    let built = rest(1).expect("an estimate");
    assert!(!built.phases.contains_key(&Phase::Make), "{built:?}");
    let home = rest(9).expect("an estimate");
    let left = [(Phase::Copies, 300, 400), (Phase::Verification, 45, 60), (Phase::Publication, 7, 10)];
    assert_eq!(phases(&home), left);
    // Copies and verification run side by side.
    assert_eq!(home.whole.median_ms, 410_000);
    assert_eq!(phases(&rest(12).expect("an estimate")), [(Phase::Publication, 7, 10)]);
    assert_eq!(rest(13), None, "nothing is left that takes time");
}

#[test]
fn what_may_have_gone_on_meanwhile_takes_anything_from_nothing_to_all() {
    // On a machine that may still run.
    let machine = rest(4).expect("an estimate");
    assert!(machine.phases[&Phase::Packages].low_ms == 0 && machine.phases[&Phase::Packages].median_ms == 80_000);
    let ordered = rest(8).expect("an estimate");
    let image = (Phase::Image, 0, 220);
    assert_eq!(phases(&ordered)[0], image, "what it is made of is not needed any more");
    let copied = rest(11).expect("an estimate");
    assert_eq!(phases(&copied)[0], (Phase::Copies, 0, 400));
    assert!(copied.copies.is_empty(), "nobody knows how far it is: {copied:?}");
    assert_eq!(rest(10).expect("an estimate").copies["eu-west-1"].median_ms, 400_000);
}

#[test]
fn nothing_is_said_where_earlier_builds_do_not_tell_about_all_that_is_left() {
    let regions = ["eu-west-1", HOME].map(region);
    let (none, begun) = (history(&[]), after(&steps()[..9]));
    assert_eq!(none.rest(&kind(&regions), &begun), None);
    // It has no copy and no publication.
    let short = history(&[after(&steps()[..10])]);
    assert_eq!(short.rest(&kind(&regions), &begun), None);
    assert_eq!(short.rest(&kind(&regions[1..]), &begun), None);
    let private = Kind { opens: false, ..kind(&regions[1..]) };
    assert_eq!(phases(&short.rest(&private, &begun).expect("an estimate")), [(Phase::Verification, 45, 60)]);
}

#[test]
fn a_phase_that_was_cut_short_says_nothing() {
    // The image was ordered, and the build ended before it was available.
    let history = history(&[after(&steps()[..8])]);
    let regions = [region(HOME)];
    let image = Kind { opens: false, ..kind(&regions) };
    let estimate = history.estimate(&image, Duration::from_secs(600));
    assert_eq!(estimate.by_default, [Phase::Image, Phase::Verification].into(), "{estimate:?}");
}

/// A promotion of an image in the build region whose copies took so long.
fn promoted(secs: u64) -> State {
    let steps = [
        ("copy eu-west-1", json!("ami-5"), 1),
        ("available eu-west-1", json!({ "id": "ami-5" }), secs),
        ("copy us-west-2", json!("ami-6"), 1),
        ("available us-west-2", json!({ "id": "ami-6" }), secs / 2),
        ("publish", Value::Null, 10),
    ];
    let mut state = after(&steps);
    let promotion: Promotion = serde_json::from_value(promotion()).expect("a promotion");
    state.about.as_mut().expect("a build").promotes = Some(Box::new(promotion));
    state
}

fn promotion() -> Value {
    json!({
        "image": "ami-1", "region": HOME, "version": "0.6.1-rc1", "name": "Wallaroo 0.6.1-rc1", "description": "",
        "build": "b", "commit": "c0ffee", "made_of": "i-1", "system": "ubuntu-16.04", "verified": "then", "sha256": {},
    })
}

#[test]
fn a_promotion_is_told_by_promotions_or_else_by_the_copies_of_builds() {
    let regions = ["eu-west-1", "sa-east-1", HOME].map(region);
    let kind = Kind { promotes: true, ..kind(&regions) };
    let of = |states: &[State]| history(states).promotion(&kind, Duration::ZERO);
    let by_build = of(&[after(&steps())]).expect("an estimate");
    assert_eq!((by_build.work, by_build.builds), (Work::Promotion, 1));
    assert_eq!(phases(&by_build), [(Phase::Copies, 300, 400), (Phase::Publication, 7, 10)]);
    let by_promotion = of(&[promoted(200), after(&steps())]).expect("an estimate");
    assert_eq!(phases(&by_promotion)[0].2, 200, "{by_promotion:?}");
    assert_eq!(by_promotion.copies[HOME].median_ms, 100_000, "the region of the candidate has a copy, too");
    assert_eq!(of(&[]), None);
    let by_default = history(&[]).promotion(&kind, Duration::from_secs(600)).expect("a default");
    assert_eq!((by_default.builds, by_default.whole.low_ms), (0, 600_000));
    // A build learns nothing of a promotion.
    let build = Kind { promotes: false, ..kind };
    assert_eq!(history(&[promoted(200)]).estimate(&build, Duration::from_secs(600)).builds, 0);
}

#[test]
fn of_a_promotion_that_is_resumed_the_copies_that_are_not_available_are_left() {
    let regions = ["eu-west-1", HOME].map(region);
    let kind = Kind { promotes: true, ..kind(&regions) };
    let mut begun = after(&[("copy us-west-2", json!("ami-6"), 1), ("available us-west-2", json!({}), 100)]);
    begun.about = promoted(1).about;
    let rest = history(&[promoted(200)]).rest(&kind, &begun).expect("an estimate");
    assert_eq!(rest.copies.keys().collect::<Vec<_>>(), ["eu-west-1"]);
    assert_eq!(phases(&rest), [(Phase::Copies, 150, 200), (Phase::Publication, 7, 10)]);
}
