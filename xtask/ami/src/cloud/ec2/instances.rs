//! Instances: launched in a zone with capacity, stopped for imaging, terminated.

use std::net::{IpAddr, SocketAddr};

use anyhow::{Context as _, Result, bail};
use aws_config::retry::RetryConfig;
use aws_sdk_ec2::types::{
    AttributeValue, BlockDeviceMapping, EbsBlockDevice, Filter, HttpTokensState, Instance as Ec2Instance,
    InstanceMetadataOptionsRequest, InstanceNetworkInterfaceSpecification, InstanceStateName, InstanceType,
    ResourceType, ShutdownBehavior, VolumeType,
};
use tokio::time::Instant;
use xtask::region::Region;

use super::{
    Ec2, access::SSH_PORT, answer::Answer as _, network::Placement, session::VISIBILITY_LIMIT, tags::tag_specifications,
};
use crate::{
    cloud::{Instance, InstanceState, Launch, LaunchSource, Shutdown, tags::TAG_BUILD},
    event::ids::InstanceId,
    ground::api_error::ApiError,
};

/// How the code of the reason begins for a stop or termination that was requested through the API (EC2 API reference,
/// `StateReason`).
const USER_INITIATED: &str = "Client.UserInitiated";

/// All states but `terminated`.
pub(super) const NOT_TERMINATED: [InstanceStateName; 5] = [
    InstanceStateName::Pending,
    InstanceStateName::Running,
    InstanceStateName::ShuttingDown,
    InstanceStateName::Stopping,
    InstanceStateName::Stopped,
];

impl Ec2 {
    /// Launches in the first zone with capacity. EC2 lacks capacity by zone, not by region.
    pub(super) async fn launch_in_any_zone(&self, region: &Region, launch: &Launch) -> Result<InstanceId> {
        let (image, group) = tokio::try_join!(self.root_device(region, launch), self.group(region, &launch.access))?;
        let mut full = Vec::new();
        for (index, placement) in self.placements(region).await?.iter().enumerate() {
            // EC2 refuses a token that was used with different parameters (EC2 API reference, "Ensuring idempotency").
            let token = format!("{}-{index}", launch.token);
            let run = async || self.run(region, launch, &token, placement, &image, &group).await;
            match self.once_visible(&format!("the image and SSH access of {}", launch.access), run).await {
                Ok(id) => {
                    self.launched.borrow_mut().insert(id.clone(), Instant::now());
                    return Ok(id);
                }
                Err(error) if lacks_capacity(&error) => full.push(format!("{} ({error})", placement.zone)),
                Err(error) => return Err(error),
            }
        }
        bail!(
            "no zone has capacity for a {}; give another --instance-type or --subnet, or try again later:\n    {}",
            launch.instance_type,
            full.join("\n    ")
        )
    }

    async fn run(
        &self,
        region: &Region,
        launch: &Launch,
        token: &str,
        placement: &Placement,
        image: &RootDevice,
        group: &str,
    ) -> Result<InstanceId, ApiError> {
        let size = i32::try_from(launch.root_volume_gib).unwrap_or(i32::MAX);
        let volume =
            EbsBlockDevice::builder().volume_type(VolumeType::Gp3).volume_size(size).delete_on_termination(true);
        let disk = BlockDeviceMapping::builder().device_name(&image.name).ebs(volume.build()).build();
        let interface = InstanceNetworkInterfaceSpecification::builder()
            .device_index(0)
            .subnet_id(&placement.subnet_id)
            .groups(group)
            // A given subnet decides itself: in a private subnet, instances are reached by their private addresses.
            .set_associate_public_ip_address(self.settings.subnet.is_none().then_some(true))
            .delete_on_termination(true)
            .build();
        let kinds = [ResourceType::Instance, ResourceType::Volume, ResourceType::NetworkInterface];
        let has_key = !self.without_key.borrow().contains(&launch.access);
        let answer = self
            .client(region)
            .run_instances()
            .client_token(token)
            .min_count(1)
            .max_count(1)
            .image_id(&image.image)
            .instance_type(InstanceType::from(launch.instance_type.as_str()))
            .set_key_name(has_key.then(|| launch.access.clone()))
            .network_interfaces(interface)
            .block_device_mappings(disk)
            .user_data(aws_smithy_types::base64::encode(&launch.user_data))
            .metadata_options(InstanceMetadataOptionsRequest::builder().http_tokens(HttpTokensState::Required).build())
            // With the shutdown that the user data schedules, an abandoned machine terminates itself.
            .instance_initiated_shutdown_behavior(ShutdownBehavior::Terminate)
            .set_tag_specifications(tag_specifications(&launch.tags, &kinds))
            .customize()
            // The SDK would retry a lack of capacity as transient. The caller retries what is transient.
            .config_override(aws_sdk_ec2::config::Builder::new().retry_config(RetryConfig::disabled()))
            .send()
            .await
            .answer("RunInstances", region.as_str())?;
        let id = answer.instances().first().and_then(Ec2Instance::instance_id);
        id.map(|id| InstanceId(id.to_owned())).ok_or_else(|| ApiError {
            action: "RunInstances".to_owned(),
            region: region.to_string(),
            code: None,
            message: "the response has no instance".to_owned(),
            transient: false,
        })
    }

