//! The journals of retirements, one file of JSON lines for each run of `retire`.
//!
//! The first line says what the run is about to change, and is on the disk before anything is changed. A run that was killed
//! leaves a journal without its last line; the next one of the same version finds there what the cloud no longer shows, such
//! as the snapshots of an image that is deregistered already. A torn last line is normal. A run that takes up earlier ones
//! lists all that they left, and names them; from then on its own journal counts instead.

use std::{collections::BTreeSet, fs::File, io::Write as _, time::SystemTime};

use anyhow::{Context as _, Result, bail};
use camino::{Utf8Path, Utf8PathBuf};
use rand::Rng as _;
use serde::{Deserialize, Serialize};
use xtask::region::Region;

use crate::{
    event::{about::Identity, ids::ImageId},
    state_dir::StateDir,
};

/// The number of this format.
pub const FORMAT: u32 = 1;

/// The ending of the journals' names.
const ENDING: &str = ".jsonl";

/// How far a version is retired.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Way {
    /// Its images and snapshots are removed.
    Remove,
    /// Its images are deprecated.
    Deprecate,
    /// Its images are disabled.
    Disable,
    /// Its images are enabled again.
    Enable,
}

/// What a run is about to change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct About {
    /// The number of the journal's format.
    pub format: u32,
    /// The version.
    pub version: String,
    /// Whose images they are.
    pub identity: Identity,
    /// How far it is retired.
    pub way: Way,
    /// The images.
    pub images: Vec<Listed>,
    /// The runs whose remainder is in `images`.
    pub takes_up: Vec<String>,
}

/// An image that is about to be changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listed {
    /// Where it is.
    pub region: Region,
    /// Its id.
    pub image: ImageId,
    /// The ids of its snapshots.
    pub snapshots: Vec<String>,
    /// Whether it was public.
    pub public: bool,
}

/// A line.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
enum Line {
    /// The run began; always the first line.
    Began {
        /// When, RFC 3339.
        at: String,
        /// What it is about to change.
        #[serde(flatten)]
        about: About,
    },
    /// All was done that is to be done about an image, its snapshots included.
    Done {
        /// Where it is.
        region: Region,
        /// Its id.
        image: ImageId,
    },
    /// All was done.
    Ended,
}

/// The journal of a run, open for writing.
pub struct Journal {
    path: Utf8PathBuf,
    file: File,
}

impl Journal {
    /// Begins the journal of a run.
    ///
    /// # Errors
    /// When it cannot be written. Then nothing may be changed.
    pub fn begin(state_dir: &StateDir, about: About) -> Result<Journal> {
        let folder = state_dir.retirements();
        std::fs::create_dir_all(&folder).with_context(|| format!("failed to create the folder {folder}"))?;
        let at = humantime::format_rfc3339_nanos(SystemTime::now()).to_string();
        let digits = at.chars().filter(char::is_ascii_alphanumeric);
        let id = format!("{}-{:05x}", digits.collect::<String>(), rand::rng().next_u32() & 0xf_ffff);
        let path = folder.join(format!("{id}{ENDING}"));
        let file = File::options().create_new(true).append(true).open(&path);
        let mut journal = Journal { file: file.with_context(|| format!("failed to create the journal {path}"))?, path };
        journal.write(&Line::Began { at, about })?;
        Ok(journal)
    }

    /// Records that all was done that is to be done about an image. Nothing waits for the disk: a line that is lost with the
    /// power is of an image that is found to be done.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn done(&mut self, region: &Region, image: &ImageId) -> Result<()> {
        self.append(&Line::Done { region: region.clone(), image: image.clone() })
    }

    /// Records that all was done.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn end(mut self) -> Result<()> {
        self.write(&Line::Ended)
    }

    fn write(&mut self, line: &Line) -> Result<()> {
        self.append(line)?;
        self.file.sync_data().with_context(|| format!("failed to write the journal {}", self.path))
    }

    fn append(&mut self, line: &Line) -> Result<()> {
        let text = format!("{}\n", serde_json::to_string(line)?);
        self.file.write_all(text.as_bytes()).with_context(|| format!("failed to write the journal {}", self.path))
    }
}

