//! A release on the simulated EC2: preflight and all.

use std::{rc::Rc, time::Duration};

use aws_config::{BehaviorVersion, ConfigLoader};
use aws_sdk_ec2::config::Credentials;
use tempfile::TempDir;
use tokio::time::{Instant, timeout};
use xtask::region::Region;
use xtask_ami::{
    ask::{
        preflight::{self, Draft},
        spec::{ReleaseSpec, Visibility},
    },
    cloud::ec2::{Ec2, Settings},
    events::Events,
    record::unfinished::Unfinished,
    story::run::Run,
};

use crate::{
    books::CANONICAL,
    endpoint::Endpoint,
    kit::{self, Desk, Ended, FOR_EVER, Turn},
    machine::{Disks, Jobs, Loses, Simulated},
};

/// Where images are made.
pub const HOME: &str = "us-west-2";

/// The base that the shipped recipe asks for.
pub const BASE: &str = "ubuntu/images/hvm-ssd/ubuntu-xenial-16.04-amd64-server-20210928";

/// The regions of the file `regions`.
pub fn all_regions() -> Vec<&'static str> {
    let file = include_str!("../../../../regions");
    file.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')).collect()
}

/// What is tried.
pub struct Rig {
    pub endpoint: Endpoint,
    pub order: ReleaseSpec,
    pub settings: Settings,
    /// How long compiling takes.
    pub compile: Duration,
    pub desk: Desk,
    _folder: TempDir,
    /// The parts of the work in which the connection to the machine is lost.
    pub loses: Loses,
    /// The scripts that were begun on machines.
    pub jobs: Jobs,
    disks: Disks,
    _turn: Turn,
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
        Rig::new(kit::private(&[]), &[HOME], Turn::beside_others())
    }

    fn new(visibility: Visibility, regions: &[&str], turn: Turn) -> Rig {
        let (guard, folder) = kit::folder();
        let regions: Vec<Region> = regions.iter().map(|region| region.parse().expect("a region")).collect();
        let endpoint = Endpoint::new();
        endpoint.add_published(HOME, CANONICAL, BASE, "2021-09-28T12:00:00.000Z");
        Rig {
            endpoint,
            order: kit::order(&folder, visibility, HOME, regions),
            settings: Settings { ssh_from: vec!["203.0.113.7/32".parse().expect("a CIDR")], ..Settings::default() },
            compile: Duration::ZERO,
            desk: Desk::new(&folder),
            _folder: guard,
            loses: Loses::default(),
            jobs: Jobs::default(),
            disks: Disks::default(),
            _turn: turn,
        }
    }

    /// Where a process emits what happens.
    pub fn events(&self) -> Events {
        self.desk.events()
    }

    /// All that was said, without colours.
    pub fn said(&self) -> String {
        self.desk.said()
    }

    /// EC2 as the code under test sees it.
    pub async fn ec2(&self) -> Ec2 {
        self.ec2_of(&self.events()).await
    }

    /// The same for a process that emits its calls there.
    async fn ec2_of(&self, events: &Events) -> Ec2 {
        let home: Region = HOME.parse().expect("a region");
        let recipe = self.order.recipe.clone();
        Ec2::load(loader(&self.endpoint), self.settings.clone(), &home, recipe, events).await
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

    /// Resumes the unfinished build, as another process would.
    pub async fn resume(&self) -> Ended {
        self.resume_until(usize::MAX).await.expect("it comes to its end")
    }

    /// The same, but that process is gone, too, when the endpoint has had so many calls.
    pub async fn resume_until(&self, calls: usize) -> Option<Ended> {
        let unfinished = Unfinished::pick(&self.desk.home, None, false).expect("an unfinished build");
        self.run(&self.order, Some(&unfinished.id), calls).await
    }

    /// The id of the build that is unfinished.
    pub fn unfinished(&self) -> String {
        Unfinished::pick(&self.desk.home, None, false).expect("an unfinished build").id
    }

    /// A build that begins now, and that no process works on yet.
    pub async fn begin(&self) -> anyhow::Result<Run> {
        self.desk.begin(&self.ec2().await, &self.order, &self.events()).await
    }

    /// Why the unfinished build cannot be resumed.
    pub async fn refusal(&self) -> String {
        let (cloud, id, events) = (self.ec2().await, self.unfinished(), self.events());
        self.desk
            .resume(&cloud, &self.order, &id, &events)
            .await
            .map(|build| build.id)
            .expect_err("a refusal")
            .to_string()
    }

    async fn run(&self, order: &ReleaseSpec, resumed: Option<&str>, calls: usize) -> Option<Ended> {
        let began = Instant::now();
        let events = self.events();
        let mut cloud = Simulated::new(self.ec2_of(&events).await, self.endpoint.clone(), &self.disks);
        (cloud.loses, cloud.jobs) = (Rc::clone(&self.loses), Rc::clone(&self.jobs));
        let work = async {
            let build = match resumed {
                Some(id) => self.desk.resume(&cloud, order, id, &events).await.expect("a build"),
                None => {
                    let draft = Draft { spec: order.clone(), findings: Vec::new() };
                    let (order, preflight) = preflight::run(&cloud, draft, false).await.expect("preflight");
                    assert!(preflight.findings.is_empty(), "{:?}", preflight.findings);
                    cloud.compiled = Instant::now() + self.compile;
                    self.desk.begin(&cloud, &order, &events).await.expect("a build")
                }
            };
            self.desk.release(&cloud, &build, began).await
        };
        let ended = tokio::select! {
            ended = timeout(FOR_EVER, work) => ended.expect("every wait is bounded"),
            () = self.endpoint.until(calls) => return None,
        };
        assert_eq!(self.endpoint.violations(), [""; 0], "{}", ended.said);
        Some(ended)
    }
}
