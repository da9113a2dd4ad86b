//! Bases that are kept from one private image to the next.

use std::time::Duration;

use xtask::cli::CleanFlags;
use xtask_ami::{cloud::Account as _, show::terminal::Form};

use crate::{
    books::Image,
    faults::{Fault, Plan},
    kit::Ended,
    request::Call,
    rig::{HOME, Rig},
};

/// A rig for private images that keep a base.
fn rig() -> Rig {
    let mut rig = Rig::private();
    rig.order.reuse_base = true;
    rig
}

/// Makes another private image, as a developer does after a change.
async fn next(rig: &mut Rig, name: &str) -> Ended {
    name.clone_into(&mut rig.order.name);
    rig.order.version = format!("0.6.1-{name}").parse().expect("a version");
    rig.release().await
}

fn kept(rig: &Rig) -> Vec<Image> {
    let images = rig.endpoint.images().into_iter().map(|(_, image)| image);
    images.filter(|image| image.tags.contains_key("wallaroo:base-key")).collect()
}

fn launched_from(rig: &Rig, image: &str) -> usize {
    rig.endpoint.instances().iter().filter(|(_, instance)| instance.image == image).count()
}

#[tokio::test(start_paused = true)]
async fn the_second_private_image_starts_from_the_base_that_the_first_one_kept() {
    let mut rig = rig();
    let first = next(&mut rig, "one").await;
    assert_eq!((first.said.as_str(), first.report().reused_base.as_ref()), ("", None));
    let [base] = &kept(&rig)[..] else { panic!("one base is kept: {:?}", rig.endpoint.images()) };
    assert!(base.name.starts_with("wallaroo-base-") && base.launch_permissions.is_empty(), "{base:?}");
    assert!(base.tags["wallaroo:build"].ends_with(".base") && base.tags.contains_key("wallaroo:expires"), "{base:?}");
    assert!(!base.tags.contains_key("wallaroo:version"), "it is no image of a version: {base:?}");

    let second = next(&mut rig, "two").await;
    let report = second.report();
    assert_eq!(report.reused_base.as_ref().map(|id| id.0.as_str()), Some(base.id.as_str()));
    assert_eq!(report.base, first.report().base, "it is made of the base, by whatever way");
    assert!(report.packages.contains_key("numactl"), "{:?}", report.packages);
    assert_eq!((launched_from(&rig, &base.id), kept(&rig).len()), (1, 1));
    let images = rig.endpoint.images();
    let (_, image) = images.iter().find(|(_, image)| image.name == "two").expect("the image");
    assert_eq!(image.tags["wallaroo:reused-base"], base.id);
    assert!(!image.tags.contains_key("wallaroo:base-key"), "{image:?}");
    let left = rig.endpoint.left();
    assert_eq!(left, [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_base_is_neither_kept_nor_reused_where_that_is_not_asked_for_or_something_else_is_made() {
    let mut rig = rig();
    next(&mut rig, "one").await.report();
    let base = kept(&rig).remove(0);
    // What is on the disk, or how it lies there, is another.
    rig.order.recipe.instance.root_volume_gib += 1;
    next(&mut rig, "two").await.report();
    assert_eq!((launched_from(&rig, &base.id), kept(&rig).len()), (0, 2));
    rig.order.recipe.instance.root_volume_gib -= 1;
    rig.order.reuse_base = false;
    next(&mut rig, "three").await.report();
    assert_eq!((launched_from(&rig, &base.id), kept(&rig).len()), (0, 2));
}

#[tokio::test(start_paused = true)]
async fn a_kept_base_that_cannot_be_started_from_is_left_alone_and_told() {
    let mut rig = rig();
    rig.desk.form = Form::Json;
    next(&mut rig, "one").await.report();
    let id = kept(&rig).remove(0).id;
    let change = |change: &dyn Fn(&mut Image)| {
        rig.endpoint.region(HOME, |region| change(region.images.get_mut(&id).expect("it")));
    };
    let expires = |image: &mut Image, at: &str| {
        image.tags.insert("wallaroo:expires".to_owned(), at.to_owned());
    };
    let then = kept(&rig).remove(0).tags["wallaroo:expires"].clone();
    change(&|image| expires(image, "2026-01-01T00:00:00Z"));
    let expired = next_of(&rig, "two").await;
    assert!(expired.contains("it expires at 2026-01-01T00:00:00Z"), "{expired}");
    change(&|image| expires(image, &then));
    for base in kept(&rig).iter().filter(|base| base.id != id) {
        rig.endpoint.region(HOME, |region| drop(region.images.remove(&base.id)));
    }
    change(&|image| image.launch_permissions.extend(["all".to_owned()]));
    let public = next_of(&rig, "three").await;
    assert!(public.contains("it is public"), "{public}");
    assert_eq!(launched_from(&rig, &id), 0);
}

/// What is said of the next image, in full.
async fn next_of(rig: &Rig, name: &str) -> String {
    let mut order = rig.order.clone();
    name.clone_into(&mut order.name);
    order.version = format!("0.6.1-{name}").parse().expect("a version");
    rig.release_of(&order).await.report();
    rig.said()
}

#[tokio::test(start_paused = true)]
async fn that_no_base_can_be_kept_fails_no_build() {
    for action in ["CreateSecurityGroup", "RunInstances", "CreateImage"] {
        let mut rig = rig();
        // Of the kept base, not of the image: the name or the token says so.
        let is_of_it = |call: &Call| {
            call.parameters.0.values().any(|value| value.contains("-keep") || value.starts_with("wallaroo-base-"))
        };
        rig.endpoint.plan(Plan::always(Fault::refused("Refused")).action(action).when(is_of_it));
        let ended = next(&mut rig, "one").await;
        assert!(ended.report().reused_base.is_none(), "{action}: {ended}");
        assert!(ended.said.contains("no base is kept for later builds"), "{action}: {ended}");
        assert_eq!((kept(&rig).len(), rig.endpoint.left()), (0, vec![]), "{action}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_kept_base_goes_when_it_has_expired_and_not_before() {
    let mut rig = rig();
    next(&mut rig, "one").await.report();
    let cloud = rig.ec2().await;
    let clean = async |expired| {
        let flags = CleanFlags { build: None, older_than: Duration::ZERO.into(), expired };
        rig.desk.clean_by(&cloud, &flags, &rig.events()).await.expect("clean");
    };
    clean(false).await;
    clean(true).await;
    let base = kept(&rig).remove(0);
    rig.endpoint.region(HOME, |region| {
        let image = region.images.get_mut(&base.id).expect("it");
        image.tags.insert("wallaroo:expires".to_owned(), "2026-01-01T00:00:00Z".to_owned());
    });
    let found = cloud.leftovers(&HOME.parse().expect("a region")).await.expect("leftovers");
    assert!(found.iter().any(|it| it.kind.to_string() == "kept base" && it.id == base.id), "{found:?}");
    clean(false).await;
    assert_eq!(kept(&rig).len(), 1);
    clean(true).await;
    assert_eq!((kept(&rig).len(), rig.endpoint.images().len()), (0, 1));
}
