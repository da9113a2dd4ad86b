//! A release on the simulated EC2: preflight and all.

use std::{cell::Cell, time::Duration};

use aws_config::{BehaviorVersion, ConfigLoader};
use aws_sdk_ec2::config::Credentials;
use camino::Utf8PathBuf;
use tempfile::TempDir;
use xtask::region::Region;
use xtask_ami::{
    ask::{
        preflight::{self, Draft},
        spec::{ReleaseSpec, Visibility},
    },
    cloud::Account as _,
    cloud::ec2::{Ec2, Settings},
    events::Events,
    ground::signals::Signals,
    record::unfinished::Unfinished,
    show::{
        result::Report,
        terminal::{Form, Level, Terminal},
    },
    state_dir::StateDir,
    story::{release, run::Run},
};

use crate::{
    books::CANONICAL,
    common::{FOR_EVER, Said, order},
    endpoint::Endpoint,
    machine::{Disks, Simulated},
    turn::Turn,
};

/// Where images are made.
pub const HOME: &str = "us-west-2";

/// The base that the shipped recipe asks for.
pub const BASE: &str = "ubuntu/images/hvm-ssd/ubuntu-xenial-16.04-amd64-server-20210928";

/// What is tried.
pub struct Rig {
    pub endpoint: Endpoint,
    pub order: ReleaseSpec,
    pub settings: Settings,
    /// How long compiling takes.
    pub compile: Duration,
    said: Said,
    folder: TempDir,
    disks: Disks,
    _turn: Turn,
}

/// How a release ended.
#[derive(Debug)]
pub struct Ended {
    /// The report, or the exit code.
    pub outcome: Result<Report, u8>,
    /// All that was said, without colours.
    pub said: String,
    /// How long it took until the result was told, from preflight on.
    pub told: Option<Duration>,
    /// How long it took in all.
    pub took: Duration,
}

/// The SDK with an endpoint for a network, and credentials of its own.
pub fn loader(endpoint: &Endpoint) -> ConfigLoader {
    let credentials = Credentials::new("AKIDTESTS", "secret", None, None, "tests");
    let loader = aws_config::defaults(BehaviorVersion::v2026_01_12());
    loader.http_client(endpoint.clone()).credentials_provider(credentials)
}

impl Rig {
    /// A public release in these regions.
    pub fn public(regions: &[&str]) -> Rig {
        Rig::new(Visibility::Public, regions, Turn::beside_others())
    }

    /// The same for a test that sends signals: no other runs beside it.
    pub fn alone(regions: &[&str]) -> Rig {
        let turn = Turn::alone();
        Rig::new(Visibility::Public, regions, turn)
    }

    /// A developer's image.
    pub fn private() -> Rig {
        let expires = Duration::from_secs(7 * 24 * 60 * 60);
        Rig::new(Visibility::Private { expires, shared_with: Vec::new() }, &[HOME], Turn::beside_others())
    }

    fn new(visibility: Visibility, regions: &[&str], turn: Turn) -> Rig {
        let folder = tempfile::Builder::new().prefix("wallaroo-test-").tempdir().expect("a temporary folder");
        let path = Utf8PathBuf::try_from(folder.path().canonicalize().expect("the folder")).expect("UTF-8");
        let regions: Vec<Region> = regions.iter().map(|region| region.parse().expect("a region")).collect();
        let said = Said::default();
        let endpoint = Endpoint::new();
        endpoint.somebody_publishes(HOME, CANONICAL, BASE, "2021-09-28T12:00:00.000Z");
        Rig {
            endpoint,
            order: order(&path, visibility, HOME, regions),
            settings: Settings { ssh_from: Some("203.0.113.7/32".parse().expect("a CIDR")), ..Settings::default() },
            compile: Duration::ZERO,
            said,
            folder,
            disks: Disks::default(),
            _turn: turn,
        }
    }

    /// Where what is said goes.
    pub fn status(&self) -> Status {
        self.status.clone()
    }

    /// Where a process emits what happens.
    pub fn events(&self) -> Events {
        Events::new(Terminal::to(self.said.clone(), Level::Quiet, Form::Text))
    }

