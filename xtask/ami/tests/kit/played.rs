//! The events of a release that never was, to look at: each with the milliseconds since its beginning.

use serde_json::{Value, json};
use xtask_ami::event::Event;

/// The regions of the file `regions`.
pub const FOURTEEN: [&str; 14] = [
    "ap-northeast-1",
    "ap-northeast-2",
    "ap-southeast-1",
    "ap-southeast-2",
    "ca-central-1",
    "eu-central-1",
    "eu-west-1",
    "eu-west-2",
    "eu-west-3",
    "sa-east-1",
    "us-east-1",
    "us-east-2",
    "us-west-1",
    "us-west-2",
];

/// As many as an account may have enabled.
pub const THIRTY_FOUR: [&str; 34] = [
    "af-south-1",
    "ap-east-1",
    "ap-east-2",
    "ap-northeast-1",
    "ap-northeast-2",
    "ap-northeast-3",
    "ap-south-1",
    "ap-south-2",
    "ap-southeast-1",
    "ap-southeast-2",
    "ap-southeast-3",
    "ap-southeast-4",
    "ap-southeast-5",
    "ap-southeast-7",
    "ca-central-1",
    "ca-west-1",
    "eu-central-1",
    "eu-central-2",
    "eu-north-1",
    "eu-south-1",
    "eu-south-2",
    "eu-west-1",
    "eu-west-2",
    "eu-west-3",
    "il-central-1",
    "me-central-1",
    "me-south-1",
    "mx-central-1",
    "sa-east-1",
    "us-east-1",
    "us-east-2",
    "us-gov-west-1",
    "us-west-1",
    "us-west-2",
];

const HOME: &str = "us-west-2";
const BAKED_ON: &str = "i-0c429a18d2e70a415";
const VERIFIED_ON: &str = "i-0fedcba9876543210";
const IMAGE: &str = "ami-0d14dd8ce931d3474";

/// What happens when.
pub struct Played(Vec<(u64, Event)>);

impl Played {
    fn at(&mut self, secs: f64, event: Value) {
        let event = serde_json::from_value(event.clone()).unwrap_or_else(|error| panic!("{error}: {event}"));
        self.0.push(((secs * 1000.0) as u64, event));
    }

    /// A step, with its result.
    fn step(&mut self, from: f64, to: f64, step: &str, result: Value) {
        self.at(from, json!({ "event": "intended", "step": step, "by": BAKED_ON }));
        let took_ms = ((to - from) * 1000.0) as u64;
        self.at(to, json!({ "event": "done", "step": step, "result": result, "took_ms": took_ms }));
    }

    /// A wait, with its states.
    fn wait(&mut self, from: f64, to: f64, on: &str, states: &[String]) {
        let wait = self.0.len();
        self.at(from, json!({ "event": "waiting", "wait": wait, "on": on, "state": "" }));
        for (number, state) in states.iter().enumerate() {
            let at = from + (to - from) * (number + 1) as f64 / (states.len() + 1) as f64;
            self.at(at, json!({ "event": "waiting", "wait": wait, "on": on, "state": state }));
        }
        self.at(to, json!({ "event": "waited", "wait": wait, "on": on, "took_ms": ((to - from) * 1000.0) as u64 }));
    }

    /// Lines that are printed from one time to another.
    fn output(&mut self, from: f64, to: f64, source: &str, lines: impl IntoIterator<Item = String>) {
        let lines: Vec<String> = lines.into_iter().collect();
        for (number, line) in lines.iter().enumerate() {
            let at = from + (to - from) * (number + 1) as f64 / (lines.len() + 1) as f64;
            self.at(at, json!({ "event": "output", "source": source, "line": line }));
        }
    }

    /// A file that is sent to the machine.
    fn sent(&mut self, from: f64, to: f64, total_bytes: u64) {
        let parts = ((to - from) * 2.0) as u64;
        for number in 0..=parts {
            let sent_bytes = total_bytes * number / parts;
            let sent = json!({ "event": "sent", "source": "bake", "sent_bytes": sent_bytes, "total_bytes": total_bytes, "took_ms": number * 500 });
            self.at(from + number as f64 * 0.5, sent);
        }
    }

    /// A binary that is uploaded ahead of the payload.
    fn early_upload(&mut self, from: f64, name: &str) {
        let (to, wait) = (from + 2.5, self.0.len());
        self.at(from, json!({ "event": "progress", "what": "uploading_binary", "binary": name }));
        let on = format!("uploading {name}");
        self.at(from, json!({ "event": "waiting", "wait": wait, "on": on, "state": "", "source": "bake" }));
        self.sent(from, to, 5_123_456);
        self.at(to, json!({ "event": "waited", "wait": wait, "on": on, "took_ms": 2500 }));
        let uploaded = json!({ "event": "progress", "what": "uploaded", "binary": name, "size_bytes": 5_123_456, "took_ms": 2500 });
        self.at(to, uploaded);
    }

