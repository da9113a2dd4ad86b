//! A dry run asks for exactly what the build asks for later, and what it is answered is told.

use std::collections::BTreeMap;

use super::closed;
use crate::{
    faults::{Fault, Plan},
    preflight::findings,
    request::Call,
    rig::{HOME, Rig},
};

/// What cannot exist before the build begins.
const YET_TO_COME: [&str; 6] =
    ["ClientToken", "KeyName", "UserData", "NetworkInterface.1.SecurityGroupId.1", "PublicKeyMaterial", "DeprecateAt"];

/// What a request says, aside from the ids in it, the id of the build, and dates, which are counted from its beginning.
fn said(call: &Call, build: &str) -> BTreeMap<String, String> {
    let is_id = |value: &str| ["ami-", "i-", "snap-", "sg-0"].iter().any(|kind| value.starts_with(kind));
    let is_sum = |value: &str| value.len() == 64 && value.bytes().all(|byte| byte.is_ascii_hexdigit());
    let plain = |value: &String| match value {
        value if is_sum(value) => "*".to_owned(),
        value if humantime::parse_rfc3339(value).is_ok() => "*".to_owned(),
        value if is_id(value) || value.contains(build) || value.contains("wallaroo-ami-dry-run") => "*".to_owned(),
        value => value.clone(),
    };
    let pairs = call.parameters.0.iter().filter(|(key, _)| !YET_TO_COME.contains(&key.as_str()));
    pairs.map(|(key, value)| (key.clone(), plain(value))).collect()
}

/// The same request without the disks that it leaves out.
fn with_its_disks(said: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let left_out: Vec<&str> = said.keys().filter_map(|key| key.strip_suffix("NoDevice")).collect();
    let is_of_these = |key: &String| left_out.iter().any(|mapping| key.starts_with(mapping));
    said.iter().filter(|(key, _)| !is_of_these(key)).map(|(key, value)| (key.clone(), value.clone())).collect()
}

/// Each request of the build that creates, changes or opens something is one that a dry run asked in the same region.
fn asked_beforehand(rig: &Rig, actions: &[&str]) {
    let images = rig.endpoint.images();
    let build = images.first().and_then(|(_, image)| image.tags.get("wallaroo:build")).expect("a build");
    let log = rig.endpoint.log();
    for action in actions {
        let calls = || log.iter().map(|logged| &logged.call).filter(|call| call.action == *action);
        let dry: Vec<_> = calls().filter(|call| call.dry_run).map(|call| (&call.region, said(call, build))).collect();
        let real: Vec<_> = calls().filter(|call| !call.dry_run).collect();
        assert!(!real.is_empty(), "{action} is never called");
        for call in real {
            // Detaching a group is a change of its own.
            if call.parameters.get("GroupId.1").is_none() {
                let wanted = (&call.region, said(call, build));
                // The image has no disk that its launch could leave out.
                let of_image = |(region, asked): &(_, _)| (*region, with_its_disks(asked)) == wanted;
                assert!(
                    dry.contains(&wanted) || dry.iter().any(of_image),
                    "{action}: {wanted:#?}\nis none of {dry:#?}"
                );
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_dry_runs_of_a_public_release_ask_for_all_that_it_does() {
    let mut rig = Rig::public(&["eu-west-1", HOME]);
    rig.order.unblock_public_access = true;
    rig.endpoint.region("eu-west-1", |region| region.block_public_access.blocked = true);
    rig.order.recipe.require_imds_v2 = true;
    rig.release().await.report();
    asked_beforehand(
        &rig,
        &[
            "RunInstances",
            "ImportKeyPair",
            "CreateSecurityGroup",
            "AuthorizeSecurityGroupIngress",
            "CreateImage",
            "CopyImage",
            "ModifyInstanceAttribute",
            "ModifyImageAttribute",
            "ModifySnapshotAttribute",
            "EnableImageDeprecation",
            "DisableImageBlockPublicAccess",
            "EnableImageBlockPublicAccess",
        ],
    );
}

#[tokio::test(start_paused = true)]
async fn the_dry_runs_of_a_shared_image_with_every_setting_ask_for_all_that_it_does() {
    let grantees = ["123456789012", "arn:aws:organizations::123456789012:organization/o-a1b2c3d4e5"];
    let mut rig = closed(&grantees, &["eu-west-1", HOME]);
    rig.order.recipe.tags.insert("team".to_owned(), "data".to_owned());
    let machine = &mut rig.order.recipe.instance;
    machine.kms_key = Some("alias/images".parse().expect("a key"));
    machine.volume_type = "io2".to_owned();
    machine.volume_iops = Some(3000);
    machine.instance_profile = Some("builder".to_owned());
    machine.public_address = Some(xtask::instance::PublicAddress::No);
    rig.endpoint.region(HOME, |region| {
        let base = region.images.values_mut().next().expect("the base");
        base.further.insert("/dev/sdf".to_owned(), false);
    });
    rig.settings.ssh_from = ["10.0.0.0/8", "2001:db8::/64"].map(|block| block.parse().expect("a block")).to_vec();
    rig.release().await.report();
    asked_beforehand(
        &rig,
        &[
            "RunInstances",
            "ImportKeyPair",
            "CreateSecurityGroup",
            "AuthorizeSecurityGroupIngress",
            "CreateImage",
            "CopyImage",
            "ModifyImageAttribute",
            "ModifySnapshotAttribute",
        ],
    );
}

#[tokio::test(start_paused = true)]
async fn every_answer_of_a_dry_run_but_the_good_one_is_told_with_its_code_and_words() {
    for (action, code, remedy) in [
        ("RunInstances", "VcpuLimitExceeded", "higher quota in us-west-2"),
        ("RunInstances", "PendingVerification", "Wait for it and try again"),
        ("RunInstances", "InvalidBlockDeviceMapping", "change the setting"),
        ("RunInstances", "OptInRequired", "accept the terms"),
        ("RunInstances", "InsufficientInstanceCapacity", "another --instance-type"),
        ("CreateSecurityGroup", "SecurityGroupLimitExceeded", "higher quota"),
        ("ImportKeyPair", "InvalidParameterValue", "change the setting"),
        ("CreateImage", "InvalidParameterValue", "change the setting"),
        ("CopyImage", "KMS.DisabledException", "change the setting"),
        ("ModifyImageAttribute", "InvalidAMIAttributeItemValue", "change the setting"),
        ("EnableImageDeprecation", "InvalidParameterValue", "change the setting"),
        // Nothing that this dry run names is a placeholder of ours.
        ("RunInstances", "InvalidAMIID.NotFound", "change the setting"),
    ] {
        let rig = Rig::public(&["eu-west-1", "us-east-1", HOME]);
        rig.endpoint.plan(Plan::always(Fault::refused(code)).action(action).dry_runs_too());
        let findings = findings(&rig).await;
        let [finding] = findings.as_slice() else { panic!("{action} {code}: {findings:?}") };
        let (problem, words) = (&finding.problem, format!("the test says {code} ({code})"));
        assert!(
            problem.starts_with(&format!("EC2 would refuse {action} in ")) && problem.ends_with(&words),
            "{finding}"
        );
        assert!(finding.remedy.contains(remedy), "{finding}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_zone_without_room_is_no_finding_while_another_has_some() {
    let rig = Rig::public(&[HOME]);
    let full = Fault::refused("InsufficientInstanceCapacity");
    rig.endpoint.plan(Plan::once(full).action("RunInstances").dry_runs_too());
    assert_eq!(findings(&rig).await, []);
}
