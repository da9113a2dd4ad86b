//! Checks with dry runs that the account has the permissions of a build, those for reads that no earlier check makes
//! included.
//!
//! A dry run only tests IAM, for the resources that it names. Where the real resource doesn't exist yet, it names a
//! [`placeholder`]; that the placeholder is not found is no finding.

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

use super::collector::FindingCollector;
use crate::{
    cloud::{
        ec2::{answer::Answer as _, clients::Clients, network::Placement, policy::placeholder},
        preflight::Request,
        tags::TAG_BUILD,
    },
    ground::api_error::ApiError,
};

/// A public key whose private half was thrown away.
const PUBLIC_KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEyIDRrvO9PHbPcq+6n3pFFYIvavMSgYoihFWPOF2fnB";

/// The existing resources that the dry runs name.
pub struct DryRunInputs<'a> {
    /// The base's id.
    pub base: &'a str,
    /// The EC2 instance type.
    pub instance_type: &'a str,
    /// The name of the base's root device.
    pub root_device: Option<&'a str>,
    /// The disk's size, in GiB.
    pub root_volume_gib: u32,
    /// The subnet that the machines will be in.
    pub placement: Option<&'a Placement>,
    /// The security group given with `--security-group`.
    pub security_group: Option<&'a str>,
    /// Whether SSH needs no rule in a security group.
    pub opens_no_port: bool,
    /// A region whose block on public images will be lifted.
    pub blocked: Option<&'a Region>,
}

type DryRun<'a> = Pin<Box<dyn Future<Output = Result<(), ApiError>> + 'a>>;

/// Runs all dry runs at once, and reports the denials.
pub async fn check(
    clients: &Clients,
    request: &Request,
    usable: &[Region],
    inputs: &DryRunInputs<'_>,
    collector: &mut FindingCollector,
) {
    let mut runs = Vec::new();
    for region in usable {
        let client = clients.preflight(region);
        if *region == request.build_region {
            runs.extend(reading(&client, region, request.public));
            runs.extend(launching(&client, region, inputs));
            runs.extend(cleaning_up(&client, region));
            if inputs.security_group.is_none() {
                runs.extend(security_group(&client, region, inputs));
            }
        } else {
            runs.push(copying(&client, region, request, inputs));
        }
        if request.shared {
            runs.extend(sharing(&client, region, request.public));
        }
        if request.public {
            runs.push(deprecating(&client, region));
        }
        if inputs.blocked == Some(region) {
            runs.extend(unblocking(&client, region));
        }
    }
    for dry_run in join_all(runs).await {
        collector.collect(dry_run);
    }
}

/// Waits for a dry run. Only a denial or a missing answer is an error.
fn dry_run<'a, T, E>(
    action: &'static str,
    region: &'a Region,
    call: impl Future<Output = Result<T, SdkError<E, HttpResponse>>> + 'a,
) -> DryRun<'a>
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
    T: 'a,
{
    Box::pin(async move {
        match call.await.answer(action, region.as_str()) {
            Err(error) if error.transient || super::collector::is_denial(&error) => Err(error),
            _ => Ok(()),
        }
    })
}

/// Reads that otherwise happen only after something was created. Policies seldom restrict reads by region, so one
/// region is enough.
fn reading<'a>(client: &Client, region: &'a Region, public: bool) -> Vec<DryRun<'a>> {
    let snapshot = client.describe_snapshot_attribute().dry_run(true).snapshot_id(placeholder::SNAPSHOT);
    let snapshot = snapshot.attribute(SnapshotAttributeName::CreateVolumePermission);
    let mut runs = vec![dry_run("DescribeInstances", region, client.describe_instances().dry_run(true).send())];
    if public {
        runs.push(dry_run("DescribeSnapshotAttribute", region, snapshot.send()));
    }
    runs
}

fn launching<'a>(client: &Client, region: &'a Region, inputs: &DryRunInputs<'_>) -> Vec<DryRun<'a>> {
    // The same parameters as the launch: policies of organizations often test the version of the metadata service,
    // public addresses and volumes.
    let interface = InstanceNetworkInterfaceSpecification::builder()
        .device_index(0)
        .set_subnet_id(inputs.placement.map(|placement| placement.subnet_id.clone()))
        .set_groups(inputs.security_group.map(|group| vec![group.to_owned()]))
        .associate_public_ip_address(true)
        .delete_on_termination(true);
    let disk = EbsBlockDevice::builder().volume_type(VolumeType::Gp3).delete_on_termination(true);
    let disk = disk.volume_size(i32::try_from(inputs.root_volume_gib).unwrap_or(i32::MAX));
    let disk = inputs.root_device.map(|name| BlockDeviceMapping::builder().device_name(name).ebs(disk.build()).build());
    let run = client
        .run_instances()
        .dry_run(true)
        .image_id(inputs.base)
        .instance_type(InstanceType::from(inputs.instance_type))
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
        dry_run("RunInstances", region, run.send()),
        dry_run("ImportKeyPair", region, import.send()),
        dry_run("ModifyInstanceAttribute", region, modify.send()),
        dry_run("CreateImage", region, create.send()),
    ]
}

