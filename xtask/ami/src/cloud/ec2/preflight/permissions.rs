//! Asks EC2 with dry runs whether it would do what a build asks for, those reads included that no earlier check makes.
//!
//! The requests are those of the build ([`requests`]). Where a resource doesn't exist yet, a dry run names a
//! [`placeholder`]; that the placeholder is not found is no finding. Every other answer is told.

use std::pin::Pin;

use aws_sdk_ec2::{
    Client,
    error::{ProvideErrorMetadata, SdkError},
    types::SnapshotAttributeName,
};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use futures_util::future::join_all;
use ipnet::IpNet;
use xtask::region::Region;

use super::{collector::FindingCollector, refusals::Refusals};
use crate::{
    cloud::{
        NewImage, Permission,
        ec2::{
            Ec2,
            answer::Answer as _,
            base::BaseImage,
            instances::lacks_capacity,
            network::Placement,
            policy::placeholder,
            requests::{
                self,
                image::Source,
                instance::{Disks, NewInstance},
            },
        },
        preflight::Request,
        tags::{TAG_SYSTEM, Tags},
    },
    ground::api_error::ApiError,
};

/// A public key whose private half was thrown away.
const PUBLIC_KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEyIDRrvO9PHbPcq+6n3pFFYIvavMSgYoihFWPOF2fnB";

/// The code of a dry run's good answer (EC2 API reference, "Error codes").
const WOULD_SUCCEED: &str = "DryRunOperation";

/// The codes for a placeholder of each kind; `*` at the end is a wildcard.
mod missing {
    pub const NOTHING: &[&str] = &[];
    /// Where what a dry run needs was not found, it proves a permission only.
    pub const ANYTHING: &[&str] = &["*"];
    pub const INSTANCE: &[&str] = &["InvalidInstanceID*"];
    pub const IMAGE: &[&str] = &["InvalidAMIID*"];
    pub const SNAPSHOT: &[&str] = &["InvalidSnapshot*"];
    pub const GROUP: &[&str] = &["InvalidGroup*", "InvalidSecurityGroup*"];
    pub const KEY_PAIR: &[&str] = &["InvalidKeyPair.NotFound"];
    pub const VOLUME: &[&str] = &["InvalidVolume*"];
}

/// The existing resources that the dry runs name.
pub struct DryRunInputs<'a> {
    /// The base.
    pub base: Option<&'a BaseImage>,
    /// The subnets that the machines may be in.
    pub placements: &'a [Placement],
    /// The addresses that SSH will be open to.
    pub let_in: &'a [IpNet],
    /// Whether SSH needs no rule in a security group.
    pub opens_no_port: bool,
    /// A region whose block on public images will be lifted.
    pub blocked: Option<&'a Region>,
}

type DryRun<'a> = Pin<Box<dyn Future<Output = Result<(), ApiError>> + 'a>>;

/// Runs all dry runs at once, and reports every answer but the good one.
pub async fn check(
    ec2: &Ec2,
    request: &Request,
    usable: &[Region],
    inputs: &DryRunInputs<'_>,
    collector: &mut FindingCollector,
) {
    let system = inputs.base.map_or("", |base| base.base.system.as_str());
    let name = inputs.base.map_or("", |base| base.base.name.as_str());
    let image = request.image.for_base(name, system);
    let tags = with_system(&request.tags, system);
    let mut runs = Vec::new();
    for region in usable {
        let client = ec2.clients.preflight(region);
        if *region == request.build_region {
            runs.extend(reading(&client, region, request.public));
            runs.push(Box::pin(launching(ec2, client.clone(), region, inputs, &tags)));
            runs.extend(imaging(&client, region, inputs.base, &image, &tags));
            runs.extend(cleaning_up(&client, region));
            if ec2.settings.security_group.is_none() {
                runs.extend(security_group(&client, region, inputs, &tags));
            }
        } else {
            let base = inputs.base.map_or(placeholder::IMAGE, |base| base.base.id.as_str());
            let source = Source { image: base, region: &request.build_region };
            let may_miss = if inputs.base.is_some() { missing::NOTHING } else { missing::ANYTHING };
            runs.push(copying_base(copying(ec2, &client, region, &source, may_miss, &image)));
        }
        runs.extend(opening(&client, region, request, &image));
        if inputs.blocked == Some(region) {
            runs.extend(unblocking(&client, region));
        }
    }
    report(runs, collector).await;
}

/// Runs all dry runs of a promotion at once: copies, also within a region, and what opens them.
pub async fn check_promotion(
    ec2: &Ec2,
    request: &Request,
    source: &Source<'_>,
    (usable, blocked): (&[Region], Option<&Region>),
    collector: &mut FindingCollector,
) {
    let mut runs = Vec::new();
    for region in usable {
        let client = ec2.clients.preflight(region);
        runs.push(copying(ec2, &client, region, source, missing::NOTHING, &request.image));
        runs.extend(opening(&client, region, request, &request.image));
        if *region == request.build_region {
            runs.extend(reading_permissions(&client, region));
            runs.extend(removing_images(&client, region));
        }
        if blocked == Some(region) && request.unblock_public_access {
            runs.extend(unblocking(&client, region));
        }
    }
    report(runs, collector).await;
}