/// The retirements of this computer, oldest first.
#[derive(Debug, Default)]
pub struct Retirements {
    runs: Vec<Run>,
    /// Why some journals cannot be read.
    pub unreadable: Vec<anyhow::Error>,
}

/// A run, according to its journal.
#[derive(Debug)]
struct Run {
    id: String,
    about: About,
    done: BTreeSet<(Region, ImageId)>,
    ended: bool,
}

impl Retirements {
    /// Reads the journals of retirements in an account.
    ///
    /// # Errors
    /// When their folder cannot be listed.
    pub fn read(state_dir: &StateDir, identity: &Identity) -> Result<Retirements> {
        let folder = state_dir.retirements();
        let entries = match folder.read_dir_utf8() {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Retirements::default()),
            entries => entries.with_context(|| format!("failed to read {folder}"))?,
        };
        let mut retirements = Retirements::default();
        for entry in entries {
            let path = entry.with_context(|| format!("failed to read {folder}"))?.into_path();
            match Run::read(&path) {
                Ok(run) => retirements.runs.extend(run.filter(|run| run.about.identity == *identity)),
                Err(error) => retirements.unreadable.push(error.context(format!("cannot read the journal {path}"))),
            }
        }
        retirements.runs.sort_by(|a, b| a.id.cmp(&b.id));
        Ok(retirements)
    }

    /// What removals of a version left to do, and the ids of their runs.
    #[must_use]
    pub fn left(&self, version: &str) -> (Vec<Listed>, Vec<String>) {
        let taken_up: BTreeSet<&String> = self.runs.iter().flat_map(|run| &run.about.takes_up).collect();
        let removes = |run: &&Run| run.about.way == Way::Remove && run.about.version == version;
        let unfinished = || self.runs.iter().filter(removes).filter(|run| !run.ended && !taken_up.contains(&run.id));
        let is_left = |run: &Run, it: &Listed| !run.done.contains(&(it.region.clone(), it.image.clone()));
        let left = unfinished().flat_map(|run| run.about.images.iter().filter(|it| is_left(run, it)));
        (left.cloned().collect(), unfinished().map(|run| run.id.clone()).collect())
    }

    /// Whether an image was public when it was disabled; `None` when no journal says, or it has been enabled since.
    #[must_use]
    pub fn was_public(&self, region: &Region, image: &ImageId) -> Option<bool> {
        let of_image = |run: &Run| {
            let is_done = run.done.contains(&(region.clone(), image.clone()));
            let counts = run.about.way == Way::Disable || run.about.way == Way::Enable && is_done;
            let listed = run.about.images.iter().find(|it| it.region == *region && it.image == *image);
            listed.filter(|_| counts).map(|it| (run.about.way == Way::Disable).then_some(it.public))
        };
        self.runs.iter().rev().find_map(of_image).flatten()
    }
}

