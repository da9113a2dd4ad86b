//! Settings that only EC2 would refuse, and only when it is late: told beforehand.

use crate::{books::ACCOUNT, preflight::look, rig::Rig};

#[tokio::test(start_paused = true)]
async fn an_instance_profile_of_another_account_or_partition_is_found_beforehand() {
    let own = format!("arn:aws:iam::{ACCOUNT}:instance-profile/builder");
    for (profile, problem) in [
        (own.as_str(), None),
        ("builder", None),
        ("arn:aws:iam::999999999999:instance-profile/builder", Some("the account 999999999999")),
        ("arn:aws-cn:iam::999999999999:instance-profile/a/builder", Some("the partition aws-cn")),
    ] {
        let mut rig = Rig::private();
        rig.order.recipe.instance.instance_profile = Some(profile.to_owned());
        let findings = look(&rig).await.expect("preflight").findings;
        let told = findings.iter().find(|finding| finding.problem.contains("belongs to"));
        assert_eq!(told.is_some(), problem.is_some(), "{findings:?}");
        if let (Some(told), Some(problem)) = (told, problem) {
            assert!(told.problem.contains(problem) && told.remedy.contains("--instance-profile"), "{told}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn more_blocks_than_a_security_group_usually_takes_are_a_warning() {
    for (ipv4, ipv6, is_told) in [(60, 60, false), (61, 0, true), (1, 61, true)] {
        let mut rig = Rig::private();
        let of_ipv4 = (0..ipv4).map(|number| format!("10.0.{number}.0/24"));
        let blocks = of_ipv4.chain((0..ipv6).map(|number| format!("2001:db8:{number}::/48")));
        rig.settings.ssh_from = blocks.map(|block| block.parse().expect("a block")).collect();
        let warnings = look(&rig).await.expect("preflight").warnings;
        let told = warnings.iter().any(|warning| warning.contains("at most 60 rules"));
        assert_eq!(told, is_told, "{warnings:?}");
    }
}
