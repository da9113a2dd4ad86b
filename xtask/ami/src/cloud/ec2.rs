//! EC2: the only place that names the SDK.

use std::{cell::RefCell, collections::BTreeMap, net::SocketAddr, time::Duration};

use anyhow::Result;
use aws_sdk_ec2::{
    Client,
    types::{ResourceType, Tag, TagSpecification},
};
use camino::Utf8Path;
use ipnet::Ipv4Net;
use tokio::{sync::OnceCell, time::Instant};
use xtask::{
    cli::{CommonFlags, ReleaseFlags},
    region::Region,
};

use crate::{
    cloud::{
        Audience, Cloud, Deed, DiskFiles, Image, Instance, Launch, Leftover, NewImage, Phase, SshAccess,
        preflight::{Preflight, Request},
        tags::Tags,
    },
    event::{
        facts::Base,
        ids::{ImageId, InstanceId},
    },
    ground::{
        api_error::ApiError,
        wait::{self, Pace, Patience, Poll},
    },
    machine::{keys::Login, ssh::Ssh},
    recipe::Recipe,
    show::terminal::Status,
};
use account::Account;
use network::Placement;

mod access;
mod account;
mod address;
mod answer;
mod base;
mod images;
mod instances;
mod leftovers;
mod network;
mod permissions;
mod preflight;
mod price;

/// How long what was created may stay unknown to calls that name it. EC2 API reference, "Ensuring idempotency" and
/// "Eventual consistency in the Amazon EC2 API": seconds mostly, and never meant to be relied on.
const VISIBILITY_LIMIT: Duration = Duration::from_secs(120);

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
    account: Account,
    home: Region,
    recipe: Recipe,
    settings: Settings,
    status: Status,
    /// Where instances can be launched; found out once.
    placements: OnceCell<Vec<Placement>>,
    /// The default security group of their VPC.
    default_group: OnceCell<String>,
    /// The addresses that may reach port 22; found out once.
    ssh_from: OnceCell<Ipv4Net>,
    /// The security groups that were made, by the name of their access.
    groups: RefCell<BTreeMap<String, String>>,
    /// When instances were launched: for a while, EC2 may not know them.
    launched: RefCell<BTreeMap<InstanceId, Instant>>,
    /// The snapshots of images, which never change.
    snapshots: RefCell<BTreeMap<ImageId, Vec<String>>>,
    /// How far pending images were when that was last asked for.
    progress: RefCell<BTreeMap<ImageId, (String, Instant)>>,
}

impl Ec2 {
    /// EC2 with the credentials that the usual settings name.
    pub async fn open(settings: Settings, home: &Region, recipe: Recipe, status: &Status) -> Ec2 {
        let account = Account::open(settings.profile.as_deref(), home).await;
        Ec2::with(account, settings, home, recipe, status)
    }

    /// The same with what a caller has set up of the SDK already.
    pub async fn load(
        loader: aws_config::ConfigLoader,
        settings: Settings,
        home: &Region,
        recipe: Recipe,
        status: &Status,
    ) -> Ec2 {
        let account = Account::load(loader, settings.profile.as_deref(), home).await;
        Ec2::with(account, settings, home, recipe, status)
    }

    fn with(account: Account, settings: Settings, home: &Region, recipe: Recipe, status: &Status) -> Ec2 {
        Ec2 {
            account,
            home: home.clone(),
            recipe,
            settings,
            status: status.clone(),
            placements: OnceCell::new(),
            default_group: OnceCell::new(),
            ssh_from: OnceCell::new(),
            groups: RefCell::default(),
            launched: RefCell::default(),
            snapshots: RefCell::default(),
            progress: RefCell::default(),
        }
    }

    fn client(&self, region: &Region) -> Client {
        self.account.ec2(region)
    }

    /// Calls again for as long as what was created just now may be unknown.
    async fn once_visible<T>(&self, what: &str, mut call: impl AsyncFnMut() -> Result<T, ApiError>) -> Result<T> {
        let pace = Pace { first_look: Duration::ZERO, interval: Duration::from_secs(1) };
        let patience = Patience { limit: VISIBILITY_LIMIT, pace };
        wait::until(format_args!("{what} to be visible"), patience, &self.status, async || match call().await {
            Ok(value) => Ok(Poll::Ready(value)),
            Err(error) if error.is_not_found() => Ok(Poll::NotYet(error.to_string())),
            Err(error) => Err(error.into()),
        })
        .await
    }
}

/// The tags of what a call creates, of each kind of resource that it creates.
fn tag_specifications(tags: &Tags, kinds: &[ResourceType]) -> Option<Vec<TagSpecification>> {
    if tags.is_empty() {
        return None;
    }
    let tags: Vec<Tag> = tags.iter().map(|(key, value)| Tag::builder().key(key).value(value).build()).collect();
    let specification = |kind: &ResourceType| {
        TagSpecification::builder().resource_type(kind.clone()).set_tags(Some(tags.clone())).build()
    };
    Some(kinds.iter().map(specification).collect())
}

/// The tags of what was found.
fn tags(found: &[Tag]) -> Tags {
    let pair = |tag: &Tag| Some((tag.key()?.to_owned(), tag.value().unwrap_or_default().to_owned()));
    found.iter().filter_map(pair).collect()
}

