//! The stream of events: as JSON lines, as the journal, as the log, and as the report.

use camino::Utf8PathBuf;
use xtask::cli::Document;
use xtask_ami::{
    record::folder::{JOURNAL, LOG},
    show::terminal::Form,
};

use crate::{
    faults::{Fault, Plan},
    rig::{HOME, Rig},
    schema::expect_valid,
};

const REGIONS: [&str; 2] = ["eu-west-1", HOME];

/// The folder of the one build.
fn folder(rig: &Rig) -> Utf8PathBuf {
    let mut builds = rig.desk.home.path().join("builds").read_dir_utf8().expect("builds");
    builds.next().expect("a build").expect("an entry").path().to_owned()
}

fn read(folder: &Utf8PathBuf, name: &str) -> String {
    std::fs::read_to_string(folder.join(name)).expect(name)
}

#[tokio::test(start_paused = true)]
async fn every_line_is_an_event_of_the_documented_kind() {
    let mut rig = Rig::public(&REGIONS);
    rig.desk.form = Form::Json;
    let ended = rig.release().await;
    assert!(ended.outcome.is_ok(), "{}", ended.said);
    let mut kinds = std::collections::BTreeSet::new();
    for line in ended.said.lines() {
        let event = expect_valid(Document::Events, line);
        kinds.insert(event["event"].as_str().expect("a kind").to_owned());
    }
    let expected = ["began", "called", "done", "ended", "intended", "progress", "waited", "waiting"];
    assert!(expected.iter().all(|kind| kinds.contains(*kind)), "{kinds:?}");
    let folder = folder(&rig);
    let journal = read(&folder, JOURNAL);
    journal.lines().for_each(|line| drop(expect_valid(Document::Events, line)));
    assert!(journal.lines().count() > 50 && !journal.contains(r#""event":"called""#), "calls are in the log alone");
    let report = expect_valid(Document::Report, &read(&folder, "report.json"));
    assert_eq!(report["images"].as_array().map(Vec::len), Some(REGIONS.len()), "{report}");
    let log = read(&folder, LOG);
    for word in ["Launched i-", "Verified ami-", "DescribeImages in us-west-2: HTTP 200 after "] {
        assert!(log.contains(word), "no {word:?} in {log}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_log_of_a_build_that_failed_has_all_that_was_said() {
    let rig = Rig::public(&REGIONS);
    rig.endpoint.plan(Plan::once(Fault::refused("OperationNotPermitted")).action("ModifyImageAttribute"));
    let ended = rig.release().await;
    assert_eq!(ended.outcome.err(), Some(1), "{}", ended.said);
    let log = read(&folder(&rig), LOG);
    for line in ended.said.lines().map(str::trim).filter(|line| !line.is_empty()) {
        assert!(log.contains(line), "no {line:?} in {log}");
    }
}
