//! Where programs lie.

use std::os::unix::fs::PermissionsExt as _;

use camino::{Utf8Path, Utf8PathBuf};

/// Where Debian keeps programs that ordinary users' PATH doesn't name.
const SYSTEM_FOLDERS: [&str; 2] = ["/usr/sbin", "/sbin"];

/// Where a program is; a path is only looked at.
#[must_use]
pub fn find(program: &str) -> Option<Utf8PathBuf> {
    let path = std::env::var("PATH").unwrap_or_default();
    find_in(&path, program)
}

/// The program by its path, or by its name where it isn't found, so that starting it says so.
#[must_use]
pub fn program(name: &str) -> Utf8PathBuf {
    find(name).unwrap_or_else(|| Utf8PathBuf::from(name))
}

/// PATH with the folders of system programs, for programs that start others.
#[must_use]
pub fn search_path() -> String {
    let path = std::env::var("PATH").unwrap_or_default();
    let absent = SYSTEM_FOLDERS.iter().filter(|folder| !path.split(':').any(|known| known == **folder));
    absent.fold(path.clone(), |path, folder| format!("{path}:{folder}"))
}

fn find_in(path: &str, program: &str) -> Option<Utf8PathBuf> {
    if program.contains('/') {
        return Utf8Path::new(program).exists().then(|| Utf8PathBuf::from(program));
    }
    let folders = path.split(':').filter(|folder| !folder.is_empty()).chain(SYSTEM_FOLDERS);
    let mut candidates = folders.map(|folder| Utf8Path::new(folder).join(program));
    let executable = |file: &Utf8PathBuf| {
        file.metadata().is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
    };
    candidates.find(executable)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_found_where_users_path_does_not_lead() {
        assert_eq!(find_in("", "sh-that-is-nowhere"), None);
        let folder = tempfile::tempdir().expect("a folder");
        let folder = Utf8Path::from_path(folder.path()).expect("a path in UTF-8");
        let file = folder.join("made-up-program");
        std::fs::write(&file, "").expect("a file");
        assert_eq!(find_in(folder.as_str(), "made-up-program"), None, "it isn't executable");
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).expect("its mode");
        assert_eq!(find_in(&format!("/nowhere::{folder}"), "made-up-program"), Some(file));
        // Whichever system this is, it has one program that only root's PATH names.
        assert!(["ldconfig", "mkfs", "sysctl"].iter().any(|program| find_in("", program).is_some()));
    }
}
