//! A build that is killed with all that it started, in a phase that its journal tells.

use std::{
    collections::BTreeSet,
    fmt,
    os::unix::process::CommandExt as _,
    process::Command,
    time::{Duration, Instant},
};

use camino::{Utf8Path, Utf8PathBuf};
use serde_json::Value;

use crate::{
    running::Running,
    support::{Ended, Home},
};

/// How long a phase may take to come. The longest way is to the end of a build, two minutes when quiet.
const PHASE_LIMIT: Duration = Duration::from_secs(600);

/// How soon the journal is looked at again: often, because some phases are short.
pub const LOOK_AGAIN: Duration = Duration::from_millis(1);

/// Steps on the way to an image: when that is there, they are not done again.
const BAKING: [&str; 4] = ["bake access", "bake launch", "bake seal", "binaries"];

/// What there is in the tool's home.
const KINDS: [&str; 6] = ["bases", "builds", "builds.lock", "images", "instances", "retirements"];

/// The home region of all builds here.
pub const HOME: &str = "us-west-2";

/// A cloud to make an image in, with a home of the tool and a checkout.
pub trait Site {
    /// The tool's home.
    fn home(&self) -> &Home;
    /// `xtask-ami ami …` about this cloud and this checkout.
    fn ami(&self, words: &[&str]) -> Command;
    /// The words of a release.
    fn release(&self) -> Vec<&str>;
    /// The ids of the available images, by region, as others than the tool see them; sorted.
    fn images(&self) -> Vec<(String, String)>;
    /// Fails the test unless the images are available and public, and there is nothing else.
    fn expect_images_alone(&self, images: &[(String, String)]);
}

/// Makes one; none where that can't be.
pub type MakeSite = fn() -> Option<Box<dyn Site>>;

/// A line of a build's journal: a step that is intended, or done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Phase {
    event: String,
    step: String,
}

impl Phase {
    /// The phase that these words name: `bake launch, intended`.
    pub fn named(words: &str) -> Phase {
        let (step, event) = words.split_once(", ").expect("a step and an event");
        Phase { event: event.to_owned(), step: step.to_owned() }
    }

    /// The phase that begins with a line of the journal; none when it tells of no step that goes well.
    fn of(line: &Value) -> Option<Phase> {
        let event = line["event"].as_str().filter(|event| ["intended", "done"].contains(event))?;
        let (verb, of) = line["step"].as_str()?.rsplit_once(' ').unwrap_or((line["step"].as_str()?, ""));
        let step = match of {
            // The id of an image or of an instance is another one each time.
            _ if of.starts_with("ami-") => format!("{verb} IMAGE"),
            _ if of.starts_with("i-") => format!("{verb} INSTANCE"),
            // One region is like another, but for the home region.
            _ if of != HOME && ["copy", "available"].contains(&verb) => format!("{verb} REGION"),
            _ => line["step"].as_str()?.to_owned(),
        };
        Some(Phase { event: event.to_owned(), step })
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {}", self.step, self.event)
    }
}

/// These phases, or all that there are when the environment has EVERY_PHASE: those of an undisturbed build.
pub fn telling_or_every(telling: &[&str], site: MakeSite) -> Vec<Phase> {
    if !is_every_phase() {
        return telling.iter().map(|words| Phase::named(words)).collect();
    }
    let Some(site) = site() else { return Vec::new() };
    let phases = phases_of(&*site, &site.release());
    assert!(phases.len() > 30, "{phases:?}");
    phases
}

/// Whether the environment has EVERY_PHASE.
pub fn is_every_phase() -> bool {
    std::env::var_os("EVERY_PHASE").is_some_and(|value| !value.is_empty())
}

/// The phases of a command that is a build, undisturbed.
pub fn phases_of(site: &dyn Site, words: &[&str]) -> Vec<Phase> {
    let known = builds(site.home());
    let ended = run(site, words);
    assert_eq!(ended.code, Some(0), "{ended}");
    let now = builds(site.home());
    let build = now.difference(&known).next().expect("a build");
    let mut phases = Vec::new();
    for phase in journal(build).iter().filter_map(Phase::of) {
        if !phases.contains(&phase) {
            phases.push(phase);
        }
    }
    phases
}