    fn make(&mut self) {
        self.at(0.4, json!({ "event": "intended", "step": "binaries", "by": "" }));
        let binaries = [("machida", 183.0), ("cluster_shutdown", 21.0), ("data_receiver", 33.0), ("sender", 28.0)];
        let mut from = 0.5;
        for (number, (name, secs)) in (1..).zip(binaries) {
            let goal = format!("build-{name}");
            self.at(from, json!({ "event": "progress", "what": "building", "binary": name, "goal": goal, "number": number, "of": 4 }));
            let folder = format!("make[1]: Entering directory '/home/me/wallaroo/{name}'");
            let parts = (1..40).map(|part| match part % 4 {
                0 => format!("Generating part {part} of {name}"),
                1 => format!(
                    "Linking lib{name}{part}.a with -O3 -march=sandybridge --as-needed and a lot of other flags"
                ),
                _ => format!("ponyc --path=lib:{name}/{part} --output=build --cpu=sandybridge -D release"),
            });
            self.output(from, from + secs, &format!("make-{name}"), [folder].into_iter().chain(parts));
            from += secs;
            let built = json!({ "event": "progress", "what": "built", "binary": name, "size_bytes": 5_123_456, "took_secs": secs as u64 });
            self.at(from, built);
        }
        self.at(from + 0.2, json!({ "event": "done", "step": "binaries", "result": [], "took_ms": 265_000 }));
    }

    fn machine(&mut self) {
        self.step(0.4, 1.1, "base", json!({}));
        self.step(1.1, 2.8, "bake access", Value::Null);
        self.step(2.8, 4.7, "bake launch", json!(BAKED_ON));
        self.step(4.7, 49.0, "bake login", Value::Null);
        self.wait(
            4.8,
            49.0,
            &format!("a login on {BAKED_ON}"),
            &["connection refused".to_owned(), "no answer".to_owned()],
        );
        self.step(49.0, 131.0, "bake packages", Value::Null);
        let begin = ["Reading package lists...", "2 upgraded, 34 newly installed, 0 to remove and 5 not upgraded."];
        let each = |verb: &'static str| {
            (1..=36).map(move |number| format!("{verb} libexample{number} (1.0.2g-1ubuntu4.{number}) ..."))
        };
        let lines = begin.map(str::to_owned).into_iter().chain(each("Unpacking")).chain(each("Setting up"));
        self.output(49.0, 131.0, "bake", lines);
        // The first one is on the machine long before the packages are; the last one when it is built.
        let built = [("machida", 183.6), ("cluster_shutdown", 204.6), ("data_receiver", 237.6), ("sender", 265.6)];
        for (name, from) in built {
            self.early_upload(from, name);
        }
        let sealed = format!("bake sealed {BAKED_ON}");
        self.at(268.0, json!({ "event": "intended", "step": sealed, "by": BAKED_ON }));
        self.sent(268.5, 287.5, 41_943_040);
        self.at(287.5, json!({ "event": "progress", "what": "uploaded", "size_bytes": 41_943_040, "took_ms": 19_000 }));
        self.step(288.0, 293.0, "bake install", Value::Null);
        self.output(288.0, 293.0, "bake", ["provision.sh: /usr/bin/machida".to_owned()]);
        self.step(293.0, 297.0, "bake seal", Value::Null);
        self.at(297.0, json!({ "event": "done", "step": sealed, "result": {}, "took_ms": 29_000 }));
        self.step(297.0, 335.0, "bake stop", Value::Null);
        self.wait(297.1, 335.0, &format!("{BAKED_ON} to stop"), &["stopping".to_owned()]);
        self.step(335.0, 336.0, "image us-west-2", json!(IMAGE));
        self.step(336.0, 549.0, "available us-west-2", json!({ "id": IMAGE }));
        let states = (1..20).map(|part| format!("pending, {}%", part * 5)).collect::<Vec<_>>();
        self.wait(336.1, 549.0, &format!("{IMAGE} in us-west-2"), &states);
    }

    fn copies(&mut self, regions: &[&str]) {
        let mut last = 0.0_f64;
        for (number, region) in regions.iter().filter(|region| **region != HOME).enumerate() {
            let spread = (number * 37 % 23) as f64;
            let to = 850.0 + 16.0 * spread;
            last = last.max(to);
            self.step(549.1, 550.5, &format!("copy {region}"), json!("ami-0123456789abcdef0"));
            let states = (1..25).map(|part| format!("pending, {}%", part * 4)).collect::<Vec<_>>();
            self.wait(550.6, to, &format!("ami-0123456789abcdef0 in {region}"), &states);
            self.step(550.5, to, &format!("available {region}"), json!({ "id": "ami-0123456789abcdef0" }));
        }
        let copies = regions.len() - 1;
        let took_ms = ((last - 549.1) * 1000.0) as u64;
        self.at(
            last + 0.1,
            json!({ "event": "progress", "what": "copied", "image": IMAGE, "regions": copies, "took_ms": took_ms }),
        );
        self.step(last + 0.2, last + 6.6, "publish", Value::Null);
        self.at(last + 7.0, json!({ "event": "ended", "how": "done", "left": false }));
    }

    fn verification(&mut self) {
        self.at(549.1, json!({ "event": "intended", "step": format!("verify {IMAGE}"), "by": "" }));
        self.step(549.2, 551.0, "verify access", Value::Null);
        self.step(551.0, 553.1, "verify launch", json!(VERIFIED_ON));
        self.step(553.1, 610.0, "verify login", Value::Null);
        self.wait(553.2, 610.0, &format!("a login on {VERIFIED_ON}"), &["connection refused".to_owned()]);
        self.at(549.2, json!({ "event": "checked", "name": "on the disk: no authorized keys", "fault": null }));
        let checks = (1..30).map(|number| format!("ok part {number} of the image is as it was built"));
        let checks = checks.chain(["skipped hyperthreads: the machine has none".to_owned()]);
        self.output(610.0, 645.0, "verify", checks);
        let checks: Vec<Value> =
            (0..31).map(|number| json!({ "name": format!("check {number}"), "fault": null })).collect();
        let verified = json!({ "seen": { "checks": checks }, "instance": VERIFIED_ON });
        self.at(
            646.0,
            json!({ "event": "done", "step": format!("verify {IMAGE}"), "result": verified, "took_ms": 96_900 }),
        );
        self.wait(646.1, 690.0, &format!("{VERIFIED_ON} to terminate"), &["shutting-down".to_owned()]);
        self.wait(549.1, 590.0, &format!("{BAKED_ON} to terminate"), &["shutting-down".to_owned()]);
    }
}

