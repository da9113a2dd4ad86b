//! How long a build takes, as `plan` tells it from an earlier one on this computer.

use serde_json::{Value, json};

use crate::*;

/// Puts a local build into a home whose image took so long, and that was ended before it was verified.
fn put_build(home: &Home, image_secs: u64) {
    let build = json!({
        "id": "b", "version": "0.6.0", "name": "Wallaroo 0.6.0", "began": "2026-11-22T00:00:00Z", "root": "/wallaroo",
        "commit": null, "branch": null, "dirty": false, "local": true, "identity": null, "profile": null,
        "build_region": "us-west-2", "regions": ["us-west-2"], "private": false, "shared_with": [], "expires_secs": null,
        "system": "debian-13", "call": { "words": [], "folder": "" }, "inputs": {},
    });
    let mut lines = vec![json!({ "at": "2026-11-22T00:00:00.000Z", "event": "began", "format": 2, "build": build })];
    let image = ("available us-west-2", image_secs);
    let steps = [("binaries", 1), ("bake login", 1), ("bake packages", 1), ("bake sealed i-1", 1), image];
    for (number, (step, secs)) in steps.into_iter().enumerate() {
        let at = format!("2026-11-22T0{}:00:00.000Z", number + 1);
        lines.push(json!({ "at": at, "event": "done", "step": step, "result": null, "took_ms": secs * 1000 }));
    }
    let journal: String = lines.iter().map(|line| format!("{line}\n")).collect();
    write(&home.path().join("builds/20261122T000000Z-0.6.0-3f9a/journal.jsonl"), journal);
}

#[test]
fn a_plan_as_json_has_the_estimate_that_its_text_has() {
    if skipped(missing(&support::QEMU).or(missing(&["mmdebstrap", "make"]))) {
        return;
    }
    let (home, (_guard, folder)) = (Home::new(), folder());
    let root = sample(&folder);
    let words = ["--regions", "us-west-2"];
    let planned = || {
        let ended = run(&mut home.ami([&["plan", "--json"], &release(&root, &words)[..]].concat()));
        assert_eq!(ended.code, Some(0), "{ended}");
        expect_valid(Document::Plan, &ended.stdout)
    };
    let secs = |plan: &Value, field: &str| plan[field].as_u64().expect("seconds");
    let default = planned();
    assert_eq!((&default["estimated_from_builds"], secs(&default, "estimated_secs") > 0), (&json!(0), true));
    assert!(default["estimated_by_default"].as_array().is_some_and(|phases| phases.len() > 5), "{default}");
    put_build(&home, 7200);
    let plan = planned();
    assert_eq!(plan["estimated_from_builds"], 1, "{plan}");
    assert_eq!(plan["estimated_by_default"], json!(["verification", "publication"]), "{plan}");
    let [least, about, most] =
        ["estimated_at_least_secs", "estimated_secs", "estimated_at_most_secs"].map(|field| secs(&plan, field));
    assert!(least >= 7200 * 3 / 4 && least < about && about >= 7200 && about < most, "{plan}");
    let ended = run(&mut home.ami([&["plan"], &release(&root, &words)[..]].concat()));
    let minutes = |secs: u64| (secs + 30) / 60;
    let range = format!("about {}h{:02}m–", minutes(least) / 60, minutes(least) % 60);
    let from = "from an earlier build, by default for verification and publication: image 2h";
    assert!(ended.stdout.contains(&range) && ended.stdout.contains(from), "{range}: {ended}");
}
