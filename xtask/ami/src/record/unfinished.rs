//! The unfinished builds of this computer, which can be resumed.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result, anyhow, bail};
use xtask::{
    cli::{Ami, Cli, Command, Task},
    region::{Region, mistyped},
};

use super::{
    folder::{self, JOURNAL},
    journal::{self, Reading},
    state::State,
};
use crate::{
    event::{
        How,
        about::{About, CloudKind, Identity, Invocation},
    },
    state_dir::StateDir,
};

/// What two builds of the same release have in common.
pub struct Release<'a> {
    /// The version.
    pub version: &'a str,
    /// The image's name.
    pub name: &'a str,
    /// Whether it is made on this computer, with `--local`.
    pub local: bool,
}

/// An unfinished build.
pub struct Unfinished {
    /// Its id.
    pub id: String,
    /// Its state, according to its journal.
    pub state: State,
}

impl Unfinished {
    /// The selected builds, oldest first, and the errors of journals that cannot be read.
    fn which(
        state_dir: &StateDir,
        is_named: impl Fn(&str) -> bool,
        is_wanted: impl Fn(&State) -> bool,
    ) -> Result<(Vec<Unfinished>, Vec<anyhow::Error>)> {
        let (mut found, mut unreadable) = (Vec::new(), Vec::new());
        for (id, state) in states(state_dir, is_named)? {
            match state {
                Ok(state) if is_wanted(&state) => found.push(Unfinished { id, state }),
                Ok(_) => {}
                Err(error) => unreadable.push(error),
            }
        }
        found.sort_by(|a, b| a.id.cmp(&b.id));
        Ok((found, unreadable))
    }

    /// Reads the journals of all builds of this computer.
    ///
    /// # Errors
    /// When the folder of builds cannot be listed.
    pub fn survey(state_dir: &StateDir) -> Result<Survey> {
        let mut survey = Survey::default();
        for (id, state) in states(state_dir, |_| true)? {
            match state {
                Ok(state) if state.is_unfinished() => drop(survey.unfinished.insert(id)),
                Ok(state) if state.ended == Some(How::Done) => drop(survey.done.insert(id)),
                Ok(_) => {}
                Err(error) => drop(survey.unreadable.insert(id, error)),
            }
        }
        Ok(survey)
    }

    /// The regions that this computer's builds of an account were in, finished or not. A build whose journal does not say
    /// whose it is counts; one whose journal cannot be read does not.
    ///
    /// # Errors
    /// When the folder of builds cannot be listed.
    pub fn regions(state_dir: &StateDir, identity: &Identity) -> Result<BTreeSet<Region>> {
        let all = states(state_dir, |_| true)?.into_iter();
        let about = all.filter_map(|(_, state)| state.ok()?.about).filter(|about| match &about.identity {
            Some(owner) => owner == identity,
            None => about.local == (identity.kind == CloudKind::Local),
        });
        Ok(about.flat_map(|about| about.regions.into_iter().chain([about.build_region])).collect())
    }

    /// What is being built.
    ///
    /// # Errors
    /// When the journal does not say.
    pub fn about(&self) -> Result<&About> {
        self.state.about()
    }

    /// Whether it is a build of `--local`.
    #[must_use]
    pub fn is_local(&self) -> bool {
        self.state.about.as_ref().is_some_and(|about| about.local)
    }

    fn name(&self) -> &str {
        self.state.about.as_ref().map_or("", |about| &about.name)
    }

    /// Whether another process is working on it.
    #[must_use]
    pub fn is_worked_on(&self, state_dir: &StateDir) -> bool {
        folder::is_locked(&state_dir.build(&self.id))
    }

    /// The build to resume: the named one, or the only unfinished one. A build that failed cleanly before it had an image
    /// is resumed only if it is named; usually one starts a new build instead.
    ///
    /// # Errors
    /// When there is none, or there are several to choose from.
    pub fn pick(state_dir: &StateDir, wanted: Option<&str>, local: bool) -> Result<Unfinished> {
        let is_named = |id: &str| wanted.is_none_or(|wanted| id == wanted);
        let (all, unreadable) = Unfinished::which(state_dir, is_named, |state| match wanted {
            Some(_) => state.can_be_resumed(),
            None => state.is_unfinished(),
        })?;
        let flag = if local { " --local" } else { "" };
        let (mut fitting, others): (Vec<_>, Vec<_>) = all.into_iter().partition(|build| build.is_local() == local);
        if wanted.is_none() && fitting.iter().any(|build| !build.is_worked_on(state_dir)) {
            fitting.retain(|build| !build.is_worked_on(state_dir));
        }
        match (fitting.len(), wanted) {
            (1, _) => fitting.pop().context("there is one"),
            (0, None) if others.is_empty() && unreadable.is_empty() => {
                bail!("no build is unfinished; to make an image: cargo xtask ami --version X{flag}")
            }
            (0, _) if !others.is_empty() => bail!("{}", elsewhere(&others, local)?),
            (0, Some(wanted)) => match unreadable.into_iter().next() {
                Some(error) => Err(error.context(format!("there is no unfinished build {wanted}"))),
                None => bail!("{}", not_to_be_resumed(state_dir, wanted, local)?),
            },
            (0, None) => Err(unreadable.into_iter().next().context("there is one")?),
            _ => bail!(
                "several builds are unfinished; name one, as in cargo xtask ami resume{flag} BUILD:{}",
                listed(&fitting)
            ),
        }
    }

