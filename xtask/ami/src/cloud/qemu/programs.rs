//! Finds programs on PATH and in the folders of programs for root.

use std::ffi::OsStr;

use camino::{Utf8Path, Utf8PathBuf};

use crate::ground::programs;

/// Folders of programs for root, which are missing from PATH for other users on Debian.
const SYSTEM_FOLDERS: [&str; 2] = ["/usr/sbin", "/sbin"];

/// The path of a program. A name with a slash is the path of a file, executable or not.
#[must_use]
pub fn find(program: &str) -> Option<Utf8PathBuf> {
    if program.contains('/') {
        return Utf8Path::new(program).exists().then(|| Utf8PathBuf::from(program));
    }
    find_in(&search_path(), program)
}

/// The path of a program, or its bare name if it isn't found, so that starting it reports the error.
#[must_use]
pub fn program(name: &str) -> Utf8PathBuf {
    find(name).unwrap_or_else(|| Utf8PathBuf::from(name))
}

/// PATH with the folders of programs for root, for programs that start others.
#[must_use]
pub fn search_path() -> String {
    with_system_folders(&std::env::var("PATH").unwrap_or_default())
}

fn with_system_folders(path: &str) -> String {
    let absent = SYSTEM_FOLDERS.iter().filter(|folder| !path.split(':').any(|known| known == **folder));
    absent.fold(path.to_owned(), |path, folder| format!("{path}:{folder}"))
}

fn find_in(path: &str, program: &str) -> Option<Utf8PathBuf> {
    programs::find_in(OsStr::new(path), program).and_then(|found| Utf8PathBuf::try_from(found).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_for_root_is_found_whatever_path_is() {
        assert_eq!(find_in(&with_system_folders("/nowhere"), "sh-that-is-nowhere"), None);
        assert_eq!(with_system_folders("/bin:/usr/sbin"), "/bin:/usr/sbin:/sbin");
        // Every system has one of these programs in a folder for root.
        let path = with_system_folders("/nowhere");
        assert!(["ldconfig", "mkfs", "sysctl"].iter().any(|program| find_in(&path, program).is_some()));
    }
}
