//! What EC2 doesn't do, the endpoint doesn't do either.

use aws_sdk_ec2::types::{
    AttributeValue, InstanceNetworkInterfaceSpecification, InstanceType, LaunchPermission,
    LaunchPermissionModifications, PermissionGroup,
};
use tokio::time::sleep;

use super::{HOME, client, code, good_image, image, launch, once, stopped};
use crate::{
    books::{BlockPublicAccess, CANONICAL},
    endpoint::Endpoint,
    faults::{Fault, Plan},
};

/// How it ends to make an image public.
async fn publish(endpoint: &Endpoint, id: &str) -> Result<(), String> {
    let everybody = LaunchPermission::builder().group(PermissionGroup::All).build();
    let everybody = LaunchPermissionModifications::builder().add(everybody).build();
    let answer = once(endpoint).modify_image_attribute().image_id(id).launch_permission(everybody).send().await;
    if answer.is_ok() { Ok(()) } else { Err(code(answer)) }
}

#[tokio::test(start_paused = true)]
async fn not_every_image_may_become_public() {
    let refused = |code: &str| Err(code.to_owned());
    let endpoint = Endpoint::new();
    let id = image(&endpoint, "one").await;
    assert_eq!(publish(&endpoint, &id).await, refused("InvalidAMIID.Unavailable"));
    sleep(endpoint.world(|world| world.delays.image)).await;
    endpoint
        .region(HOME, |region| region.block_public_access = BlockPublicAccess { blocked: true, ..Default::default() });
    assert_eq!(publish(&endpoint, &id).await, refused("OperationNotPermitted"));
    once(&endpoint).disable_image_block_public_access().send().await.expect("an order");
    assert_eq!(publish(&endpoint, &id).await, refused("OperationNotPermitted"));
    sleep(endpoint.world(|world| world.delays.block_public_access)).await;
    endpoint.region(HOME, |region| region.public_image_quota = 0);
    assert_eq!(publish(&endpoint, &id).await, refused("ResourceLimitExceeded"));
    endpoint.region(HOME, |region| {
        region.public_image_quota = 1;
        region.images.get_mut(&id).expect("it").product_codes.push("code".to_owned());
    });
    assert_eq!(publish(&endpoint, &id).await, refused("OperationNotPermitted"));
    endpoint.region(HOME, |region| region.images.get_mut(&id).expect("it").product_codes.clear());
    assert_eq!(publish(&endpoint, &id).await, Ok(()));
    assert_eq!(
        endpoint.violations(),
        [format!("us-west-2 ModifyImageAttribute: {id} becomes public before its snapshot")]
    );
}

#[tokio::test(start_paused = true)]
async fn encryption_by_default_makes_images_private_for_ever() {
    let endpoint = Endpoint::new();
    endpoint.region(HOME, |region| region.encrypts_by_default = true);
    let id = good_image(&endpoint, "one").await;
    assert_eq!(publish(&endpoint, &id).await, Err("UnsupportedOperation".to_owned()));
    assert!(endpoint.snapshots()[0].1.encrypted);
}

#[tokio::test(start_paused = true)]
async fn a_policy_is_not_overridden() {
    let endpoint = Endpoint::new();
    let policy = BlockPublicAccess { blocked: true, by_policy: true, ..Default::default() };
    endpoint.region(HOME, |region| region.block_public_access = policy);
    let client = once(&endpoint);
    assert_eq!(code(client.disable_image_block_public_access().send().await), "OperationNotPermitted");
    let state = client.get_image_block_public_access_state().send().await.expect("a setting");
    assert_eq!(state.managed_by().map(|manager| manager.as_str()), Some("declarative-policy"));
}

#[tokio::test(start_paused = true)]
async fn a_dry_run_changes_nothing() {
    let endpoint = Endpoint::new();
    let id = launch(&endpoint).await;
    let there = once(&endpoint).terminate_instances().instance_ids(&id).dry_run(true);
    assert_eq!(code(there.clone().send().await), "DryRunOperation");
    let elsewhere = once(&endpoint).terminate_instances().instance_ids("i-00000000").dry_run(true);
    assert_eq!(code(elsewhere.clone().send().await), "DryRunOperation");
    endpoint.world(|world| world.dry_runs_look_first = true);
    assert_eq!(code(elsewhere.send().await), "InvalidInstanceID.NotFound");
    endpoint.world(|world| world.denied.insert("TerminateInstances".to_owned()));
    assert_eq!(code(there.clone().send().await), "UnauthorizedOperation");
    endpoint.plan(Plan::once(Fault::Throttled));
    assert_eq!(code(there.clone().send().await), "UnauthorizedOperation");
    endpoint.plan(Plan::once(Fault::Throttled).dry_runs_too());
    assert_eq!(code(there.send().await), "RequestLimitExceeded");
    assert_eq!(endpoint.live_instances().len(), 1);
    assert_eq!(endpoint.counts().of("DryRun"), 6);
}

#[tokio::test(start_paused = true)]
async fn a_client_token_stands_for_one_request() {
    let endpoint = Endpoint::new();
    let id = good_image(&endpoint, "one").await;
    let copy = client(&endpoint, "eu-west-1", 1).copy_image().source_region(HOME).source_image_id(id).client_token("t");
    copy.clone().name("two").send().await.expect("a copy");
    assert_eq!(code(copy.name("three").send().await), "IdempotentParameterMismatch");
}

