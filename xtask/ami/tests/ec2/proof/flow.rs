//! When all goes well.

use std::time::{Duration, SystemTime};

use aws_sdk_ec2::types::{
    CreateVolumePermission, CreateVolumePermissionModifications, Filter, ImageAttributeName, InstanceAttributeName,
    IpPermission, IpRange, LaunchPermission, LaunchPermissionModifications, PermissionGroup, ResourceType,
    SnapshotAttributeName, Tag,
};
use aws_smithy_types::{base64, date_time::DateTime};
use tokio::time::{Instant, sleep};

use super::{HOME, client, code, good_image, launch, once, quotas, sts, tags};
use crate::{
    books::{CANONICAL, InstanceState},
    delays::Delays,
    endpoint::Endpoint,
};

fn filter(name: &str, value: &str) -> Filter {
    Filter::builder().name(name).values(value).build()
}

#[test]
fn the_delays_are_those_of_the_benchmark() {
    let delays = Delays::default();
    let shipped = include_str!("../../../../../regions").lines().map(str::trim).filter(|region| *region != HOME);
    let copies: Vec<Duration> = shipped.map(|region| delays.copy_to(region)).collect();
    assert_eq!(copies.len(), 13);
    assert!(copies.iter().all(|copy| (delays.copy.mul_f64(0.7)..=delays.copy.mul_f64(1.3)).contains(copy)));
    let apt = Duration::from_secs(3) * 3;
    let alone = delays.ssh + apt + delays.stop + delays.image;
    assert_eq!(alone, Duration::from_secs(47));
    assert_eq!(alone + *copies.iter().max().expect("copies"), Duration::from_millis(78_200));
}

#[tokio::test(start_paused = true)]
async fn an_image_is_made_copied_and_published() {
    const NAME: &str = "Wallaroo 0.6.1";
    let endpoint = Endpoint::new();
    let began = Instant::now();
    let source = good_image(&endpoint, NAME).await;
    let there = client(&endpoint, "sa-east-1", 1);
    let copy = there.copy_image().source_region(HOME).source_image_id(&source).name(NAME).client_token("copy");
    let copy = copy.tag_specifications(tags(ResourceType::Image)).tag_specifications(tags(ResourceType::Snapshot));
    let id = copy.clone().send().await.expect("a copy").image_id.expect("an id");
    assert_eq!(copy.send().await.expect("the same copy").image_id.expect("an id"), id);

    sleep(Duration::from_secs(10)).await;
    let pattern = filter("description", &format!("Copied for DestinationAmi {id} *"));
    let found = there.describe_snapshots().filters(pattern).send().await.expect("a look");
    let [snapshot] = found.snapshots() else { panic!("{found:?}") };
    let percent: u32 = snapshot.progress().and_then(|text| text.strip_suffix('%')).expect("NN%").parse().expect("NN");
    assert!((20..60).contains(&percent), "{percent}");

    sleep(Duration::from_secs(30)).await;
    let snapshot = snapshot.snapshot_id().expect("an id");
    let everybody = CreateVolumePermission::builder().group(PermissionGroup::All).build();
    let everybody = CreateVolumePermissionModifications::builder().add(everybody).build();
    let share = there.modify_snapshot_attribute().snapshot_id(snapshot).create_volume_permission(everybody);
    share.send().await.expect("a public snapshot");
    let everybody = LaunchPermission::builder().group(PermissionGroup::All).build();
    let friend = LaunchPermission::builder().user_id("444455556666").build();
    let share = LaunchPermissionModifications::builder().add(everybody).add(friend).build();
    there.modify_image_attribute().image_id(&id).launch_permission(share).send().await.expect("a public image");
    let deprecation = DateTime::from(SystemTime::now() + Duration::from_secs(365 * 24 * 60 * 60));
    there.enable_image_deprecation().image_id(&id).deprecate_at(deprecation).send().await.expect("a date");

    let found = there.describe_images().owners("self").send().await.expect("a look");
    let [image] = found.images() else { panic!("{found:?}") };
    assert_eq!((image.name(), image.public()), (Some(NAME), Some(true)));
    assert_eq!(image.tags()[0].value(), Some("one & only"));
    assert!(image.deprecation_time().is_some_and(|time| time.ends_with(":00.000Z")), "{image:?}");
    assert_eq!(image.block_device_mappings()[0].ebs().and_then(|disk| disk.snapshot_id()), Some(snapshot));

    assert_eq!(endpoint.violations(), [""; 0]);
    assert_eq!(endpoint.public_in(), ["sa-east-1"]);
    assert_eq!(
        endpoint.snapshots().iter().map(|(_, snapshot)| snapshot.is_public()).collect::<Vec<_>>(),
        [true, false]
    );
    assert_eq!(endpoint.left().len(), 1);
    assert!(began.elapsed() < Duration::from_secs(90), "{:?}", began.elapsed());
    let counts = endpoint.counts();
    assert_eq!((counts.of("CopyImage"), counts.total()), (2, 11), "{counts}");
    assert!(counts.to_string().ends_with("    11  in all\n"), "{counts}");
}

