//! The SHA-256 of disks that were given as bases. A disk is read as a whole for it, which takes seconds, so it is kept for the
//! next build, as long as the file system says that the file is the same.

use std::{
    io,
    os::unix::fs::MetadataExt as _,
    time::{Duration, SystemTime},
};

use camino::{Utf8Path, Utf8PathBuf};
use serde::{Deserialize, Serialize};

use crate::{ground::sha256, record::partial, state_dir::StateDir};

/// A file that changed later than this before it was read may change once more without another date: file systems count
/// time in steps, of two seconds at most (FAT).
const SETTLED_AFTER: Duration = Duration::from_secs(3);

/// What the file system says of a file. Where all of it is the same, so is the content.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stamp {
    path: Utf8PathBuf,
    device: u64,
    inode: u64,
    length: u64,
    /// Seconds and nanoseconds since 1970.
    modified: (i64, i64),
    /// The same. Programs can set the time of modification, but not this one.
    changed: (i64, i64),
}

/// A sum, and the file that it is of.
#[derive(Debug, Serialize, Deserialize)]
struct Kept {
    of: Stamp,
    sha256: String,
}

impl Stamp {
    /// What the file system says of a file now. It has to be asked before the file is read.
    ///
    /// # Errors
    /// When there is no such file.
    pub fn of(file: &Utf8Path) -> io::Result<Stamp> {
        let metadata = file.metadata()?;
        Ok(Stamp {
            path: file.to_owned(),
            device: metadata.dev(),
            inode: metadata.ino(),
            length: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        })
    }

    /// Where the sum is kept: one of each path.
    fn beside(&self, state_dir: &StateDir) -> Utf8PathBuf {
        state_dir.base_sums().join(format!("{}.json", &sha256::sha256(self.path.as_str().as_bytes())[..16]))
    }

    /// Whether a change after `moment` would show.
    fn is_settled(&self, moment: SystemTime) -> bool {
        let now = moment.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let newest = self.changed.0.max(self.modified.0);
        u64::try_from(newest).is_ok_and(|newest| newest < now.saturating_sub(SETTLED_AFTER).as_secs())
    }
}

/// The sum that was kept of this file, if it is still the same file.
#[must_use]
pub fn known(state_dir: &StateDir, stamp: &Stamp) -> Option<String> {
    let text = std::fs::read_to_string(stamp.beside(state_dir)).ok()?;
    // What another version of this tool wrote is made anew.
    let kept: Kept = serde_json::from_str(&text).ok()?;
    (kept.of == *stamp).then_some(kept.sha256)
}

/// Keeps a sum, unless the file changed since `stamp` was taken, at `read`.
///
/// # Errors
/// When it can't be written.
pub fn keep(state_dir: &StateDir, stamp: &Stamp, read: SystemTime, sha256: &str) -> io::Result<()> {
    if !stamp.is_settled(read) || Stamp::of(&stamp.path)? != *stamp {
        return Ok(());
    }
    let path = stamp.beside(state_dir);
    std::fs::create_dir_all(state_dir.base_sums())?;
    let mut file = partial::file(&path)?;
    serde_json::to_writer(&mut file, &Kept { of: stamp.clone(), sha256: sha256.to_owned() })?;
    file.persist(&path)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs::{File, FileTimes};

    use super::*;
    use crate::fixture;

    const SUM: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    #[test]
    fn a_sum_is_known_until_the_file_changes_in_any_way() {
        let (_guard, folder) = fixture::folder();
        let state_dir = StateDir::at(&folder.join("state"));
        let disk = folder.join("disk.raw");
        // By the clock of whoever reads it, long after it was written.
        let later = SystemTime::now() + Duration::from_secs(60);
        let write = |content: &str| {
            std::fs::write(&disk, content).expect("a disk");
            Stamp::of(&disk).expect("a stamp")
        };
        let first = write("abc");
        assert_eq!(known(&state_dir, &first), None);
        keep(&state_dir, &first, later, SUM).expect("it is kept");
        assert_eq!(known(&state_dir, &first), Some(SUM.to_owned()));
        assert_eq!(known(&state_dir, &Stamp::of(&disk).expect("a stamp")), Some(SUM.to_owned()));

        // As long as before, and with its date set back.
        let dates = FileTimes::new().set_modified(disk.metadata().and_then(|of| of.modified()).expect("a date"));
        let before = first.modified;
        let second = loop {
            write("abd");
            File::options().write(true).open(&disk).and_then(|file| file.set_times(dates)).expect("a date");
            let stamp = Stamp::of(&disk).expect("a stamp");
            // The file system's clock may not have gone on yet.
            if stamp.changed != first.changed {
                break stamp;
            }
        };
        assert_eq!(second.modified, before);
        assert_eq!(known(&state_dir, &second), None);

        // Another file under its name.
        std::fs::rename(&disk, folder.join("old")).expect("moved");
        assert_eq!(known(&state_dir, &write("abc")), None);
    }

    #[test]
    fn a_sum_of_a_file_that_may_have_changed_meanwhile_is_not_kept() {
        let (_guard, folder) = fixture::folder();
        let state_dir = StateDir::at(&folder);
        let disk = folder.join("disk.raw");
        std::fs::write(&disk, "abc").expect("a disk");
        let stamp = Stamp::of(&disk).expect("a stamp");
        // It was written right before it was read.
        keep(&state_dir, &stamp, SystemTime::now(), SUM).expect("no error");
        assert_eq!(known(&state_dir, &stamp), None);
        // It became longer after it was read.
        std::fs::write(&disk, "abcd").expect("a disk");
        keep(&state_dir, &stamp, SystemTime::now() + Duration::from_secs(60), SUM).expect("no error");
        assert_eq!(known(&state_dir, &stamp), None);
        // What was kept is damaged.
        let stamp = Stamp::of(&disk).expect("a stamp");
        keep(&state_dir, &stamp, SystemTime::now() + Duration::from_secs(60), SUM).expect("it is kept");
        std::fs::write(stamp.beside(&state_dir), "{").expect("damaged");
        assert_eq!(known(&state_dir, &stamp), None);
    }
}