/// Kills builds until each of the phases has had its kill, resumes each build after each, and looks at what came of it in
/// the end. A resumed build doesn't come through all of them again, so it may take several builds.
pub fn kill_and_resume(site: MakeSite, mut phases: Vec<Phase>) {
    while !phases.is_empty() {
        let Some(site) = site() else { return };
        let before = phases.len();
        kill_one_build(&*site, &mut phases);
        assert!(phases.len() < before, "these phases never came: {phases:?}");
    }
}

fn kill_one_build(site: &dyn Site, phases: &mut Vec<Phase>) {
    let mut command = site.ami(&site.release());
    let (mut build, mut made) = (None, Vec::new());
    loop {
        let run = kill_in(site, command, build.as_deref(), phases);
        let Some(phase) = run.phase else { return expect_released(site, &run.build, &made, &run.ended) };
        phases.retain(|it| *it != phase);
        let now = site.images();
        let kept = made.iter().all(|image| now.contains(image));
        assert!(kept, "killed in {phase}: {made:?} were available, now {now:?}\n{}", run.ended);
        say(format_args!("killed in {phase} after {} s: {} images are available", run.secs, now.len()));
        if run.ended.code == Some(0) {
            // The kill came when all was done and said.
            return expect_released(site, &run.build, &now, &run.ended);
        }
        made = now;
        command = site.ami(&["resume", run.build.file_name().expect("a name"), "--yes"]);
        build = Some(run.build);
    }
}

/// Kills a build in this phase, resumes it to its end, and returns the lines of its journal.
pub fn kill_and_follow(site: &dyn Site, phase: &str) -> Vec<Value> {
    let run = kill_in(site, site.ami(&site.release()), None, &[Phase::named(phase)]);
    assert!(run.phase.is_some(), "the phase {phase} never came: {}", run.ended);
    let ended = self::run(site, &["resume", run.build.file_name().expect("a name"), "--yes"]);
    assert_eq!(ended.code, Some(0), "{ended}");
    expect_released(site, &run.build, &[], &ended);
    journal(&run.build)
}

/// Kills another command that is a build in this phase, and ends it with this verb.
pub fn kill_and_end(site: &dyn Site, words: &[&str], phase: &Phase, verb: &str) {
    let run = kill_in(site, site.ami(words), None, std::slice::from_ref(phase));
    assert!(run.phase.is_some(), "the phase {phase} never came: {}", run.ended);
    say(format_args!("killed in {phase} after {} s: {words:?}", run.secs));
    if run.ended.code == Some(0) && verb == "resume" {
        // The kill came when all was done and said.
        return;
    }
    let ended = self::run(site, &[verb, run.build.file_name().expect("a name"), "--yes"]);
    assert_eq!(ended.code, Some(0), "{phase}: {}\nthen {ended}", run.ended);
}

/// Kills builds, each in one of the phases, and cleans up after each: none of them is in the way of the next.
pub fn kill_and_clean(site: MakeSite, phases: &[Phase]) {
    let Some(site) = site() else { return };
    let site = &*site;
    for phase in phases {
        let run = kill_in(site, site.ami(&site.release()), None, std::slice::from_ref(phase));
        assert!(run.phase.is_some(), "the phase {phase} never came: {}", run.ended);
        say(format_args!("killed in {phase} after {} s: {} images are available", run.secs, site.images().len()));
        clean_up(site, &run);
    }
    // The version may be made again, as if nothing had been.
    let run = kill_in(site, site.ami(&site.release()), None, &[Phase::named("binaries, intended")]);
    assert!(run.phase.is_some(), "{}", run.ended);
    clean_up(site, &run);
}

