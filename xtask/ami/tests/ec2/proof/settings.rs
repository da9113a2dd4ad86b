//! What a test sets up, and what it is told, that no call can.

use std::time::Duration;

use super::{HOME, endpoint, expect, talk};
use crate::{
    books::{BlockPublicAccess, InstanceState, Region},
    delays::Delays,
    faults::{Fault, Plan},
    rig::all_regions,
};

#[test]
fn the_delays_are_those_of_the_benchmark() {
    let delays = Delays::default();
    let others = all_regions().into_iter().filter(|region| *region != HOME);
    let copies: Vec<Duration> = others.map(|region| delays.copy_to(region)).collect();
    assert_eq!(copies.len(), 13);
    assert!(copies.iter().all(|copy| (delays.copy.mul_f64(0.7)..=delays.copy.mul_f64(1.3)).contains(copy)));
    let apt = Duration::from_secs(3) * 3;
    let alone = delays.ssh + apt + delays.stop + delays.image;
    assert_eq!(alone, Duration::from_secs(47));
    assert_eq!(alone + *copies.iter().max().expect("copies"), Duration::from_millis(78_200));
}

#[tokio::test(start_paused = true)]
async fn what_was_asked_is_counted_and_what_is_left_is_told() {
    let endpoint = endpoint();
    let talk = talk(&endpoint).await;
    expect(&talk, "do an_instance").await;
    let (id, there) = (endpoint.instances()[0].1.id.clone(), endpoint.instances()[0].1.clone());
    let address = there.public_address.as_ref().and_then(|address| address.parse().ok()).expect("an address");
    let (region, found) = endpoint.instance_at(address).expect("the instance");
    assert_eq!((region.as_str(), found.id.as_str(), found.user_data.as_str()), (HOME, id.as_str(), "#cloud-config"));
    assert!(found.console.contains(&format!("The console of {id}.\n")), "{}", found.console);
    let tags = [found.tags, found.volume_tags, found.interface_tags];
    assert!(tags.iter().all(|tags| tags["build"] == "one & only"), "{tags:?}");
    endpoint.shut_down_from_inside(HOME, &id);
    expect(&talk, "DescribeInstances InstanceId.1=i-1 -> instanceState.name=shutting-down ; pass").await;
    expect(&talk, "DescribeInstances InstanceId.1=i-1 -> instanceState.name=terminated").await;
    assert_eq!(endpoint.instance_state(&endpoint.instances()[0].1), InstanceState::Terminated);
    assert_eq!(endpoint.left(), [""; 0]);
    let counts = endpoint.counts();
    assert_eq!((counts.of("DescribeInstances"), counts.total()), (2, 4), "{counts}");
    assert!(counts.to_string().ends_with("     4  in all\n"), "{counts}");
}

#[tokio::test(start_paused = true)]
async fn an_account_has_limits() {
    const PUBLISH: &str = "ModifyImageAttribute ImageId=ami-2 LaunchPermission.Add.1.Group=all";
    let endpoint = endpoint();
    let talk = talk(&endpoint).await;
    expect(&talk, "do an_image").await;
    endpoint.world(|world| world.quota_readable = false);
    expect(&talk, "quota L-0E3CBAB9 -> AccessDeniedException").await;
    endpoint.region(HOME, |region| region.public_image_quota = 0);
    expect(&talk, &format!("{PUBLISH} -> ResourceLimitExceeded")).await;
    let id = endpoint.images()[0].1.id.clone();
    endpoint.region(HOME, |region| {
        region.public_image_quota = 1;
        region.images.get_mut(&id).expect("it").product_codes.push("code".to_owned());
    });
    expect(&talk, &format!("{PUBLISH} -> OperationNotPermitted")).await;
    endpoint.region(HOME, |region| region.images.get_mut(&id).expect("it").product_codes.clear());
    expect(&talk, PUBLISH).await;
    assert_eq!(
        endpoint.violations(),
        [format!("us-west-2 ModifyImageAttribute: {id} becomes public before its snapshot")]
    );
    assert_eq!(endpoint.public_in(), [HOME]);
}

#[tokio::test(start_paused = true)]
async fn a_policy_is_not_overridden() {
    let endpoint = endpoint();
    let policy = BlockPublicAccess { blocked: true, by_policy: true, ordered: None, called: None };
    endpoint.region(HOME, |region| region.block_public_access = policy);
    let talk = talk(&endpoint).await;
    expect(&talk, "DisableImageBlockPublicAccess -> OperationNotPermitted").await;
    expect(&talk, "GetImageBlockPublicAccessState -> managedBy=declarative-policy").await;
    assert_eq!(endpoint.public_access_blocked_in(), [HOME]);
}

#[tokio::test(start_paused = true)]
async fn a_dry_run_is_refused_as_the_test_says() {
    let endpoint = endpoint();
    let talk = talk(&endpoint).await;
    let there = async |answer: &str| {
        expect(&talk, &format!("TerminateInstances InstanceId.1=i-1 DryRun=true -> {answer}")).await;
    };
    expect(&talk, "do an_instance").await;
    endpoint.world(|world| world.dry_runs_look_first = true);
    expect(&talk, "TerminateInstances InstanceId.1=i-0 DryRun=true -> InvalidInstanceID.NotFound").await;
    there("DryRunOperation").await;
    endpoint.world(|world| world.denied.insert("TerminateInstances".to_owned()));
    there("UnauthorizedOperation").await;
    endpoint.plan(Plan::once(Fault::Throttled));
    there("UnauthorizedOperation").await;
    endpoint.plan(Plan::once(Fault::Throttled).dry_runs_too());
    there("RequestLimitExceeded").await;
    assert_eq!((endpoint.live_instances().len(), endpoint.counts().of("DryRun")), (1, 5));
}

#[tokio::test(start_paused = true)]
async fn a_launch_needs_a_place() {
    let endpoint = endpoint();
    let talk = talk(&endpoint).await;
    endpoint.region(HOME, |region| region.full_zones.insert("us-west-2a".to_owned()));
    endpoint.region(HOME, |region| region.zones_without.insert(("us-west-2c".to_owned(), "m5.large".to_owned())));
    let run = "RunInstances ImageId=ami-1 @launch NetworkInterface.1.DeviceIndex=0 NetworkInterface.1.SubnetId=subnet-us-west-2";
    expect(&talk, &format!("do base ; {run}a -> InsufficientInstanceCapacity ; {run}c -> Unsupported ; {run}b")).await;
    assert_eq!(endpoint.instances()[0].1.zone, "us-west-2b");
    let zones = "DescribeInstanceTypeOfferings LocationType=availability-zone ?instance-type=m5.large";
    expect(&talk, &format!("{zones} -> location=us-west-2a|us-west-2b")).await;
    endpoint.region(HOME, Region::without_default_vpc);
    expect(&talk, "RunInstances ImageId=ami-1 @run ClientToken=nowhere -> VPCIdNotSpecified").await;
}
