//! Instances: launched in a zone with capacity, stopped for imaging, terminated.

use std::net::SocketAddr;

use anyhow::{Context as _, Result, bail, ensure};
use aws_config::retry::RetryConfig;
use aws_sdk_ec2::types::{Filter, Instance as Ec2Instance, InstanceStateName};
use tokio::time::Instant;
use xtask::region::Region;

use super::{
    Ec2,
    answer::Answer as _,
    network::Placement,
    requests::{
        self,
        instance::{Addresses, Disks, NewInstance, Once},
    },
    session::VISIBILITY_LIMIT,
};
use crate::{
    cloud::{Instance, InstanceState, Launch, LaunchSource, Shutdown, Termination, tags::TAG_BUILD},
    event::ids::InstanceId,
    ground::api_error::ApiError,
};

/// How the code of the reason begins for a stop or termination that was requested through the API (EC2 API reference,
/// `StateReason`).
const USER_INITIATED: &str = "Client.UserInitiated";

/// All states but `shutting-down` and `terminated`, which an instance never leaves (EC2 user guide, "Instance lifecycle").
const ALIVE: [InstanceStateName; 4] =
    [InstanceStateName::Pending, InstanceStateName::Running, InstanceStateName::Stopping, InstanceStateName::Stopped];

impl Ec2 {
    /// Launches in the first zone with capacity. EC2 lacks capacity by zone, not by region.
    pub(super) async fn launch_in_any_zone(&self, region: &Region, launch: &Launch) -> Result<InstanceId> {
        let (disks, group) = tokio::try_join!(self.disks_of(region, launch), self.group(region, &launch.access))?;
        let has_key = !self.without_key.borrow().contains(&launch.access);
        let key_name = has_key.then_some(launch.access.as_str());
        let mut full = Vec::new();
        for (index, placement) in self.placements(region).await?.iter().enumerate() {
            // EC2 refuses a token that was used with different parameters (EC2 API reference, "Ensuring idempotency").
            let token = format!("{}-{index}", launch.token);
            let instance = NewInstance {
                disks: &disks,
                machine: &self.recipe.instance,
                subnet: Some(&placement.subnet_id),
                group: Some(&group),
                addresses: self.addresses_in(placement),
                tags: &launch.tags,
                once: Some(Once { token: &token, key_name, user_data: &launch.user_data }),
            };
            let run = async || self.run(region, &instance).await;
            match self.once_visible(&format!("the image and SSH access of {}", launch.access), run).await {
                Ok(id) => {
                    self.launched.borrow_mut().insert(id.clone(), Instant::now());
                    self.images.borrow_mut().insert(id.clone(), disks.image.clone());
                    return Ok(id);
                }
                Err(error) if error.downcast_ref().is_some_and(lacks_capacity) => {
                    full.push(format!("{} ({error})", placement.zone));
                }
                Err(error) => return Err(error),
            }
        }
        bail!(
            "no zone has capacity for a {}; give another --instance-type or --subnet, or try again later:\n    {}",
            launch.instance_type,
            full.join("\n    ")
        )
    }

    async fn run(&self, region: &Region, instance: &NewInstance<'_>) -> Result<InstanceId, ApiError> {
        let request = requests::instance::run_instances(&self.client(region), instance).customize();
        // The SDK would retry a lack of capacity as transient. The caller retries what is transient.
        let once = aws_sdk_ec2::config::Builder::new().retry_config(RetryConfig::disabled());
        let answer = request.config_override(once).send().await.answer("RunInstances", region.as_str())?;
        let id = answer.instances().first().and_then(Ec2Instance::instance_id);
        id.map(|id| InstanceId(id.to_owned())).ok_or_else(|| ApiError {
            action: "RunInstances".to_owned(),
            region: region.to_string(),
            code: None,
            message: "the response has no instance".to_owned(),
            transient: false,
        })
    }

    /// The addresses to ask for in a subnet, by those that SSH is open to.
    pub(super) fn addresses_in(&self, placement: &Placement) -> Addresses {
        let let_in = self.let_in.borrow();
        self.addresses(placement, let_in.as_ref().map(|it| it.blocks.as_slice()).unwrap_or_default())
    }

    /// The devices that an image of an instance is made without. None where the image that it was launched from is gone.
    pub(super) async fn left_out(&self, region: &Region, instance: &InstanceId) -> Result<Vec<String>, ApiError> {
        let Some(image) = self.images.borrow().get(instance).cloned() else { return Ok(Vec::new()) };
        if let Some(disks) = self.disks.borrow().get(&image) {
            return Ok(disks.left_out.clone());
        }
        match self.describe_image(region, &image).await {
            Err(error) if error.is_not_found() || error.has_code(&["InvalidAMIID.Unavailable"]) => Ok(Vec::new()),
            found => Ok(Disks::of(&found?).left_out),
        }
    }

    async fn disks_of(&self, region: &Region, launch: &Launch) -> Result<Disks> {
        let image = match &launch.source {
            LaunchSource::Base(base) => &base.id,
            LaunchSource::Image(id) => &id.0,
        };
        let known = self.disks.borrow().get(image).cloned();
        let disks = match known {
            Some(disks) => disks,
            None => Disks::of(&self.once_visible(image, async || self.describe_image(region, image).await).await?),
        };
        ensure!(disks.root.is_some(), "{image} has no root device name");
        Ok(disks)
    }