// The SDK's futures are large, and nest deeply: boxed here, once, they don't overflow the stack of whoever awaits them.
impl Cloud for Ec2 {
    type Machine = Ssh;

    fn flags(&self) -> String {
        let profile = self
            .settings
            .profile
            .as_deref()
            .map(|profile| format!(" --profile {}", crate::ground::process::quote(profile)));
        profile.unwrap_or_default()
    }

    fn how_to(&self, deed: Deed, region: &Region, id: &ImageId) -> Option<String> {
        let command = match deed {
            Deed::Deregister => format!("deregister-image --image-id {id} --delete-associated-snapshots"),
            Deed::Enable => format!("enable-image --image-id {id}"),
        };
        Some(format!("aws ec2 {command} --region {region}{}", self.flags()))
    }

    fn machines_outlive_us(&self) -> bool {
        true
    }

    async fn regions(&self) -> Result<Vec<Region>> {
        Box::pin(self.enabled_regions()).await
    }

    async fn preflight(&self, request: &Request) -> Result<Preflight> {
        Box::pin(self.look(request)).await
    }

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

    async fn base(&self, _log: &Utf8Path) -> Result<Base> {
        Box::pin(self.the_base()).await
    }

    async fn grant_access(&self, region: &Region, access: &SshAccess) -> Result<()> {
        Box::pin(self.grant(region, access)).await
    }

    async fn revoke_access(&self, region: &Region, name: &str) -> Result<()> {
        Box::pin(self.revoke(region, name)).await
    }

    async fn detach_access(&self, region: &Region, id: &InstanceId) -> Result<()> {
        Box::pin(self.leave_group(region, id)).await
    }

    async fn launch(&self, region: &Region, launch: &Launch) -> Result<InstanceId> {
        Box::pin(self.launch_where_there_is_room(region, launch)).await
    }

    async fn instance(&self, region: &Region, id: &InstanceId) -> Result<Option<Instance>> {
        Box::pin(self.instance_now(region, id)).await
    }

    async fn instances_of(&self, region: &Region, build: &str) -> Result<Vec<InstanceId>> {
        Box::pin(self.instances_tagged(region, build)).await
    }

    async fn console(&self, region: &Region, id: &InstanceId) -> Result<String> {
        Box::pin(self.console_output(region, id)).await
    }

    async fn connect(&self, address: SocketAddr, login: &Login, log: &Utf8Path) -> Result<Ssh> {
        Ssh::connect(address, login, log, &self.status).await
    }

    async fn stop(&self, region: &Region, id: &InstanceId) -> Result<()> {
        Box::pin(self.stop_for_imaging(region, id)).await
    }

    async fn terminate(&self, region: &Region, id: &InstanceId) -> Result<()> {
        Box::pin(self.terminate_instance(region, id)).await
    }

    async fn create_image(&self, region: &Region, instance: &InstanceId, image: &NewImage) -> Result<ImageId> {
        Box::pin(self.create(region, instance, image)).await
    }

    async fn copy_image(&self, from: &Region, id: &ImageId, to: &Region, image: &NewImage) -> Result<ImageId> {
        Box::pin(self.copy(from, id, to, image)).await
    }

    async fn image(&self, region: &Region, id: &ImageId) -> Result<Option<Image>> {
        Box::pin(self.image_now(region, id)).await
    }

    async fn images(&self, region: &Region) -> Result<Vec<Image>> {
        Box::pin(self.own_images(region)).await
    }

    async fn complete_image(&self, region: &Region, id: &ImageId, image: &NewImage) -> Result<()> {
        Box::pin(self.complete(region, id, image)).await
    }

    async fn snapshots_are_public(&self, region: &Region, id: &ImageId) -> Result<bool> {
        Box::pin(self.everybody_may_copy(region, id)).await
    }

    async fn permit_copying(&self, region: &Region, id: &ImageId, audience: &Audience, permit: bool) -> Result<()> {
        Box::pin(self.permit_snapshots(region, id, audience, permit)).await
    }

    async fn permit_launching(&self, region: &Region, id: &ImageId, audience: &Audience, permit: bool) -> Result<()> {
        Box::pin(self.permit_image(region, id, audience, permit)).await
    }

    async fn public_images_blocked(&self, region: &Region) -> Result<bool> {
        Box::pin(self.blocked(region)).await
    }

    async fn block_public_images(&self, region: &Region, block: bool) -> Result<()> {
        Box::pin(self.block(region, block)).await
    }

    async fn deregister(&self, region: &Region, id: &ImageId) -> Result<()> {
        Box::pin(self.remove_image(region, id)).await
    }

    async fn leftovers(&self, region: &Region) -> Result<Vec<Leftover>> {
        Box::pin(self.leftovers_in(region)).await
    }

    async fn remove(&self, region: &Region, leftover: &Leftover) -> Result<()> {
        Box::pin(self.remove_leftover(region, leftover)).await
    }

    async fn disk(&self, _region: &Region, _id: &ImageId, _scratch: &Utf8Path) -> Result<Option<Box<dyn DiskFiles>>> {
        Ok(None)
    }
}
