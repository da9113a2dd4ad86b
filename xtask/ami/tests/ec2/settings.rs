//! Settings of the machines and of all that is created: what is asked of EC2 with them, by the dry runs too.

mod addresses;
mod dry_runs;
mod encryption;
mod keys;
mod limits;
mod volumes;

use std::collections::BTreeSet;

use xtask::region::Region;

use crate::{
    kit,
    rig::{HOME, Rig},
};

/// An image for this account, or shared with others, in these regions.
fn closed(grantees: &[&str], regions: &[&str]) -> Rig {
    let mut rig = Rig::private();
    rig.order.visibility = kit::private(grantees);
    rig.order.regions = regions.iter().map(|region| region.parse::<Region>().expect("a region")).collect();
    rig
}

#[tokio::test(start_paused = true)]
async fn everything_that_is_created_has_the_tags_of_the_recipe_and_every_dry_run_asks_for_them() {
    let mut rig = Rig::public(&["eu-west-1", HOME]);
    rig.order.recipe.tags =
        [("team", "data"), ("cost center", "")].map(|(key, value)| (key.to_owned(), value.to_owned())).into();
    rig.release().await.report();
    let mut tagged = BTreeSet::new();
    for logged in rig.endpoint.log() {
        for part in logged.call.parameters.parts("TagSpecification") {
            let tags = part.own_tags();
            let has = |key: &str, value: &str| tags.get(key).is_some_and(|it| it == value);
            assert!(has("team", "data") && has("cost center", ""), "{:?}", logged.call);
            assert!(tags.contains_key("wallaroo:build") && tags.contains_key("Name"), "{:?}", logged.call);
            tagged.insert((part.text("ResourceType"), logged.call.dry_run));
        }
    }
    let kinds = [
        "image",
        "instance",
        "key-pair",
        "network-interface",
        "security-group",
        "security-group-rule",
        "snapshot",
        "volume",
    ];
    let expected = kinds.into_iter().flat_map(|kind| [(kind.to_owned(), false), (kind.to_owned(), true)]);
    assert_eq!(tagged, expected.collect());
    let images = rig.endpoint.images();
    assert!(images.iter().all(|(_, image)| image.tags.get("team").is_some_and(|team| team == "data")), "{images:?}");
}

#[tokio::test(start_paused = true)]
async fn the_machines_have_the_instance_profile_by_name_or_by_arn() {
    let arn = "arn:aws:iam::111122223333:instance-profile/ci/builder";
    for (profile, parameter) in [("builder", "IamInstanceProfile.Name"), (arn, "IamInstanceProfile.Arn")] {
        let mut rig = Rig::private();
        rig.order.recipe.instance.instance_profile = Some(profile.to_owned());
        rig.release().await.report();
        let log = rig.endpoint.log();
        let launches: Vec<_> = log.iter().map(|it| &it.call).filter(|call| call.action == "RunInstances").collect();
        assert_eq!(launches.len(), 3, "a dry run and two launches");
        assert!(launches.iter().all(|call| call.parameters.get(parameter) == Some(profile)), "{launches:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_plan_says_each_setting_that_is_not_the_default() {
    let mut rig = Rig::private();
    let facts = async |rig: &Rig| crate::preflight::look(rig).await.expect("preflight").facts;
    let said = facts(&rig).await;
    assert!(
        !said.iter().any(|(label, _)| ["Tags", "Volume", "Addresses", "Profile"].contains(&label.as_str())),
        "{said:?}"
    );

    rig.order.recipe.tags.insert("team".to_owned(), "data".to_owned());
    let machine = &mut rig.order.recipe.instance;
    machine.volume_type = "io2".to_owned();
    machine.volume_iops = Some(3000);
    machine.kms_key = Some("alias/images".parse().expect("a key"));
    machine.instance_profile = Some("builder".to_owned());
    machine.public_address = Some(xtask::instance::PublicAddress::No);
    let said = facts(&rig).await;
    for (label, fact) in [
        ("Tags", "team=data"),
        ("Volume", "8 GiB io2, 3000 IOPS, encrypted with alias/images; the image hands these on to its instances"),
        ("Addresses", "no public address; logged in to at the private address"),
        ("Profile", "builder"),
    ] {
        assert!(said.contains(&(label.to_owned(), fact.to_owned())), "{label}: {said:?}");
    }
}
