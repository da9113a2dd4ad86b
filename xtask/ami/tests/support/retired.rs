//! A retirement that is killed at a line of its journal, and told again.

use std::{
    collections::BTreeSet,
    os::unix::process::CommandExt as _,
    time::{Duration, Instant},
};

use camino::Utf8PathBuf;

use crate::{
    phases::{LOOK_AGAIN, Site, say},
    running::Running,
    support::Home,
};

/// How long a line may take to come. A retirement takes seconds.
const LINE_LIMIT: Duration = Duration::from_secs(300);

/// Kills a retirement, with all that it started, as soon as its journal has this many lines, and ends it by the same command.
/// Returns whether it was killed: it may be done by then, so whoever asks for several kills has to see that there were some.
#[must_use]
pub fn kill_and_repeat(site: &dyn Site, words: &[&str], lines: usize) -> bool {
    let known = journals(site.home());
    let began = Instant::now();
    let mut running = Running::start(site.ami(words).process_group(0));
    let is_reached = loop {
        // Asked first: of one that has ended, all is in its journal.
        let is_running = running.is_running();
        let written = journals(site.home()).difference(&known).next().map_or(0, written);
        if written >= lines && is_running {
            break true;
        }
        if !is_running {
            break false;
        }
        assert!(began.elapsed() < LINE_LIMIT, "{words:?}: {written} lines and no more, not {lines}");
        std::thread::sleep(LOOK_AGAIN);
    };
    if is_reached {
        running.kill_group();
    }
    let ended = running.end();
    site.home().expect_nothing_runs(&ended);
    assert!(ended.code == Some(0) || is_reached && ended.code == Some(-9), "it failed before line {lines}: {ended}");
    say(format_args!("killed at line {lines}, {}: {words:?}", ended.code.unwrap_or_default()));
    if ended.code == Some(0) {
        return false;
    }
    let again = Running::start(&mut site.ami(words)).end();
    // It had written down that it was done.
    let was_done = again.code == Some(2) && again.stderr.contains("there is no image");
    assert!(again.code == Some(0) || was_done, "{ended}\nthen {again}");
    true
}

/// The journals of retirements.
fn journals(home: &Home) -> BTreeSet<Utf8PathBuf> {
    let Ok(entries) = home.path().join("retirements").read_dir_utf8() else { return BTreeSet::new() };
    entries.map(|entry| entry.expect("an entry").into_path()).collect()
}

/// How many whole lines a journal has.
fn written(journal: &Utf8PathBuf) -> usize {
    std::fs::read(journal).unwrap_or_default().iter().filter(|byte| **byte == b'\n').count()
}
