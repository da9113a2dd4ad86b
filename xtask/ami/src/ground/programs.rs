//! Finds programs on PATH.

use std::{
    ffi::OsStr,
    fs::Metadata,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

/// The executable with this name in the folders of `path`, which has the format of PATH. A name with a slash is a path
/// already.
#[must_use]
pub fn find_in(path: &OsStr, program: &str) -> Option<PathBuf> {
    if program.contains('/') {
        return Some(PathBuf::from(program)).filter(|file| is_executable(file));
    }
    std::env::split_paths(path).map(|folder| folder.join(program)).find(|file| is_executable(file))
}

fn is_executable(file: &Path) -> bool {
    let has_mode = |metadata: Metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0;
    file.metadata().is_ok_and(has_mode)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::folder;

    #[test]
    fn only_executable_files_are_found() {
        let (_guard, folder) = folder();
        let path = format!("/nowhere:{folder}");
        let find = |name: &str| find_in(OsStr::new(&path), name);
        let file = folder.join("made-up-program");
        assert_eq!(find("made-up-program"), None);
        std::fs::write(&file, "").expect("a file");
        assert_eq!(find("made-up-program"), None, "it is not executable");
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).expect("its mode");
        assert_eq!(find("made-up-program").as_deref(), Some(file.as_std_path()));
        assert_eq!(find(file.as_str()).as_deref(), Some(file.as_std_path()));
        assert_eq!(find(folder.as_str()), None, "it is a folder");
    }
}
