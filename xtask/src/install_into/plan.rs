//! What an installation writes, and what it leaves alone.

use std::{collections::BTreeMap, fmt::Write as _, fs};

use anyhow::{Context as _, Result, bail, ensure};
use camino::{Utf8Path, Utf8PathBuf};
use xtask::count;

use super::{RECORD, files::Blobs};

/// How a file of the tool and the checkout's file of the same path compare.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    /// The checkout has none.
    Missing,
    /// They are alike.
    Same,
    /// An earlier installation put the checkout's there, and the tool's has changed since.
    Older,
    /// The checkout's was changed there, or never came from an installation; the tool's is another one.
    Theirs,
    /// The checkout's was changed there since it was installed, and the tool's is as it was then.
    Changed,
    /// An earlier installation put the checkout's there, and the tool has no such file any more.
    Abandoned,
}

/// What an installation in a checkout writes.
#[derive(Debug)]
pub struct Plan {
    /// The root of the checkout.
    pub dir: Utf8PathBuf,
    states: BTreeMap<Utf8PathBuf, State>,
    record: Blobs,
    was_recorded: bool,
}

impl Plan {
    /// Compares the tool's files with those that are `there` in the checkout, and with those that an earlier installation
    /// `recorded`.
    pub fn of(dir: Utf8PathBuf, wanted: &Blobs, there: &Blobs, recorded: &Blobs) -> Plan {
        let state = |path: &Utf8PathBuf, new: &String| match (there.get(path), recorded.get(path)) {
            (None, _) => State::Missing,
            (Some(old), _) if old == new => State::Same,
            (Some(old), Some(installed)) if old == installed => State::Older,
            (Some(_), Some(installed)) if installed == new => State::Changed,
            (Some(_), _) => State::Theirs,
        };
        let mut states: BTreeMap<_, _> = wanted.iter().map(|(path, new)| (path.clone(), state(path, new))).collect();
        let abandoned = recorded.keys().filter(|path| !wanted.contains_key(*path) && dir.join(path).exists());
        states.extend(abandoned.map(|path| (path.clone(), State::Abandoned)));
        Plan { was_recorded: recorded == wanted, dir, states, record: wanted.clone() }
    }

    /// The files in this state.
    pub fn paths_in(&self, state: State) -> impl Iterator<Item = &Utf8PathBuf> {
        self.states.iter().filter(move |(_, its)| **its == state).map(|(path, _)| path)
    }

    /// Whether nothing has to be written.
    pub fn is_done(&self) -> bool {
        let to_write = self.paths_in(State::Missing).chain(self.paths_in(State::Older));
        to_write.count() == 0 && self.was_recorded
    }

    /// Refuses folders where files have to be, and links that lead out of the checkout.
    ///
    /// # Errors
    /// With all that is in the way.
    pub fn refuse_what_is_in_the_way(&self) -> Result<()> {
        let mut faults = Vec::new();
        for path in self.states.keys().map(Utf8PathBuf::as_path).chain([Utf8Path::new(RECORD)]) {
            let target = self.dir.join(path);
            if target.is_dir() {
                faults.push(format!("{path} is a folder there"));
            } else if target.is_symlink() {
                faults.push(format!("{path} is a link there"));
            }
            for parent in path.ancestors().skip(1).filter(|parent| !parent.as_str().is_empty()) {
                let parent_there = self.dir.join(parent);
                if parent_there.is_symlink() || (parent_there.exists() && !parent_there.is_dir()) {
                    faults.push(format!("{parent} is there, and is no folder"));
                }
            }
        }
        faults.sort();
        faults.dedup();
        ensure!(faults.is_empty(), "the tool cannot be installed in {}:\n  {}", self.dir, faults.join("\n  "));
        Ok(())
    }

