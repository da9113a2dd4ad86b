//! Instances: where there is no room, and those that never answer.

use crate::{
    books::Fate,
    faults::{Fault, Plan},
    request::Call,
    rig::{HOME, Rig},
};

#[tokio::test(start_paused = true)]
async fn the_next_zone_is_taken_where_one_is_full() {
    let rig = Rig::private();
    rig.endpoint.region(HOME, |region| region.full_zones.extend(["us-west-2a".to_owned(), "us-west-2b".to_owned()]));
    rig.release().await.report();
    assert!(rig.endpoint.instances().iter().all(|(_, instance)| instance.zone == "us-west-2c"));
}

#[tokio::test(start_paused = true)]
async fn all_zones_are_named_where_none_has_room() {
    let rig = Rig::private();
    let zones = ["us-west-2a", "us-west-2b", "us-west-2c"];
    rig.endpoint.region(HOME, |region| region.full_zones.extend(zones.map(str::to_owned)));
    let ended = rig.release().await;
    ended.failed(1, &[]);
    for word in zones.into_iter().chain(["m5.large", "--instance-type", "InsufficientInstanceCapacity"]) {
        assert!(ended.said.contains(word), "no {word}: {}", ended.said);
    }
    assert_eq!(rig.endpoint.left(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn an_instance_that_ends_by_itself_is_told_with_its_reason() {
    let rig = Rig::private();
    rig.endpoint.region(HOME, |region| region.instances_fare = Fate::Ends("Client.VolumeLimitExceeded".to_owned()));
    rig.release().await.failed(1, &["is terminated before a login was possible", "Client.VolumeLimitExceeded"]);
    assert_eq!(rig.endpoint.left(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn an_instance_that_never_answers_is_given_up_with_its_console() {
    let rig = Rig::private();
    // The instance runs, and its sshd never answers.
    rig.endpoint.world(|world| world.delays.ssh = std::time::Duration::from_secs(86_400));
    rig.release().await.failed(1, &["waiting for a login on i-", "the last lines of its console:"]);
    assert_eq!(rig.endpoint.left(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn each_machine_has_a_way_in_of_its_own_from_one_address_only_and_imds_v2() {
    let rig = Rig::private();
    rig.release().await.report();
    let instances: Vec<_> = rig.endpoint.instances().into_iter().map(|(_, instance)| instance).collect();
    let [bake, verify] = instances.as_slice() else { panic!("{instances:?}") };
    assert_ne!(bake.key_name, verify.key_name);
    for instance in [bake, verify] {
        assert!(instance.user_data.contains("[\"shutdown\",\"-P\",\"+300\"]"), "{}", instance.user_data);
        for tags in [&instance.tags, &instance.volume_tags, &instance.interface_tags] {
            assert!(tags.contains_key("wallaroo:build") && tags.contains_key("wallaroo:expires"), "{tags:?}");
        }
    }
    let launches = rig.endpoint.log().into_iter().map(|logged| logged.call);
    let launches: Vec<_> = launches.filter(|call| call.action == "RunInstances" && !call.dry_run).collect();
    let group = |launch: &Call| launch.parameters.get("NetworkInterface.1.SecurityGroupId.1").map(str::to_owned);
    assert!(group(&launches[0]).is_some() && group(&launches[0]) != group(&launches[1]), "{launches:?}");
    for launch in &launches {
        let parameter = |name: &str| launch.parameters.get(name).unwrap_or_default();
        assert_eq!(parameter("MetadataOptions.HttpTokens"), "required");
        assert_eq!(parameter("InstanceInitiatedShutdownBehavior"), "terminate");
        assert_eq!(parameter("BlockDeviceMapping.1.Ebs.VolumeType"), "gp3");
        assert_eq!(parameter("BlockDeviceMapping.1.Ebs.DeleteOnTermination"), "true");
        assert_eq!(parameter("NetworkInterface.1.AssociatePublicIpAddress"), "true");
    }
    let rules = rig.endpoint.log().into_iter().map(|logged| logged.call);
    for rule in rules.filter(|call| call.action == "AuthorizeSecurityGroupIngress" && !call.dry_run) {
        assert_eq!(rule.parameters.get("IpPermissions.1.IpRanges.1.CidrIp"), Some("203.0.113.7/32"));
        assert_eq!(rule.parameters.get("IpPermissions.1.FromPort"), Some("22"));
        assert_eq!(rule.parameters.get("IpPermissions.2.FromPort"), None);
    }
}

#[tokio::test(start_paused = true)]
async fn a_given_security_group_is_taken_and_none_is_made() {
    let mut rig = Rig::private();
    let group = "sg-given".to_owned();
    rig.endpoint.region(HOME, |region| region.give_group(&group, "given"));
    rig.settings.security_group = Some(group.clone());
    rig.settings.ssh_from.clear();
    rig.release().await.report();
    assert_eq!(rig.endpoint.counts().of("CreateSecurityGroup"), 0);
    assert!(rig.endpoint.instances().iter().all(|(_, instance)| instance.groups.contains(&group)));
    assert_eq!(rig.endpoint.left(), [group]);
}

#[tokio::test(start_paused = true)]
async fn a_machine_that_is_kept_stays_with_its_way_in_and_how_to_log_in_is_said() {
    let mut rig = Rig::private();
    rig.order.keep_on_failure = true;
    rig.order.scripts.seal = "/nowhere/seal.sh".into();
    rig.release().await.failed(1, &["keeps running. To log in:\n    ssh ", "terminates by itself 5h after its launch"]);
    assert_eq!(rig.endpoint.left().len(), 3, "an instance, a key and a group: {:?}", rig.endpoint.left());
}

/// Sealing calls the timed shutdown off, and before the machine is stopped, the shutdown's behaviour is set to stop.
#[tokio::test(start_paused = true)]
async fn a_machine_that_is_kept_after_sealing_is_not_said_to_end_itself() {
    let mut rig = Rig::private();
    rig.order.keep_on_failure = true;
    rig.endpoint.plan(Plan::always(Fault::refused("IncorrectInstanceState")).action("StopInstances"));
    let ended = rig.release().await;
    ended.failed(1, &[]);
    assert!(!ended.said.contains("terminates by itself 5h"), "{}", ended.said);
    assert!(ended.said.contains("aws ec2 terminate-instances --instance-ids i-"), "{}", ended.said);
}