#[tokio::test(start_paused = true)]
async fn names_are_unique_where_images_are_created_and_not_where_they_are_copied() {
    let endpoint = Endpoint::new();
    let id = good_image(&endpoint, "one").await;
    let client = once(&endpoint);
    let instance = endpoint.instances()[0].1.id.clone();
    let again = client.create_image().instance_id(&instance);
    assert_eq!(code(again.clone().name("one").send().await), "InvalidAMIName.Duplicate");
    assert_eq!(code(again.name("0.6.1+dev").send().await), "InvalidAMIName.Malformed");
    client.copy_image().source_region(HOME).source_image_id(&id).name("one").send().await.expect("a copy");
    let snapshot = endpoint.images()[0].1.snapshot.clone();
    assert_eq!(code(client.delete_snapshot().snapshot_id(snapshot).send().await), "InvalidSnapshot.InUse");
    let remove = client.deregister_image().image_id(&id).delete_associated_snapshots(true);
    assert_eq!(remove.send().await.expect("it is gone").delete_snapshot_results().len(), 1);
    assert_eq!((endpoint.images().len(), endpoint.snapshots().len()), (1, 1));
    assert_eq!(code(client.describe_images().image_ids(&id).send().await), "InvalidAMIID.NotFound");
}

#[tokio::test(start_paused = true)]
async fn a_group_is_held_by_its_instance() {
    let endpoint = Endpoint::new();
    let id = launch(&endpoint).await;
    let client = once(&endpoint);
    let group = client.create_security_group().group_name("group").description("a group").send().await;
    let group = group.expect("a group").group_id.expect("an id");
    endpoint.region(HOME, |region| region.instances.get_mut(&id).expect("it").groups.insert(group.clone()));
    client.terminate_instances().instance_ids(&id).send().await.expect("it ends");
    let delete = client.delete_security_group().group_id(&group);
    assert_eq!(code(delete.clone().send().await), "DependencyViolation");
    sleep(endpoint.world(|world| world.delays.terminate)).await;
    delete.clone().send().await.expect("it is gone");
    assert_eq!(code(delete.send().await), "InvalidGroup.NotFound");
}

#[tokio::test(start_paused = true)]
async fn a_launch_needs_a_place() {
    let endpoint = Endpoint::new();
    let base = endpoint.somebody_publishes(HOME, CANONICAL, "base", "2021-09-28T12:00:00.000Z");
    let run = once(&endpoint).run_instances().image_id(base).instance_type(InstanceType::from("m5.large"));
    let run = run.min_count(1).max_count(1);
    endpoint.region(HOME, |region| region.full_zones.insert("us-west-2a".to_owned()));
    let interface = |letter: char| {
        let subnet = format!("subnet-us-west-2{letter}");
        InstanceNetworkInterfaceSpecification::builder().device_index(0).subnet_id(subnet).build()
    };
    let refused = run.clone().network_interfaces(interface('a')).send().await;
    assert_eq!(code(refused), "InsufficientInstanceCapacity");
    run.clone().network_interfaces(interface('b')).send().await.expect("a launch");
    assert_eq!(endpoint.instances()[0].1.zone, "us-west-2b");
    endpoint.region(HOME, crate::books::Region::without_default_vpc);
    assert_eq!(code(run.send().await), "VPCIdNotSpecified");
}

#[tokio::test(start_paused = true)]
async fn what_must_never_happen_is_written_down() {
    let endpoint = Endpoint::new();
    let base = endpoint.somebody_publishes(HOME, CANONICAL, "base", "2021-09-28T12:00:00.000Z");
    let client = once(&endpoint);
    let run = client.run_instances().image_id(base).instance_type(InstanceType::from("m5.large"));
    run.min_count(1).max_count(1).send().await.expect("a launch");
    assert_eq!(
        endpoint.violations(),
        [
            "us-west-2 RunInstances: version 1 of the metadata service is on",
            "us-west-2 RunInstances: it doesn't end with its shutdown",
            "us-west-2 RunInstances: the instance is created without tags",
            "us-west-2 RunInstances: the volume is created without tags",
            "us-west-2 RunInstances: the network-interface is created without tags",
        ]
    );
    sleep(endpoint.world(|world| world.delays.running)).await;
    let id = endpoint.instances()[0].1.id.clone();
    let terminate = AttributeValue::builder().value("terminate").build();
    let modify = client.modify_instance_attribute().instance_id(&id);
    modify.instance_initiated_shutdown_behavior(terminate).send().await.expect("it ends by itself");
    client.create_image().instance_id(&id).name("one").send().await.expect("an image");
    assert_eq!(code(client.describe_volumes().send().await), "InvalidAction");
    let violations = endpoint.violations();
    let later: Vec<&str> = violations[5..].iter().map(String::as_str).collect();
    assert_eq!(
        later,
        [
            "us-west-2 CreateImage: the instance is rebooted",
            "us-west-2 CreateImage: the instance still ends with the next shutdown from inside",
            "us-west-2 CreateImage: the image is created without tags",
            "us-west-2 CreateImage: the snapshot is created without tags",
            "us-west-2 DescribeVolumes: nobody does this here",
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn an_image_is_changed_one_attribute_at_a_time() {
    let endpoint = Endpoint::new();
    let id = good_image(&endpoint, "one").await;
    let version = AttributeValue::builder().value("v2.0").build();
    let modify = once(&endpoint).modify_image_attribute().image_id(&id).imds_support(version.clone());
    modify.clone().send().await.expect("a change");
    assert_eq!(code(modify.description(version).send().await), "InvalidParameterCombination");
    assert!(endpoint.images()[0].1.requires_imds_v2);
}

#[tokio::test(start_paused = true)]
async fn an_instance_stops_only_when_it_runs() {
    let endpoint = Endpoint::new();
    let id = launch(&endpoint).await;
    let stop = once(&endpoint).stop_instances().instance_ids(id);
    assert_eq!(code(stop.send().await), "IncorrectInstanceState");
    let endpoint = Endpoint::new();
    let id = stopped(&endpoint).await;
    once(&endpoint).stop_instances().instance_ids(id).send().await.expect("it is stopped already");
}
