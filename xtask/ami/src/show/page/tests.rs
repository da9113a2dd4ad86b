use camino::Utf8Path;
use serde_json::{Value, json};

use super::{base64, html, write};
use crate::{
    fixture,
    record::{
        folder::{JOURNAL, PAGE},
        partial,
    },
};

mod timeline;

const FORMAT_1: &str = include_str!("../../record/journal/format-1.jsonl");
const FORMAT_2: &str = include_str!("../../record/journal/format-2.jsonl");

fn page(journal: &str) -> String {
    html(journal.as_bytes(), Utf8Path::new("/home/me/builds/b"), false).expect("a page")
}

/// A journal of these events, each with its time in milliseconds since the build began.
fn journal(events: &[(u64, Value)]) -> String {
    let began = json!({ "event": "began", "format": 2, "build": fixture::about() });
    let all = [(0, began)].into_iter().chain(events.iter().cloned());
    let line = |(ms, mut event): (u64, Value)| {
        event["at"] = json!(format!("2026-11-22T00:{:02}:{:02}.{:03}Z", ms / 60_000, ms / 1000 % 60, ms % 1000));
        format!("{event}\n")
    };
    all.map(line).collect()
}

fn intended(ms: u64, step: &str) -> (u64, Value) {
    (ms, json!({ "event": "intended", "step": step, "by": "" }))
}

fn done(ms: u64, step: &str) -> (u64, Value) {
    (ms, json!({ "event": "done", "step": step, "result": null, "took_ms": 0 }))
}

fn failed(ms: u64, step: &str) -> (u64, Value) {
    (ms, json!({ "event": "failed", "step": step, "error": "the disk is full" }))
}

#[test]
fn journals_of_each_format_have_a_page() {
    let one = page(FORMAT_1);
    for words in ["Wallaroo 0.6.1", "Interrupted", "the connection was lost", "cargo xtask ami resume"] {
        assert!(one.contains(words), "{words}");
    }
    let two = page(FORMAT_2);
    for words in ["Cut off", "ami-00000000000000006", "liblz4-1", "cargo xtask ami clean", "the critical path"] {
        assert!(two.contains(words), "{words}");
    }
}

#[test]
fn a_check_that_was_skipped_is_told_with_its_reason_and_not_as_passed() {
    let checks = json!([
        { "name": "the boot", "fault": null },
        { "name": "hyperthreads", "fault": null, "skipped": "the machine has none" },
    ]);
    let mut verified = done(2, "verify ami-1");
    verified.1["result"] = json!({ "seen": { "checks": checks }, "instance": "i-1" });
    let page = page(&journal(&[intended(1, "verify ami-1"), verified]));
    assert!(page.contains("1 of 2 checks of the booted image passed"));
    let line = page.lines().find(|line| line.contains("hyperthreads")).expect("the check");
    assert!(line.contains("skipped: the machine has none") && !line.contains("passed"), "{line}");
}

#[test]
fn a_verification_that_failed_has_its_checks_on_the_page_and_none_of_an_earlier_image() {
    let mut earlier = done(2, "verify ami-1");
    earlier.1["result"] = json!({ "seen": { "checks": [{ "name": "of the first image", "fault": null }] } });
    let checked = |name: &str, fault: Option<&str>| json!({ "event": "checked", "name": name, "fault": fault });
    let events = [
        intended(1, "verify ami-1"),
        earlier,
        intended(3, "verify ami-2"),
        (4, checked("the boot", None)),
        (4, checked("siblings", Some("cpu1 is online"))),
        failed(5, "verify ami-2"),
    ];
    let page = page(&journal(&events));
    assert!(page.contains("1 of 2 checks of the booted image passed") && !page.contains("of the first image"));
    let line = page.lines().find(|line| line.contains("siblings")).expect("the check");
    assert!(line.contains("failed: ") && line.contains("cpu1 is online"), "{line}");
}

/// A journal of a promotion, which found this of its candidate.
fn promotion(found: &Value) -> String {
    let mut about = serde_json::to_value(fixture::about()).expect("JSON");
    about["promotes"] = json!({
        "version": "0.6.1-rc1", "name": "Wallaroo 0.6.1-rc1", "region": "eu-central-1", "image": "ami-1",
        "build": "20260101T000000Z-0.6.1-rc1-cafe", "made_of": "i-1", "description": "", "system": "ubuntu-16.04",
        "commit": "c0ffee", "sha256": { "machida": "a5a5" }, "verified": "2026-01-01T00:00:00Z, 42 checks",
    });
    let at = "2026-11-22T00:00:00Z";
    let began = json!({ "at": at, "event": "began", "format": 2, "build": about });
    let known = json!({ "at": at, "event": "done", "step": "candidate", "result": found, "took_ms": 1 });
    let copied = json!({ "at": at, "event": "done", "step": "available us-west-2", "result": null, "took_ms": 1 });
    format!("{began}\n{known}\n{copied}\n")
}

