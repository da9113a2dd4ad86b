//! Snapshots of what is shown. To accept what has changed: UPDATE_SNAPSHOTS=1 cargo test -p xtask-ami --lib show.

use camino::Utf8Path;

/// Fails the test unless the text is the one in the snapshot.
#[track_caller]
pub fn expect(name: &str, text: &str) {
    let path = Utf8Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("src/show/live/snapshots/{name}.txt"));
    if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
        std::fs::write(&path, text).expect("a file");
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(expected == text, "{path} has\n{expected}\nand this is shown:\n{text}");
}