async fn report(runs: Vec<DryRun<'_>>, collector: &mut FindingCollector) {
    let mut refusals = Refusals::default();
    for answer in join_all(runs).await {
        match answer {
            Err(error) if error.transient || error.is_denial() => {
                collector.collect(Err::<(), _>(error));
            }
            Err(error) => refusals.add(error),
            Ok(()) => {}
        }
    }
    collector.findings.extend(refusals.findings());
}

/// Waits for a dry run whose placeholder may be answered with one of these codes.
fn dry_run<'a, T, E>(
    action: &'static str,
    region: &'a Region,
    may_miss: &'static [&'static str],
    call: impl Future<Output = Result<T, SdkError<E, HttpResponse>>> + 'a,
) -> DryRun<'a>
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
    T: 'a,
{
    Box::pin(async move {
        match call.await.answer(action, region.as_str()) {
            Err(error) if error.transient || error.is_denial() => Err(error),
            Err(error) if !error.has_code(&[WOULD_SUCCEED]) && !error.has_code(may_miss) => Err(error),
            _ => Ok(()),
        }
    })
}

/// Reads that otherwise happen only after something was created. Policies seldom restrict reads by region, so one
/// region is enough.
fn reading<'a>(client: &Client, region: &'a Region, public: bool) -> Vec<DryRun<'a>> {
    let instances = client.describe_instances().dry_run(true).send();
    let mut runs = vec![dry_run("DescribeInstances", region, missing::NOTHING, instances)];
    runs.extend(public.then(|| reading_permissions(client, region)).into_iter().flatten());
    runs
}

fn reading_permissions<'a>(client: &Client, region: &'a Region) -> Vec<DryRun<'a>> {
    let snapshot = client.describe_snapshot_attribute().dry_run(true).snapshot_id(placeholder::SNAPSHOT);
    let snapshot = snapshot.attribute(SnapshotAttributeName::CreateVolumePermission).send();
    vec![dry_run("DescribeSnapshotAttribute", region, missing::SNAPSHOT, snapshot)]
}

/// As the build, asks in the next zone when one has no room.
async fn launching(
    ec2: &Ec2,
    client: Client,
    region: &Region,
    inputs: &DryRunInputs<'_>,
    tags: &Tags,
) -> Result<(), ApiError> {
    let unknown = Disks { image: placeholder::IMAGE.to_owned(), root: None, left_out: Vec::new() };
    let disks = inputs.base.map_or(&unknown, |base| &base.disks);
    let is_complete = inputs.base.is_some() && !inputs.placements.is_empty();
    let may_miss = if is_complete { missing::NOTHING } else { missing::ANYTHING };
    let ask = async |placement: Option<&Placement>| {
        let instance = NewInstance {
            disks,
            machine: &ec2.recipe.instance,
            subnet: placement.map(|placement| placement.subnet_id.as_str()),
            group: ec2.settings.security_group.as_deref(),
            addresses: placement.map(|placement| ec2.addresses(placement, inputs.let_in)).unwrap_or_default(),
            tags,
            once: None,
        };
        let call = requests::instance::run_instances(&client, &instance).dry_run(true).send();
        dry_run("RunInstances", region, may_miss, call).await
    };
    let Some((last, others)) = inputs.placements.split_last() else { return ask(None).await };
    for placement in others {
        match ask(Some(placement)).await {
            Err(error) if lacks_capacity(&error) => {}
            answer => return answer,
        }
    }
    ask(Some(last)).await
}

fn imaging<'a>(
    client: &Client,
    region: &'a Region,
    base: Option<&BaseImage>,
    image: &NewImage,
    tags: &Tags,
) -> Vec<DryRun<'a>> {
    let left_out = base.map(|base| base.disks.left_out.as_slice()).unwrap_or_default();
    let import = requests::access::import_key_pair(client, placeholder::NAME, PUBLIC_KEY, tags);
    let modify = requests::instance::stop_on_shutdown(client, placeholder::INSTANCE);
    let create = requests::image::create_image(client, placeholder::INSTANCE, image, left_out);
    vec![
        dry_run("ImportKeyPair", region, missing::NOTHING, import.dry_run(true).send()),
        dry_run("ModifyInstanceAttribute", region, missing::INSTANCE, modify.dry_run(true).send()),
        dry_run("CreateImage", region, missing::INSTANCE, create.dry_run(true).send()),
    ]
}