#[test]
fn the_page_of_a_promotion_has_what_the_candidates_build_wrote_down() {
    let found = json!({
        "disk": {
            "base": { "id": "ami-0", "name": "the base of the candidate", "system": "ubuntu-16.04" },
            "sha256": { "/usr/bin/machida": "a5a5", "/etc/rc.local": "b6b6" },
            "packages": { "liblz4-1": "1.7.1" }, "machine_id": "",
        },
        "verification": { "checks": [{ "name": "the boot", "fault": null }] },
    });
    let found = page(&promotion(&found));
    for words in ["the base of the candidate", "b6b6", "liblz4-1", "1 of 1 checks", "Copy to us-west-2 is made"] {
        assert!(found.contains(words), "{words}");
    }
    let elsewhere = page(&promotion(&Value::Null)).replace("&#x2f;", "/");
    for words in ["/usr/bin/machida", "a5a5"] {
        assert!(elsewhere.contains(words), "{words}");
    }
    assert!(!elsewhere.contains("checks of the booted image"));
    for page in [&found, &elsewhere] {
        for words in ["Wallaroo 0.6.1-rc1", "eu-central-1", "20260101T000000Z-0.6.1-rc1-cafe", "42 checks"] {
            assert!(page.contains(words), "{words}");
        }
    }
}

/// The journal of a release in so many regions, the copies to which are under way at the same time.
fn wide(regions: usize) -> (Vec<String>, String) {
    let names: Vec<String> = (1..regions).map(|number| format!("eu-north-{number}")).collect();
    let mut events = vec![intended(0, "available us-west-2"), done(900, "available us-west-2")];
    for (number, region) in (0..).zip(&names) {
        let mut copied = done(1000 + number, &format!("copy {region}"));
        copied.1["result"] = json!(format!("ami-{number:017x}"));
        events.extend([intended(1000 + number, &format!("copy {region}")), copied]);
        events.push(intended(1000 + number, &format!("available {region}")));
    }
    events.extend((0..).zip(&names).map(|(number, region)| done(90_000 + number, &format!("available {region}"))));
    (names, journal(&events))
}

#[test]
fn with_many_regions_each_is_there_once_in_a_group_that_is_folded_up_and_low() {
    for (regions, is_folded) in [(41, false), (42, true), (200, true)] {
        let (names, journal) = wide(regions);
        let page = page(&journal);
        let group = page.split("<details").find(|group| group.contains("<span>Regions")).expect("the group");
        assert!(group.contains(&format!("<small>{} regions</small>", names.len())), "{regions}");
        let (open, class) = if is_folded { ("", " thin") } else { (" open", "") };
        assert!(group.starts_with(&format!("{open} class=\"group{class}\">")), "{regions}: {}", &group[..40]);
        let row_px = if is_folded { 16 } else { 24 };
        assert!(group.contains(&format!("<svg height=\"{}\"", names.len() * row_px)), "{regions}");
        let places: Vec<&str> = group.split("<rect class=\"shape").skip(1).collect();
        assert_eq!(places.len(), 2 * names.len(), "the order and the wait of each");
        let images = page.split("<table class=\"images\">").nth(1).expect("the table of the images");
        for (number, name) in names.iter().enumerate() {
            let count = |text: &str, part: &str| text.matches(part).count();
            assert_eq!(count(group, &format!(" title=\"{name}\"")), 1, "{name}");
            assert_eq!(count(images, &format!("<th scope=\"row\">{name}</th>")), 1, "{name}");
            assert_eq!(count(images, &format!("<code>ami-{number:017x}</code>")), 1, "{name}");
            assert_eq!(count(group, &format!("Copy to {name} is made: ")), 1, "{name}");
        }
    }
}

#[test]
fn a_journal_that_is_cut_off_anywhere_has_a_page() {
    for length in (0..FORMAT_2.len()).step_by(97).filter(|&length| FORMAT_2.is_char_boundary(length)) {
        let torn = page(&FORMAT_2[..length]);
        assert!(!torn.contains("of the journal cannot be read"), "{length}");
    }
}

#[test]
fn a_page_that_a_killed_process_was_writing_goes_with_the_next() {
    let (_guard, folder) = crate::fixture::folder();
    std::fs::write(folder.join(JOURNAL), FORMAT_2).expect("a journal");
    partial::file(&folder.join(PAGE)).expect("a file").keep().expect("it stays");
    write(&folder).expect("a page");
    let entries = folder.read_dir_utf8().expect("the folder").map(|entry| entry.expect("an entry"));
    let mut names: Vec<String> = entries.map(|entry| entry.file_name().to_owned()).collect();
    names.sort();
    assert_eq!(names, [JOURNAL, PAGE]);
}

