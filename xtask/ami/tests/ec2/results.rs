//! Results that other programs read: each is as its schema says, and says what there is.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use xtask::{cli::Document, region::Region};
use xtask_ami::{
    ask::preflight::{self, Draft},
    catalogue::{Catalogue, check},
    cloud::ec2::Ec2,
    show::print,
    verbs::{self, plan},
};

use crate::{
    faults::{Fault, Plan},
    kit,
    rig::{HOME, Rig},
    schema::expect_valid,
};

const REGIONS: [&str; 5] = ["ca-central-1", "eu-west-1", "sa-east-1", "us-east-1", HOME];

/// What `check --version 0.6.1 --json` prints.
async fn checked(rig: &Rig) -> Value {
    let version = "0.6.1".parse().expect("a version");
    let regions = REGIONS.map(|region| region.parse::<Region>().expect("a region"));
    let checked =
        check::check(&rig.ec2().await, &rig.order.recipe, (&version, None), &regions).await.expect("a version's name");
    let text = print::json(&verbs::check::document(&version, &checked)).expect("JSON");
    expect_valid(Document::Check, &text)
}

/// What `list --json` prints.
async fn listed(rig: &Rig, cloud: &Ec2) -> Value {
    let looked = Catalogue::look(cloud, &rig.order.recipe, &BTreeSet::new(), &rig.events()).await.expect("a look");
    expect_valid(Document::List, &print::json(&verbs::list::document(&looked)).expect("JSON"))
}

#[tokio::test(start_paused = true)]
async fn a_release_is_listed_and_checked() {
    let rig = Rig::public(&REGIONS);
    let report = rig.release().await.outcome.expect("a release");
    let cloud = rig.ec2().await;
    let list = listed(&rig, &cloud).await;
    let images = list["images"].as_array().expect("images");
    assert_eq!(images.iter().map(|image| image["region"].as_str().expect("a region")).collect::<Vec<_>>(), REGIONS);
    for (image, made) in images.iter().zip(&report.images) {
        assert_eq!((&image["id"], &image["version"]), (&made.id.0.as_str().into(), &"0.6.1".into()), "{image}");
        assert_eq!((&image["state"], &image["visibility"]), (&"available".into(), &"public".into()), "{image}");
        assert_eq!(image["tags"]["wallaroo:build"], image["build"], "{image}");
    }
    let checked = checked(&rig).await;
    assert_eq!((&checked["ok"], &checked["description"]), (&true.into(), &report.description.as_str().into()));
}

#[tokio::test(start_paused = true)]
async fn an_image_that_is_disabled_or_that_has_no_tags_is_listed_as_what_it_is() {
    let rig = Rig::public(&REGIONS);
    rig.release().await.outcome.expect("a release");
    rig.endpoint.disable_images("eu-west-1");
    rig.endpoint.region("sa-east-1", |region| region.images.values_mut().for_each(|image| image.tags.clear()));
    let list = listed(&rig, &rig.ec2().await).await;
    let image = |region: &str| {
        let images = list["images"].as_array().expect("images").iter();
        images.clone().find(|image| image["region"] == region).expect("an image")
    };
    assert_eq!(
        (&image("eu-west-1")["state"], &image("eu-west-1")["visibility"]),
        (&"disabled".into(), &"private".into())
    );
    assert!(image("eu-west-1")["build"].is_string() && image("sa-east-1")["build"].is_null(), "{list}");
    assert_eq!(image("sa-east-1")["version"], "0.6.1");
}

#[tokio::test(start_paused = true)]
async fn all_that_is_wrong_is_told_also_where_a_region_does_not_answer() {
    let rig = Rig::public(&REGIONS);
    rig.release().await.outcome.expect("a release");
    // The first region's description is not taken for the right one.
    rig.endpoint.region("ca-central-1", |region| {
        region.images.values_mut().for_each(|image| "another".clone_into(&mut image.description));
        region.snapshots.values_mut().for_each(|snapshot| snapshot.volume_permissions.clear());
    });
    rig.endpoint.disable_images("eu-west-1");
    rig.endpoint.region("sa-east-1", |region| region.images.clear());
    rig.endpoint.plan(Plan::always(Fault::refused("UnauthorizedOperation")).region("us-east-1"));
    let checked = checked(&rig).await;
    let kinds = |seen: &Value| -> Vec<Value> {
        seen["faults"].as_array().expect("faults").iter().map(|fault| fault["kind"].clone()).collect()
    };
    let regions = checked["regions"].as_array().expect("regions").iter();
    let found: Vec<Value> = regions.map(|seen| json!([seen["region"], kinds(seen)])).collect();
    let expected = json!([
        ["ca-central-1", ["private_snapshots", "other_description"]],
        ["eu-west-1", ["not_available", "not_public"]],
        ["sa-east-1", ["missing"]],
        ["us-east-1", ["unanswered"]],
        [HOME, []],
    ]);
    assert_eq!(Value::from(found), expected, "{checked}");
    let message_of =
        |index: usize, fault: usize| checked["regions"][index]["faults"][fault]["message"].as_str().expect("a message");
    let message = |index| message_of(index, 0);
    assert!(message(0).contains("; to open it: aws ec2 modify-snapshot-attribute --snapshot-id snap-"), "{checked}");
    assert!(message(1).contains("aws ec2 enable-image --image-id ami-"), "{checked}");
    assert!(message_of(1, 1).contains("; to open it: aws ec2 modify-image-attribute --image-id ami-"), "{checked}");
    assert!(message(3).contains("UnauthorizedOperation"), "{checked}");
}

