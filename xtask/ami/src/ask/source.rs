//! Facts of the checkout, from git and the file VERSION.

use std::process::Output;

use anyhow::{Context as _, Result, bail};
use camino::{Utf8Path, Utf8PathBuf};
use xshell::{Shell, cmd};
use xtask::version::Version;

use crate::{
    cloud::tags::{DIRTY, UNKNOWN},
    ground::{finding::Finding, process},
    recipe::{Binary, Recipe},
};

/// A tiny checkout to try the tool with, in the workspace.
const SAMPLE: &str = "xtask/ami/sample";

/// Facts of the checkout.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// Its root.
    pub root: Utf8PathBuf,
    /// The full hash of the commit; `None` outside of git.
    pub commit: Option<String>,
    /// When that commit was made, in seconds since 1970.
    pub commit_secs: Option<u64>,
    /// The branch; `None` with a detached HEAD or outside of git.
    pub branch: Option<String>,
    /// Whether files below the root differ from the commit.
    pub dirty: bool,
    /// The content of the file VERSION.
    pub version_file: Option<String>,
}

impl Source {
    /// Reads the facts of the checkout at `root`. Changes nothing there.
    ///
    /// # Errors
    /// When it lacks the sources of the recipe's binaries; when git fails to read the repository.
    pub fn read(root: &Utf8Path, recipe: &Recipe, workspace: &Utf8Path) -> Result<Source> {
        let missing = missing_sources(root, recipe);
        if !missing.is_empty() {
            bail!(
                "there are no Wallaroo sources in {root}; missing: {}\nrun this in a checkout of \
                 Wallaroo, or give one with --root DIR; to try the tool with its sample: --root {}",
                missing.join(", "),
                shown(&workspace.join(SAMPLE))
            );
        }
        let git = Git::new(root)?;
        let commit = git.line("rev-parse --verify --quiet HEAD")?;
        let committed = commit.as_ref().map_or(Ok(None), |_| git.line("log -1 --format=%ct"))?;
        let commit_secs = committed.and_then(|secs| secs.parse().ok());
        let branch = git.line("symbolic-ref --quiet --short HEAD")?;
        // Untracked files count, too: ponyc compiles all source files of a folder.
        let dirty = git.line("status --porcelain --untracked-files=normal -- .")?.is_some();
        Ok(Source { root: root.to_owned(), commit, commit_secs, branch, dirty, version_file: version_file(root)? })
    }

    /// The commit for descriptions and plans: short, and marked when files differ from it.
    #[must_use]
    pub fn commit_text(&self) -> String {
        let Some(commit) = &self.commit else { return "unknown".to_owned() };
        let short: String = commit.chars().take(12).collect();
        if self.dirty { format!("{short} with changes") } else { short }
    }

    /// The commit for tags: whole, and marked when files differ from it.
    #[must_use]
    pub fn commit_tag(&self) -> String {
        let Some(commit) = &self.commit else { return UNKNOWN.to_owned() };
        if self.dirty { format!("{commit}{DIRTY}") } else { commit.clone() }
    }

    /// The commit for names: eight digits, and `-dirty` when files differ from it.
    #[must_use]
    pub fn commit_word(&self) -> String {
        let Some(commit) = &self.commit else { return UNKNOWN.to_owned() };
        let short: String = commit.chars().take(8).collect();
        if self.dirty { format!("{short}{DIRTY}") } else { short }
    }

    /// Findings against a release of this checkout as `version`.
    #[must_use]
    pub fn refusals(&self, version: &Version, allow_dirty: bool, allow_version_mismatch: bool) -> Vec<Finding> {
        let root = shown(&self.root);
        let mut refusals = Vec::new();
        if self.dirty && !allow_dirty {
            refusals.push(Finding {
                problem: format!("{root} has uncommitted changes; `git -C {root} status` shows them"),
                remedy: format!(
                    "commit or stash them (`git -C {root} stash --include-untracked`), or release them uncommitted with \
                     --allow-dirty"
                ),
            });
        }
        let file = self.version_file.as_deref().unwrap_or(version.as_str());
        // A candidate, such as 0.6.1-rc1, is promoted as it is, so its tree already has the version of the release.
        let rest = version.as_str().strip_prefix(file);
        let agrees = rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('-'));
        if !agrees && !allow_version_mismatch {
            refusals.push(Finding {
                problem: format!("{} says {file}, but --version says {version}", shown(&self.root.join("VERSION"))),
                remedy: format!(
                    "give --version {}, check out {version}, or release anyway with --allow-version-mismatch",
                    process::quote(file)
                ),
            });
        }
        refusals
    }
}

/// The missing sources.
fn missing_sources(root: &Utf8Path, recipe: &Recipe) -> Vec<String> {
    let folders = recipe.binaries.iter().flat_map(source_folders);
    let mut wanted: Vec<Utf8PathBuf> = std::iter::once(Utf8PathBuf::from("Makefile")).chain(folders).collect();
    wanted.sort();
    wanted.dedup();
    wanted.iter().filter(|path| !root.join(path).exists()).map(|path| path.to_string()).collect()
}

