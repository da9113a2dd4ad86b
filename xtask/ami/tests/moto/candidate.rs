//! A release candidate, which is promoted to a version that is checked, listed, compared and retired; and promotions and
//! retirements of it that are killed.
//!
//! Nothing is launched after the candidate was made: a promotion takes a quarter of a minute, most of it the wait for copies.
//! moto lacks that DisableImage makes an image private, which amend.py adds, and the Recycle Bin, of which `retire` warns that
//! it does not know what is kept there.

use std::time::{Duration, SystemTime};

use serde_json::{Value, json};
use xshell::{Shell, cmd};

use crate::{
    lab::{FROM, Lab, each, expect_nothing_runs},
    phases::{Phase, is_every_phase, kill_and_end, phases_of},
    retired::kill_and_repeat,
    running::Running,
    support::{Home, write},
};

const REGIONS: [&str; 2] = ["us-west-2", "eu-west-1"];
const WHERE: [&str; 2] = ["--regions", "us-west-2,eu-west-1"];

/// The version of the candidate.
const CANDIDATE: &str = "0.6.1-rc1";

/// While the candidate is looked at; while a copy may be there that the journal does not know; and when the first region is
/// being opened.
const TELLING: [&str; 3] = ["candidate, intended", "copy REGION, intended", "publish, intended"];

/// How far ahead a deprecation is, and how far later the next one.
const AHEAD: Duration = Duration::from_secs(90 * 86_400);

/// A lab in which a candidate was released, of a checkout that is a commit.
fn lab() -> Option<Lab> {
    let lab = Lab::new()?;
    let sh = Shell::new().expect("a shell");
    sh.change_dir(&lab.root);
    write(&lab.root.join(".gitignore"), "build/\n/utils/*/*\n!*.c\n!Makefile\n/giles/*/sender\n");
    let identity = ["-c", "user.name=A Developer", "-c", "user.email=developer@example.com"];
    cmd!(sh, "git init --quiet").run().expect("git");
    cmd!(sh, "git add .").run().expect("git");
    cmd!(sh, "git {identity...} commit --quiet --message Release").run().expect("git");
    let ended = lab.ami(&[&["--version", CANDIDATE, "--yes", "--ssh-from", FROM], &WHERE[..]].concat());
    assert_eq!(ended.code, Some(0), "{ended}");
    Some(lab)
}

fn promotion(version: &str) -> Vec<&str> {
    [&["promote", "--version", CANDIDATE, "--as", version, "--yes"], &WHERE[..]].concat()
}

fn retirement<'a>(version: &'a str, way: &[&'a str]) -> Vec<&'a str> {
    [&["retire", "--version", version, "--yes"], way].concat()
}

/// The images of a version, one in each region, and the same in all.
#[track_caller]
fn images<'a>(books: &'a Value, version: &str) -> Vec<&'a Value> {
    let name = format!("Wallaroo {version}");
    let in_region = |region: &&str| {
        let all = books[*region]["images"].as_array().expect("images").iter();
        all.filter(|image| image["Name"] == name.as_str()).collect::<Vec<_>>()
    };
    let found: Vec<Vec<&Value>> = REGIONS.iter().map(in_region).collect();
    assert!(found.iter().all(|here| here.len() == found[0].len() && here.len() < 2), "{version}: {found:?}");
    found.concat()
}

/// Everybody may launch and copy the images of a version.
#[track_caller]
fn expect_public(books: &Value, version: &str) {
    let everybody = json!([{ "Group": "all" }]);
    for (region, image) in REGIONS.iter().zip(images(books, version)) {
        assert_eq!((&image["State"], &image["Permissions"]), (&json!("available"), &everybody), "{version}: {image}");
        let id = &image["BlockDeviceMappings"][0]["Ebs"]["SnapshotId"];
        let mut snapshots = books[*region]["snapshots"].as_array().expect("snapshots").iter();
        let snapshot = snapshots.find(|snapshot| snapshot["SnapshotId"] == *id).expect("its snapshot");
        assert_eq!(snapshot["Permissions"], everybody, "{version}: {snapshot}");
    }
}

#[test]
fn a_candidate_is_promoted_and_retired_whatever_is_killed() {
    let Some(lab) = lab() else { return };
    promote_and_retire(&lab);
    let candidate = lab.books(&REGIONS);
    let phases = if is_every_phase() {
        let phases = phases_of(&lab, &promotion("0.7.0"));
        assert_eq!(lab.ami(&retirement("0.7.0", &[])).code, Some(0));
        phases
    } else {
        TELLING.map(Phase::named).to_vec()
    };
    let mut lines = lines_to_kill_at().into_iter().cycle();
    let mut killed = 0;
    for (number, phase) in phases.iter().enumerate() {
        let version = format!("0.7.{}", number + 1);
        kill_and_end(&lab, &promotion(&version), phase, "resume");
        let books = lab.books(&REGIONS);
        assert_eq!(images(&books, &version).len(), REGIONS.len(), "{phase}: {books}");
        expect_public(&books, &version);
        if number == 0 {
            retire_in_gentle_ways(&lab, &version);
        }
        let line = lines.next().expect("one after the other");
        killed += usize::from(kill_and_repeat(&lab, &retirement(&version, &[]), line));
        // No snapshot is left of it, and nothing happened to the candidate.
        assert_eq!(lab.books(&REGIONS), candidate, "{phase}");
    }
    assert!(killed > 0, "each of {} removals was done before it could be killed", phases.len());
    kill_and_end(&lab, &promotion("0.8.0"), &Phase::named("copy REGION, done"), "clean");
    assert_eq!(lab.books(&REGIONS), candidate);

    let retired = lab.ami(&retirement(CANDIDATE, &[]));
    assert_eq!(retired.code, Some(0), "{retired}");
    let books = lab.books(&REGIONS);
    for region in REGIONS {
        assert_eq!([&books[region]["images"], &books[region]["snapshots"]], [&json!([]); 2], "{region}");
    }
}

