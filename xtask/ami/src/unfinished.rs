//! The builds of this computer that did not come to their end.

use anyhow::{Context as _, Result, anyhow, bail};
use xtask::cli::{Ami, Cli, Task};

use crate::{
    build::{Call, JOURNAL, Order},
    home::Home,
    journal::History,
};

/// A build that did not come to its end.
pub struct Unfinished {
    /// Its id.
    pub id: String,
    /// What its journal tells.
    pub history: History,
}

impl Unfinished {
    /// All of them, oldest first, those whose journal can't be read aside: what is wrong with each of these is given back,
    /// too.
    ///
    /// # Errors
    /// When the folder of builds can't be listed.
    pub fn all(home: &Home) -> Result<(Vec<Unfinished>, Vec<anyhow::Error>)> {
        let (mut found, mut unreadable) = (Vec::new(), Vec::new());
        for (id, history) in histories(home)? {
            match history {
                Ok(history) if history.is_unfinished() => found.push(Unfinished { id, history }),
                Ok(_) => {}
                Err(error) => unreadable.push(error),
            }
        }
        found.sort_by(|a, b| a.id.cmp(&b.id));
        Ok((found, unreadable))
    }

    /// The ids of the builds that came to their end.
    ///
    /// # Errors
    /// When the folder of builds can't be listed.
    pub fn done(home: &Home) -> Result<Vec<String>> {
        let all = histories(home)?.into_iter();
        let done = all.filter(|(_, history)| history.as_ref().is_ok_and(|it| it.ended.as_deref() == Some("done")));
        Ok(done.map(|(id, _)| id).collect())
    }

    /// Whether it is a build of `--local`.
    #[must_use]
    pub fn is_local(&self) -> bool {
        self.history.about["local"] == true
    }

    /// The build to go on with: the one that is named, or the only one.
    ///
    /// # Errors
    /// When there is none, or there are several to choose from.
    pub fn pick(home: &Home, wanted: Option<&str>, local: bool) -> Result<Unfinished> {
        let (all, unreadable) = Unfinished::all(home)?;
        let flag = if local { " --local" } else { "" };
        let (mut fitting, others): (Vec<_>, Vec<_>) = all
            .into_iter()
            .filter(|build| wanted.is_none_or(|wanted| build.id == wanted))
            .partition(|build| build.is_local() == local);
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
    pub fn refuse_second(home: &Home, order: &Order) -> Result<()> {
        let (all, _) = Unfinished::all(home)?;
        let same = |build: &&Unfinished| {
            build.is_local() == order.local && build.history.text("version") == order.version.as_str()
        };
        let Some(build) = all.iter().find(same) else { return Ok(()) };
        let (id, flag) = (&build.id, if order.local { " --local" } else { "" });
        bail!(
            "the build {id} of `{}` is unfinished\n    to go on with it: cargo xtask ami resume {id}{flag}\n    to remove \
             what it left: cargo xtask ami clean {id}{flag}",
            order.name
        )
    }

    /// The command line that began it, parsed; it was typed in the folder that comes with it.
    ///
    /// # Errors
    /// When this version of the tool doesn't understand it.
    pub fn command(&self) -> Result<(Ami, Call)> {
        use clap::Parser as _;
        let call: Call = serde_json::from_value(self.history.about["call"].clone())
            .context("its journal doesn't say how it was asked for")?;
        let words = std::iter::once("xtask".to_owned()).chain(call.words.iter().cloned());
        match Cli::try_parse_from(words) {
            Ok(Cli { task: Task::Ami(ami) }) if ami.release.is_some() => Ok((*ami, call)),
            Ok(_) => Err(anyhow!("what its journal says it was asked for is no release: {}", call.words.join(" "))),
            Err(error) => Err(anyhow!("what it was asked for isn't understood any more: {error}")),
        }
    }
}

/// What is known of each build, or why nothing is.
fn histories(home: &Home) -> Result<Vec<(String, Result<History>)>> {
    let folder = home.path().join("builds");
    let entries = match folder.read_dir_utf8() {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.with_context(|| format!("failed to list {folder}"))?,
    };
    let mut all = Vec::new();
    for entry in entries {
        let entry = entry.with_context(|| format!("failed to list {folder}"))?;
        let path = entry.path().join(JOURNAL);
        if path.exists() {
            all.push((entry.file_name().to_owned(), History::read(&path)));
        }
    }
    Ok(all)
}
