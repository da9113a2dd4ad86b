//! Who calls, and what they may.

use std::{collections::BTreeSet, time::Duration};

use tokio::time::Instant;
use xtask_ami::{
    ask::preflight::{self, Draft},
    cloud::{Account as _, ec2::Ec2},
    event::about::{CloudKind, Identity},
};

use super::{SOON, findings, look};
use crate::{
    books::CredentialTrouble,
    faults::{Fault, Plan},
    rig::{HOME, Rig, all_regions, loader},
};

/// How soon a refusal has to come.
const REFUSED_WITHIN: Duration = Duration::from_secs(15);

/// The refusal, which nothing was asked before.
async fn refused(rig: &Rig) -> String {
    let began = Instant::now();
    let error = look(rig).await.expect_err("a refusal");
    assert!(began.elapsed() < REFUSED_WITHIN, "{:?}", began.elapsed());
    let others = rig.endpoint.log().into_iter().filter(|logged| logged.call.service != "sts");
    assert_eq!(others.count(), 0);
    format!("{error:#}")
}

#[tokio::test(start_paused = true)]
async fn credentials_that_have_expired_or_are_unknown_are_refused_at_once() {
    for (trouble, problem, remedy) in [
        (CredentialTrouble::Expired, "the AWS credentials have expired", "aws sso login"),
        (CredentialTrouble::Invalid, "the AWS credentials are not valid", "aws configure"),
    ] {
        let rig = Rig::public(&[HOME]);
        rig.endpoint.world(|world| world.credentials = Some((Duration::ZERO, trouble)));
        let error = refused(&rig).await;
        assert!(error.starts_with(problem) && error.contains(remedy), "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn without_an_answer_the_host_is_named() {
    for fault in [Fault::Unreachable, Fault::Hangs] {
        let rig = Rig::public(&[HOME]);
        rig.endpoint.plan(Plan::always(fault).dry_runs_too());
        let error = refused(&rig).await;
        assert!(error.starts_with("no answer from https://sts.us-west-2.amazonaws.com: "), "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn whose_the_account_is_is_asked_once() {
    let rig = Rig::public(&[HOME]);
    rig.endpoint.world(|world| world.caller = "444455556666".to_owned());
    let cloud = rig.ec2().await;
    let draft = Draft { spec: rig.order.clone(), findings: Vec::new() };
    Box::pin(preflight::run(&cloud, draft, false)).await.expect("preflight");
    let expected = Identity { kind: CloudKind::Ec2, account: "444455556666".to_owned(), endpoint: None };
    for _ in 0..2 {
        assert_eq!(cloud.identity().await.expect("an identity"), expected);
    }
    assert_eq!(rig.endpoint.log().iter().filter(|logged| logged.call.service == "sts").count(), 1);
    // Another endpoint is another cloud, whatever the number of its account.
    let loader = loader(&rig.endpoint).endpoint_url("http://localhost:5000/");
    let recipe = rig.order.recipe.clone();
    let cloud = Ec2::load(loader, rig.settings.clone(), &rig.order.build_region, recipe, &rig.events()).await;
    let endpoint = cloud.identity().await.expect("an identity").endpoint;
    assert_eq!(endpoint.as_deref(), Some("http://localhost:5000"));
}

#[tokio::test(start_paused = true)]
async fn all_that_is_denied_is_one_finding() {
    let rig = Rig::public(&["eu-west-1", "us-east-1", HOME]);
    let denied = ["CopyImage", "ModifySnapshotAttribute", "RunInstances"].map(str::to_owned);
    rig.endpoint.world(|world| world.denied = BTreeSet::from(denied));
    let findings = findings(&rig).await;
    let [finding] = findings.as_slice() else { panic!("{findings:?}") };
    for part in [
        "arn:aws:iam::111122223333:user/tests lacks permissions",
        "ec2:CopyImage in eu-west-1, us-east-1;",
        "ec2:ModifySnapshotAttribute in eu-west-1, us-east-1, us-west-2",
        "ec2:RunInstances in us-west-2",
    ] {
        assert!(finding.problem.contains(part), "{part}: {finding}");
    }
    assert!(finding.remedy.contains("cargo xtask ami iam-policy"), "{finding}");
}

#[tokio::test(start_paused = true)]
async fn each_denied_action_is_found() {
    let actions = "RunInstances CreateSecurityGroup AuthorizeSecurityGroupIngress DeleteSecurityGroup \
                   ImportKeyPair DeleteKeyPair CreateImage ModifyInstanceAttribute StopInstances \
                   TerminateInstances DeregisterImage DeleteSnapshot CopyImage ModifyImageAttribute \
                   ModifySnapshotAttribute EnableImageDeprecation DescribeRegions DescribeImages \
                   DescribeInstances DescribeSnapshotAttribute DescribeSubnets GetEbsEncryptionByDefault";
    for action in actions.split_whitespace() {
        let rig = Rig::public(&["eu-west-1", HOME]);
        rig.endpoint.world(|world| world.denied = BTreeSet::from([action.to_owned()]));
        let findings = findings(&rig).await;
        let [finding] = findings.as_slice() else { panic!("{action}: {findings:?}") };
        assert!(finding.problem.contains(&format!("ec2:{action} in ")), "{action}: {finding}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_dry_run_that_misses_what_it_names_tells_nothing() {
    let rig = Rig::public(&["eu-west-1", HOME]);
    rig.endpoint.world(|world| world.dry_runs_look_first = true);
    assert_eq!(findings(&rig).await, []);
}

#[tokio::test(start_paused = true)]
async fn a_region_that_does_not_answer_is_one_finding_and_soon_told() {
    for fault in [Fault::Hangs, Fault::Unreachable] {
        let rig = Rig::public(&all_regions());
        rig.endpoint.plan(Plan::always(fault).region("sa-east-1").dry_runs_too());
        let began = Instant::now();
        let findings = findings(&rig).await;
        assert!(began.elapsed() < SOON, "{:?}", began.elapsed());
        let [finding] = findings.as_slice() else { panic!("{findings:?}") };
        assert!(finding.problem.contains(" in sa-east-1: "), "{finding}");
        assert!(finding.remedy.contains("ec2.sa-east-1.amazonaws.com"), "{finding}");
    }
}

#[tokio::test(start_paused = true)]
async fn throttling_is_no_finding() {
    for seed in 0..5 {
        let rig = Rig::public(&all_regions());
        rig.endpoint.plan(Plan::always(Fault::Throttled).dry_runs_too().chance(0.2, seed));
        assert_eq!(findings(&rig).await, []);
    }
}
