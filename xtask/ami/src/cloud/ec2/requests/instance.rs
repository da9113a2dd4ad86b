//! Instances: launched, and made ready for an image.

use aws_sdk_ec2::{
    Client,
    operation::{
        modify_instance_attribute::builders::ModifyInstanceAttributeFluentBuilder,
        run_instances::builders::RunInstancesFluentBuilder,
    },
    types::{
        AttributeValue, BlockDeviceMapping, EbsBlockDevice, HttpTokensState, IamInstanceProfileSpecification, Image,
        InstanceMetadataOptionsRequest, InstanceNetworkInterfaceSpecification, InstanceType, ResourceType,
        ShutdownBehavior, VolumeType,
    },
};

use crate::{
    cloud::{
        ec2::{hardware, tags::tag_specifications},
        tags::Tags,
    },
    recipe::Instance,
};

/// An image and the devices of its disks. Machines and images that are made of it get the root's only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Disks {
    /// The image.
    pub image: String,
    /// The device name of its root volume.
    pub root: Option<String>,
    /// The devices of its other EBS volumes and of instance stores, which are left out.
    pub left_out: Vec<String>,
}

impl Disks {
    /// Those of an image.
    pub fn of(image: &Image) -> Disks {
        Disks {
            image: image.image_id().unwrap_or_default().to_owned(),
            root: image.root_device_name().map(str::to_owned),
            left_out: hardware::other_disks(image),
        }
    }
}

/// The addresses that a launch asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Addresses {
    /// A public IPv4 address: yes, no, or whatever the subnet gives.
    pub public: Option<bool>,
    /// An IPv6 address that the subnet would not give by itself.
    pub ipv6: bool,
}

/// What exists only when the instance is really launched.
pub struct Once<'a> {
    /// The idempotency token.
    pub token: &'a str,
    /// The name of the key pair; none where the user data has the key.
    pub key_name: Option<&'a str>,
    /// For cloud-init.
    pub user_data: &'a str,
}

/// An instance to launch.
pub struct NewInstance<'a> {
    /// The image and its volumes.
    pub disks: &'a Disks,
    /// Its settings.
    pub machine: &'a Instance,
    /// The subnet.
    pub subnet: Option<&'a str>,
    /// The security group; none for the default one of the VPC.
    pub group: Option<&'a str>,
    /// The addresses to ask for.
    pub addresses: Addresses,
    /// Of the instance, its volumes and its network interface.
    pub tags: &'a Tags,
    /// None in a dry run.
    pub once: Option<Once<'a>>,
}

/// Launches an instance.
pub fn run_instances(client: &Client, instance: &NewInstance<'_>) -> RunInstancesFluentBuilder {
    let NewInstance { disks, machine, subnet, group, addresses, tags, once } = instance;
    let interface = InstanceNetworkInterfaceSpecification::builder()
        .device_index(0)
        .set_subnet_id(subnet.map(str::to_owned))
        .set_groups(group.map(|group| vec![group.to_owned()]))
        .set_associate_public_ip_address(addresses.public)
        .set_ipv6_address_count(addresses.ipv6.then_some(1))
        .delete_on_termination(true)
        .build();
    let kinds = [ResourceType::Instance, ResourceType::Volume, ResourceType::NetworkInterface];
    let request = client
        .run_instances()
        .min_count(1)
        .max_count(1)
        .image_id(&disks.image)
        .instance_type(InstanceType::from(machine.instance_type.as_str()))
        .network_interfaces(interface)
        .set_block_device_mappings(Some(volumes(disks, machine)).filter(|volumes| !volumes.is_empty()))
        .metadata_options(InstanceMetadataOptionsRequest::builder().http_tokens(HttpTokensState::Required).build())
        // With the shutdown that the user data schedules, an abandoned machine terminates itself.
        .instance_initiated_shutdown_behavior(ShutdownBehavior::Terminate)
        .set_iam_instance_profile(machine.instance_profile.as_deref().map(profile))
        .set_tag_specifications(tag_specifications(tags, &kinds));
    match once {
        None => request,
        Some(Once { token, key_name, user_data }) => {
            let request = request.client_token(*token).set_key_name(key_name.map(str::to_owned));
            request.user_data(aws_smithy_types::base64::encode(user_data))
        }
    }
}

/// A mapping for each disk of the image: without one, a volume of the base would be part of the image, and may outlive its
/// instance.
fn volumes(disks: &Disks, machine: &Instance) -> Vec<BlockDeviceMapping> {
    let key = machine.kms_key.as_ref().map(ToString::to_string);
    let root = EbsBlockDevice::builder()
        .delete_on_termination(true)
        .set_encrypted(machine.is_encrypted().then_some(true))
        .set_kms_key_id(key)
        .volume_type(VolumeType::from(machine.volume_type.as_str()))
        .volume_size(i32::try_from(machine.root_volume_gib).unwrap_or(i32::MAX))
        .set_iops(machine.volume_iops.map(|iops| i32::try_from(iops).unwrap_or(i32::MAX)));
    let root = disks.root.iter().map(|device| (device, root.clone()));
    let root =
        root.map(|(device, volume)| BlockDeviceMapping::builder().device_name(device).ebs(volume.build()).build());
    root.chain(without(&disks.left_out)).collect()
}

/// Mappings that leave devices out (EC2 API reference, `BlockDeviceMapping`: an empty `NoDevice`).
pub fn without(devices: &[String]) -> Vec<BlockDeviceMapping> {
    let mapping = |device: &String| BlockDeviceMapping::builder().device_name(device).no_device("").build();
    devices.iter().map(mapping).collect()
}

fn profile(profile: &str) -> IamInstanceProfileSpecification {
    let specification = IamInstanceProfileSpecification::builder();
    let specification =
        if profile.starts_with("arn:") { specification.arn(profile) } else { specification.name(profile) };
    specification.build()
}

/// Lets a shutdown stop an instance instead of terminating it. An image keeps this attribute of its instance.
pub fn stop_on_shutdown(client: &Client, instance: &str) -> ModifyInstanceAttributeFluentBuilder {
    let stop = AttributeValue::builder().value(ShutdownBehavior::Stop.as_str()).build();
    client.modify_instance_attribute().instance_id(instance).instance_initiated_shutdown_behavior(stop)
}