    async fn root_device(&self, region: &Region, launch: &Launch) -> Result<RootDevice> {
        let image = match &launch.source {
            LaunchSource::Base(base) => base.id.clone(),
            LaunchSource::Image(id) => id.0.clone(),
        };
        let found = self.once_visible(&image, async || self.describe_image(region, &image).await).await?;
        let name = found.root_device_name.with_context(|| format!("{image} has no root device name"))?;
        Ok(RootDevice { image, name })
    }

    pub(super) async fn describe_instance(&self, region: &Region, id: &InstanceId) -> Result<Option<Instance>> {
        let found = self.client(region).describe_instances().instance_ids(&id.0).send().await;
        let found = match found.answer("DescribeInstances", region.as_str()) {
            Err(error) if error.is_not_found() => return Ok(None),
            found => found?,
        };
        let mut instances = found.reservations().iter().flat_map(|reservation| reservation.instances());
        instances.next().map(instance_from).transpose()
    }

    pub(super) async fn instances_of_build(&self, region: &Region, build: &str) -> Result<Vec<InstanceId>> {
        let tagged = Filter::builder().name(format!("tag:{TAG_BUILD}")).values(build).build();
        let states = NOT_TERMINATED.iter().map(|state| state.as_str().to_owned()).collect();
        let alive = Filter::builder().name("instance-state-name").set_values(Some(states)).build();
        let mut pages = self.client(region).describe_instances().filters(tagged).filters(alive).into_paginator().send();
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
            // An image keeps this attribute of its instance, and a shutdown must not terminate instances of the image.
            let behavior = AttributeValue::builder().value(ShutdownBehavior::Stop.as_str()).build();
            let modify = async || {
                let request = self.client(region).modify_instance_attribute().instance_id(&id.0);
                let request = request.instance_initiated_shutdown_behavior(behavior.clone());
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

    pub(super) async fn terminate_instance(&self, region: &Region, id: &InstanceId) -> Result<()> {
        let terminate = async || {
            let request = self.client(region).terminate_instances().instance_ids(&id.0);
            request.send().await.answer("TerminateInstances", region.as_str()).map(drop)
        };
        let launched = self.launched.borrow().get(id).copied();
        // Soon after the launch, "not found" may only mean that the instance is not visible yet.
        if launched.is_some_and(|at| at.elapsed() < VISIBILITY_LIMIT) {
            return self.once_visible(&id.0, terminate).await;
        }
        match terminate().await {
            Err(error) if error.is_not_found() => Ok(()),
            terminated => Ok(terminated?),
        }
    }
}

/// An image and the device name of its root volume.
struct RootDevice {
    image: String,
    name: String,
}

fn lacks_capacity(error: &anyhow::Error) -> bool {
    let codes = ["InsufficientInstanceCapacity", "InsufficientFreeAddressesInSubnet", "Unsupported"];
    error.downcast_ref::<ApiError>().is_some_and(|error| error.has_code(&codes))
}

fn instance_from(instance: &Ec2Instance) -> Result<Instance> {
    let name = instance.state().and_then(|state| state.name()).context("EC2 returned an instance without a state")?;
    let state = match name {
        InstanceStateName::Pending => InstanceState::Pending,
        InstanceStateName::Running => InstanceState::Running,
        InstanceStateName::Stopping | InstanceStateName::ShuttingDown => InstanceState::Stopping,
        InstanceStateName::Stopped => InstanceState::Stopped,
        InstanceStateName::Terminated => InstanceState::Terminated,
        other => bail!("EC2 returned the unknown instance state {}", other.as_str()),
    };
    let reason = instance.state_reason();
    let reason = reason.filter(|reason| !reason.code().is_some_and(|code| code.starts_with(USER_INITIATED)));
    let reason = reason.and_then(|reason| reason.message()).filter(|message| !message.is_empty()).map(str::to_owned);
    let ip = instance.public_ip_address().or(instance.private_ip_address());
    let address = ip.and_then(|ip| ip.parse::<IpAddr>().ok()).map(|ip| SocketAddr::new(ip, SSH_PORT));
    Ok(Instance { state, reason, address })
}