fn cleaning_up<'a>(client: &Client, region: &'a Region) -> Vec<DryRun<'a>> {
    let stop = client.stop_instances().dry_run(true).instance_ids(placeholder::INSTANCE);
    let terminate = client.terminate_instances().dry_run(true).instance_ids(placeholder::INSTANCE);
    let key = client.delete_key_pair().dry_run(true).key_name(placeholder::NAME);
    let image = client.deregister_image().dry_run(true).image_id(placeholder::IMAGE);
    let snapshot = client.delete_snapshot().dry_run(true).snapshot_id(placeholder::SNAPSHOT);
    vec![
        dry_run("StopInstances", region, stop.send()),
        dry_run("TerminateInstances", region, terminate.send()),
        dry_run("DeleteKeyPair", region, key.send()),
        dry_run("DeregisterImage", region, image.send()),
        dry_run("DeleteSnapshot", region, snapshot.send()),
    ]
}

fn security_group<'a>(client: &Client, region: &'a Region, inputs: &DryRunInputs<'_>) -> Vec<DryRun<'a>> {
    let create = client
        .create_security_group()
        .dry_run(true)
        .group_name(placeholder::NAME)
        .description("never made")
        .vpc_id(inputs.placement.map_or(placeholder::VPC, |placement| placement.vpc_id.as_str()))
        .tag_specifications(tags(ResourceType::SecurityGroup));
    let ssh = IpPermission::builder().ip_protocol("tcp").from_port(22).to_port(22);
    let ssh = ssh.ip_ranges(IpRange::builder().cidr_ip("192.0.2.1/32").build()).build();
    let authorize = client.authorize_security_group_ingress().dry_run(true);
    let authorize = authorize.group_id(placeholder::SECURITY_GROUP).ip_permissions(ssh);
    let delete = client.delete_security_group().dry_run(true).group_id(placeholder::SECURITY_GROUP);
    let mut runs = vec![
        dry_run("CreateSecurityGroup", region, create.send()),
        dry_run("DeleteSecurityGroup", region, delete.send()),
    ];
    if !inputs.opens_no_port {
        runs.push(dry_run("AuthorizeSecurityGroupIngress", region, authorize.send()));
    }
    runs
}

fn copying<'a>(client: &Client, region: &'a Region, request: &Request, inputs: &DryRunInputs<'_>) -> DryRun<'a> {
    let copy = client
        .copy_image()
        .dry_run(true)
        .name(placeholder::NAME)
        .source_image_id(inputs.base)
        .source_region(request.build_region.as_str())
        .tag_specifications(tags(ResourceType::Image))
        .tag_specifications(tags(ResourceType::Snapshot));
    dry_run("CopyImage", region, copy.send())
}

fn sharing<'a>(client: &Client, region: &'a Region, public: bool) -> Vec<DryRun<'a>> {
    // Some organizations forbid public images only, so this asks for just what publishing will do.
    let grantee = LaunchPermission::builder();
    let grantee = if public { grantee.group(PermissionGroup::All) } else { grantee.user_id(placeholder::ACCOUNT) };
    let permission = LaunchPermissionModifications::builder().add(grantee.build()).build();
    let image =
        client.modify_image_attribute().dry_run(true).image_id(placeholder::IMAGE).launch_permission(permission);
    let snapshot = client
        .modify_snapshot_attribute()
        .dry_run(true)
        .snapshot_id(placeholder::SNAPSHOT)
        .attribute(SnapshotAttributeName::CreateVolumePermission)
        .operation_type(OperationType::Add);
    let snapshot = if public { snapshot.group_names("all") } else { snapshot.user_ids(placeholder::ACCOUNT) };
    vec![
        dry_run("ModifyImageAttribute", region, image.send()),
        dry_run("ModifySnapshotAttribute", region, snapshot.send()),
    ]
}

fn deprecating<'a>(client: &Client, region: &'a Region) -> DryRun<'a> {
    let tomorrow = SystemTime::now() + Duration::from_secs(86_400);
    let deprecate = client.enable_image_deprecation().dry_run(true).image_id(placeholder::IMAGE);
    dry_run("EnableImageDeprecation", region, deprecate.deprecate_at(tomorrow.into()).send())
}

fn unblocking<'a>(client: &Client, region: &'a Region) -> Vec<DryRun<'a>> {
    let lift = client.disable_image_block_public_access().dry_run(true);
    let set = client.enable_image_block_public_access().dry_run(true);
    let set = set.image_block_public_access_state(ImageBlockPublicAccessEnabledState::BlockNewSharing);
    vec![
        dry_run("DisableImageBlockPublicAccess", region, lift.send()),
        dry_run("EnableImageBlockPublicAccess", region, set.send()),
    ]
}

/// To IAM, tagging on creation is an action of its own (`CreateTags`), so the dry runs tag, too.
fn tags(kind: ResourceType) -> TagSpecification {
    let tag = Tag::builder().key(TAG_BUILD).value(placeholder::NAME).build();
    TagSpecification::builder().resource_type(kind).tags(tag).build()
}
