//! Asks, by dry runs, whether the account may do what a build does, and look at what nothing before it looks at.
//!
//! A dry run tells about IAM only, and about what it names. Where the real thing can't exist yet it names a [`placeholder`],
//! and an answer that it isn't there tells nothing either.

use std::{
    pin::Pin,
    time::{Duration, SystemTime},
};

use aws_sdk_ec2::{
    Client,
    error::{ProvideErrorMetadata, SdkError},
    primitives::Blob,
    types::{
        AttributeValue, BlockDeviceMapping, EbsBlockDevice, HttpTokensState, ImageBlockPublicAccessEnabledState,
        InstanceMetadataOptionsRequest, InstanceNetworkInterfaceSpecification, InstanceType, IpPermission, IpRange,
        LaunchPermission, LaunchPermissionModifications, OperationType, PermissionGroup, ResourceType,
        ShutdownBehavior, SnapshotAttributeName, Tag, TagSpecification, VolumeType,
    },
};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use futures_util::future::join_all;
use xtask::region::Region;

use super::report::Report;
use crate::{
    cloud::{
        ec2::{answer::Answer as _, clients::Clients, network::Placement, policy::placeholder},
        preflight::Request,
        tags::TAG_BUILD,
    },
    ground::api_error::ApiError,
};

/// A key that nobody has the other half of.
const PUBLIC_KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEyIDRrvO9PHbPcq+6n3pFFYIvavMSgYoihFWPOF2fnB";

/// What the dry runs name that is there already.
pub struct Given<'a> {
    /// The base's id.
    pub base: &'a str,
    /// The instance type.
    pub instance_type: &'a str,
    /// The name of the base's root device.
    pub root_device: Option<&'a str>,
    /// The disk's size, in GiB.
    pub root_volume_gib: u32,
    /// Where the machines will be.
    pub placement: Option<&'a Placement>,
    /// The security group that was asked for.
    pub security_group: Option<&'a str>,
    /// A region in which a block on public images will be lifted.
    pub blocked: Option<&'a Region>,
}

type Trial<'a> = Pin<Box<dyn Future<Output = Result<(), ApiError>> + 'a>>;

/// Asks in all regions at once.
pub async fn ask(clients: &Clients, request: &Request, usable: &[Region], given: &Given<'_>, report: &mut Report) {
    let mut trials = Vec::new();
    for region in usable {
        let client = clients.asker(region);
        if *region == request.build_region {
            trials.extend(looking(&client, region, request.public));
            trials.extend(launching(&client, region, given));
            trials.extend(ending(&client, region));
            if given.security_group.is_none() {
                trials.extend(security_group(&client, region, given));
            }
        } else {
            trials.push(copying(&client, region, request, given));
        }
        if request.shared {
            trials.extend(sharing(&client, region, request.public));
        }
        if request.public {
            trials.push(deprecating(&client, region));
        }
        if given.blocked == Some(region) {
            trials.extend(unblocking(&client, region));
        }
    }
    for trial in join_all(trials).await {
        report.take(trial);
    }
}

/// Waits for a dry run's answer; fine is all that isn't a denial, and doesn't lack an answer.
fn trial<'a, T, E>(
    action: &'static str,
    region: &'a Region,
    call: impl Future<Output = Result<T, SdkError<E, HttpResponse>>> + 'a,
) -> Trial<'a>
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
    T: 'a,
{
    Box::pin(async move {
        match call.await.answer(action, region.as_str()) {
            Err(error) if error.transient || super::report::is_denial(&error) => Err(error),
            _ => Ok(()),
        }
    })
}

/// What is looked at only when something was made. Permissions to look are seldom a region's, so one region is asked.
fn looking<'a>(client: &Client, region: &'a Region, public: bool) -> Vec<Trial<'a>> {
    let snapshot = client.describe_snapshot_attribute().dry_run(true).snapshot_id(placeholder::SNAPSHOT);
    let snapshot = snapshot.attribute(SnapshotAttributeName::CreateVolumePermission);
    let mut trials = vec![trial("DescribeInstances", region, client.describe_instances().dry_run(true).send())];
    if public {
        trials.push(trial("DescribeSnapshotAttribute", region, snapshot.send()));
    }
    trials
}

fn launching<'a>(client: &Client, region: &'a Region, given: &Given<'_>) -> Vec<Trial<'a>> {
    // As the launch will be: policies, an organization's above all, look at the metadata service's version, at public
    // addresses and at volumes.
    let interface = InstanceNetworkInterfaceSpecification::builder()
        .device_index(0)
        .set_subnet_id(given.placement.map(|placement| placement.subnet_id.clone()))
        .set_groups(given.security_group.map(|group| vec![group.to_owned()]))
        .associate_public_ip_address(true)
        .delete_on_termination(true);
    let disk = EbsBlockDevice::builder().volume_type(VolumeType::Gp3).delete_on_termination(true);
    let disk = disk.volume_size(i32::try_from(given.root_volume_gib).unwrap_or(i32::MAX));
    let disk = given.root_device.map(|name| BlockDeviceMapping::builder().device_name(name).ebs(disk.build()).build());
    let run = client
        .run_instances()
        .dry_run(true)
        .image_id(given.base)
        .instance_type(InstanceType::from(given.instance_type))
        .network_interfaces(interface.build())
        .set_block_device_mappings(disk.map(|disk| vec![disk]))
        .metadata_options(InstanceMetadataOptionsRequest::builder().http_tokens(HttpTokensState::Required).build())
        .instance_initiated_shutdown_behavior(ShutdownBehavior::Terminate)
        .min_count(1)
        .max_count(1)
        .tag_specifications(tags(ResourceType::Instance))
        .tag_specifications(tags(ResourceType::Volume))
        .tag_specifications(tags(ResourceType::NetworkInterface));
    let import = client
        .import_key_pair()
        .dry_run(true)
        .key_name(placeholder::NAME)
        .public_key_material(Blob::new(PUBLIC_KEY))
        .tag_specifications(tags(ResourceType::KeyPair));
    let modify = client
        .modify_instance_attribute()
        .dry_run(true)
        .instance_id(placeholder::INSTANCE)
        .instance_initiated_shutdown_behavior(AttributeValue::builder().value("stop").build());
    let create = client
        .create_image()
        .dry_run(true)
        .instance_id(placeholder::INSTANCE)
        .name(placeholder::NAME)
        .tag_specifications(tags(ResourceType::Image))
        .tag_specifications(tags(ResourceType::Snapshot));
    vec![
        trial("RunInstances", region, run.send()),
        trial("ImportKeyPair", region, import.send()),
        trial("ModifyInstanceAttribute", region, modify.send()),
        trial("CreateImage", region, create.send()),
    ]
}

