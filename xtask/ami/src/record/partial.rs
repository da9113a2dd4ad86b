//! Files that are written beside the path that they get once they are whole.

use std::io::Result;

use camino::Utf8Path;
use tempfile::NamedTempFile;

/// A file that only its owner may read, in the folder of the file that it is to replace. Its name begins with that file's
/// and a hyphen, by which those are found that killed processes left.
///
/// # Errors
/// When it cannot be created, and when `path` names no file.
pub fn file(path: &Utf8Path) -> Result<NamedTempFile> {
    let parts = path.parent().zip(path.file_name());
    let (folder, name) = parts.ok_or_else(|| std::io::Error::other(format!("{path} names no file")))?;
    tempfile::Builder::new().prefix(&format!("{name}-")).tempfile_in(folder)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::fixture;

    #[test]
    fn what_a_kill_leaves_has_the_name_of_the_file_that_it_was_to_replace() {
        let (_guard, folder) = fixture::folder();
        let path = folder.join("report.html");
        let (_, left) = file(&path).expect("a file").keep().expect("it stays");
        let mode = left.metadata().expect("a file").permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "only its owner may read it");
        let left = left.strip_prefix(&folder).expect("a file in the folder").to_str().expect("UTF-8");
        assert!(left.starts_with("report.html-"), "{left}");
    }

    #[test]
    fn a_path_that_names_no_file_is_refused() {
        let error = file(Utf8Path::new("/")).expect_err("it names no file").to_string();
        assert!(error.contains("/ names no file"), "{error}");
    }
}
