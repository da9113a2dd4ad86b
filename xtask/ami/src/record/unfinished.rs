//! The builds of this computer that did not come to their end, and can be gone on with.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result, anyhow, bail};
use xtask::cli::{Ami, Cli, Task};

use crate::{
    event::about::Invocation,
    record::{
        folder::{self, JOURNAL},
        journal::History,
    },
    state_dir::StateDir,
};

/// What a build is known by to other builds.
pub struct Release<'a> {
    /// The version.
    pub version: &'a str,
    /// The image's name.
    pub name: &'a str,
    /// Whether it is made on this computer.
    pub local: bool,
}

/// A build that did not come to its end.
pub struct Unfinished {
    /// Its id.
    pub id: String,
    /// What its journal tells.
    pub history: History,
}

impl Unfinished {
    /// The builds that are wanted, oldest first, and what is wrong with journals that can't be read.
    fn which(
        home: &StateDir,
        is_named: impl Fn(&str) -> bool,
        is_wanted: impl Fn(&History) -> bool,
    ) -> Result<(Vec<Unfinished>, Vec<anyhow::Error>)> {
        let (mut found, mut unreadable) = (Vec::new(), Vec::new());
        for (id, history) in histories(home, is_named)? {
            match history {
                Ok(history) if is_wanted(&history) => found.push(Unfinished { id, history }),
                Ok(_) => {}
                Err(error) => unreadable.push(error),
            }
        }
        found.sort_by(|a, b| a.id.cmp(&b.id));
        Ok((found, unreadable))
    }

    /// The ids of the builds that are unfinished, and of those that came to their good end.
    ///
    /// # Errors
    /// When the folder of builds can't be listed.
    pub fn and_done(home: &StateDir) -> Result<(BTreeSet<String>, BTreeSet<String>)> {
        let (mut unfinished, mut done) = (BTreeSet::new(), BTreeSet::new());
        for (id, history) in histories(home, |_| true)? {
            match history {
                Ok(history) if history.is_unfinished() => drop(unfinished.insert(id)),
                Ok(history) if history.ended.as_deref() == Some("done") => drop(done.insert(id)),
                _ => {}
            }
        }
        Ok((unfinished, done))
    }

    /// Whether it is a build of `--local`.
    #[must_use]
    pub fn is_local(&self) -> bool {
        self.history.about["local"] == true
    }

    /// Whether another process works on it now.
    #[must_use]
    pub fn is_worked_on(&self, home: &StateDir) -> bool {
        folder::is_locked(&home.build(&self.id))
    }

    /// The build to go on with: the one that is named, or the only one. One that was tidied up before there was an image is
    /// gone on with by name only: mostly its next attempt is another build.
    ///
    /// # Errors
    /// When there is none, or there are several to choose from.
    pub fn pick(home: &StateDir, wanted: Option<&str>, local: bool) -> Result<Unfinished> {
        let is_named = |id: &str| wanted.is_none_or(|wanted| id == wanted);
        let (all, unreadable) = Unfinished::which(home, is_named, |history| match wanted {
            Some(_) => history.can_go_on(),
            None => history.is_unfinished(),
        })?;
        let flag = if local { " --local" } else { "" };
        let (mut fitting, others): (Vec<_>, Vec<_>) = all.into_iter().partition(|build| build.is_local() == local);
        if wanted.is_none() && fitting.iter().any(|build| !build.is_worked_on(home)) {
            fitting.retain(|build| !build.is_worked_on(home));
        }
        let lines = |builds: &[Unfinished]| {
            builds
                .iter()
                .map(|build| format!("\n    {} ({})", build.id, build.history.text("name")))
                .collect::<String>()
        };
        match (fitting.len(), wanted) {
            (1, _) => fitting.pop().context("there is one"),
            (0, None) if others.is_empty() && unreadable.is_empty() => {
                bail!("no build is unfinished; to make an image: cargo xtask ami --version X{flag}")
            }
            (0, _) if !others.is_empty() => {
                let other = if local { "without --local" } else { "with --local" };
                bail!("say it {other}: there it is unfinished:{}", lines(&others))
            }
            (0, Some(wanted)) => match unreadable.into_iter().next() {
                Some(error) => Err(error.context(format!("no unfinished build {wanted} is known"))),
                None => {
                    bail!("no unfinished build {wanted} is known; `cargo xtask ami resume{flag}` shows those that are")
                }
            },
            (0, None) => Err(unreadable.into_iter().next().context("there is one")?),
            _ => bail!(
                "several builds are unfinished; name one, as in cargo xtask ami resume{flag} BUILD:{}",
                lines(&fitting)
            ),
        }
    }

    /// Fails where an unfinished build of this version is there already.
    ///
    /// # Errors
    /// With the commands that go on with it, or remove it.
    pub fn refuse_second(home: &StateDir, one: &Release<'_>) -> Result<()> {
        Unfinished::refuse_beside(home, one, None)
    }

    /// The same for the build with this id, which is no second one to itself.
    ///
    /// # Errors
    /// As [`Unfinished::refuse_second`].
    pub fn refuse_beside(home: &StateDir, one: &Release<'_>, id: Option<&str>) -> Result<()> {
        let (others, _) = Unfinished::which(home, |other| Some(other) != id, History::is_unfinished)?;
        let same = |build: &&Unfinished| build.is_local() == one.local && build.history.text("version") == one.version;
        let Some(build) = others.iter().find(same) else { return Ok(()) };
        let (id, flag) = (&build.id, if one.local { " --local" } else { "" });
        if build.is_worked_on(home) {
            bail!("another process works on the build {id} of `{}`: let it end, or end it", one.name);
        }
        bail!(
            "the build {id} of `{}` is unfinished\n    to go on with it: cargo xtask ami resume {id}{flag}\n    to remove \
             what it left: cargo xtask ami clean {id}{flag}",
            one.name
        )
    }

    /// The command line that began it, parsed; it was typed in the folder that comes with it.
    ///
    /// # Errors
    /// When this version of the tool doesn't understand it.
    pub fn command(&self) -> Result<(Ami, Invocation)> {
        use clap::Parser as _;
        let call: Invocation = serde_json::from_value(self.history.about["call"].clone())
            .context("its journal doesn't say how it was asked for")?;
        let words = std::iter::once("xtask".to_owned()).chain(call.words.iter().cloned());
        match Cli::try_parse_from(words) {
            Ok(Cli { task: Task::Ami(ami) }) if ami.release.is_some() => Ok((*ami, call)),
            Ok(_) => Err(anyhow!("what its journal says it was asked for is no release: {}", call.words.join(" "))),
            Err(error) => Err(anyhow!("what it was asked for isn't understood any more: {error}")),
        }
    }
}

/// What is known of each build with such an id, or why nothing is.
fn histories(home: &StateDir, is_named: impl Fn(&str) -> bool) -> Result<Vec<(String, Result<History>)>> {
    let folder = home.path().join("builds");
    let entries = match folder.read_dir_utf8() {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.with_context(|| format!("failed to list {folder}"))?,
    };
    let mut all = Vec::new();
    for entry in entries {
        let entry = entry.with_context(|| format!("failed to list {folder}"))?;
        let path = entry.path().join(JOURNAL);
        if is_named(entry.file_name()) && path.exists() {
            all.push((entry.file_name().to_owned(), History::read(&path)));
        }
    }
    Ok(all)
}