    /// Fails if an unfinished build of this version exists.
    ///
    /// # Errors
    /// With the commands that resume it, or clean it up.
    pub fn refuse_second(state_dir: &StateDir, one: &Release<'_>) -> Result<()> {
        Unfinished::refuse_beside(state_dir, one, None)
    }

    /// The same, without regard to the build with this id.
    ///
    /// # Errors
    /// As [`Unfinished::refuse_second`].
    pub fn refuse_beside(state_dir: &StateDir, one: &Release<'_>, id: Option<&str>) -> Result<()> {
        let (others, _) = Unfinished::which(state_dir, |other| Some(other) != id, State::is_unfinished)?;
        let same = |build: &&Unfinished| {
            let about = build.state.about.as_ref();
            about.is_some_and(|about| about.local == one.local && about.version.as_str() == one.version)
        };
        let Some(build) = others.iter().find(same) else { return Ok(()) };
        if build.is_worked_on(state_dir) {
            bail!("another process works on the build {} of `{}`: wait for it, or stop it", build.id, one.name);
        }
        let (id, flags) = (&build.id, super::ownership::flags(build.about()?));
        bail!(
            "the build {id} of `{}` is unfinished\n    to resume it: cargo xtask ami resume {id}{flags}\n    to remove what \
             it left: cargo xtask ami clean {id}{flags}",
            one.name
        )
    }

    /// The command line that began it, parsed, and as it was typed.
    ///
    /// # Errors
    /// When this version of the tool cannot parse it.
    pub fn command(&self) -> Result<(Ami, Invocation)> {
        use clap::Parser as _;
        let call = self.about()?.call.clone();
        let words = std::iter::once("xtask".to_owned()).chain(call.words.iter().cloned());
        match Cli::try_parse_from(words) {
            Ok(Cli { task: Task::Ami(ami) })
                if ami.release.is_some() || matches!(ami.command, Some(Command::Promote(_))) =>
            {
                Ok((*ami, call))
            }
            Ok(_) => Err(anyhow!("the command line in the journal begins no build: {}", call.words.join(" "))),
            Err(error) => {
                Err(anyhow!("this version of the tool cannot parse the command line in the journal: {error}"))
            }
        }
    }
}

/// The builds of this computer, according to their journals.
#[derive(Debug, Default)]
pub struct Survey {
    /// The builds that a process works on, or can resume.
    pub unfinished: BTreeSet<String>,
    /// The builds that are done.
    pub done: BTreeSet<String>,
    /// The builds whose journal cannot be read, and why. They may be unfinished.
    pub unreadable: BTreeMap<String, anyhow::Error>,
}

fn listed(builds: &[Unfinished]) -> String {
    builds.iter().map(|build| format!("\n    {} ({})", build.id, build.name())).collect()
}

/// The message for an id of which there is no build that can be resumed. It names those that can: with one of them, `resume`
/// without an id would not list it, but resume it.
fn not_to_be_resumed(state_dir: &StateDir, wanted: &str, local: bool) -> Result<String> {
    if begun(state_dir)?.iter().any(|id| id == wanted) {
        return Ok(format!("there is no unfinished build {wanted}: it has ended"));
    }
    let (mut all, _) = Unfinished::which(state_dir, |_| true, State::can_be_resumed)?;
    all.retain(|build| build.is_local() == local);
    let near = mistyped(wanted, &all.iter().map(|build| build.id.as_str()).collect::<Vec<_>>());
    let near = near.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
    Ok(match all.as_slice() {
        [] => format!("there is no unfinished build {wanted}, and none that can be resumed"),
        _ => format!("there is no unfinished build {wanted}{near}\n  these can be resumed:{}", listed(&all)),
    })
}

/// The message when no build fits, but some would with the other kind of cloud. It has the commands that resume them.
fn elsewhere(others: &[Unfinished], local: bool) -> Result<String> {
    let (here, there) = if local { ("with --local", "on EC2") } else { ("on EC2", "with --local") };
    let command = |build: &Unfinished| -> Result<String> {
        Ok(format!("\n    cargo xtask ami resume {}{}", build.id, super::ownership::flags(build.about()?)))
    };
    let commands = others.iter().map(command).collect::<Result<String>>()?;
    Ok(format!("no build is unfinished {here}, but {there}; to resume it:{commands}"))
}

/// The ids of all builds of this computer that began.
///
/// # Errors
/// When the folder of builds cannot be listed.
pub fn begun(state_dir: &StateDir) -> Result<Vec<String>> {
    let folder = state_dir.path().join("builds");
    let entries = match folder.read_dir_utf8() {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.with_context(|| format!("failed to list {folder}"))?,
    };
    let mut all = Vec::new();
    for entry in entries {
        let entry = entry.with_context(|| format!("failed to list {folder}"))?;
        if journal::has_begun(&entry.path().join(JOURNAL)) {
            all.push(entry.file_name().to_owned());
        }
    }
    Ok(all)
}

/// The state of each build with such an id, or why its journal cannot be read.
fn states(state_dir: &StateDir, is_named: impl Fn(&str) -> bool) -> Result<Vec<(String, Result<State>)>> {
    let read = |id: String| {
        let state = Reading::of(&state_dir.build(&id).join(JOURNAL)).map(|reading| reading.state);
        (id, state)
    };
    Ok(begun(state_dir)?.into_iter().filter(|id| is_named(id)).map(read).collect())
}