/// The folders of a binary's sources and of its result.
fn source_folders(binary: &Binary) -> Vec<Utf8PathBuf> {
    let mut folders = Vec::new();
    let mut words = binary.make.iter();
    while let Some(word) = words.next() {
        let folder = match word.as_str() {
            "--directory" => Some(""),
            word => word.strip_prefix("--directory=").or_else(|| word.strip_prefix("-C")),
        };
        match folder {
            Some("") => folders.extend(words.next().map(Utf8PathBuf::from)),
            Some(folder) => folders.push(Utf8PathBuf::from(folder)),
            None => {}
        }
    }
    let mut parts = binary.result.components();
    let first = parts.next();
    // Only the first folder of the result exists before the build.
    folders.extend(first.filter(|_| parts.next().is_some()).map(|part| Utf8PathBuf::from(part.as_str())));
    folders
}

/// The content of the file VERSION; `None` when it is missing or empty.
fn version_file(root: &Utf8Path) -> Result<Option<String>> {
    let path = root.join("VERSION");
    match std::fs::read_to_string(&path) {
        Ok(text) => Ok(Some(text.trim().to_owned()).filter(|text| !text.is_empty())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("failed to read {path}")),
    }
}

/// A path relative to the current folder, quoted for a shell.
fn shown(path: &Utf8Path) -> String {
    let here = std::env::current_dir().ok().and_then(|here| Utf8PathBuf::try_from(here).ok());
    let path = here.as_deref().and_then(|here| path.strip_prefix(here).ok()).unwrap_or(path);
    process::quote(if path.as_str().is_empty() { "." } else { path.as_str() })
}

/// Git in the checkout, for read-only commands.
struct Git {
    sh: Shell,
}

impl Git {
    fn new(root: &Utf8Path) -> Result<Git> {
        let sh = Shell::new().context("failed to find the current folder")?;
        sh.change_dir(root);
        sh.set_var("LC_ALL", "C");
        Ok(Git { sh })
    }

