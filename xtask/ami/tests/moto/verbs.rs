//! Each verb of the cloud in several regions, through the SDK, as the pipeline never uses them: twice, late, and for
//! what isn't there.

use std::time::Duration;

use camino::Utf8Path;
use xtask::{grantee::Grantee, region::Region};
use xtask_ami::{
    cloud::{
        Account as _, Audience, Compute as _, Image, ImageState, Imaging as _, InstanceState, Launch, LaunchSource,
        NewImage, Opening as _, SshAccess,
        ec2::{Ec2, Settings},
        tags::Tags,
    },
    event::ids::{ImageId, InstanceId},
    machine::keys::{HostKey, LoginKey},
    recipe::Recipe,
    show::terminal::{Level, Status},
};

use crate::lab::{FROM, Lab, RECIPE, expect_nothing_runs};

const HOME: &str = "us-west-2";
const OTHERS: [&str; 2] = ["eu-west-1", "ap-southeast-2"];

/// moto changes states at once; the images of the lab are pending for 2 s.
const LIMIT: Duration = Duration::from_secs(60);

#[test]
fn every_verb_in_several_regions() {
    let Some(lab) = Lab::new() else { return };
    lab.test("verbs::inside");
    let books = lab.books(&[HOME, OTHERS[0], OTHERS[1]]);
    expect_nothing_runs(&books);
    for (region, books) in books.as_object().expect("regions") {
        assert_eq!(
            (books["images"].to_string(), books["snapshots"].to_string()),
            ("[]".into(), "[]".into()),
            "{region}"
        );
    }
}

#[tokio::test]
#[ignore = "the test above runs it, in the lab"]
async fn inside() {
    let home: Region = HOME.parse().expect("a region");
    let path = std::env::var(RECIPE).expect("the lab's recipe");
    let recipe = Recipe::read(Utf8Path::new(&path)).expect("a recipe");
    let settings = Settings { ssh_from: Some(FROM.parse().expect("a range")), ..Settings::default() };
    let ec2 = Ec2::open(settings, &home, recipe, &Status::new(Level::Verbose)).await;
    let regions = ec2.regions().await.expect("regions");
    assert!(regions.len() > 10 && regions.contains(&home), "{regions:?}");

    let instance = an_instance(&ec2, &home).await;
    let image = an_image(&ec2, &home, &instance).await;
    ec2.terminate(&home, &instance).await.expect("terminated");
    ec2.terminate(&home, &instance).await.expect("terminated again");
    ec2.terminate(&home, &InstanceId("i-0123456789abcdef0".to_owned())).await.expect("one that never was");
    ec2.revoke_access(&home, "test-bake").await.expect("revoked");
    ec2.revoke_access(&home, "test-bake").await.expect("revoked again");
    assert_eq!(ec2.instances_of(&home, "test").await.expect("instances"), []);

    for other in OTHERS {
        let other: Region = other.parse().expect("a region");
        let copy = copied(&ec2, &home, &image, &other).await;
        shared(&ec2, &other, &copy).await;
        removed(&ec2, &other, &copy).await;
    }
    removed(&ec2, &home, &image).await;
}

fn tags() -> Tags {
    vec![("wallaroo:build".to_owned(), "test".to_owned()), ("Name".to_owned(), "a test".to_owned())]
}

/// A stopped instance of the base.
async fn an_instance(ec2: &Ec2, home: &Region) -> InstanceId {
    let key = LoginKey::generate("test").expect("a key");
    let access = SshAccess { name: "test-bake".to_owned(), public_key: key.public().expect("its half"), tags: tags() };
    ec2.grant_access(home, &access).await.expect("granted");
    ec2.grant_access(home, &access).await.expect("granted again");
    let base = ec2.base(Utf8Path::new("/dev/null")).await.expect("a base");
    let host = HostKey::generate("test").expect("a key");
    let launch = Launch {
        token: "test-bake".to_owned(),
        source: LaunchSource::Base(base),
        access: access.name.clone(),
        user_data: xtask_ami::machine::cloud_init::user_data(&host, Duration::from_secs(3600)).expect("user data"),
        instance_type: "m5.large".to_owned(),
        root_volume_gib: 8,
        tags: tags(),
    };
    let id = ec2.launch(home, &launch).await.expect("launched");
    assert_eq!(ec2.launch(home, &launch).await.expect("launched before"), id);
    let now = ec2.instance(home, &id).await.expect("a look").expect("an instance");
    assert!(now.state == InstanceState::Running && now.address.is_some_and(|address| address.port() == 22), "{now:?}");
    assert_eq!(ec2.instances_of(home, "test").await.expect("instances"), std::slice::from_ref(&id));
    assert_eq!(ec2.instances_of(home, "another").await.expect("instances"), []);
    ec2.console(home, &id).await.expect("a console");
    // Its group is in use, so the access stays, and the error is one that passes.
    ec2.revoke_access(home, "test-bake").await.expect_err("its group is in use");

    ec2.stop(home, &id).await.expect("stopping");
    ec2.stop(home, &id).await.expect("stopping still");
    let now = ec2.instance(home, &id).await.expect("a look").expect("an instance");
    assert_eq!(now.state, InstanceState::Stopped, "{now:?}");
    id
}