#[tokio::test(start_paused = true)]
async fn a_base_is_found_by_its_whole_name() {
    let endpoint = Endpoint::new();
    let [old, new] = ["2020-01-01T00:00:00.000Z", "2021-09-28T12:00:00.000Z"]
        .map(|date| endpoint.somebody_publishes(HOME, CANONICAL, "ubuntu/images/xenial-16.04-server", date));
    endpoint.somebody_publishes(HOME, CANONICAL, "ubuntu/images-testing/xenial-16.04", "2021-09-29T12:00:00.000Z");
    let past = "2022-01-01T00:00:00.000Z".to_owned();
    endpoint.region(HOME, |region| region.images.get_mut(&old).expect("it").deprecated_at = Some(past));
    let client = once(&endpoint);
    let look = client.describe_images().owners(CANONICAL).filters(filter("name", "ubuntu/images/xenial-16.04-*"));
    let ids = |found: aws_sdk_ec2::operation::describe_images::DescribeImagesOutput| -> Vec<String> {
        found.images.unwrap_or_default().into_iter().filter_map(|image| image.image_id).collect()
    };
    assert_eq!(ids(look.clone().send().await.expect("a look")), std::slice::from_ref(&new));
    assert_eq!(ids(look.clone().include_deprecated(true).send().await.expect("a look")), [old.clone(), new]);
    assert_eq!(ids(client.describe_images().image_ids(&old).send().await.expect("a look")), [old]);
    let pages = look.include_deprecated(true).into_paginator().page_size(1).items().send();
    assert_eq!(pages.collect::<Result<Vec<_>, _>>().await.expect("pages").len(), 2);
}

