//! Regions of other partitions, and regions that AWS does not have.

use xtask::region::Region;
use xtask_ami::{
    ask::preflight::{self, Draft},
    cloud::ec2::Ec2,
    ground::finding::Finding,
};

use crate::{
    books,
    rig::{BASE, HOME, Rig, loader},
};

/// EC2 with this build region.
async fn cloud_in(rig: &Rig, region: &Region) -> Ec2 {
    let recipe = rig.order.recipe.clone();
    Ec2::load(loader(&rig.endpoint), rig.settings.clone(), region, recipe, &rig.events()).await
}

/// The findings for a public image in a region where this account publishes the base, and what is told of the base.
async fn look_in(name: &str, owner: &str) -> (Vec<Finding>, Option<String>) {
    let rig = Rig::public(&[HOME]);
    rig.endpoint.world(|world| world.regions.insert(name.to_owned(), books::Region::new(name, "opted-in")));
    rig.endpoint.add_published(name, owner, BASE, "2021-09-28T12:00:00.000Z");
    let region: Region = name.parse().expect("a region");
    let mut spec = rig.order.clone();
    (spec.build_region, spec.regions) = (region.clone(), vec![region.clone()]);
    let draft = Draft { spec, findings: Vec::new() };
    let cloud = cloud_in(&rig, &region).await;
    let (_, seen) = Box::pin(preflight::run(&cloud, draft, false)).await.expect("preflight");
    (seen.findings, seen.facts.into_iter().find_map(|(label, fact)| (label == "Base").then_some(fact)))
}

#[tokio::test(start_paused = true)]
async fn the_base_is_that_of_its_owner_in_the_partition_of_the_build_region() {
    for (region, owner) in
        [("cn-north-1", "837727238323"), ("us-gov-west-1", "513442679011"), ("sa-west-1", "099720109477")]
    {
        let (findings, base) = look_in(region, owner).await;
        assert_eq!(findings, [], "{region}");
        assert!(base.is_some_and(|base| base.contains(BASE)), "{region}");
    }
    let (findings, _) = look_in("cn-northwest-1", "099720109477").await;
    let [finding] = findings.as_slice() else { panic!("{findings:?}") };
    assert!(finding.problem.starts_with("no base found in cn-northwest-1: the account 837727238323"), "{finding}");
}

#[tokio::test(start_paused = true)]
async fn a_partition_without_an_owner_of_the_base_is_told() {
    let (findings, _) = look_in("eusc-de-east-1", "099720109477").await;
    let [finding] = findings.as_slice() else { panic!("{findings:?}") };
    assert!(finding.problem.contains("who owns the base in aws-eusc"), "{finding}");
    assert!(finding.remedy.contains("aws-eusc = ") && finding.remedy.contains("--base-image"), "{finding}");
}

#[tokio::test(start_paused = true)]
async fn a_slip_in_a_regions_name_is_told_where_no_host_answers() {
    let rig = Rig::public(&[HOME]);
    let cloud = cloud_in(&rig, &"us-wset-2".parse().expect("a region")).await;
    let error = cloud.sign_in().await.expect_err("no host").to_string();
    assert!(error.contains("did you mean the region us-west-2?"), "{error}");
}
