//! Where a release is asked for: a home of the tool's own, and all that is said kept.

use std::{cell::Cell, fmt, time::Duration};

use anyhow::Result;
use camino::Utf8Path;
use tokio::time::{Instant, timeout};
use xtask::cli::{CleanFlags, CommonFlags, LogFormat};
use xtask_ami::{
    ask::spec::ReleaseSpec,
    catalogue::regions,
    cloud::Cloud,
    events::Events,
    ground::{outcome::Failure, signals::Signals},
    show::{
        result::Report,
        terminal::{Form, Level, Place, Terminal},
    },
    state_dir::StateDir,
    story::{release, run::Run},
    verbs::clean,
};

use super::{FOR_EVER, said::Said};

/// The place where releases are asked for: a computer of its own.
pub struct Desk {
    pub home: StateDir,
    /// In which form what happens is shown.
    pub form: Form,
    /// Where it is shown.
    pub place: Place,
    said: Said,
}

/// How a release ended.
#[derive(Debug)]
pub struct Ended {
    /// The report, or the exit code.
    pub outcome: Result<Report, u8>,
    /// All that was said, without colours.
    pub said: String,
    /// How long it took until the result was told.
    pub told: Option<Duration>,
    /// How long it took in all.
    pub took: Duration,
}

impl Desk {
    /// A desk whose home is below `folder`.
    pub fn new(folder: &Utf8Path) -> Desk {
        let said = Said::default();
        Desk { home: StateDir::at(&folder.join("home")), form: Form::Text, place: Place::Plain, said }
    }

    /// Where a process emits what happens. Each has its own.
    pub fn events(&self) -> Events {
        Events::new(Terminal::at(self.place, self.said.clone(), Level::Quiet, self.form))
    }

    /// Begins a build.
    pub async fn begin(&self, cloud: &impl Cloud, order: &ReleaseSpec, events: &Events) -> Result<Run> {
        Run::begin(order.clone(), cloud.identity().await?, &self.home, events).await
    }

    /// Resumes one.
    pub async fn resume(&self, cloud: &impl Cloud, order: &ReleaseSpec, id: &str, events: &Events) -> Result<Run> {
        Run::resume(order.clone(), id, &cloud.identity().await?, &self.home, events).await
    }

    /// All that was said, without colours.
    pub fn said(&self) -> String {
        self.said.text()
    }

    /// Cleans up after a build, or after all that began so long ago.
    pub async fn clean(
        &self,
        cloud: &impl Cloud,
        build: Option<&str>,
        older_than: Duration,
        events: &Events,
    ) -> Result<(), Failure> {
        let flags = CleanFlags { build: build.map(str::to_owned), older_than: older_than.into(), expired: false };
        self.clean_by(cloud, &flags, events).await
    }

    /// Cleans up by these flags.
    pub async fn clean_by(&self, cloud: &impl Cloud, flags: &CleanFlags, events: &Events) -> Result<(), Failure> {
        let identity = cloud.identity().await.map_err(Failure::Refused)?;
        let used = regions::used(&[], &self.home, &identity).expect("the journals");
        clean::clean(cloud, &self.home, &used, flags, &said_yes(), events).await
    }

    /// Runs a release to its end; the times count from `began`.
    pub async fn release(&self, cloud: &impl Cloud, build: &Run, began: Instant) -> Ended {
        let told = Cell::new(None);
        let outcome = release_to_end(cloud, build, began, &told).await;
        Ended { outcome, said: self.said(), told: told.get(), took: began.elapsed() }
    }
}

/// Runs a release to its end. When its result is told, counted from `began`, is noted.
pub async fn release_to_end(
    cloud: &impl Cloud,
    build: &Run,
    began: Instant,
    told: &Cell<Option<Duration>>,
) -> Result<Report, u8> {
    let mut signals = Signals::listen().expect("signals");
    let tell = |_: &Report| {
        assert_eq!(told.replace(Some(began.elapsed())), None, "the result is told once");
        Ok(())
    };
    let released = timeout(FOR_EVER, release::release(cloud, build, &mut signals, tell)).await;
    released.expect("every wait is bounded").map_err(|failure| failure.exit_code())
}

/// The flags of a command that asks nothing.
pub fn said_yes() -> CommonFlags {
    let (root, profile, log_format) = (None, None, LogFormat::Text);
    CommonFlags { local: false, root, yes: true, json: false, profile, quiet: true, verbose: false, log_format }
}

impl Ended {
    /// The report of a release that came to its good end.
    #[track_caller]
    pub fn report(&self) -> &Report {
        self.outcome.as_ref().unwrap_or_else(|_| panic!("{self}"))
    }

    /// Fails the test unless the release ended with this code, and said all of these words.
    #[track_caller]
    pub fn failed(&self, code: u8, words: &[&str]) {
        assert_eq!(self.outcome.as_ref().err(), Some(&code), "{self}");
        for word in words {
            assert!(self.said.contains(word), "no {word:?} in {self}");
        }
    }
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}\n--- said\n{}", self.outcome.as_ref().map(|report| &report.name), self.said)
    }
}
