//! The state of [`Ec2`]: clients, settings, and cached answers.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use anyhow::Result;
use aws_sdk_ec2::Client;
use ipnet::IpNet;
use tokio::{sync::OnceCell, time::Instant};
use xtask::{
    cli::{CommonFlags, ReleaseFlags},
    region::Region,
};

use super::{
    address::{LetIn, OwnAddresses},
    clients::{Caller, Clients},
    network::Placement,
    requests::instance::Disks,
};
use crate::{
    cloud::{Paced, Phase},
    event::ids::{ImageId, InstanceId},
    events::Events,
    ground::{
        api_error::ApiError,
        wait::{self, Pace, Patience, Poll},
    },
    recipe::Recipe,
};

/// How long a created resource may stay unknown to other calls (EC2 API reference, "Ensuring idempotency" and "Eventual
/// consistency in the Amazon EC2 API"). Usually seconds; EC2 guarantees no bound.
pub(super) const VISIBILITY_LIMIT: Duration = Duration::from_secs(120);

/// Settings from the command line, beside those of the recipe.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// `--profile`: of the AWS configuration files.
    pub profile: Option<String>,
    /// `--base-image`: an image id, instead of the recipe's base.
    pub base_image: Option<String>,
    /// `--subnet`: instead of those of the default VPC.
    pub subnet: Option<String>,
    /// `--security-group`: instead of a group that the build creates.
    pub security_group: Option<String>,
    /// `--ssh-from`: the addresses to open port 22 to, instead of this computer's own.
    pub ssh_from: Vec<IpNet>,
    /// Whether a call is given up soon: for commands that only look, while the user waits.
    pub is_brief: bool,
    /// Where this computer's own addresses are known from.
    pub own_addresses: OwnAddresses,
}

impl Settings {
    /// The settings of the flags.
    #[must_use]
    pub fn of(release: Option<&ReleaseFlags>, common: &CommonFlags) -> Settings {
        Settings {
            profile: common.profile.clone(),
            base_image: release.and_then(|flags| flags.base_image.as_ref()).map(ToString::to_string),
            subnet: release.and_then(|flags| flags.subnet.clone()),
            security_group: release.and_then(|flags| flags.security_group.clone()),
            // EC2 refuses a block that is given twice.
            ssh_from: release
                .map(|flags| flags.ssh_from.iter().copied().collect::<BTreeSet<_>>())
                .into_iter()
                .flatten()
                .collect(),
            is_brief: false,
            own_addresses: OwnAddresses::Aws,
        }
    }
}

/// EC2 with the credentials of one account.
pub struct Ec2 {
    pub(super) clients: Clients,
    /// The identity that the credentials belong to.
    pub(super) caller: OnceCell<Caller>,
    pub(super) build_region: Region,
    pub(super) recipe: Recipe,
    pub(super) settings: Settings,
    pub(super) events: Events,
    /// The subnets that instances can be launched in.
    pub(super) placements: OnceCell<Vec<Placement>>,
    /// The default security group of their VPC.
    pub(super) default_group: OnceCell<String>,
    /// The addresses that port 22 is open to, as last asked.
    pub(super) let_in: RefCell<Option<LetIn>>,
    /// The ids of created security groups, by the names of their accesses.
    pub(super) groups: RefCell<BTreeMap<String, String>>,
    /// The names of accesses whose key is not imported, but in the user data.
    pub(super) without_key: RefCell<BTreeSet<String>>,
    /// When instances were launched: for a while, EC2 may not know their ids.
    pub(super) launched: RefCell<BTreeMap<InstanceId, Instant>>,
    /// The snapshot ids of images, which never change.
    pub(super) snapshots: RefCell<BTreeMap<ImageId, Vec<String>>>,
    /// The disks of images to launch, which never change.
    pub(super) disks: RefCell<BTreeMap<String, Disks>>,
    /// The images that instances were launched from.
    pub(super) images: RefCell<BTreeMap<InstanceId, String>>,
    /// The regions whose block on public images this process has lifted.
    pub(super) unblocked: RefCell<BTreeSet<Region>>,
    /// The progress of pending images, and when it was read.
    pub(super) progress: RefCell<BTreeMap<ImageId, (String, Instant)>>,
}

impl Ec2 {
    /// Finds the credentials that the AWS CLI would use. Nothing is asked yet.
    ///
    /// # Errors
    /// When the settings of profiles, endpoints, proxies or certificates have faults.
    pub async fn open(settings: Settings, build_region: &Region, recipe: Recipe, events: &Events) -> Result<Ec2> {
        let clients = Clients::open(settings.profile.as_deref(), build_region, events).await?;
        Ok(Ec2::with(clients, settings, build_region, recipe, events))
    }

    /// The same with a loader that the caller has configured.
    pub async fn load(
        loader: aws_config::ConfigLoader,
        settings: Settings,
        build_region: &Region,
        recipe: Recipe,
        events: &Events,
    ) -> Ec2 {
        let clients = Clients::load(loader, build_region, events).await;
        Ec2::with(clients, settings, build_region, recipe, events)
    }

    fn with(mut clients: Clients, settings: Settings, build_region: &Region, recipe: Recipe, events: &Events) -> Ec2 {
        if settings.is_brief {
            clients.be_brief();
        }
        Ec2 {
            clients,
            caller: OnceCell::new(),
            build_region: build_region.clone(),
            recipe,
            settings,
            events: events.clone(),
            placements: OnceCell::new(),
            default_group: OnceCell::new(),
            let_in: RefCell::default(),
            groups: RefCell::default(),
            without_key: RefCell::default(),
            launched: RefCell::default(),
            snapshots: RefCell::default(),
            disks: RefCell::default(),
            images: RefCell::default(),
            unblocked: RefCell::default(),
            progress: RefCell::default(),
        }
    }

    pub(super) fn client(&self, region: &Region) -> Client {
        self.clients.ec2(region)
    }

    /// Retries a call while it fails because the replica that answers it does not know a resource just created, or its
    /// latest state, yet.
    pub(super) async fn once_visible<T>(
        &self,
        what: &str,
        mut call: impl AsyncFnMut() -> Result<T, ApiError>,
    ) -> Result<T> {
        let pace = Pace::new(Duration::ZERO, Duration::from_secs(1));
        let patience = Patience { limit: VISIBILITY_LIMIT, pace };
        wait::until(format_args!("{what} to be visible"), patience, &self.events, async || match call().await {
            Ok(value) => Ok(Poll::Ready(value)),
            Err(error) if is_told_late(&error) => Ok(Poll::NotYet(error.to_string())),
            Err(error) => Err(error.into()),
        })
        .await
    }
}

/// Whether an error may come from a replica that has not heard of a change that another one has shown already. These codes
/// are about the state of an instance, image or snapshot (EC2 API reference, "Error codes for the Amazon EC2 API").
pub(super) fn is_told_late(error: &ApiError) -> bool {
    error.is_not_found()
        || error.has_code(&["IncorrectInstanceState", "IncorrectState", "InvalidAMIID.Unavailable", "InvalidState"])
}

impl Paced for Ec2 {
    fn pace(&self, phase: Phase) -> Pace {
        let (first_check, interval) = match phase {
            Phase::Login => (5.0, 0.5),
            Phase::Stop => (3.0, 1.0),
            Phase::Image => (10.0, 1.0),
            Phase::Copy => (16.0, 2.0),
            Phase::Termination => (10.0, 2.0),
            Phase::Block => (2.0, 5.0),
        };
        Pace::new(Duration::from_secs_f64(first_check), Duration::from_secs_f64(interval))
    }
}