    pub(super) async fn describe_instance(&self, region: &Region, id: &InstanceId) -> Result<Option<Instance>> {
        let found = self.client(region).describe_instances().instance_ids(&id.0).send().await;
        let found = match found.answer("DescribeInstances", region.as_str()) {
            Err(error) if error.is_not_found() => return Ok(None),
            found => found?,
        };
        let mut instances = found.reservations().iter().flat_map(|reservation| reservation.instances());
        let instance = instances.next();
        if let Some(image) = instance.and_then(Ec2Instance::image_id) {
            self.images.borrow_mut().insert(id.clone(), image.to_owned());
        }
        instance.map(|instance| instance_from(instance, self.dialled(instance))).transpose()
    }

    pub(super) async fn instances_of_build(&self, region: &Region, build: &str) -> Result<Vec<InstanceId>> {
        let tagged = Filter::builder().name(format!("tag:{TAG_BUILD}")).values(build).build();
        let mut pages =
            self.client(region).describe_instances().filters(tagged).filters(alive()).into_paginator().send();
        let mut found = Vec::new();
        while let Some(page) = pages.next().await {
            let page = page.answer("DescribeInstances", region.as_str())?;
            let instances = page.reservations().iter().flat_map(|reservation| reservation.instances());
            found.extend(instances.filter_map(Ec2Instance::instance_id).map(|id| InstanceId(id.to_owned())));
        }
        Ok(found)
    }

    pub(super) async fn console_output(&self, region: &Region, id: &InstanceId) -> Result<String> {
        let ask = async |latest: Option<bool>| {
            let request = self.client(region).get_console_output().instance_id(&id.0).set_latest(latest);
            request.send().await.answer("GetConsoleOutput", region.as_str())
        };
        // Without `latest` the output is empty soon after the start, but only Nitro instance types support it (EC2 API
        // reference, `GetConsoleOutput`).
        let output = match ask(Some(true)).await {
            Err(error) if error.has_code(&["UnsupportedOperation", "InvalidParameter*"]) => ask(None).await?,
            output => output?,
        };
        let bytes = aws_smithy_types::base64::decode(output.output().unwrap_or_default());
        Ok(String::from_utf8_lossy(&bytes.context("the console's output is not base64")?).into_owned())
    }

    pub(super) async fn stop_for_imaging(&self, region: &Region, id: &InstanceId, how: Shutdown) -> Result<()> {
        if how == Shutdown::Ordered {
            // A shutdown must not terminate instances of the image.
            let modify = async || {
                let request = requests::instance::stop_on_shutdown(&self.client(region), &id.0);
                request.send().await.answer("ModifyInstanceAttribute", region.as_str()).map(drop)
            };
            self.once_visible(&id.0, modify).await?;
        }
        let stop = async || {
            let request = self.client(region).stop_instances().instance_ids(&id.0);
            let request = request.set_force((how == Shutdown::Forced).then_some(true));
            request.send().await.answer("StopInstances", region.as_str()).map(drop)
        };
        self.once_visible(&id.0, stop).await
    }

    pub(super) async fn terminate_instance(&self, region: &Region, id: &InstanceId) -> Result<Termination> {
        let terminate = async || {
            let request = self.client(region).terminate_instances().instance_ids(&id.0);
            let changes = request.send().await.answer("TerminateInstances", region.as_str())?;
            let now = changes.terminating_instances().first().and_then(|it| it.current_state()?.name());
            Ok(match now {
                Some(InstanceStateName::ShuttingDown | InstanceStateName::Terminated) => Termination::Certain,
                _ => Termination::Unknown,
            })
        };
        let launched = self.launched.borrow().get(id).copied();
        // Soon after the launch, "not found" may only mean that the instance is not visible yet.
        if launched.is_some_and(|at| at.elapsed() < VISIBILITY_LIMIT) {
            return self.once_visible(&id.0, terminate).await;
        }
        match terminate().await {
            Err(error) if error.is_not_found() => Ok(Termination::Unknown),
            terminated => Ok(terminated?),
        }
    }
}

/// The filter for instances that do not terminate.
pub(super) fn alive() -> Filter {
    let states = ALIVE.iter().map(|state| state.as_str().to_owned()).collect();
    Filter::builder().name("instance-state-name").set_values(Some(states)).build()
}

/// Whether EC2 refuses a launch in this zone only.
pub(super) fn lacks_capacity(error: &ApiError) -> bool {
    error.has_code(&["InsufficientInstanceCapacity", "InsufficientFreeAddressesInSubnet", "Unsupported"])
}

fn instance_from(instance: &Ec2Instance, address: Option<SocketAddr>) -> Result<Instance> {
    let name = instance.state().and_then(|state| state.name()).context("EC2 returned an instance without a state")?;
    let state = match name {
        InstanceStateName::Pending => InstanceState::Pending,
        InstanceStateName::Running => InstanceState::Running,
        InstanceStateName::Stopping => InstanceState::Stopping,
        InstanceStateName::ShuttingDown => InstanceState::Terminating,
        InstanceStateName::Stopped => InstanceState::Stopped,
        InstanceStateName::Terminated => InstanceState::Terminated,
        other => bail!("EC2 returned the unknown instance state {}", other.as_str()),
    };
    let reason = instance.state_reason();
    let reason = reason.filter(|reason| !reason.code().is_some_and(|code| code.starts_with(USER_INITIATED)));
    let reason = reason.and_then(|reason| reason.message()).filter(|message| !message.is_empty()).map(str::to_owned);
    Ok(Instance { state, reason, address })
}