fn cleaning_up<'a>(client: &Client, region: &'a Region) -> Vec<DryRun<'a>> {
    let stop = client.stop_instances().dry_run(true).instance_ids(placeholder::INSTANCE);
    let terminate = client.terminate_instances().dry_run(true).instance_ids(placeholder::INSTANCE);
    let key = client.delete_key_pair().dry_run(true).key_name(placeholder::NAME);
    let volume = client.delete_volume().dry_run(true).volume_id(placeholder::VOLUME);
    let mut runs = vec![
        dry_run("StopInstances", region, missing::INSTANCE, stop.send()),
        dry_run("TerminateInstances", region, missing::INSTANCE, terminate.send()),
        dry_run("DeleteKeyPair", region, missing::KEY_PAIR, key.send()),
        dry_run("DeleteVolume", region, missing::VOLUME, volume.send()),
    ];
    runs.extend(removing_images(client, region));
    runs
}

fn removing_images<'a>(client: &Client, region: &'a Region) -> Vec<DryRun<'a>> {
    let image = client.deregister_image().dry_run(true).image_id(placeholder::IMAGE);
    let snapshot = client.delete_snapshot().dry_run(true).snapshot_id(placeholder::SNAPSHOT);
    vec![
        dry_run("DeregisterImage", region, missing::IMAGE, image.send()),
        dry_run("DeleteSnapshot", region, missing::SNAPSHOT, snapshot.send()),
    ]
}

fn security_group<'a>(client: &Client, region: &'a Region, inputs: &DryRunInputs<'_>, tags: &Tags) -> Vec<DryRun<'a>> {
    let placement = inputs.placements.first();
    let vpc = placement.map_or(placeholder::VPC, |placement| placement.vpc_id.as_str());
    let create = requests::access::create_security_group(client, placeholder::NAME, vpc, tags).dry_run(true);
    let authorize =
        requests::access::authorize_ssh(client, placeholder::SECURITY_GROUP, inputs.let_in, tags).dry_run(true);
    let delete = client.delete_security_group().dry_run(true).group_id(placeholder::SECURITY_GROUP);
    let no_vpc = if placement.is_some() { missing::NOTHING } else { missing::ANYTHING };
    let no_address = if inputs.let_in.is_empty() { missing::ANYTHING } else { missing::GROUP };
    let mut runs = vec![
        dry_run("CreateSecurityGroup", region, no_vpc, create.send()),
        dry_run("DeleteSecurityGroup", region, missing::GROUP, delete.send()),
    ];
    if !inputs.opens_no_port {
        runs.push(dry_run("AuthorizeSecurityGroupIngress", region, no_address, authorize.send()));
    }
    runs
}

fn copying<'a>(
    ec2: &Ec2,
    client: &Client,
    region: &'a Region,
    source: &Source<'_>,
    may_miss: &'static [&'static str],
    image: &NewImage,
) -> DryRun<'a> {
    let copy = requests::image::copy_image(client, source, region, image, &ec2.recipe.instance);
    dry_run("CopyImage", region, may_miss, copy.dry_run(true).send())
}

/// The copy of the base stands for that of the image, which is yet to come. Other than the image, the base may be one that
/// may be launched but not copied.
fn copying_base(copy: DryRun<'_>) -> DryRun<'_> {
    Box::pin(async move {
        match copy.await {
            Err(error) if error.message.contains("permission to access the storage") => Ok(()),
            answer => answer,
        }
    })
}

/// Some organizations forbid public images only, so this asks for just what publishing will do.
fn opening<'a>(client: &Client, region: &'a Region, request: &Request, image: &NewImage) -> Vec<DryRun<'a>> {
    let mut runs = Vec::new();
    if let Some(audience) = &request.audience {
        let launches =
            requests::opening::launch_permission(client, placeholder::IMAGE, audience, Permission::Grant).dry_run(true);
        runs.push(dry_run("ModifyImageAttribute", region, missing::IMAGE, launches.send()));
        let volumes = requests::opening::volume_permission(client, placeholder::SNAPSHOT, audience, Permission::Grant);
        runs.extend(volumes.map(|volumes| {
            dry_run("ModifySnapshotAttribute", region, missing::SNAPSHOT, volumes.dry_run(true).send())
        }));
    }
    if let Some(at) = image.deprecate_at {
        let deprecate = requests::image::deprecate(client, placeholder::IMAGE, at).dry_run(true);
        runs.push(dry_run("EnableImageDeprecation", region, missing::IMAGE, deprecate.send()));
    }
    if image.require_imds_v2 {
        let require = requests::image::require_imds_v2(client, placeholder::IMAGE).dry_run(true);
        runs.push(dry_run("ModifyImageAttribute", region, missing::IMAGE, require.send()));
    }
    runs
}

fn unblocking<'a>(client: &Client, region: &'a Region) -> Vec<DryRun<'a>> {
    let (lift, set) = (requests::opening::unblock(client), requests::opening::block(client));
    vec![
        dry_run("DisableImageBlockPublicAccess", region, missing::NOTHING, lift.dry_run(true).send()),
        dry_run("EnableImageBlockPublicAccess", region, missing::NOTHING, set.dry_run(true).send()),
    ]
}

fn with_system(tags: &Tags, system: &str) -> Tags {
    let value = |key: &String, value: &String| if key == TAG_SYSTEM { system.to_owned() } else { value.clone() };
    tags.iter().map(|(key, old)| (key.clone(), value(key, old))).collect()
}
