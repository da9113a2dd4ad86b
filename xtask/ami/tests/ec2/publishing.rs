//! Copies and publishing on EC2: what fails there, and what is taken back.

use std::time::Duration;

use xtask_ami::{
    cloud::Imaging as _,
    event::ids::ImageId,
    story::gate::{self, Expected, Openness},
};

use crate::{
    books::{ACCOUNT, BlockPublicAccess, Image, Outcome},
    faults::{Fault, Plan},
    kit::private,
    rig::{HOME, Rig},
};

const REGIONS: [&str; 3] = ["eu-west-1", "sa-east-1", HOME];

#[tokio::test(start_paused = true)]
async fn a_copy_that_fails_or_is_pending_for_long_is_told_with_what_ec2_says_of_it() {
    for (outcome, words) in [
        (Outcome::Failed("The <copy> failed".to_owned()), ["sa-east-1", "The <copy> failed"]),
        (Outcome::PendingForEver, ["timed out after 1h waiting for ami-", "in sa-east-1; last state: pending, 99%"]),
    ] {
        let rig = Rig::public(&REGIONS);
        rig.endpoint.region("sa-east-1", |region| region.images_come_out = outcome);
        rig.release().await.failed(1, &words);
        assert_eq!(rig.endpoint.public_in(), [""; 0]);
        assert_eq!(rig.endpoint.left(), [""; 0]);
    }
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_made_public_in_one_region_is_withdrawn_in_all() {
    for (action, code) in [
        ("ModifyImageAttribute", "OperationNotPermitted"),
        ("ModifyImageAttribute", "ResourceLimitExceeded"),
        ("ModifySnapshotAttribute", "UnauthorizedOperation"),
    ] {
        let rig = Rig::public(&REGIONS);
        rig.endpoint.plan(Plan::once(Fault::refused(code)).action(action).region("sa-east-1"));
        rig.release().await.failed(1, &[code, "nothing is public"]);
        assert_eq!(rig.endpoint.public_in(), [""; 0], "{code}");
        assert!(rig.endpoint.snapshots().iter().all(|(_, snapshot)| !snapshot.is_public()), "{code}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_block_on_public_images_whatever_it_is_called_is_lifted_until_the_image_is_published() {
    for called in [None, Some("block-all-sharing")] {
        let mut rig = Rig::public(&REGIONS);
        rig.order.unblock_public_access = true;
        rig.endpoint.region("sa-east-1", |region| {
            region.block_public_access = BlockPublicAccess { blocked: true, called, ..BlockPublicAccess::default() };
        });
        rig.release().await.report();
        assert_eq!(rig.endpoint.public_in(), REGIONS);
        tokio::time::sleep(Duration::from_secs(600)).await;
        assert_eq!(rig.endpoint.public_access_blocked_in(), ["sa-east-1"]);
    }
}

#[tokio::test(start_paused = true)]
async fn an_image_is_shared_with_accounts_and_organizations_alone() {
    let mut rig = Rig::private();
    let organization = "arn:aws:organizations::123456789012:organization/o-a1b2c3d4e5";
    rig.order.visibility = private(&["123456789012", organization]);
    rig.release().await.report();
    let (_, image) = &rig.endpoint.images()[0];
    let permissions: Vec<&str> = image.launch_permissions.iter().map(String::as_str).collect();
    assert_eq!(permissions, ["123456789012", organization]);
    let (_, snapshot) = &rig.endpoint.snapshots()[0];
    let permissions: Vec<&str> = snapshot.volume_permissions.iter().map(String::as_str).collect();
    assert_eq!(permissions, ["123456789012"], "snapshots are shared with accounts only");
}

#[tokio::test(start_paused = true)]
async fn a_private_image_is_not_shared_and_expires() {
    let rig = Rig::private();
    rig.release().await.report();
    let (_, image) = &rig.endpoint.images()[0];
    assert!(image.launch_permissions.is_empty() && image.tags.contains_key("wallaroo:expires"), "{image:?}");
    let moment = |date: &str| humantime::parse_rfc3339(date).expect("a date");
    let (deprecated, expires) =
        (moment(image.deprecated_at.as_ref().expect("a date")), moment(&image.tags["wallaroo:expires"]));
    let apart = deprecated.duration_since(expires).unwrap_or_else(|error| error.duration());
    assert!(apart.as_secs() <= 30 && !image.requires_imds_v2, "EC2 rounds to the minute: {image:?}");
    for action in ["ModifyImageAttribute", "ModifySnapshotAttribute", "CopyImage"] {
        assert_eq!(rig.endpoint.counts().of(action), 0, "{action}");
    }
}

#[tokio::test(start_paused = true)]
async fn images_require_imds_v2_where_the_recipe_says_so() {
    let mut rig = Rig::public(&REGIONS);
    rig.order.recipe.require_imds_v2 = true;
    rig.release().await.report();
    assert!(rig.endpoint.images().iter().all(|(_, image)| image.requires_imds_v2));
}

#[tokio::test(start_paused = true)]
async fn an_image_goes_with_its_snapshots() {
    let rig = Rig::public(&REGIONS);
    rig.release().await.report();
    let cloud = rig.ec2().await;
    for region in REGIONS {
        let region = region.parse().expect("a region");
        for image in cloud.images(&region).await.expect("images") {
            cloud.deregister(&region, &image.id).await.expect("to go");
            cloud.deregister(&region, &image.id).await.expect("one that isn't there is fine");
        }
    }
    assert!(rig.endpoint.images().is_empty() && rig.endpoint.snapshots().is_empty());
}

#[tokio::test(start_paused = true)]
async fn an_image_of_that_name_without_our_tags_is_seen() {
    let rig = Rig::public(&["eu-west-1", HOME]);
    let ended = rig.release().await;
    let made = ended.report().images.iter();
    let image = Image::published("ami-z", "snap-z", ACCOUNT, "Wallaroo 0.6.1", "2024-07-01T12:00:00.000Z");
    rig.endpoint.put("eu-west-1", image);
    let cloud = rig.ec2().await;
    let images = made.map(|image| (image.region.parse().expect("a region"), image.id.clone())).collect();
    let expected = Expected { name: "Wallaroo 0.6.1", hardware: None, requires_imds_v2: false };
    let faults = gate::faults(&cloud, &expected, &images, Openness::Public).await.expect("a look");
    assert!(gate::listed(&faults).contains("ami-z"), "{faults:?}");
}

#[tokio::test(start_paused = true)]
async fn a_description_is_no_longer_than_ec2_takes() {
    let mut rig = Rig::private();
    rig.order.recipe.description = format!("{} on {{base}}, all", "x".repeat(235));
    rig.release().await.report();
    let description = &rig.endpoint.images()[0].1.description;
    assert!(description.len() == 255 && description.ends_with("..., all"), "{description}");
}

#[tokio::test(start_paused = true)]
async fn what_is_gone_already_is_gone() {
    let rig = Rig::public(&[HOME]);
    rig.release().await.report();
    rig.endpoint.plan(Plan::once(Fault::refused("InvalidAMIID.Unavailable")).action("DescribeImages"));
    let cloud = rig.ec2().await;
    let id = ImageId(rig.endpoint.images()[0].1.id.clone());
    cloud.deregister(&HOME.parse().expect("a region"), &id).await.expect("one that isn't there is fine");
}

/// Every call to open it answers well, and one region shows it as private all the same.
#[tokio::test(start_paused = true)]
async fn what_is_published_is_read_back() {
    let rig = Rig::public(&REGIONS);
    let endpoint = rig.endpoint.clone();
    let close = async move {
        loop {
            tokio::time::sleep(Duration::from_millis(10)).await;
            endpoint.region("sa-east-1", |region| {
                for image in region.images.values_mut() {
                    image.launch_permissions.remove("all");
                }
            });
        }
    };
    let ended = tokio::select! { ended = rig.release() => ended, () = close => unreachable!("it goes on for ever") };
    ended.failed(1, &["all regions to show the image as public", "sa-east-1", "is not public"]);
    assert_eq!(rig.endpoint.public_in(), [""; 0], "{}", ended.said);
}

/// Whether an account exists is told by the very last calls.
#[tokio::test(start_paused = true)]
async fn an_account_that_does_not_exist_is_named_and_left_out_when_the_build_is_resumed() {
    let (known, organization) = ("123456789012", "arn:aws:organizations::123456789012:organization/o-a1b2c3d4e5");
    for closed in ["210987654321", organization] {
        let mut rig = Rig::private();
        rig.order.visibility = private(&[known, closed]);
        rig.endpoint.world(|world| world.closed_accounts.insert(closed.to_owned()));
        rig.release().await.failed(1, &[closed, "cargo xtask ami resume --without"]);
        rig.order.visibility = private(&[known]);
        rig.resume().await.report();
        let (_, image) = &rig.endpoint.images()[0];
        assert_eq!(image.launch_permissions.iter().collect::<Vec<_>>(), [known]);
    }
}
