use camino::Utf8PathBuf;

use said::Said;

use super::*;
use crate::{
    fixture::folder,
    show::terminal::{Form, Level, Terminal},
};

#[path = "../../../tests/kit/said.rs"]
mod said;

/// The lock of a process that was stopped while it had it.
fn stopped(path: &Utf8Path) -> Flock<File> {
    let file = if path.is_dir() { File::open(path) } else { File::create(path) };
    Flock::lock(file.expect("a file"), FlockArg::LockExclusiveNonblock).expect("a free lock")
}

fn home() -> (tempfile::TempDir, Utf8PathBuf, StateDir) {
    let (guard, folder) = folder();
    let home = StateDir::at(&folder);
    (guard, folder, home)
}

#[tokio::test(start_paused = true)]
async fn a_stopped_process_that_begins_a_build_is_waited_for_aloud_and_not_for_ever() {
    let (_guard, _, home) = home();
    let (said, _stopped) = (Said::default(), stopped(&home.builds_lock()));
    let began = tokio::time::Instant::now();
    let error = lock_builds(&home, &Events::new(Terminal::to(said.clone(), Level::Normal, Form::Text)))
        .await
        .map(drop)
        .expect_err("stopped");
    assert!(began.elapsed() <= MOMENT + INTERVAL, "{:?}", began.elapsed());
    assert!(said.text().contains("Waiting for another process to begin its build"), "{}", said.text());
    let error = format!("{error:#}");
    for word in ["another process to begin its build after 1m", home.builds_lock().as_str(), "Ctrl-Z"] {
        assert!(error.contains(word), "{word}: {error}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_stopped_process_that_sweeps_is_waited_for_aloud_and_not_for_ever() {
    let (_guard, folder, _) = home();
    let (said, _stopped) = (Said::default(), stopped(&folder));
    let error = lock_against_sweep(&folder, &Events::new(Terminal::to(said.clone(), Level::Normal, Form::Text)))
        .await
        .map(drop);
    let error = format!("{:#}", error.expect_err("stopped"));
    assert!(error.contains("to tidy") && error.contains(folder.as_str()), "{error}");
    assert!(said.text().contains("Waiting for another process to tidy"), "{}", said.text());
}

#[tokio::test]
async fn a_lock_is_had_once_the_other_process_lets_go_and_until_it_is_dropped() {
    let (_guard, _, home) = home();
    let (said, other) = (Said::default(), stopped(&home.builds_lock()));
    let events = Events::new(Terminal::to(said.clone(), Level::Normal, Form::Text));
    let mut locking = std::pin::pin!(lock_builds(&home, &events));
    // Something else is done meanwhile, as a signal would be.
    tokio::select! {
        biased;
        _ = &mut locking => panic!("another process has it"),
        () = tokio::task::yield_now() => drop(other),
    }
    let lock = locking.await.expect("a lock");
    assert!(lock.is_some());
    let file = || File::create(home.builds_lock()).expect("the file");
    assert!(Flock::lock(file(), FlockArg::LockSharedNonblock).is_err());
    drop(lock);
    assert!(Flock::lock(file(), FlockArg::LockSharedNonblock).is_ok());
}

#[tokio::test]
async fn where_there_are_no_locks_it_is_said_and_work_goes_on() {
    let said = Said::default();
    let events = Events::new(Terminal::to(said.clone(), Level::Normal, Form::Text));
    // A path alone, which locks nothing, as a folder of some network file systems does.
    let file = std::os::unix::fs::OpenOptionsExt::custom_flags(File::options().read(true), nix::libc::O_PATH).open("/");
    let (file, limit) = (file.expect("the root"), Duration::from_secs(1));
    let lock = acquire(file, Utf8Path::new("/"), Share::Alone, "nothing", limit, &events).await.expect("no refusal");
    assert!(lock.is_none());
    assert!(said.text().contains("warning: / can't be locked (EBADF"), "{}", said.text());
}
