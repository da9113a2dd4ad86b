use camino::Utf8PathBuf;

use said::Said;

use super::*;
use crate::{
    fixture::folder,
    show::terminal::{Form, Level, Terminal},
};

#[path = "../../../tests/kit/said.rs"]
mod said;

/// The lock of a process that was stopped while it held it.
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
async fn waiting_for_a_stopped_process_that_begins_a_build_is_shown_and_times_out() {
    let (_guard, _, home) = home();
    let (said, _stopped) = (Said::default(), stopped(&home.builds_lock()));
    let began = tokio::time::Instant::now();
    let error = lock_builds(&home, &Events::new(Terminal::to(said.clone(), Level::Normal, Form::Text)))
        .await
        .map(drop)
        .expect_err("stopped");
    assert!(began.elapsed() <= LOCK_LIMIT + INTERVAL, "{:?}", began.elapsed());
    assert!(said.text().contains("Waiting for another process to begin its build"), "{}", said.text());
    let error = format!("{error:#}");
    for word in
        ["timed out after 1m waiting for another process to begin its build", home.builds_lock().as_str(), "Ctrl-Z"]
    {
        assert!(error.contains(word), "{word}: {error}");
    }
}

#[tokio::test(start_paused = true)]
async fn waiting_for_a_stopped_process_that_sweeps_is_shown_and_times_out() {
    let (_guard, folder, _) = home();
    let (said, _stopped) = (Said::default(), stopped(&folder));
    let error = lock_against_sweep(&folder, &Events::new(Terminal::to(said.clone(), Level::Normal, Form::Text)))
        .await
        .map(drop);
    let error = format!("{:#}", error.expect_err("stopped"));
    assert!(error.contains("to clean up") && error.contains(folder.as_str()), "{error}");
    assert!(said.text().contains("Waiting for another process to clean up"), "{}", said.text());
}

#[tokio::test]
async fn a_lock_is_acquired_once_released_and_held_until_dropped() {
    let (_guard, _, home) = home();
    let (said, other) = (Said::default(), stopped(&home.builds_lock()));
    let events = Events::new(Terminal::to(said.clone(), Level::Normal, Form::Text));
    let mut locking = std::pin::pin!(lock_builds(&home, &events));
    // The wait yields to other work, such as a signal.
    tokio::select! {
        biased;
        _ = &mut locking => panic!("another process holds it"),
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
async fn without_locks_there_is_a_warning_and_no_error() {
    let said = Said::default();
    let events = Events::new(Terminal::to(said.clone(), Level::Normal, Form::Text));
    // Opened with O_PATH, which can't be locked, like folders of some network file systems.
    let file = std::os::unix::fs::OpenOptionsExt::custom_flags(File::options().read(true), nix::libc::O_PATH).open("/");
    let (file, limit) = (file.expect("the root"), Duration::from_secs(1));
    let lock =
        acquire(file, Utf8Path::new("/"), Share::Exclusive, "nothing", limit, &events).await.expect("no refusal");
    assert!(lock.is_none());
    assert!(said.text().contains("warning: cannot lock / (EBADF"), "{}", said.text());
}