    /// The output of git; `None` if it is empty, git is missing, or there is no repository.
    fn line(&self, words: &str) -> Result<Option<String>> {
        let words = words.split(' ');
        // Without the first option git may write a refreshed index. Without the second it may start a daemon that the
        // repository configures, which would keep running.
        let command = cmd!(self.sh, "git --no-optional-locks -c core.fsmonitor=false {words...}");
        // Set in git hooks, and may point to another repository.
        let command = command.env_remove("GIT_DIR").env_remove("GIT_WORK_TREE").env_remove("GIT_INDEX_FILE");
        let Ok(Output { status, stdout, stderr }) = command.quiet().ignore_status().output() else { return Ok(None) };
        let complaint = String::from_utf8_lossy(&stderr);
        if !status.success() && !complaint.is_empty() && !complaint.contains("not a git repository") {
            bail!("git failed to read the repository of {}: {}", self.sh.current_dir().display(), complaint.trim());
        }
        Ok(Some(String::from_utf8_lossy(&stdout).trim_end().to_owned()).filter(|line| !line.is_empty()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{folder, git, recipe, write};

    /// A checkout with the sources of the shipped recipe.
    fn checkout(root: &Utf8Path) {
        write(&root.join("Makefile"), "");
        write(&root.join("VERSION"), "0.6.1\n");
        for folder in ["machida", "utils/cluster_shutdown", "utils/data_receiver", "giles/sender"] {
            write(&root.join(folder).join("source"), "");
        }
    }

    fn committed(root: &Utf8Path) {
        git(root, &["init", "--quiet", "--initial-branch", "release"]);
        git(root, &["add", "--all"]);
        git(root, &["commit", "--quiet", "--message", "Begin"]);
    }

    fn read(root: &Utf8Path) -> Source {
        Source::read(root, &recipe(), Utf8Path::new("/workspace")).expect("a checkout")
    }

    #[test]
    fn a_folder_without_sources_is_refused_with_the_missing_ones_and_the_sample() {
        let (_guard, root) = folder();
        let error = Source::read(&root, &recipe(), Utf8Path::new("/workspace")).expect_err("no sources").to_string();
        for word in [
            &format!("there are no Wallaroo sources in {root}; missing: "),
            "Makefile, giles, giles/sender, machida, utils, utils/cluster_shutdown, utils/data_receiver",
            "--root /workspace/xtask/ami/sample",
        ] {
            assert!(error.contains(word), "{word}: {error}");
        }
        checkout(&root);
        std::fs::remove_dir_all(root.join("giles")).expect("removed");
        let error = Source::read(&root, &recipe(), Utf8Path::new("/workspace")).expect_err("no giles").to_string();
        assert!(error.contains("missing: giles, giles/sender"), "{error}");
    }

    #[test]
    fn the_folder_is_found_in_every_form_of_makes_option() {
        let mut binary = recipe().binaries.remove(0);
        binary.result = "result".into();
        for words in [&["-C", "a"][..], &["-Ca"], &["--directory=a"], &["--directory", "a"]] {
            binary.make = words.iter().map(|&word| word.to_owned()).collect();
            assert_eq!(source_folders(&binary), ["a"], "{words:?}");
        }
    }

    #[test]
    fn a_folder_outside_git_has_no_commit() {
        let (_guard, root) = folder();
        checkout(&root);
        let version_file = Some("0.6.1".to_owned());
        assert_eq!(
            read(&root),
            Source { root, commit: None, commit_secs: None, branch: None, dirty: false, version_file }
        );
    }

    #[test]
    fn the_commit_the_branch_and_changes_come_from_git() {
        let (_guard, root) = folder();
        checkout(&root);
        committed(&root);
        let source = read(&root);
        assert_eq!(source.commit.as_deref().map(str::len), Some(40));
        assert!(source.commit_secs.is_some_and(|secs| secs > 1_500_000_000), "{source:?}");
        assert_eq!((source.branch.as_deref(), source.dirty), (Some("release"), false));
        write(&root.join("machida/new.pony"), "");
        assert!(read(&root).dirty);
        std::fs::remove_file(root.join("machida/new.pony")).expect("removed");
        write(&root.join("VERSION"), "0.6.2\n");
        assert!(read(&root).dirty);
        git(&root, &["checkout", "--quiet", "--detach"]);
        assert_eq!(read(&root).branch, None);
    }

    #[test]
    fn without_git_there_is_no_commit() {
        let (_guard, root) = folder();
        checkout(&root);
        committed(&root);
        let git = Git::new(&root).expect("a shell");
        assert!(git.line("rev-parse HEAD").expect("a commit").is_some());
        git.sh.set_var("PATH", "/nonexistent");
        assert_eq!(git.line("rev-parse HEAD").expect("nothing"), None);
    }

    #[test]
    fn a_repository_without_a_commit_has_a_branch() {
        let (_guard, root) = folder();
        checkout(&root);
        git(&root, &["init", "--quiet", "--initial-branch", "release"]);
        let source = read(&root);
        assert_eq!((source.commit, source.branch.as_deref(), source.dirty), (None, Some("release"), true));
    }

    #[test]
    fn only_changes_below_the_root_make_it_dirty() {
        let (_guard, outer) = folder();
        let root = outer.join("sample");
        checkout(&root);
        write(&outer.join("other"), "");
        committed(&outer);
        write(&outer.join("other"), "changed");
        let source = read(&root);
        assert!(source.commit.is_some() && !source.dirty);
        write(&root.join("Makefile"), "changed");
        assert!(read(&root).dirty);
    }

    #[test]
    fn reading_does_not_write_the_index() {
        let (_guard, root) = folder();
        checkout(&root);
        committed(&root);
        // The same content with another time would make git refresh its index.
        write(&root.join("Makefile"), "");
        let index = || std::fs::metadata(root.join(".git/index")).and_then(|file| file.modified()).expect("an index");
        let before = index();
        std::thread::sleep(std::time::Duration::from_millis(20));
        assert!(!read(&root).dirty);
        assert_eq!(index(), before);
    }

    #[test]
    fn a_repository_that_git_cannot_read_is_an_error() {
        let (_guard, root) = folder();
        checkout(&root);
        committed(&root);
        write(&root.join(".git/config"), "[core\n");
        let error = Source::read(&root, &recipe(), &root).expect_err("a broken repository").to_string();
        assert!(error.contains("git failed to read the repository of") && error.contains("bad config line"), "{error}");
    }

    #[test]
    fn a_dirty_tree_and_another_version_are_refused_unless_allowed() {
        let source = Source {
            root: "/checkout".into(),
            commit: None,
            commit_secs: None,
            branch: None,
            dirty: true,
            version_file: Some("0.6.1".to_owned()),
        };
        let version = "0.6.2".parse().expect("a version");
        let refusals = source.refusals(&version, false, false);
        assert_eq!(refusals.len(), 2, "{refusals:?}");
        assert!(
            refusals[0].remedy.contains("git -C /checkout stash") && refusals[0].remedy.contains("--allow-dirty"),
            "{refusals:?}"
        );
        for word in ["/checkout/VERSION says 0.6.1", "--version 0.6.1", "--allow-version-mismatch"] {
            assert!(format!("{:?}", refusals[1]).contains(word), "{word}: {refusals:?}");
        }
        let spaced = Source { version_file: Some("0.6.1 (it's a test)".to_owned()), ..source.clone() };
        let remedy = &spaced.refusals(&version, true, false)[0].remedy;
        let (_, command) = remedy.split_once("give ").expect("a remedy");
        let (command, _) = command.split_once(", check").expect("a second remedy");
        assert_eq!(shlex::split(command).expect("words"), ["--version", "0.6.1 (it's a test)"]);
        assert_eq!(source.refusals(&version, true, true), []);
        assert_eq!(source.refusals(&version, false, true).len(), 1);
        for (version, refused) in [("0.6.1", 0), ("0.6.1-rc1", 0), ("0.6.1-me", 0), ("0.6.10", 1), ("0.6", 1)] {
            assert_eq!(source.refusals(&version.parse().expect(version), true, false).len(), refused, "{version}");
        }
        let without = Source { version_file: None, dirty: false, ..source };
        assert_eq!(without.refusals(&version, false, false), []);
    }
}