fn clean_up(site: &dyn Site, run: &Run) {
    let id = run.build.file_name().expect("a name");
    let lines = journal(&run.build);
    let cleaned = self::run(site, &["clean", id, "--yes"]);
    assert_eq!(cleaned.code, Some(0), "{}\nthen {cleaned}", run.ended);
    if lines.iter().filter_map(Phase::of).any(|phase| phase.step == "publish") {
        // What is public is no leftover of a build, whoever says so: all of that was verified.
        let public = site.images();
        site.expect_images_alone(&public);
        let retired = self::run(site, &["retire", "--version", "0.6.1", "--yes"]);
        let (code, word) = if public.is_empty() { (2, "there is no image") } else { (0, "Removed") };
        assert!(retired.code == Some(code) && retired.stderr.contains(word), "{public:?}: {retired}");
    }
    site.expect_images_alone(&[]);
    expect_no_secrets_nor_disks(site.home(), &run.build);
    let again = self::run(site, &["clean", id, "--yes"]);
    assert!(again.code == Some(0) && again.stderr.contains("there is nothing to remove"), "{again}");
    self::run(site, &["resume", "--yes"]).expect_error(2, &["no build is unfinished"]);
}

/// A run of a build.
struct Run {
    /// How it ended.
    ended: Ended,
    /// The build's folder.
    build: Utf8PathBuf,
    /// In which phase it was killed; none when it came to its end.
    phase: Option<Phase>,
    /// How long it took.
    secs: u64,
}

/// Kills a run, with all that it started, as soon as its journal says that it is in one of these phases.
fn kill_in(site: &dyn Site, mut command: Command, build: Option<&Utf8Path>, phases: &[Phase]) -> Run {
    let known = builds(site.home());
    let before = build.map(|build| journal(build).len()).unwrap_or_default();
    let began = Instant::now();
    let mut running = Running::start(command.process_group(0));
    let mut seen = 0;
    let (build, phase) = loop {
        // Asked first: of one that has ended, all is in its journal.
        let is_running = running.is_running();
        let new = || builds(site.home()).difference(&known).next().cloned();
        let build = build.map(Utf8Path::to_owned).or_else(new);
        let length = build.as_deref().map(length).unwrap_or_default();
        if length == seen && is_running {
            assert!(began.elapsed() < PHASE_LIMIT, "none of {phases:?} comes: {:?}", build.as_deref().map(journal));
            std::thread::sleep(LOOK_AGAIN);
            continue;
        }
        seen = length;
        let lines = build.as_deref().map(journal).unwrap_or_default();
        let phase = lines.iter().skip(before).filter_map(Phase::of).find(|phase| phases.contains(phase));
        if phase.is_some() || !is_running {
            break (build, phase);
        }
    };
    if phase.is_some() {
        running.kill_group();
    }
    let ended = running.end();
    let Some(build) = build else { panic!("no build began: {ended}") };
    let was_killed = ended.code == Some(-9) && phase.is_some();
    let was_done = ended.code == Some(0) && ended_with(&journal(&build), "done");
    assert!(was_killed || was_done, "to be killed in one of {phases:?}, it failed before: {ended}");
    site.home().expect_nothing_runs(&ended);
    Run { ended, build, phase, secs: began.elapsed().as_secs() }
}

/// What must hold of a build that came to its end after it was killed when these images were `made` already; also when it
/// is killed once more, with nothing to be done but to write down that it is done.
fn expect_released(site: &dyn Site, build: &Utf8Path, made: &[(String, String)], ended: &Ended) {
    expect_end(site, build, made, ended);
    let path = build.join("journal.jsonl");
    let text = std::fs::read_to_string(&path).expect("a journal");
    let last = text.trim_end().rfind('\n').expect("several lines");
    std::fs::write(&path, &text[..=last]).expect("the journal, less its last line");
    let made = site.images();
    let ended = run(site, &["resume", build.file_name().expect("a name"), "--yes"]);
    assert_eq!(ended.code, Some(0), "{ended}");
    expect_end(site, build, &made, &ended);
    run(site, &["resume", "--yes"]).expect_error(2, &["no build is unfinished"]);
}