fn ending<'a>(client: &Client, region: &'a Region) -> Vec<Trial<'a>> {
    let stop = client.stop_instances().dry_run(true).instance_ids(placeholder::INSTANCE);
    let terminate = client.terminate_instances().dry_run(true).instance_ids(placeholder::INSTANCE);
    let key = client.delete_key_pair().dry_run(true).key_name(placeholder::NAME);
    let image = client.deregister_image().dry_run(true).image_id(placeholder::IMAGE);
    let snapshot = client.delete_snapshot().dry_run(true).snapshot_id(placeholder::SNAPSHOT);
    vec![
        trial("StopInstances", region, stop.send()),
        trial("TerminateInstances", region, terminate.send()),
        trial("DeleteKeyPair", region, key.send()),
        trial("DeregisterImage", region, image.send()),
        trial("DeleteSnapshot", region, snapshot.send()),
    ]
}

fn security_group<'a>(client: &Client, region: &'a Region, given: &Given<'_>) -> Vec<Trial<'a>> {
    let create = client
        .create_security_group()
        .dry_run(true)
        .group_name(placeholder::NAME)
        .description("never made")
        .vpc_id(given.placement.map_or(placeholder::VPC, |placement| placement.vpc_id.as_str()))
        .tag_specifications(tags(ResourceType::SecurityGroup));
    let ssh = IpPermission::builder().ip_protocol("tcp").from_port(22).to_port(22);
    let ssh = ssh.ip_ranges(IpRange::builder().cidr_ip("192.0.2.1/32").build()).build();
    let authorize = client.authorize_security_group_ingress().dry_run(true);
    let authorize = authorize.group_id(placeholder::SECURITY_GROUP).ip_permissions(ssh);
    let delete = client.delete_security_group().dry_run(true).group_id(placeholder::SECURITY_GROUP);
    vec![
        trial("CreateSecurityGroup", region, create.send()),
        trial("AuthorizeSecurityGroupIngress", region, authorize.send()),
        trial("DeleteSecurityGroup", region, delete.send()),
    ]
}

fn copying<'a>(client: &Client, region: &'a Region, request: &Request, given: &Given<'_>) -> Trial<'a> {
    let copy = client
        .copy_image()
        .dry_run(true)
        .name(placeholder::NAME)
        .source_image_id(given.base)
        .source_region(request.build_region.as_str())
        .tag_specifications(tags(ResourceType::Image))
        .tag_specifications(tags(ResourceType::Snapshot));
    trial("CopyImage", region, copy.send())
}

fn sharing<'a>(client: &Client, region: &'a Region, public: bool) -> Vec<Trial<'a>> {
    // Organizations deny their accounts to let everybody in, and not to let some in.
    let who = LaunchPermission::builder();
    let who = if public { who.group(PermissionGroup::All) } else { who.user_id(placeholder::ACCOUNT) };
    let permission = LaunchPermissionModifications::builder().add(who.build()).build();
    let image =
        client.modify_image_attribute().dry_run(true).image_id(placeholder::IMAGE).launch_permission(permission);
    let snapshot = client
        .modify_snapshot_attribute()
        .dry_run(true)
        .snapshot_id(placeholder::SNAPSHOT)
        .attribute(SnapshotAttributeName::CreateVolumePermission)
        .operation_type(OperationType::Add);
    let snapshot = if public { snapshot.group_names("all") } else { snapshot.user_ids(placeholder::ACCOUNT) };
    vec![trial("ModifyImageAttribute", region, image.send()), trial("ModifySnapshotAttribute", region, snapshot.send())]
}

fn deprecating<'a>(client: &Client, region: &'a Region) -> Trial<'a> {
    let tomorrow = SystemTime::now() + Duration::from_secs(86_400);
    let deprecate = client.enable_image_deprecation().dry_run(true).image_id(placeholder::IMAGE);
    trial("EnableImageDeprecation", region, deprecate.deprecate_at(tomorrow.into()).send())
}

fn unblocking<'a>(client: &Client, region: &'a Region) -> Vec<Trial<'a>> {
    let lift = client.disable_image_block_public_access().dry_run(true);
    let set = client.enable_image_block_public_access().dry_run(true);
    let set = set.image_block_public_access_state(ImageBlockPublicAccessEnabledState::BlockNewSharing);
    vec![
        trial("DisableImageBlockPublicAccess", region, lift.send()),
        trial("EnableImageBlockPublicAccess", region, set.send()),
    ]
}

/// Tagging what is created is an action of its own to IAM, so the dry runs tag, too.
fn tags(kind: ResourceType) -> TagSpecification {
    let tag = Tag::builder().key(TAG_BUILD).value(placeholder::NAME).build();
    TagSpecification::builder().resource_type(kind).tags(tag).build()
}