#[tokio::test(start_paused = true)]
async fn an_image_with_another_disk_or_without_imds_v2_is_told_where_it_is() {
    let mut rig = Rig::public(&REGIONS);
    rig.order.recipe.require_imds_v2 = true;
    rig.release().await.outcome.expect("a release");
    assert_eq!(checked(&rig).await["ok"], true);
    rig.endpoint.region("eu-west-1", |region| {
        region.images.values_mut().for_each(|image| image.further.extend([("/dev/sdf".to_owned(), true)]));
    });
    rig.endpoint.region("sa-east-1", |region| {
        region.images.values_mut().for_each(|image| image.requires_imds_v2 = false);
    });
    let checked = checked(&rig).await;
    let fault = |index: usize, kind: &str, message: &str| {
        let faults = &checked["regions"][index]["faults"];
        assert!(
            faults.as_array().expect("faults").iter().any(|fault| {
                fault["kind"] == kind && fault["message"].as_str().expect("a message").contains(message)
            }),
            "{checked}"
        );
    };
    fault(1, "other_disks", "has other disks than its root: /dev/sdf");
    fault(2, "no_imds_v2", "does not require IMDSv2, as the recipe wants");
    assert_eq!((&checked["ok"], &checked["regions"][0]["faults"]), (&false.into(), &json!([])), "{checked}");
}

#[tokio::test(start_paused = true)]
async fn the_regions_that_do_not_answer_are_told_together_beside_the_images_of_the_others() {
    let rig = Rig::public(&REGIONS);
    rig.release().await.outcome.expect("a release");
    for region in ["eu-west-1", "sa-east-1"] {
        rig.endpoint
            .plan(Plan::always(Fault::refused("UnauthorizedOperation")).action("DescribeImages").region(region));
    }
    let used = BTreeSet::from(REGIONS.map(|region| region.parse().expect("a region")));
    let looked = Catalogue::look(&rig.ec2().await, &rig.order.recipe, &used, &rig.events()).await.expect("a look");
    let error = looked.unanswered.all("list the images").expect_err("two regions don't answer").to_string();
    let begins = "failed to list the images in some regions:\n  eu-west-1, sa-east-1: DescribeImages: ";
    assert!(error.starts_with(begins), "{error}");
    let list = print::json(&verbs::list::document(&looked)).expect("JSON");
    let list = expect_valid(Document::List, &list);
    assert_eq!(list["images"].as_array().expect("images").len(), REGIONS.len() - 2, "{list}");
    assert_eq!(list["unanswered"][1]["region"], "sa-east-1", "{list}");
}

#[tokio::test(start_paused = true)]
async fn a_plan_says_who_may_launch_the_image_as_data() {
    let organization = "arn:aws:organizations::123456789012:organization/o-a1b2c3d4e5";
    let (public, mut private) = (Rig::public(&REGIONS), Rig::private());
    private.order.visibility = kit::private(&[organization]);
    let planned = async |rig: &Rig| {
        let cloud = rig.ec2().await;
        let draft = Draft { spec: rig.order.clone(), findings: Vec::new() };
        let (order, seen) = Box::pin(preflight::run(&cloud, draft, false)).await.expect("preflight");
        expect_valid(Document::Plan, &plan::text(&order, &seen, &rig.desk.home, true).expect("JSON"))
    };
    let plan = planned(&public).await;
    assert_eq!((&plan["visibility"], &plan["shared_with"]), (&"public".into(), &json!([])), "{plan}");
    assert!(plan["expires_after_secs"].is_null() && plan["estimated_cost"]["once_usd"].is_f64(), "{plan}");
    let plan = planned(&private).await;
    assert_eq!((&plan["visibility"], &plan["expires_after_secs"]), (&"private".into(), &604_800.into()), "{plan}");
    assert_eq!(plan["shared_with"], json!([organization]), "{plan}");
}

/// A private image stays private, and what was not verified is verified before it is opened.
#[tokio::test(start_paused = true)]
async fn only_a_verified_image_of_a_release_is_told_how_to_be_opened() {
    let rig = Rig::public(&REGIONS);
    rig.release().await.outcome.expect("a release");
    rig.endpoint.region("eu-west-1", |region| {
        for image in region.images.values_mut() {
            image.launch_permissions.clear();
            image.tags.insert("wallaroo:expires".to_owned(), "2099-01-01T00:00:00Z".to_owned());
        }
    });
    rig.endpoint.region("sa-east-1", |region| {
        region.images.values_mut().for_each(|image| image.launch_permissions.clear());
    });
    rig.endpoint.region("us-east-1", |region| {
        for image in region.images.values_mut() {
            image.launch_permissions.clear();
            image.tags.clear();
        }
    });
    let told = async || {
        let checked = checked(&rig).await;
        let of = |index: usize| checked["regions"][index]["faults"].to_string();
        [1, 2, 3].map(of)
    };
    let [private, verified, foreign] = told().await;
    assert!(private.contains("cargo xtask ami clean 2") && !private.contains("aws ec2"), "{private}");
    assert!(verified.contains("aws ec2 modify-image-attribute"), "{verified}");
    assert!(foreign.contains("this tool did not make it") && !foreign.contains("aws ec2"), "{foreign}");
    rig.endpoint.region(HOME, |region| {
        region.images.values_mut().for_each(|image| drop(image.tags.remove("wallaroo:verified")));
    });
    let [_, verified, _] = told().await;
    assert!(verified.contains("cargo xtask ami resume 2") && !verified.contains("aws ec2"), "{verified}");
}
