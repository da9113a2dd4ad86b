//! What changes between a process that drives a build and the next one, and what another one does at the same time.

use std::{collections::BTreeSet, time::Duration};

use camino::Utf8PathBuf;
use xtask_ami::cloud::{Audience, Imaging as _, Opening as _, Permission};

use crate::{
    books::CredentialTrouble,
    faults::{Fault, Plan},
    rig::{HOME, Rig},
};

const REGIONS: [&str; 3] = ["eu-west-1", "sa-east-1", HOME];

/// A file that goes from the checkout to the image as it is.
fn python_module(rig: &Rig) -> Utf8PathBuf {
    let folder = rig.order.source.root.join("machida/lib/wallaroo");
    std::fs::create_dir_all(&folder).expect("folders");
    std::fs::write(folder.join("__init__.py"), "print('then')\n").expect("a module");
    folder.join("__init__.py")
}

/// A change in the checkout, or in the build's folder.
type Change = fn(&mut Rig);

/// The process is gone when this is called.
async fn dies_at(rig: &Rig, action: &str) {
    let is_called = rig.endpoint.until_called(action);
    tokio::select! { ended = rig.release() => panic!("it came to its end: {}", ended.said), () = is_called => {} }
}

#[tokio::test(start_paused = true)]
async fn what_changed_since_it_was_built_is_not_mixed_in() {
    let changes: [(&str, Change); 4] = [
        ("provision.sh", |rig| std::fs::write(&rig.order.scripts.provision, "echo now\n").expect("a script")),
        ("ami.toml", |rig| std::fs::remove_file(&rig.order.recipe_path).expect("a recipe")),
        ("wallaroo/__init__.py", |rig| std::fs::write(python_module(rig), "print('now')\n").expect("a module")),
        ("binaries/machida", |rig| {
            let copy = rig.desk.home.build(&rig.unfinished()).join("binaries/machida");
            std::fs::write(copy, "another one").expect("a binary");
        }),
    ];
    for (what, change) in changes {
        let mut rig = Rig::public(&REGIONS);
        python_module(&rig);
        dies_at(&rig, "StopInstances").await;
        change(&mut rig);
        let (calls, refusal) = (rig.endpoint.calls(), rig.refusal().await);
        assert!(refusal.contains(what) && refusal.contains("cargo xtask ami clean 2"), "{what}: {refusal}");
        assert_eq!(rig.endpoint.calls(), calls + 1, "{what}: it only asks whose the credentials are");
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_not_built_yet_is_not_built_of_another_commit() {
    for (commit, dirty, what) in
        [(Some("b"), false, "the commit: it was a, now it is b"), (Some("a"), true, "uncommitted changes in ")]
    {
        let mut rig = Rig::public(&REGIONS);
        rig.order.source.commit = Some("a".to_owned());
        drop(rig.begin().await.expect("a build"));
        rig.order.source.commit = commit.map(str::to_owned);
        rig.order.source.dirty = dirty;
        let refusal = rig.refusal().await;
        assert!(refusal.contains(what), "{refusal}");
    }
}

/// An engineer may continue other work in the checkout: what is in it now is no part of the image.
#[tokio::test(start_paused = true)]
async fn an_image_that_is_there_needs_no_checkout() {
    let mut rig = Rig::public(&REGIONS);
    rig.order.source.commit = Some("a".to_owned());
    let module = python_module(&rig);
    dies_at(&rig, "CopyImage").await;
    rig.order.source.commit = Some("b".to_owned());
    rig.order.source.dirty = true;
    rig.order.regions = vec![HOME.parse().expect("a region"), "us-east-1".parse().expect("a region")];
    std::fs::write(module, "print('now')\n").expect("a module");
    let ended = rig.resume().await;
    let report = ended.report();
    assert_eq!((report.commit.as_deref(), report.dirty), (Some("a"), false));
    assert_eq!(rig.endpoint.public_in(), REGIONS, "the regions that were asked for");
    for (region, image) in rig.endpoint.images() {
        assert_eq!(image.tags["wallaroo:commit"], "a", "{region}");
    }
}

#[tokio::test(start_paused = true)]
async fn builds_of_two_versions_at_once_do_not_disturb_each_other() {
    let rig = Rig::public(&REGIONS);
    let mut other = rig.order.clone();
    other.version = "0.6.2".parse().expect("a version");
    other.name = "Wallaroo 0.6.2".to_owned();
    let (first, second) = tokio::join!(rig.release(), rig.release_of(&other));
    assert!(first.outcome.is_ok() && second.outcome.is_ok(), "{}", first.said);
    let images = rig.endpoint.images();
    let names: BTreeSet<_> = images.iter().map(|(region, image)| (region.as_str(), image.name.as_str())).collect();
    assert_eq!((images.len(), names.len()), (2 * REGIONS.len(), 2 * REGIONS.len()), "{names:?}");
    assert!(images.iter().all(|(_, image)| image.is_public() && image.name.ends_with(&image.tags["wallaroo:version"])));
    assert_eq!(rig.endpoint.instances().len(), 4);
    assert_eq!(rig.endpoint.left(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_second_build_of_a_version_is_refused() {
    let rig = Rig::public(&REGIONS);
    let second = async {
        rig.endpoint.until_called("RunInstances").await;
        rig.begin().await.map(|build| build.id)
    };
    let (first, second) = tokio::join!(rig.release(), second);
    assert!(first.outcome.is_ok(), "{}", first.said);
    let error = second.expect_err("one works on it").to_string();
    assert!(error.contains("another process works on the build"), "{error}");
    let abandoned = rig.begin().await.expect("the first is done").id;
    let error = rig.begin().await.map(|build| build.id).expect_err("it is unfinished").to_string();
    assert!(error.contains(&format!("cargo xtask ami resume {abandoned}")), "{error}");
}

#[tokio::test(start_paused = true)]
async fn credentials_that_expire_on_the_way_lose_nothing() {
    // While packages are installed; while the image is made; while it is copied.
    for seconds in [15, 35, 60] {
        let rig = Rig::public(&REGIONS);
        rig.endpoint.world(|world| {
            world.credentials = Some((Duration::from_secs(seconds), CredentialTrouble::Expired));
        });
        let ended = rig.release().await;
        assert_eq!(ended.outcome.as_ref().err(), Some(&1), "{seconds}: {}", ended.said);
        for word in ["expired", "may still exist", "cargo xtask ami resume 2", "cargo xtask ami clean 2"] {
            assert!(ended.said.contains(word), "{seconds}: no {word:?} in {}", ended.said);
        }
        let images = rig.endpoint.images();
        rig.endpoint.world(|world| world.credentials = None);
        let resumed = rig.resume().await;
        assert!(resumed.outcome.is_ok(), "{seconds}: {}", resumed.said);
        assert_eq!(rig.endpoint.public_in(), REGIONS, "{seconds}");
        let kept = rig.endpoint.images();
        assert_eq!(kept.len(), REGIONS.len(), "{seconds}");
        assert!(images.iter().all(|(_, image)| kept.iter().any(|(_, other)| other.id == image.id)), "{seconds}");
        assert_eq!(rig.endpoint.left(), [""; 0], "{seconds}");
    }
}

/// A leftover that could not be removed when the release was done is found by its tag later, and the images stay.
#[tokio::test(start_paused = true)]
async fn what_is_left_of_a_build_that_is_done_goes_and_its_images_stay() {
    let rig = Rig::public(&REGIONS);
    rig.endpoint.plan(Plan::always(Fault::refused("UnauthorizedOperation")).action("DeleteKeyPair").times(4));
    let ended = rig.release().await;
    assert!(ended.outcome.is_ok() && !rig.endpoint.left().is_empty(), "{}", ended.said);
    crate::crashes::clean(&rig, None, 0).await;
    assert_eq!(rig.endpoint.left(), [""; 0]);
    // Named, it leaves what is public alone, and stays a build that is done.
    let id = rig.endpoint.images()[0].1.tags["wallaroo:build"].clone();
    crate::crashes::clean(&rig, Some(&id), 0).await;
    // Also an image that was withdrawn by hand.
    let (cloud, home) = (rig.ec2().await, HOME.parse().expect("a region"));
    let image = cloud.images(&home).await.expect("images").pop().expect("the home image").id;
    cloud.set_launch_permission(&home, &image, &Audience::Public, Permission::Revoke).await.expect("to be private");
    crate::crashes::clean(&rig, None, 0).await;
    assert_eq!(rig.endpoint.images().len(), REGIONS.len());
}