    /// EC2 as the code under test sees it.
    pub async fn ec2(&self) -> Ec2 {
        let home: Region = HOME.parse().expect("a region");
        let recipe = self.order.recipe.clone();
        Ec2::load(loader(&self.endpoint), self.settings.clone(), &home, recipe, &self.events()).await
    }

    /// Preflight and release; what must hold however it ends is checked.
    pub async fn release(&self) -> Ended {
        self.release_of(&self.order).await
    }

    /// The same of another order.
    pub async fn release_of(&self, order: &ReleaseSpec) -> Ended {
        self.run(order, None, usize::MAX).await.expect("it comes to its end")
    }

    /// The same, but this process is gone when the endpoint has had so many calls; none when it was.
    pub async fn release_until(&self, calls: usize) -> Option<Ended> {
        self.run(&self.order, None, calls).await
    }

    /// Goes on with the build that is unfinished, as another process would.
    pub async fn resume(&self) -> Ended {
        self.resume_until(usize::MAX).await.expect("it comes to its end")
    }

    /// The same, but that process is gone, too, when the endpoint has had so many calls.
    pub async fn resume_until(&self, calls: usize) -> Option<Ended> {
        let unfinished = Unfinished::pick(&self.home(), None, false).expect("an unfinished build");
        self.run(&self.order, Some(&unfinished.id), calls).await
    }

    /// The id of the build that is unfinished.
    pub fn unfinished(&self) -> String {
        Unfinished::pick(&self.home(), None, false).expect("an unfinished build").id
    }

    /// Where builds are kept.
    pub fn home(&self) -> StateDir {
        StateDir::at(&Utf8PathBuf::try_from(self.folder.path().join("home")).expect("UTF-8"))
    }

    /// A build that begins now, and that nobody works on yet.
    pub async fn begin(&self) -> anyhow::Result<Run> {
        let identity = self.ec2().await.identity().await?;
        Run::begin(self.order.clone(), identity, &self.home(), &self.events()).await
    }

    /// Why the build that is unfinished can't be gone on with.
    pub async fn refusal(&self) -> String {
        let identity = self.ec2().await.identity().await.expect("an identity");
        let (id, home) = (self.unfinished(), self.home());
        let resumed = Run::resume(self.order.clone(), &id, &identity, &home, &self.events()).await;
        resumed.map(|build| build.id).expect_err("a refusal").to_string()
    }

    async fn run(&self, order: &ReleaseSpec, resumed: Option<&str>, calls: usize) -> Option<Ended> {
        let began = tokio::time::Instant::now();
        let mut cloud = Simulated::new(self.ec2().await, self.endpoint.clone(), &self.disks);
        let events = self.events();
        let told = Cell::new(None);
        let tell = |_: &Report| {
            told.set(Some(began.elapsed()));
            Ok(())
        };
        let work = async {
            let build = match resumed {
                Some(id) => {
                    let identity = cloud.identity().await.expect("an identity");
                    Run::resume(order.clone(), id, &identity, &self.home(), &events).await.expect("a build")
                }
                None => {
                    let draft = Draft { spec: order.clone(), findings: Vec::new() };
                    let (order, preflight) = preflight::look(&cloud, draft, false).await.expect("preflight");
                    assert!(preflight.findings.is_empty(), "{:?}", preflight.findings);
                    cloud.compiled = tokio::time::Instant::now() + self.compile;
                    let identity = cloud.identity().await.expect("an identity");
                    Run::begin(order, identity, &self.home(), &events).await.expect("a build")
                }
            };
            let mut signals = Signals::listen().expect("signals");
            release::release(&cloud, &build, &mut signals, tell).await.map_err(|failure| failure.exit_code())
        };
        let outcome = tokio::select! {
            outcome = tokio::time::timeout(FOR_EVER, work) => outcome.expect("every wait is bounded"),
            () = self.endpoint.until(calls) => return None,
        };
        let ended = Ended { outcome, said: self.said.text(), told: told.get(), took: began.elapsed() };
        assert_eq!(self.endpoint.violations(), [""; 0], "{}", ended.said);
        Some(ended)
    }
}