#[tokio::test(start_paused = true)]
async fn an_instance_comes_and_goes() {
    let endpoint = Endpoint::new();
    let id = launch(&endpoint).await;
    let client = once(&endpoint);
    let seen = async || {
        let found = client.describe_instances().filters(filter("tag:build", "one & only")).send().await;
        found.expect("a look").reservations()[0].instances()[0].clone()
    };
    let state = |instance: &aws_sdk_ec2::types::Instance| {
        instance.state().and_then(|state| state.name()).expect("a state").as_str().to_owned()
    };
    assert_eq!(state(&seen().await), "pending");
    sleep(Duration::from_secs(8)).await;
    let running = seen().await;
    assert_eq!(state(&running), "running");
    let address = running.public_ip_address().expect("an address").parse().expect("an address");
    let (region, there) = endpoint.instance_at(address).expect("the instance");
    assert_eq!((region.as_str(), there.id.as_str(), there.user_data.as_str()), (HOME, id.as_str(), "#cloud-config"));
    let build = Some("one & only");
    assert!(
        [there.tags, there.volume_tags, there.interface_tags]
            .iter()
            .all(|tags| { tags.get("build").map(String::as_str) == build })
    );
    let output = client.get_console_output().instance_id(&id).send().await.expect("a console").output.expect("output");
    let output = String::from_utf8(base64::decode(output).expect("base64")).expect("UTF-8");
    assert!(output.contains(&format!("The console of {id}.\n")), "{output}");
    endpoint.shut_down_from_inside(HOME, &id);
    assert_eq!(state(&seen().await), "shutting-down");
    sleep(Duration::from_secs(15)).await;
    assert_eq!(state(&seen().await), "terminated");
    assert_eq!(endpoint.instance_state(&endpoint.instances()[0].1), InstanceState::Terminated);
    assert_eq!(endpoint.left(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn keys_and_groups_come_and_go() {
    let endpoint = Endpoint::new();
    let client = once(&endpoint);
    let material = aws_sdk_ec2::primitives::Blob::new("ssh-ed25519 AAAA");
    let import = client.import_key_pair().key_name("key").public_key_material(material);
    let import = import.tag_specifications(tags(ResourceType::KeyPair));
    import.clone().send().await.expect("a key pair");
    assert_eq!(code(import.send().await), "InvalidKeyPair.Duplicate");
    let found = client.describe_key_pairs().key_names("key").send().await.expect("a look");
    assert_eq!(found.key_pairs()[0].key_type().map(|kind| kind.as_str()), Some("ed25519"));
    assert_eq!(endpoint.key_pairs()[0].1.public_key, "ssh-ed25519 AAAA");
    client.delete_key_pair().key_name("key").send().await.expect("no key pair");

    let create = client.create_security_group().group_name("group").description("a group");
    let create = create.tag_specifications(tags(ResourceType::SecurityGroup));
    let group = create.clone().send().await.expect("a group").group_id.expect("an id");
    assert_eq!(code(create.send().await), "InvalidGroup.Duplicate");
    let here = IpRange::builder().cidr_ip("203.0.113.7/32").build();
    let rule = IpPermission::builder().ip_protocol("tcp").from_port(22).to_port(22).ip_ranges(here).build();
    let authorize = client.authorize_security_group_ingress().group_id(&group).ip_permissions(rule);
    authorize.clone().send().await.expect("a rule");
    assert_eq!(code(authorize.send().await), "InvalidPermission.Duplicate");
    let found = client.describe_security_groups().filters(filter("tag-key", "build")).send().await.expect("a look");
    let permission = &found.security_groups()[0].ip_permissions()[0];
    assert_eq!(permission.ip_ranges()[0].cidr_ip(), Some("203.0.113.7/32"));
    assert_eq!(endpoint.groups()[0].1.rules[0].source, "203.0.113.7/32");
    client.delete_security_group().group_id(&group).send().await.expect("no group");
    assert_eq!((endpoint.left(), endpoint.violations()), (vec![], vec![]));
}

#[tokio::test(start_paused = true)]
async fn the_account_and_its_settings_are_told() {
    let endpoint = Endpoint::new();
    let client = once(&endpoint);
    let identity = sts(&endpoint).get_caller_identity().send().await.expect("an identity");
    assert_eq!(identity.account(), Some("111122223333"));
    let ask = quotas(&endpoint).get_service_quota().service_code("ec2").quota_code("L-0E3CBAB9");
    let quota = ask.clone().send().await.expect("a quota").quota.and_then(|quota| quota.value);
    assert_eq!(quota, Some(5.0));
    endpoint.world(|world| world.quota_readable = false);
    assert_eq!(code(ask.send().await), "AccessDeniedException");

    let enabled = client.describe_regions().send().await.expect("regions");
    let all = client.describe_regions().all_regions(true).send().await.expect("regions");
    assert_eq!((enabled.regions().len(), all.regions().len()), (17, 20));
    let vpc = client.describe_vpcs().filters(filter("is-default", "true")).send().await.expect("a network");
    let vpc = vpc.vpcs()[0].vpc_id().expect("an id");
    let subnets = client.describe_subnets().filters(filter("vpc-id", vpc)).filters(filter("default-for-az", "true"));
    assert_eq!(subnets.send().await.expect("subnets").subnets().len(), 3);
    let without = ("us-west-2b".to_owned(), "m5.large".to_owned());
    endpoint.region(HOME, |region| region.zones_without.insert(without));
    let zones =
        client.describe_instance_type_offerings().location_type(aws_sdk_ec2::types::LocationType::AvailabilityZone);
    let zones = zones.filters(filter("instance-type", "m5.large")).send().await.expect("zones");
    assert_eq!(zones.instance_type_offerings().len(), 2);

    let encryption = client.get_ebs_encryption_by_default().send().await.expect("a setting");
    assert_eq!(encryption.ebs_encryption_by_default(), Some(false));
    let state = async || {
        let state = client.get_image_block_public_access_state().send().await.expect("a setting");
        state.image_block_public_access_state.expect("a state")
    };
    let block = aws_sdk_ec2::types::ImageBlockPublicAccessEnabledState::BlockNewSharing;
    client.enable_image_block_public_access().image_block_public_access_state(block).send().await.expect("an order");
    assert_eq!(state().await, "unblocked");
    sleep(endpoint.world(|world| world.delays.block_public_access)).await;
    assert_eq!(state().await, "block-new-sharing");
    assert_eq!(endpoint.public_access_blocked_in(), [HOME]);
}

#[tokio::test(start_paused = true)]
async fn attributes_and_tags_are_read_back() {
    let endpoint = Endpoint::new();
    let id = good_image(&endpoint, "one").await;
    let (image, instance) = (endpoint.images()[0].1.clone(), endpoint.instances()[0].1.id.clone());
    let client = once(&endpoint);
    let holders = ["444455556666", "arn:aws:organizations::111122223333:ou/o-1/ou-1"];
    let share = LaunchPermissionModifications::builder()
        .add(LaunchPermission::builder().user_id(holders[0]).build())
        .add(LaunchPermission::builder().organizational_unit_arn(holders[1]).build());
    client.modify_image_attribute().image_id(&id).launch_permission(share.build()).send().await.expect("a change");
    let look = client.describe_image_attribute().image_id(&id).attribute(ImageAttributeName::LaunchPermission);
    let found = look.clone().send().await.expect("permissions").launch_permissions.unwrap_or_default();
    assert_eq!(found[0].user_id(), Some(holders[0]));
    assert_eq!(found[1].organizational_unit_arn(), Some(holders[1]));
    let unshare = LaunchPermissionModifications::builder().set_remove(Some(found)).build();
    client.modify_image_attribute().image_id(&id).launch_permission(unshare).send().await.expect("a change");
    assert!(look.send().await.expect("permissions").launch_permissions().is_empty());

    let friend = CreateVolumePermission::builder().user_id(holders[0]).build();
    let share = CreateVolumePermissionModifications::builder().add(friend.clone()).build();
    let modify = client.modify_snapshot_attribute().snapshot_id(&image.snapshot).create_volume_permission(share);
    modify.send().await.expect("a change");
    let attribute = SnapshotAttributeName::CreateVolumePermission;
    let look = client.describe_snapshot_attribute().snapshot_id(&image.snapshot).attribute(attribute);
    assert_eq!(look.send().await.expect("permissions").create_volume_permissions(), [friend]);

    let attribute = InstanceAttributeName::InstanceInitiatedShutdownBehavior;
    let look = client.describe_instance_attribute().instance_id(&instance).attribute(attribute).send().await;
    let behavior = look.expect("an attribute").instance_initiated_shutdown_behavior.and_then(|behavior| behavior.value);
    assert_eq!(behavior.as_deref(), Some("stop"));

    let tag = Tag::builder().key("later").value("yes").build();
    client.create_tags().resources(&id).resources(&instance).tags(tag.clone()).send().await.expect("tags");
    assert_eq!(endpoint.images()[0].1.tags["later"], "yes");
    assert_eq!(endpoint.instances()[0].1.tags["later"], "yes");
    client.delete_tags().resources(&id).tags(tag).send().await.expect("no tags");
    assert_eq!(endpoint.images()[0].1.tags, image.tags);
}