fn expect_end(site: &dyn Site, build: &Utf8Path, made: &[(String, String)], ended: &Ended) {
    site.home().expect_nothing_runs(ended);
    let images = site.images();
    assert!(made.iter().all(|image| images.contains(image)), "{made:?} were there, now {images:?}: {ended}");
    let lines: Vec<String> = images.iter().map(|(region, id)| format!("{region}: {id}")).collect();
    assert!(ended.code != Some(0) || ended.stdout.lines().eq(lines.iter()), "{images:?}: {ended}");
    site.expect_images_alone(&images);
    expect_no_secrets_nor_disks(site.home(), build);

    let journal = journal(build);
    assert!(ended_with(&journal, "done"), "{journal:?}");
    let (_, home_image) = images.iter().find(|(region, _)| region == HOME).expect("the home image");
    let is_done = |line: &&Value, step: &str| line["event"] == "done" && line["step"] == step;
    let verified = format!("verify {home_image}");
    assert_eq!(journal.iter().filter(|line| is_done(line, &verified)).count(), 1, "{verified}: {journal:?}");
    expect_not_again(&journal, "binaries", &["binaries"]);
    expect_not_again(&journal, &format!("available {HOME}"), &BAKING);
}

/// Fails the test where one of these steps was begun after another one was done.
#[track_caller]
fn expect_not_again(journal: &[Value], done: &str, steps: &[&str]) {
    let after = journal.iter().skip_while(|line| !(line["event"] == "done" && line["step"] == done));
    let again = |line: &&Value| line["event"] == "intended" && steps.iter().any(|step| line["step"] == *step);
    let again: Vec<&Value> = after.filter(again).collect();
    assert!(again.is_empty(), "`{done}` was done, and then this was begun again: {again:?}\n{journal:?}");
}

/// Of a build there are its journal and logs, what it was made of, and what is known of it: all of it small, and no key.
#[track_caller]
fn expect_no_secrets_nor_disks(home: &Home, build: &Utf8Path) {
    let documents = ["manifest.json", "sbom.cdx.json", "provenance.intoto.json"];
    let named =
        [&documents[..], &["lock", "journal.jsonl", "verification.json", "report.json", "report.html"]].concat();
    for file in crate::support::files(build).iter().filter(|path| path.is_file()) {
        let name = file.strip_prefix(build).expect("it lies in the build's folder");
        let of_candidate = name.as_str().starts_with("provenance-of-") && name.as_str().ends_with(".intoto.json");
        let is_known = named.iter().any(|known| name == *known) || name.starts_with("binaries") || of_candidate;
        assert!(is_known || name.extension() == Some("log"), "{file} is left");
        let bytes = std::fs::read(file).expect("a file");
        assert!(!String::from_utf8_lossy(&bytes).contains("PRIVATE KEY"), "a key is in {file}");
    }
    let kinds = home.path().read_dir_utf8().expect("the home").map(|entry| entry.expect("an entry"));
    let strange = kinds.map(|entry| entry.file_name().to_owned());
    let strange: Vec<String> = strange.filter(|name| !KINDS.contains(&name.as_str())).collect();
    assert!(strange.is_empty(), "{strange:?} are left in {}", home.path());
}

/// The folders of all builds.
fn builds(home: &Home) -> BTreeSet<Utf8PathBuf> {
    let Ok(entries) = home.path().join("builds").read_dir_utf8() else { return BTreeSet::new() };
    entries.map(|entry| entry.expect("an entry").into_path()).collect()
}

/// The lines of a build's journal; one that is still being written, or was when its writer was killed, is none.
fn journal(build: &Utf8Path) -> Vec<Value> {
    let text = std::fs::read_to_string(build.join("journal.jsonl")).unwrap_or_default();
    let lines = text.split_inclusive('\n').filter(|line| line.ends_with('\n'));
    lines.map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

/// How long a build's journal is, in bytes.
fn length(build: &Utf8Path) -> u64 {
    build.join("journal.jsonl").metadata().map(|file| file.len()).unwrap_or_default()
}

fn ended_with(journal: &[Value], how: &str) -> bool {
    journal.last().is_some_and(|line| line["event"] == "ended" && line["how"] == how)
}

fn run(site: &dyn Site, words: &[&str]) -> Ended {
    Running::start(&mut site.ami(words)).end()
}

/// Not with eprintln!, which the test harness keeps to itself when a test passes.
pub fn say(text: fmt::Arguments<'_>) {
    let _ = std::io::Write::write_all(&mut std::io::stderr(), format!("  {text}\n").as_bytes());
}
