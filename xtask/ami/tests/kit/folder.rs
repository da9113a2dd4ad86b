//! Folders that go away by themselves.

use camino::Utf8PathBuf;
use tempfile::TempDir;

/// A folder that is removed when the guard is dropped.
pub fn folder() -> (TempDir, Utf8PathBuf) {
    let guard = tempfile::Builder::new().prefix("wallaroo-test-").tempdir().expect("a temporary folder");
    // Below a link, as /tmp is on macOS, paths would not compare equal.
    let path = guard.path().canonicalize().expect("the folder").try_into().expect("a path in UTF-8");
    (guard, path)
}