/// A public release in these regions.
pub fn release(regions: &[&str]) -> Vec<(u64, Event)> {
    let mut played = Played(Vec::new());
    let about = json!({
        "id": "20261127T220000Z-0.6.1-ab12", "version": "0.6.1", "name": "Wallaroo 0.6.1", "began": "2026-11-27T22:00:00Z",
        "root": "/home/me/wallaroo", "commit": "c0ffee", "branch": "release", "dirty": false, "local": false,
        "build_region": HOME, "regions": regions, "private": false, "shared_with": [], "system": "ubuntu-16.04",
        "call": { "words": [], "folder": "/" }, "inputs": {},
    });
    played.at(0.0, json!({ "event": "began", "format": 2, "build": about }));
    for (label, fact) in [
        ("Account", "111122223333 (builder)"),
        ("Base", "ubuntu-xenial-16.04, ami-0a00000000001"),
        ("Cost", "about 0.11 USD"),
    ] {
        played.at(0.1, json!({ "event": "progress", "what": "fact", "label": label, "fact": fact }));
    }
    let span = |secs: u64| json!({ "low_ms": secs * 900, "median_ms": secs * 1000, "high_ms": secs * 1200 });
    let phases = json!({ "make": span(265), "machine": span(48), "packages": span(80), "payload": span(30), "image": span(250),
        "copies": span(600), "verification": span(95), "publication": span(6) });
    let copies = json!({ "sa-east-1": span(600), "eu-west-1": span(400) });
    played.at(0.1, json!({ "event": "progress", "what": "estimated", "builds": 5, "whole": span(1151), "phases": phases, "copies": copies }));
    let called = json!({ "event": "called", "action": "RunInstances", "region": HOME, "took_ms": 1900, "status": 200 });
    played.at(4.7, called);
    let ran = json!({ "event": "ran", "source": "bake", "command": "cat /etc/machine-id", "took_ms": 120, "how": "exit status 0" });
    played.at(49.0, ran);
    played.make();
    played.machine();
    played.verification();
    played.copies(regions);
    played.0.sort_by_key(|(at_ms, _)| *at_ms);
    played.0
}
