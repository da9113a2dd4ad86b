//! A build against the fake cloud: a tiny checkout, a home of its own, and all that is said kept.

use std::{cell::Cell, time::Duration};

use camino::Utf8PathBuf;
use futures_util::FutureExt as _;
use tempfile::TempDir;
use xtask::region::Region;
use xtask_ami::{
    ask::spec::Visibility,
    event::{
        about::{CloudKind, Identity},
        ids::ImageId,
    },
    events::Events,
    ground::signals::Signals,
    show::{
        result::Report,
        terminal::{Form, Level, Terminal},
    },
    state_dir::StateDir,
    story::{release, run::Run},
};

use crate::{
    common::{FOR_EVER, Said, order},
    fake::{Fake, Verb},
    turn::Turn,
};

/// Where the image is made.
pub const HOME: &str = "us-west-2";
/// The regions of a release.
pub const REGIONS: [&str; 4] = ["eu-west-1", "sa-east-1", "us-east-1", HOME];
/// The image's name.
pub const NAME: &str = "Wallaroo 0.6.1";

/// What is tried: a build, and the cloud that it is made in.
pub struct Rig {
    pub cloud: Fake,
    pub build: Run,
    said: Said,
    _folder: TempDir,
    _turn: Turn,
}

/// How a release ended.
pub struct Ended {
    /// The report, or the exit code.
    pub outcome: Result<Report, u8>,
    /// All that was said, without colours.
    pub said: String,
}

impl Rig {
    /// A public release in all regions.
    pub fn public() -> Rig {
        Rig::new(Visibility::Public, &REGIONS, Turn::beside_others())
    }

    /// A public release that no other test runs beside, for a test that sends signals.
    pub fn alone() -> Rig {
        let turn = Turn::alone();
        Rig::new(Visibility::Public, &REGIONS, turn)
    }

    /// A developer's image.
    pub fn private() -> Rig {
        let expires = Duration::from_secs(7 * 24 * 60 * 60);
        Rig::new(Visibility::Private { expires, shared_with: Vec::new() }, &[HOME], Turn::beside_others())
    }

    /// A developer's image that these may launch, too.
    pub fn shared(grantees: &[&str]) -> Rig {
        let expires = Duration::from_secs(7 * 24 * 60 * 60);
        let shared_with = grantees.iter().map(|grantee| grantee.parse().expect("a grantee")).collect();
        Rig::new(Visibility::Private { expires, shared_with }, &[HOME], Turn::beside_others())
    }

    fn new(visibility: Visibility, regions: &[&str], turn: Turn) -> Rig {
        let folder = tempfile::Builder::new().prefix("wallaroo-test-").tempdir().expect("a temporary folder");
        let path = Utf8PathBuf::try_from(folder.path().canonicalize().expect("the folder")).expect("UTF-8");
        let regions: Vec<Region> = regions.iter().map(|region| region.parse().expect("a region")).collect();
        let order = order(&path, visibility, HOME, regions.clone());
        let said = Said::default();
        let events = Events::new(Terminal::to(said.clone(), Level::Quiet, Form::Text));
        let identity = Identity { kind: CloudKind::Ec2, account: "123456789012".to_owned(), endpoint: None };
        let build = Run::begin(order, identity, &StateDir::at(&path.join("home")), &events).now_or_never();
        let build = build.expect("no other build begins here").expect("a build");
        Rig { cloud: Fake::new(&regions), build, said, _folder: folder, _turn: turn }
    }

    /// Runs the release, and checks what must hold however it ends.
    pub async fn release(&self) -> Ended {
        let mut signals = Signals::listen().expect("signals");
        let told = Cell::new(0);
        let tell = |_: &Report| {
            told.set(told.get() + 1);
            Ok(())
        };
        let released =
            tokio::time::timeout(FOR_EVER, release::release(&self.cloud, &self.build, &mut signals, tell)).await;
        let outcome = released.expect("every wait is bounded").map_err(|failure| failure.exit_code());
        let ended = Ended { outcome, said: self.said.text() };
        assert_eq!(told.get(), usize::from(ended.outcome.is_ok()), "the result is told once: {ended}");
        assert_eq!(self.cloud.violations(), [""; 0], "{ended}");
        // A good image is never destroyed because something else failed.
        self.cloud.never(Verb::Deregister);
        ended
    }

    /// Runs the release, which must fail with one error that has all of these words.
    #[track_caller]
    pub fn fails<'a>(&'a self, words: &'a [&'a str]) -> impl Future<Output = Ended> + 'a {
        let caller = std::panic::Location::caller();
        async move {
            let ended = self.release().await;
            assert_eq!(ended.outcome.as_ref().err(), Some(&1), "{caller}: {ended}");
            for word in words {
                assert!(ended.error().contains(word), "{caller}: no `{word}` in the error: {ended}");
            }
            ended
        }
    }

    /// The regions that the release made an image in, by the images that the cloud has.
    pub fn regions_with_an_image(&self) -> Vec<String> {
        self.cloud.all_images().into_iter().map(|(region, _)| region).collect()
    }

    /// What the release made in a region, by what it knows itself.
    pub fn made(&self, region: &str) -> Option<ImageId> {
        let region: Region = region.parse().expect("a region");
        self.build.events.state(|state| state.images.get(&region).map(|image| image.id.clone()))
    }
}

impl Ended {
    /// The one error, with the lines that belong to it.
    pub fn error(&self) -> String {
        assert_eq!(self.said.matches("error: ").count(), 1, "{self}");
        let (_, error) = self.said.split_once("error: ").expect("an error");
        error.to_owned()
    }

    /// The lines that call something public.
    pub fn called_public(&self) -> Vec<&str> {
        self.said.lines().map(str::trim).filter(|line| line.contains("PUBLIC")).collect()
    }
}

impl std::fmt::Display for Ended {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}\n--- said\n{}", self.outcome.as_ref().map(|report| &report.name), self.said)
    }
}