    /// Refuses what would be overwritten. With `update`, files of an earlier installation may be, and those that differ for
    /// another reason are kept.
    ///
    /// # Errors
    /// With all files that differ, and what to type next.
    pub fn refuse_to_overwrite(&self, update: bool, is_installed: bool) -> Result<()> {
        if update && !is_installed {
            bail!(
                "there is nothing to update in {}: it has no {RECORD}, which an installation writes; to install: leave out \
                 --update",
                self.dir
            );
        }
        let differing: Vec<String> = [State::Older, State::Theirs]
            .into_iter()
            .flat_map(|state| self.paths_in(state))
            .map(ToString::to_string)
            .collect();
        if update || differing.is_empty() {
            return Ok(());
        }
        let remedy = if is_installed {
            "the tool is installed there already; to replace what came from that installation, and to keep what was \
             changed since: --update"
        } else {
            "move them away or make them alike, then type the same command again"
        };
        bail!("{} has other files than the tool:\n  {}\n{remedy}", self.dir, differing.join("\n  "))
    }

    /// What is going to be written, and what is kept.
    pub fn text(&self, workspace: &Utf8Path) -> String {
        let mut text = format!("In {}:", self.dir);
        for (state, verb) in [(State::Missing, "add"), (State::Older, "replace")] {
            let mut by_folder: BTreeMap<&str, usize> = BTreeMap::new();
            for path in self.paths_in(state) {
                *by_folder.entry(shown(path)).or_default() += 1;
            }
            for (folder, count) in by_folder {
                let files =
                    if folder.ends_with('/') { format!(" ({})", count::of(count, "file")) } else { String::new() };
                let _ = write!(text, "\n  {verb} {folder}{files}");
            }
        }
        let same = self.paths_in(State::Same).count();
        if same > 0 {
            let _ = write!(text, "\n  leave {same} files that are alike");
        }
        let kept = self.kept_text(workspace);
        if !kept.is_empty() {
            let _ = write!(text, "\n{}", kept.trim_end());
        }
        text
    }

    /// The files that are kept although the tool's differ or are gone, each with the command that shows how.
    pub fn kept_text(&self, workspace: &Utf8Path) -> String {
        let mut text = String::new();
        for path in self.paths_in(State::Theirs) {
            let (new, old) = (workspace.join(path), self.dir.join(path));
            let _ =
                writeln!(text, "keeping {path}, which was changed there, and has changed here: diff -u {old} {new}");
        }
        for path in self.paths_in(State::Changed) {
            let _ = writeln!(text, "keeping {path}, which was changed there");
        }
        for path in self.paths_in(State::Abandoned) {
            let _ = writeln!(text, "keeping {path}, which the tool no longer has: git rm {path}");
        }
        text
    }

    /// Writes the files, and the record last.
    ///
    /// # Errors
    /// When one cannot be written. Each that was written is complete.
    pub fn carry_out(&self, workspace: &Utf8Path) -> Result<()> {
        for path in self.paths_in(State::Missing).chain(self.paths_in(State::Older)) {
            let target = self.dir.join(path);
            let folder = target.parent().context("a file has a folder")?;
            fs::create_dir_all(folder).with_context(|| format!("failed to make the folder {folder}"))?;
            let beside = Utf8PathBuf::from(format!("{target}.installing"));
            let copied = fs::copy(workspace.join(path), &beside).and_then(|_| fs::rename(&beside, &target));
            if copied.is_err() {
                let _ = fs::remove_file(&beside);
            }
            copied.with_context(|| format!("failed to write {target}"))?;
        }
        let lines: String = self.record.iter().map(|(path, blob)| format!("{blob} {path}\n")).collect();
        let record = self.dir.join(RECORD);
        fs::write(&record, lines).with_context(|| format!("failed to write {record}"))
    }
}

/// A file as it is shown: those of a folder of the tool's own are counted.
fn shown(path: &Utf8Path) -> &str {
    let folders = ["xtask/", ".release/ami/"];
    folders.into_iter().find(|folder| path.as_str().starts_with(folder)).unwrap_or(path.as_str())
}