impl Run {
    /// Reads a journal; `None` when its first line is not whole, so that nothing was changed.
    fn read(path: &Utf8Path) -> Result<Option<Run>> {
        let Some(id) = path.file_name().and_then(|name| name.strip_suffix(ENDING)) else { return Ok(None) };
        let text = std::fs::read(path)?;
        let mut lines = text.split_inclusive(|byte| *byte == b'\n').filter_map(|line| line.strip_suffix(b"\n"));
        let Some(first) = lines.next() else { return Ok(None) };
        let format = serde_json::from_slice::<serde_json::Value>(first).context("line 1")?["format"].as_u64();
        if format.is_none_or(|format| format > u64::from(FORMAT)) {
            bail!("this version of the tool reads formats up to {FORMAT}, not this one: use a newer one");
        }
        let Line::Began { about, .. } = serde_json::from_slice(first).context("line 1")? else {
            bail!("line 1 does not say what is retired");
        };
        let mut run = Run { id: id.to_owned(), about, done: BTreeSet::new(), ended: false };
        for line in lines {
            match serde_json::from_slice(line) {
                Ok(Line::Done { region, image }) => drop(run.done.insert((region, image))),
                Ok(Line::Ended) => run.ended = true,
                // What is not known to be done is done again, which does no harm.
                Ok(Line::Began { .. }) | Err(_) => {}
            }
        }
        Ok(Some(run))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{event::about::CloudKind, fixture};

    fn listed(image: &str) -> Listed {
        let region = "us-west-2".parse().expect("a region");
        let snapshots = vec![image.replace("ami", "snap")];
        Listed { region, image: ImageId(image.to_owned()), snapshots, public: true }
    }

    fn about(way: Way, images: &[&str], takes_up: Vec<String>) -> About {
        let images = images.iter().map(|image| listed(image)).collect();
        About { format: FORMAT, version: "0.6.1".to_owned(), identity: identity("1"), way, images, takes_up }
    }

    fn identity(account: &str) -> Identity {
        Identity { kind: CloudKind::Ec2, account: account.to_owned(), endpoint: None }
    }

    #[test]
    fn what_a_killed_run_left_is_taken_up_once_and_only_in_its_account() {
        let (_guard, folder) = fixture::folder();
        let state_dir = StateDir::at(&folder);
        let read = |account| Retirements::read(&state_dir, &identity(account)).expect("the journals");
        assert_eq!(read("1").left("0.6.1"), (vec![], vec![]));
        let mut journal = Journal::begin(&state_dir, about(Way::Remove, &["ami-1", "ami-2"], vec![])).expect("a run");
        journal.done(&listed("ami-1").region, &listed("ami-1").image).expect("a line");
        drop(journal);
        let (left, runs) = read("1").left("0.6.1");
        assert_eq!((left, runs.len()), (vec![listed("ami-2")], 1));
        assert_eq!((read("2").left("0.6.1").0, read("1").left("0.6.10").0), (vec![], vec![]));
        let second = Journal::begin(&state_dir, about(Way::Remove, &["ami-2"], runs)).expect("a run");
        assert_eq!(read("1").left("0.6.1").1.len(), 1);
        second.end().expect("its end");
        assert_eq!(read("1").left("0.6.1"), (vec![], vec![]));
    }

    #[test]
    fn a_torn_line_says_nothing_wherever_it_is_torn() {
        let (_guard, folder) = fixture::folder();
        let state_dir = StateDir::at(&folder);
        let mut journal = Journal::begin(&state_dir, about(Way::Remove, &["ami-1"], vec![])).expect("a run");
        journal.done(&listed("ami-1").region, &listed("ami-1").image).expect("a line");
        let path = journal.path.clone();
        let whole = std::fs::read(&path).expect("the journal");
        let first = whole.iter().position(|byte| *byte == b'\n').expect("a line") + 1;
        for length in 0..whole.len() {
            std::fs::write(&path, &whole[..length]).expect("a shorter journal");
            let retirements = Retirements::read(&state_dir, &identity("1")).expect("the journals");
            assert_eq!(retirements.left("0.6.1").0.len(), usize::from(length >= first), "{length}");
            assert!(retirements.unreadable.is_empty(), "{length}: {:?}", retirements.unreadable);
        }
        for (text, why) in
            [("{\"event\":\"began\",\"format\":2}\n", "a newer one"), ("[]\n", "a newer one"), ("x\n", "line 1")]
        {
            std::fs::write(&path, text).expect("another journal");
            let unreadable = Retirements::read(&state_dir, &identity("1")).expect("the journals").unreadable;
            assert!(unreadable.len() == 1 && format!("{:#}", unreadable[0]).contains(why), "{text}: {unreadable:?}");
        }
    }

    #[test]
    fn the_last_journal_that_names_an_image_says_whether_it_was_public() {
        let (_guard, folder) = fixture::folder();
        let state_dir = StateDir::at(&folder);
        let image = listed("ami-1");
        let was_public = || {
            let retirements = Retirements::read(&state_dir, &identity("1")).expect("the journals");
            retirements.was_public(&image.region, &image.image)
        };
        assert_eq!(was_public(), None);
        for public in [true, false] {
            let mut about = about(Way::Disable, &["ami-1"], vec![]);
            about.images[0].public = public;
            drop(Journal::begin(&state_dir, about).expect("a run"));
            assert_eq!(was_public(), Some(public));
        }
        let mut enabled = Journal::begin(&state_dir, about(Way::Enable, &["ami-1"], vec![])).expect("a run");
        assert_eq!(was_public(), Some(false));
        enabled.done(&image.region, &image.image).expect("a line");
        assert_eq!(was_public(), None);
    }
}
