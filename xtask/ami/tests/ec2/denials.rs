//! Why something is denied is told, before a build and in the middle of one, with the remedy that fits.

use serde_json::{Value, json};
use xtask_ami::ground::finding::Finding;

use crate::{
    actions::account::ENCODED,
    faults::{Fault, Plan},
    preflight::findings,
    rig::{HOME, Rig},
    xml::Refusal,
};

const REGIONS: [&str; 3] = ["eu-west-1", "sa-east-1", HOME];

const WHO: &str = "You are not authorized to perform this operation. User: arn:aws:iam::111122223333:user/tests is not \
                   authorized to perform: ec2:ANY on resource: arn:aws:ec2:ANY:111122223333:instance/*";

/// A denial in EC2's words, with its reason encoded behind them.
fn denial(why: &str) -> Fault {
    let message = format!("{WHO} {why}. Encoded authorization failure message: {ENCODED}");
    Fault::Refused(Refusal::with_status(403, "UnauthorizedOperation", message))
}

/// What is encoded: a statement that looks at a key.
fn statement(name: &str, key: &str, value: &str) -> Value {
    let condition = json!({ "key": key, "values": { "items": [{ "value": value }] } });
    let statement = json!({ "statementId": name, "effect": "DENY", "conditions": { "items": [condition] } });
    json!({
        "allowed": false, "explicitDeny": true, "matchedStatements": { "items": [statement] },
        "failures": { "items": [] }, "context": { "action": "ec2:RunInstances" },
    })
}

fn said(finding: &Finding) -> String {
    assert!(!finding.to_string().contains(ENCODED), "{finding}");
    finding.to_string()
}

#[tokio::test(start_paused = true)]
async fn each_reason_is_one_finding_over_all_actions_and_regions_with_the_remedy_that_fits() {
    for (why, problem, remedy) in [
        (
            "with an explicit deny in a service control policy",
            "a service control policy of the organization denies",
            "ask the administrators",
        ),
        (
            "with an explicit deny in a permissions boundary",
            "the permissions boundary of this user or role denies",
            "permissions boundary",
        ),
        (
            "because no session policy allows the action",
            "the session policy of these credentials denies",
            "session policy",
        ),
        (
            "with an explicit deny in an identity-based policy",
            "a policy of this user or role denies",
            "remove the Deny",
        ),
        ("because no identity-based policy allows the action", "lacks permissions that a build needs", "iam-policy"),
    ] {
        let rig = Rig::public(&REGIONS);
        for action in ["CopyImage", "ModifyImageAttribute", "RunInstances"] {
            rig.endpoint.plan(Plan::always(denial(why)).action(action).dry_runs_too());
        }
        let found = findings(&rig).await;
        let [finding] = found.as_slice() else { panic!("{why}: {found:?}") };
        let said = said(finding);
        for part in [problem, "ec2:CopyImage in eu-west-1, sa-east-1", "ec2:RunInstances in us-west-2", why, remedy] {
            assert!(said.contains(part), "{part}: {said}");
        }
        // It may not be decoded: one question tells that.
        assert_eq!(rig.endpoint.counts().of("DecodeAuthorizationMessage"), 1, "{why}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_encoded_is_told_where_it_may_be_read_with_what_to_set() {
    for (key, value, remedy) in [
        ("aws:RequestTag/team", "true", "set the tag `team`"),
        ("aws:RequestedRegion", "us-west-2", "leave these regions out"),
        ("ec2:AssociatePublicIpAddress", "true", "public_address = \"no\""),
    ] {
        let rig = Rig::public(&REGIONS);
        rig.endpoint.world(|world| world.decoded = Some(statement("OnlyOurs", key, value)));
        let why = denial("with an explicit deny in a service control policy");
        rig.endpoint.plan(
            Plan::always(why)
                .dry_runs_too()
                .when(|call| ["CopyImage", "RunInstances", "CreateImage"].contains(&call.action.as_str())),
        );
        let found = findings(&rig).await;
        let [finding] = found.as_slice() else { panic!("{key}: {found:?}") };
        let said = said(finding);
        for part in ["statement `OnlyOurs`", &format!("looks at {key} ({value})"), remedy, "administrators"] {
            assert!(said.contains(part), "{part}: {said}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn two_reasons_are_two_findings() {
    let rig = Rig::public(&REGIONS);
    let closed = denial("with an explicit deny in a service control policy");
    rig.endpoint.plan(Plan::always(closed).region("eu-west-1").dry_runs_too());
    rig.endpoint.world(|world| world.denied.insert("CreateImage".to_owned()));
    let found = findings(&rig).await;
    let [missing, closed] = found.as_slice() else { panic!("{found:?}") };
    assert!(
        missing.problem.ends_with("lacks permissions that a build needs: ec2:CreateImage in us-west-2"),
        "{missing}"
    );
    assert!(closed.problem.contains("ec2:DescribeImages") && closed.problem.contains("in eu-west-1"), "{closed}");
}

/// Policies may look at what only the real request has.
#[tokio::test(start_paused = true)]
async fn a_denial_in_the_middle_of_a_build_is_told_in_the_same_way() {
    for action in ["RunInstances", "ImportKeyPair", "CreateImage", "CopyImage", "ModifySnapshotAttribute"] {
        for decoded in [None, Some(statement("OnlyOurs", "aws:RequestTag/team", "true"))] {
            let rig = Rig::public(&REGIONS);
            rig.endpoint.world(|world| world.decoded.clone_from(&decoded));
            let why = "with an explicit deny in a service control policy";
            rig.endpoint.plan(Plan::always(denial(why)).action(action));
            let ended = rig.release().await;
            let told = if decoded.is_some() { "set the tag `team`" } else { "ask the administrators" };
            ended.failed(1, &[&format!("{action} in "), why, "(UnauthorizedOperation)", told]);
            assert!(!ended.said.contains(ENCODED), "{ended}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_region_that_aws_still_verifies_comes_with_the_ways_to_go_on() {
    for action in ["RunInstances", "CopyImage"] {
        let mut rig = Rig::public(&REGIONS);
        let pending = "Your request for accessing resources in this region is being validated.";
        let fault = Fault::Refused(Refusal::new("PendingVerification", pending));
        let region = if action == "CopyImage" { "sa-east-1" } else { HOME };
        rig.endpoint.plan(Plan::always(fault.clone()).action(action).region(region).times(1));
        let ended = rig.release().await;
        ended.failed(1, &[pending.trim_end_matches('.'), "resume", "--skip-failed-regions", "(PendingVerification)"]);
        match action {
            "CopyImage" => rig.resume().await.report(),
            // Nothing was made, so one begins again.
            _ => rig.release().await.report(),
        };
        assert_eq!(rig.endpoint.public_in(), REGIONS, "{action}");
        if action == "CopyImage" {
            rig = Rig::public(&REGIONS);
            rig.order.skip_failed_regions = true;
            rig.endpoint.plan(Plan::always(fault).action(action).region(region));
            rig.release().await.report();
            assert_eq!(rig.endpoint.public_in(), ["eu-west-1", HOME]);
        }
    }
}