#[test]
fn lines_that_cannot_be_read_are_told_and_the_others_shown() {
    let mut lines: Vec<&str> = FORMAT_2.lines().collect();
    lines[4] = "{\"at\":\"yesterday\",\"event\":\"resumed\"}";
    let two = page(&format!("{}\n", lines.join("\n")));
    assert!(two.contains("Line 5 of the journal cannot be read") && two.contains("liblz4-1"));
    let headless = page(&format!("{}\n", lines[5..].join("\n")));
    assert!(headless.contains("The line that says what is being built is missing") && headless.contains("<svg"));
    let newer = page(&FORMAT_2.replacen("\"format\":2", "\"format\":9", 1));
    assert!(newer.contains("The journal has format 9, and this tool knows up to 2"));
}

#[test]
fn damaged_journals_have_pages() {
    crate::ground::untrusted::check(200, crate::ground::untrusted::bytes(FORMAT_2), |bytes| {
        html(&bytes, Utf8Path::new("/b"), false).expect("a page");
    });
}

#[test]
fn text_of_the_journal_is_never_markup() {
    let evil = "</script><script>alert(1)</script><img src=x onerror=alert(2)>\" onfocus=\"alert(3)' x='";
    let mut about = serde_json::to_value(fixture::about()).expect("JSON");
    for field in ["name", "commit", "branch", "system", "profile", "id"] {
        about[field] = json!(evil);
    }
    about["inputs"] = json!({ evil: evil });
    let events = [
        (0, json!({ "event": "began", "format": 2, "build": about })),
        (1, json!({ "event": "progress", "what": "building", "binary": evil })),
        (2, json!({ "event": "progress", "what": "fact", "label": evil, "fact": evil })),
        (3, json!({ "event": "warned", "text": evil })),
        (4, json!({ "event": "waiting", "wait": 1, "on": format!("{evil} to terminate"), "state": "" })),
        (5, json!({ "event": "done", "step": "copy us-west-2", "result": evil, "took_ms": 1 })),
        (6, json!({ "event": "failed", "step": "publish", "error": evil })),
        (7, json!({ "event": "error", "text": evil })),
        (8, json!({ "event": "noted", "text": format!("to resume: cargo xtask ami resume {evil}") })),
        (9, json!({ "event": "ended", "how": "failed", "left": true })),
    ];
    let page = page(&journal(&events[1..]).lines().skip(1).fold(
        format!("{}\n", json!({ "at": "2026-11-22T00:00:00.000Z", "event": "began", "format": 2, "build": about })),
        |all, line| format!("{all}{line}\n"),
    ));
    assert_eq!(page.matches("<script>").count(), 1);
    assert_eq!(page.matches("</script>").count(), 1);
    assert!(!page.contains("<img") && !page.contains("\" onfocus") && page.contains("&lt;img src=x"));
    assert!(!page.contains("console.aws.amazon.com"), "an id that is none has no link");
}

#[test]
fn each_partition_has_its_own_console_and_other_endpoints_have_none() {
    let of_region = |region: &str, endpoint: Option<&str>| {
        let mut about = serde_json::to_value(fixture::about()).expect("JSON");
        about["identity"] = json!({ "kind": "ec2", "account": "111122223333", "endpoint": endpoint });
        let began = json!({ "at": "2026-11-22T00:00:00Z", "event": "began", "format": 2, "build": about });
        let at = "2026-11-22T00:00:01Z";
        let image = json!({ "at": at, "event": "seen", "region": region, "image": "ami-1", "open": false });
        page(&format!("{began}\n{image}\n"))
    };
    for (region, link) in [
        ("eu-west-1", "https://eu-west-1.console.aws.amazon.com/ec2/home?region=eu-west-1#ImageDetails:imageId=ami-1"),
        ("cn-north-1", "https://cn-north-1.console.amazonaws.cn/ec2/home?region=cn-north-1#"),
        ("us-gov-west-1", "https://console.amazonaws-us-gov.com/ec2/home?region=us-gov-west-1#"),
    ] {
        // The template engine escapes slashes as well.
        let page = of_region(region, None).replace("&#x2f;", "/");
        assert!(page.contains(link), "{region}");
        assert!(!of_region(region, Some("http://localhost:5000")).contains("console."), "{region}");
    }
    assert!(!of_region("us-iso-east-1", None).contains("console."));
}

#[test]
fn base64_is_as_its_standard_has_it() {
    for (bytes, text) in [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")] {
        assert_eq!(base64(bytes.as_bytes()), text);
    }
}