fn new_image(token: &str) -> NewImage {
    NewImage {
        token: token.to_owned(),
        name: "Wallaroo test".to_owned(),
        description: "a test".to_owned(),
        tags: tags(),
        deprecate_at: Some(std::time::SystemTime::now() + Duration::from_secs(86_400)),
        require_imds_v2: true,
    }
}

async fn available(ec2: &Ec2, region: &Region, id: &ImageId) -> Image {
    let looks = async {
        loop {
            let image = ec2.image(region, id).await.expect("a look").expect("an image");
            if image.state == ImageState::Available {
                return image;
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    };
    tokio::time::timeout(LIMIT, looks).await.expect("it is available in time")
}

async fn an_image(ec2: &Ec2, home: &Region, instance: &InstanceId) -> ImageId {
    let id = ec2.create_image(home, instance, &new_image("image")).await.expect("an image");
    // The call has no token: the name is taken, by an image of this build.
    assert_eq!(ec2.create_image(home, instance, &new_image("image")).await.expect("the same"), id);
    let pending = ec2.image(home, &id).await.expect("a look").expect("an image");
    assert!(matches!(&pending.state, ImageState::Pending(progress) if progress.ends_with('%')), "{pending:?}");
    let image = available(ec2, home, &id).await;
    assert_eq!((image.name.as_str(), image.description.as_str(), image.public), ("Wallaroo test", "a test", false));
    assert_eq!(image.tags.len(), 2, "{image:?}");
    id
}

async fn copied(ec2: &Ec2, home: &Region, image: &ImageId, other: &Region) -> ImageId {
    let token = format!("copy-{other}");
    let copy = ec2.copy_image(home, image, other, &new_image(&token)).await.expect("a copy");
    assert_eq!(ec2.copy_image(home, image, other, &new_image(&token)).await.expect("the same"), copy);
    let found = available(ec2, other, &copy).await;
    assert_eq!((found.name.as_str(), found.description.as_str(), found.tags.len()), ("Wallaroo test", "a test", 2));
    assert_eq!(found.deprecate_at, None);
    ec2.complete_image(other, &copy, &new_image(&token)).await.expect("completed");
    let images = ec2.images(other).await.expect("images");
    assert!(images.len() == 1 && images[0].id == copy && images[0].deprecate_at.is_some(), "{images:?}");
    // An image means something in its region only.
    assert_eq!(ec2.image(home, &copy).await.expect("a look").map(|image| image.id), None);
    copy
}

async fn shared(ec2: &Ec2, region: &Region, id: &ImageId) {
    let public = async || {
        let image = ec2.image(region, id).await.expect("a look").expect("an image").public;
        (image, ec2.snapshots_are_public(region, id).await.expect("a look"))
    };
    assert_eq!(public().await, (false, false));
    let everybody = Audience::Everybody;
    for permit in [true, true, false, false] {
        ec2.permit_copying(region, id, &everybody, permit).await.expect("copying");
        ec2.permit_launching(region, id, &everybody, permit).await.expect("launching");
        assert_eq!(public().await, (permit, permit));
    }
    let organization = "arn:aws:organizations::111122223333:organization/o-abcdefghij";
    let these = ["444455556666", organization].map(|one| one.parse::<Grantee>().expect("a grantee"));
    ec2.permit_copying(region, id, &Audience::These(these.to_vec()), true).await.expect("copying");
    ec2.permit_launching(region, id, &Audience::These(these.to_vec()), true).await.expect("launching");
    assert_eq!(public().await, (false, false));

    assert!(!ec2.public_images_blocked(region).await.expect("a look"));
    ec2.block_public_images(region, true).await.expect("a block");
    assert!(ec2.public_images_blocked(region).await.expect("a look"));
    let error = ec2.permit_launching(region, id, &everybody, true).await.expect_err("it is blocked").to_string();
    assert!(error.contains("OperationNotPermitted"), "{error}");
    ec2.block_public_images(region, false).await.expect("no block");
    assert!(!ec2.public_images_blocked(region).await.expect("a look"));
}

async fn removed(ec2: &Ec2, region: &Region, id: &ImageId) {
    ec2.deregister(region, id).await.expect("removed");
    ec2.deregister(region, id).await.expect("removed again");
    assert!(ec2.image(region, id).await.expect("a look").is_none());
    assert!(ec2.images(region).await.expect("images").is_empty());
}