/// At which lines of its journal a retirement is killed: where it begins, and where one image is done; in every phase, where
/// the other one is, too.
fn lines_to_kill_at() -> Vec<usize> {
    let every = is_every_phase().then(|| REGIONS.len() + 1);
    [1, 2].into_iter().chain(every).collect()
}

/// What a user does with a candidate, and with the version that it becomes.
fn promote_and_retire(lab: &Lab) {
    let before = lab.books(&REGIONS);
    let promoted = lab.ami(&promotion("0.6.1"));
    assert_eq!((promoted.code, promoted.stdout.lines().count()), (Some(0), REGIONS.len()), "{promoted}");
    let books = lab.books(&REGIONS);
    expect_nothing_runs(&books);
    expect_public(&books, "0.6.1");
    for region in REGIONS {
        let launched = each(&books[region]["instances"], "InstanceId").len();
        assert_eq!(launched, each(&before[region]["instances"], "InstanceId").len(), "a promotion launches nothing");
    }
    let (candidates, copies) = (images(&books, CANDIDATE), images(&books, "0.6.1"));
    assert_eq!((candidates.len(), copies.len()), (REGIONS.len(), REGIONS.len()), "{books}");
    assert_eq!(candidates, images(&before, CANDIDATE), "the candidate stays as it is");
    for copy in &copies {
        let (of_candidate, own) = (&candidates[0]["Tags"], &copy["Tags"]);
        let from = own["wallaroo:promoted-from"].as_str().expect("where it is from");
        assert!(from.contains(CANDIDATE) && candidates.iter().any(|it| from.contains(id(it))), "{copy}");
        for key in ["wallaroo:commit", "wallaroo:verified", "wallaroo:sha256:machida", "wallaroo:sha256:sender"] {
            assert!(own[key].is_string() && own[key] == of_candidate[key], "{key}: {copy}");
        }
        assert!(promoted.stdout.contains(id(copy)), "{promoted}");
    }

    for (version, code) in [("0.6.1", 0), (CANDIDATE, 0), ("0.6.2", 1)] {
        let checked = lab.ami(&[&["check", "--version", version], &WHERE[..]].concat());
        assert_eq!(checked.code, Some(code), "{checked}");
    }
    let listed = lab.ami(&["list"]);
    let public = listed.stdout.lines().filter(|line| line.contains(" public ")).count();
    assert_eq!((listed.code, public), (Some(0), 2 * REGIONS.len()), "{listed}");
    expect_no_difference(lab);

    let retired = lab.ami(&retirement("0.6.1", &[]));
    assert_eq!((retired.code, retired.stderr.matches("Removed").count()), (Some(0), REGIONS.len()), "{retired}");
    assert_eq!(lab.books(&REGIONS), before, "the candidate and its snapshots stay as they are");
}

fn id(image: &Value) -> &str {
    image["ImageId"].as_str().expect("an id")
}

/// The candidate and what it was promoted to are alike, by the manifests of this computer, and by the tags of the images on one
/// that made neither.
fn expect_no_difference(lab: &Lab) {
    let words = ["diff", CANDIDATE, "0.6.1"];
    let compared = lab.ami(&words);
    assert!(compared.code == Some(0) && compared.stdout.contains("Nothing differs."), "{compared}");
    let elsewhere = Home::new();
    let compared = Running::start(lab.command(&words).env("WALLAROO_AMI_HOME", elsewhere.path())).end();
    let remark = "the packages, the files and the settings were not compared";
    assert!(compared.code == Some(0) && compared.to_string().contains(remark), "{compared}");
    assert!(compared.stdout.contains("the tags of ami-"), "{compared}");
}

/// The ways that remove nothing, each killed, and the same in both regions in the end.
fn retire_in_gentle_ways(lab: &Lab, version: &str) {
    let fields = |field: &str| {
        let books = lab.books(&REGIONS);
        images(&books, version).into_iter().map(|image| image[field].clone()).collect::<Vec<_>>()
    };
    let mut killed = 0;
    for (number, line) in (1..).zip(lines_to_kill_at()) {
        let mut kill = |way: &[&str]| killed += usize::from(kill_and_repeat(lab, &retirement(version, way), line));
        let at = humantime::format_rfc3339_seconds(SystemTime::now() + AHEAD * number).to_string();
        let (day, _) = at.split_once('T').expect("a time");
        kill(&["--deprecate", day]);
        let dates = fields("DeprecationTime");
        assert!(dates[0] == dates[1] && dates[0].as_str().is_some_and(|date| date.starts_with(day)), "{dates:?}");
        kill(&["--disable"]);
        assert_eq!(fields("State"), ["disabled"; 2]);
        assert_eq!(fields("Permissions"), [json!([]), json!([])]);
        kill(&["--enable"]);
        expect_public(&lab.books(&REGIONS), version);
    }
    assert!(killed > 0, "each change of {version} was done before it could be killed");
}
