//! What preflight finds on EC2: every obstacle at once, by questions and dry runs alone, and soon.

mod account;
mod findings;
mod partitions;

use std::time::Duration;

use anyhow::Result;
use tokio::time::Instant;
use xtask_ami::{
    ask::preflight::{self, Draft},
    cloud::preflight::Preflight,
    ground::finding::Finding,
};

use crate::rig::{HOME, Rig, all_regions};

/// How long preflight may take where each answer takes 100 ms.
const SOON: Duration = Duration::from_secs(10);

/// How many calls that may cost; AWS counts them.
const CALLS: usize = 160;

/// Runs preflight, and checks that it changed nothing.
pub async fn look(rig: &Rig) -> Result<Preflight> {
    let cloud = rig.ec2().await;
    let before = rig.endpoint.log().len();
    let draft = Draft { spec: rig.order.clone(), findings: Vec::new() };
    // Boxed, because the compiler gives up on futures that are nested as deeply as the SDK's within ours.
    let seen = Box::pin(preflight::run(&cloud, draft, false)).await.map(|(_, preflight)| preflight);
    for logged in rig.endpoint.log().into_iter().skip(before) {
        let asks = ["Decode", "Describe", "Get"].iter().any(|begin| logged.call.action.starts_with(begin));
        assert!(asks || logged.call.dry_run, "{:?}", logged.call);
    }
    assert_eq!(rig.endpoint.violations(), [""; 0]);
    seen
}

/// What stands in the way.
pub async fn findings(rig: &Rig) -> Vec<Finding> {
    look(rig).await.expect("preflight").findings
}

/// The dry runs, by action and region.
fn dry_runs(rig: &Rig) -> Vec<(String, String)> {
    let calls = rig.endpoint.log().into_iter().map(|logged| logged.call);
    calls.filter(|call| call.dry_run).map(|call| (call.action, call.region)).collect()
}

#[tokio::test(start_paused = true)]
async fn an_account_that_is_set_up_well_gives_facts_and_no_findings() {
    let rig = Rig::public(&all_regions());
    rig.endpoint.world(|world| world.delays.answer = Duration::from_millis(100));
    let began = Instant::now();
    let seen = look(&rig).await.expect("preflight");
    assert_eq!(seen.findings, []);
    assert_eq!(seen.warnings, [""; 0]);
    assert_eq!(seen.base_system.as_deref(), Some("ubuntu-16.04"));
    let fact = |label: &str| seen.facts.iter().find(|(known, _)| known == label).map(|(_, fact)| fact.as_str());
    assert_eq!(fact("Account"), Some("111122223333, arn:aws:iam::111122223333:user/tests"));
    assert!(fact("Base").is_some_and(|fact| fact.starts_with(crate::rig::BASE)), "{:?}", seen.facts);
    assert_eq!(fact("Instance"), Some("m5.large in us-west-2a, us-west-2b, us-west-2c"));
    assert_eq!(fact("Network"), Some("vpc-us-west-2, the default VPC"));
    assert_eq!(fact("SSH from"), Some("203.0.113.7/32"));
    assert!(seen.cost.is_some_and(|cost| cost.once_usd > 0.5 && cost.monthly_usd > 1.0));
    assert!(began.elapsed() < SOON, "{:?}", began.elapsed());
    let counts = rig.endpoint.counts();
    assert!(counts.total() <= CALLS, "{counts}");
}

#[tokio::test(start_paused = true)]
async fn blocks_that_are_to_be_lifted_are_no_obstacle_and_stay_within_the_calls() {
    let mut rig = Rig::public(&all_regions());
    rig.order.unblock_public_access = true;
    for region in all_regions() {
        rig.endpoint.region(region, |region| region.block_public_access.blocked = true);
    }
    assert_eq!(findings(&rig).await, []);
    let counts = rig.endpoint.counts();
    assert!(counts.total() <= CALLS, "{counts}");
    for action in ["DisableImageBlockPublicAccess", "EnableImageBlockPublicAccess"] {
        assert!(dry_runs(&rig).iter().any(|(known, _)| known == action), "{action}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_private_image_asks_for_nothing_that_only_a_public_one_needs() {
    let rig = Rig::private();
    let everywhere = |region: &mut crate::books::Region| {
        region.block_public_access.blocked = true;
        region.public_snapshots_blocked = true;
        region.encrypts_by_default = true;
        region.public_image_quota = 0;
    };
    rig.endpoint.region(HOME, everywhere);
    assert_eq!(findings(&rig).await, []);
    assert!(rig.endpoint.log().iter().all(|logged| logged.call.region == HOME));
    let dry_runs = dry_runs(&rig);
    for action in ["CopyImage", "ModifyImageAttribute", "ModifySnapshotAttribute"] {
        assert!(!dry_runs.iter().any(|(known, _)| known == action), "{action}");
    }
    for action in ["RunInstances", "CreateImage", "TerminateInstances", "DeregisterImage", "DeleteSnapshot"] {
        assert!(dry_runs.iter().any(|(known, _)| known == action), "{action}");
    }
}
