//! EC2, as one account sees it: its clients, and what was found out on the way.

use std::{cell::RefCell, collections::BTreeMap, time::Duration};

use anyhow::Result;
use aws_sdk_ec2::Client;
use ipnet::Ipv4Net;
use tokio::{sync::OnceCell, time::Instant};
use xtask::{
    cli::{CommonFlags, ReleaseFlags},
    region::Region,
};

use super::{
    clients::{Caller, Clients},
    network::Placement,
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

/// How long what was created may stay unknown to calls that name it. EC2 API reference, "Ensuring idempotency" and
/// "Eventual consistency in the Amazon EC2 API": seconds mostly, and never meant to be relied on.
pub(super) const VISIBILITY_LIMIT: Duration = Duration::from_secs(120);

/// What a command asks of EC2, beyond the recipe.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// The profile of the AWS configuration files.
    pub profile: Option<String>,
    /// This image instead of the recipe's base.
    pub base_image: Option<String>,
    /// This subnet instead of those of the default VPC.
    pub subnet: Option<String>,
    /// This security group instead of one of the build's own.
    pub security_group: Option<String>,
    /// The addresses that may reach port 22, CIDR; else the own address, asked of an address service.
    pub ssh_from: Option<Ipv4Net>,
}

impl Settings {
    /// What the flags say.
    #[must_use]
    pub fn of(release: Option<&ReleaseFlags>, common: &CommonFlags) -> Settings {
        Settings {
            profile: common.profile.clone(),
            base_image: release.and_then(|flags| flags.base_image.as_ref()).map(ToString::to_string),
            subnet: release.and_then(|flags| flags.subnet.clone()),
            security_group: release.and_then(|flags| flags.security_group.clone()),
            ssh_from: release.and_then(|flags| flags.ssh_from),
        }
    }
}

/// EC2, as one account sees it.
pub struct Ec2 {
    pub(super) clients: Clients,
    /// Who the credentials belong to; asked once.
    pub(super) caller: OnceCell<Caller>,
    pub(super) home: Region,
    pub(super) recipe: Recipe,
    pub(super) settings: Settings,
    pub(super) events: Events,
    /// Where instances can be launched; found out once.
    pub(super) placements: OnceCell<Vec<Placement>>,
    /// The default security group of their VPC.
    pub(super) default_group: OnceCell<String>,
    /// The addresses that may reach port 22; found out once.
    pub(super) ssh_from: OnceCell<Ipv4Net>,
    /// The security groups that were made, by the name of their access.
    pub(super) groups: RefCell<BTreeMap<String, String>>,
    /// When instances were launched: for a while, EC2 may not know them.
    pub(super) launched: RefCell<BTreeMap<InstanceId, Instant>>,
    /// The snapshots of images, which never change.
    pub(super) snapshots: RefCell<BTreeMap<ImageId, Vec<String>>>,
    /// How far pending images were when that was last asked for.
    pub(super) progress: RefCell<BTreeMap<ImageId, (String, Instant)>>,
}

impl Ec2 {
    /// EC2 with the credentials that the usual settings name.
    pub async fn open(settings: Settings, home: &Region, recipe: Recipe, events: &Events) -> Ec2 {
        let clients = Clients::open(settings.profile.as_deref(), home, events).await;
        Ec2::with(clients, settings, home, recipe, events)
    }

    /// The same with what a caller has set up of the SDK already.
    pub async fn load(
        loader: aws_config::ConfigLoader,
        settings: Settings,
        home: &Region,
        recipe: Recipe,
        events: &Events,
    ) -> Ec2 {
        let clients = Clients::load(loader, settings.profile.as_deref(), home, events).await;
        Ec2::with(clients, settings, home, recipe, events)
    }

    fn with(clients: Clients, settings: Settings, home: &Region, recipe: Recipe, events: &Events) -> Ec2 {
        Ec2 {
            clients,
            caller: OnceCell::new(),
            home: home.clone(),
            recipe,
            settings,
            events: events.clone(),
            placements: OnceCell::new(),
            default_group: OnceCell::new(),
            ssh_from: OnceCell::new(),
            groups: RefCell::default(),
            launched: RefCell::default(),
            snapshots: RefCell::default(),
            progress: RefCell::default(),
        }
    }

    pub(super) fn client(&self, region: &Region) -> Client {
        self.clients.ec2(region)
    }

    /// Calls again for as long as what was created just now may be unknown.
    pub(super) async fn once_visible<T>(
        &self,
        what: &str,
        mut call: impl AsyncFnMut() -> Result<T, ApiError>,
    ) -> Result<T> {
        let pace = Pace { first_look: Duration::ZERO, interval: Duration::from_secs(1) };
        let patience = Patience { limit: VISIBILITY_LIMIT, pace };
        wait::until(format_args!("{what} to be visible"), patience, &self.events, async || match call().await {
            Ok(value) => Ok(Poll::Ready(value)),
            Err(error) if error.is_not_found() => Ok(Poll::NotYet(error.to_string())),
            Err(error) => Err(error.into()),
        })
        .await
    }
}

impl Paced for Ec2 {
    fn pace(&self, phase: Phase) -> Pace {
        let (first_look, interval) = match phase {
            Phase::Login => (5.0, 0.5),
            Phase::Stop => (3.0, 1.0),
            Phase::Image => (10.0, 1.0),
            Phase::Copy => (12.0, 2.0),
            Phase::End => (10.0, 2.0),
            Phase::Block => (2.0, 5.0),
        };
        Pace { first_look: Duration::from_secs_f64(first_look), interval: Duration::from_secs_f64(interval) }
    }
}
