use crate::event::{How, facts::SealedDisk, step::Step};

use super::*;

/// Lines as version 0.6 of the tool wrote them, in format 1.
const FORMAT_1: &str = include_str!("format-1.jsonl");

/// Lines as a process wrote them, in format 2, that was killed while it verified an image.
const FORMAT_2: &str = include_str!("format-2.jsonl");

fn line(number: usize) -> &'static str {
    FORMAT_1.lines().nth(number).expect("a line")
}

fn parse(text: &str) -> Result<State> {
    Reading::parse(text.as_bytes()).map(|reading| reading.state)
}

fn complaint(text: &str) -> String {
    format!("{:#}", parse(text).expect_err(text))
}

#[test]
fn a_journal_of_format_1_is_read() {
    let state = parse(FORMAT_1).expect("a journal");
    let about = state.about().expect("its first line");
    assert_eq!((about.version.as_str(), about.build_region.as_str()), ("0.6.1", "us-west-2"));
    assert_eq!((about.identity.as_ref(), about.expires_secs), (None, None));
    assert_eq!(state.ended, Some(How::Interrupted));
    assert!(state.is_unfinished() && state.is_sealed() && !state.is_half_open());
    let instance = crate::event::ids::InstanceId("i-0c429a18d2e70a415".to_owned());
    assert_eq!(state.sealing(), Some(instance.clone()));
    // What later versions add may be missing.
    let disk: Option<SealedDisk> = state.result(&Step::Sealed(instance)).expect("a result");
    assert_eq!(disk.expect("it is sealed").marks.len(), 0);
}

#[test]
fn a_journal_of_format_2_is_read() {
    let state = parse(FORMAT_2).expect("a journal");
    let about = state.about().expect("its first line");
    assert_eq!((about.version.as_str(), about.build_region.as_str()), ("0.6.1", "us-west-2"));
    assert_eq!(about.identity.as_ref().map(|it| it.account.as_str()), Some("111122223333"));
    assert!(state.is_unfinished() && state.can_be_resumed() && state.is_sealed() && state.has_image());
    let images: Vec<_> = state.images.iter().map(|(region, image)| (region.as_str(), image.id.0.as_str())).collect();
    let ids = ["ami-00000000000000008", "ami-0000000000000000a", "ami-00000000000000006"];
    assert_eq!(images, ["eu-west-1", "sa-east-1", "us-west-2"].into_iter().zip(ids).collect::<Vec<_>>());
    let launched: Vec<String> = state.launched().into_iter().map(|id| id.0).collect();
    assert_eq!(launched, ["i-0000000000000000e"], "the other one is gone");
    let disk = state.sealed_disk().expect("a result").expect("it is sealed");
    assert_eq!((disk.base.sha256, disk.base.owner), (None, None));
    assert_eq!(state.home_image().expect("a result").expect("it is available").id.0, ids[2]);
}

#[test]
fn a_torn_last_line_is_normal_wherever_it_is_torn() {
    let whole = format!("{}\n{}\n", line(0), line(1));
    for length in 0..line(2).len() {
        let reading = Reading::parse(format!("{whole}{}", &line(2)[..length]).as_bytes()).expect("a journal");
        assert_eq!(reading.whole_bytes, whole.len() as u64);
    }
}

#[test]
fn what_is_no_journal_is_refused_with_its_line() {
    let (began, intended) = (line(0), line(1));
    assert!(complaint("").contains("line 1"));
    assert!(complaint("nonsense\n").contains("line 1 is not a line of a journal"));
    assert!(complaint(&format!("{began}\nnonsense\n{intended}\n")).contains("line 2 is not a line of a journal"));
    assert!(complaint(&format!("{began}\n{began}\n")).contains("line 2"));
    assert!(complaint(&format!("{intended}\n")).contains("line 1"));
    let step = intended.replace("\"bake access\"", "\"bake cake\"");
    assert!(complaint(&format!("{began}\n{step}\n")).contains("there is no step `bake cake`"));
}

#[test]
fn a_newer_format_is_refused_whatever_else_it_says() {
    let error = complaint("{\"event\":\"unheard of\",\"format\":3}\n");
    assert!(error.contains("format 3") && error.contains("use a newer one"), "{error}");
}

#[test]
fn a_part_of_a_line_that_could_not_be_written_does_not_spoil_the_next_one() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = Utf8Path::from_path(folder.path()).expect("UTF-8").join("journal.jsonl");
    std::fs::write(&path, format!("{}\n{{\"at\":\"2026", line(0))).expect("a torn journal");
    let reading = Reading::of(&path).expect("a journal");
    let mut journal = Journal::append(&path, &reading).expect("a journal");
    let resumed = Line { at: "2026-11-22T00:00:00Z".to_owned(), event: Event::Resumed {} };
    journal.write(&resumed).expect("a line");
    assert_eq!(Reading::of(&path).expect("a journal").state.attempts, 2);
}
