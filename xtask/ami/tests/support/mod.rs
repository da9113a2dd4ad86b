//! What the tests of the program share: runs of it, each with a home of its own, and a look at what they leave.

use std::{
    os::unix::fs::PermissionsExt as _,
    process::{Command, Stdio},
};

use camino::{Utf8Path, Utf8PathBuf};
use tempfile::TempDir;

#[path = "../kit/folder.rs"]
mod folder;
#[path = "../kit/skip.rs"]
mod skip;

pub use folder::folder;
pub use skip::{missing, skipped};

/// The root of the workspace.
pub fn workspace() -> &'static Utf8Path {
    Utf8Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).expect("the tool lies in xtask/ami")
}

/// A home of the tool, for one test. Removed with all that is in it.
pub struct Home {
    path: Utf8PathBuf,
    _guard: TempDir,
}

/// The tool: the one that cargo compiled for these tests, or the copy of it that the environment names, where cargo compiles
/// another one meanwhile.
pub fn tool() -> std::ffi::OsString {
    std::env::var_os("XTASK_AMI").unwrap_or_else(|| env!("CARGO_BIN_EXE_xtask-ami").into())
}

impl Home {
    /// An empty one, that the tool itself has to make. It lies below the target folder, where bases can be linked to.
    pub fn new() -> Home {
        let guard = tempfile::Builder::new().prefix("home-").tempdir_in(env!("CARGO_TARGET_TMPDIR"));
        let guard = guard.expect("a temporary folder");
        let folder = Utf8Path::from_path(guard.path()).expect("a path in UTF-8");
        Home { path: folder.join("home"), _guard: guard }
    }

    /// Where it is.
    pub fn path(&self) -> &Utf8Path {
        &self.path
    }

    /// `xtask-ami ami …` with this home.
    pub fn ami<S: AsRef<std::ffi::OsStr>>(&self, words: impl IntoIterator<Item = S>) -> Command {
        let mut command = Command::new(tool());
        command.arg("ami").args(words).env("WALLAROO_AMI_HOME", &self.path).current_dir(workspace());
        command.stdin(Stdio::null());
        command
    }

    /// The processes that a run with this home started and that are still there, by their command lines.
    ///
    /// They are told by their environment, which whatever is started inherits: the names of programs say nothing about
    /// whose they are.
    pub fn processes(&self) -> Vec<(i32, String)> {
        let wanted = format!("WALLAROO_AMI_HOME={}", self.path);
        let mut found = Vec::new();
        for entry in Utf8Path::new("/proc").read_dir_utf8().expect("/proc").filter_map(Result::ok) {
            let Ok(id) = entry.file_name().parse::<i32>() else { continue };
            // What has ended meanwhile has neither.
            let Ok(environment) = std::fs::read(entry.path().join("environ")) else { continue };
            if environment.split(|&byte| byte == 0).any(|variable| variable == wanted.as_bytes()) {
                let line = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
                found.push((id, String::from_utf8_lossy(&line).replace('\0', " ")));
            }
        }
        found
    }
}

/// All files and folders below one, sorted.
pub fn files(folder: &Utf8Path) -> Vec<Utf8PathBuf> {
    let mut all = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = folder.read_dir_utf8() else { continue };
        for entry in entries {
            let entry = entry.expect("an entry");
            if entry.file_type().expect("a type").is_dir() {
                folders.push(entry.path().to_owned());
            }
            all.push(entry.into_path());
        }
    }
    all.sort();
    all
}

/// How a run ended, and what it said.
#[derive(Debug)]
pub struct Ended {
    /// Its exit code; none when a signal ended it.
    pub code: Option<i32>,
    /// The result.
    pub stdout: String,
    /// All else.
    pub stderr: String,
}

impl Ended {
    /// Fails the test unless the run ended with `code` and one error, which has all of these words.
    #[track_caller]
    pub fn expect_error(&self, code: i32, words: &[&str]) {
        assert_eq!(self.code, Some(code), "{self}");
        assert_eq!(self.stderr.lines().filter(|line| line.starts_with("error: ")).count(), 1, "{self}");
        for word in words {
            assert!(self.stderr.contains(word), "no {word:?} in {self}");
        }
        assert!(!self.stderr.contains("panicked"), "{self}");
    }
}

impl std::fmt::Display for Ended {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}\n--- stdout\n{}\n--- stderr\n{}", self.code, self.stdout, self.stderr)
    }
}

/// A copy of the sample checkout, without what make may have left in it, for a test to alter.
pub fn sample(folder: &Utf8Path) -> Utf8PathBuf {
    let root = folder.join("sample");
    copy(&workspace().join("xtask/ami/sample"), &root);
    for binary in BINARIES {
        let _ = std::fs::remove_file(root.join(binary));
    }
    root
}

/// Where the sample's binaries are built, in the recipe's order.
pub const BINARIES: [&str; 4] = [
    "machida/build/machida",
    "utils/cluster_shutdown/cluster_shutdown",
    "utils/data_receiver/data_receiver",
    "giles/sender/sender",
];

fn copy(from: &Utf8Path, to: &Utf8Path) {
    std::fs::create_dir_all(to).expect("a folder");
    for entry in from.read_dir_utf8().expect("a folder").map(|entry| entry.expect("an entry")) {
        let target = to.join(entry.file_name());
        if entry.file_type().expect("a type").is_dir() {
            copy(entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).expect("a copy");
        }
    }
}

/// Writes a file, with the folders that it lies in.
pub fn write(path: &Utf8Path, bytes: impl AsRef<[u8]>) {
    std::fs::create_dir_all(path.parent().expect("a parent")).expect("folders");
    std::fs::write(path, bytes).expect("a file");
}

/// Writes a program.
pub fn write_program(path: &Utf8Path, bytes: impl AsRef<[u8]>) {
    write(path, bytes);
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).expect("a program's mode");
}

/// The shipped recipe with each text replaced by the other.
pub fn recipe(changes: &[(&str, &str)]) -> String {
    let shipped = std::fs::read_to_string(workspace().join(".release/ami/ami.toml")).expect("the shipped recipe");
    changes.iter().fold(shipped, |text, (from, to)| {
        assert!(text.contains(from), "the shipped recipe has no {from:?}");
        text.replace(from, to)
    })
}

/// What virtual machines need.
pub const QEMU: [&str; 3] = ["qemu-system-x86_64", "qemu-img", "sfdisk"];
