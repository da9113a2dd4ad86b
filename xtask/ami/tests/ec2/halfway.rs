//! The process is gone in the middle of opening: whoever comes next leaves the image public in all regions or in none.

use xtask_ami::cloud::Imaging as _;

use crate::{
    books::{ACCOUNT, Image},
    crashes::clean,
    faults::{Fault, Plan},
    rig::{HOME, Rig},
};

const REGIONS: [&str; 3] = ["eu-west-1", "sa-east-1", HOME];

/// Where the build's images, or their snapshots, are open to everybody.
fn open_in(rig: &Rig) -> Vec<String> {
    let snapshots = rig.endpoint.snapshots();
    let is_open =
        |image: &Image| image.is_public() || snapshots.iter().any(|(_, it)| it.id == image.snapshot && it.is_public());
    let ours = rig.endpoint.images().into_iter().filter(|(_, image)| image.tags.contains_key("wallaroo:build"));
    ours.filter(|(_, image)| is_open(image)).map(|(region, _)| region).collect()
}

/// The process is gone when the image is public in all regions but these, whose calls are never answered.
async fn opened_but_in(closed: &[&str]) -> Rig {
    let rig = Rig::public(&REGIONS);
    for region in closed {
        rig.endpoint.plan(Plan::once(Fault::Hangs).action("ModifyImageAttribute").region(region));
    }
    let death = async {
        rig.endpoint.until_called("ModifyImageAttribute").await;
        tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    };
    tokio::select! { ended = rig.release() => panic!("it came to its end: {}", ended.said), () = death => {} }
    assert_eq!(rig.endpoint.public_in().len(), REGIONS.len() - closed.len(), "{closed:?}");
    rig
}

/// Somebody removes the image of the build in a region, and no copy can be made there any more.
async fn lose(rig: &Rig, region: &str) {
    let (cloud, at) = (rig.ec2().await, region.parse().expect("a region"));
    let image = cloud.images(&at).await.expect("images").pop().expect("an image").id;
    cloud.deregister(&at, &image).await.expect("to go");
    rig.endpoint.plan(Plan::always(Fault::refused("ResourceLimitExceeded")).action("CopyImage").region(region));
}

/// Somebody makes another image of the name in a region.
fn make_another(rig: &Rig, region: &str) {
    let id = rig.endpoint.add_published(region, ACCOUNT, "Wallaroo 0.6.1", "2026-01-01T00:00:00.000Z");
    rig.endpoint.region(region, |region| {
        let image = region.images.get_mut(&id).expect("it");
        image.launch_permissions.clear();
    });
}

#[tokio::test(start_paused = true)]
async fn what_was_half_open_and_cannot_be_opened_is_withdrawn_by_whoever_resumes() {
    for closed in REGIONS {
        for region in REGIONS {
            let rig = opened_but_in(&[closed]).await;
            lose(&rig, region).await;
            let ended = rig.resume().await;
            assert_eq!(ended.outcome.as_ref().err(), Some(&1), "{region}: {ended}");
            let why = if region == HOME { "is a copy of an earlier image" } else { "ResourceLimitExceeded" };
            assert!(ended.said.contains(why), "{region}: {ended}");
            assert_eq!(open_in(&rig), [""; 0], "all but {closed} were open, and that in {region} is gone: {ended}");
            assert_eq!(rig.endpoint.left(), [""; 0], "{region}: {ended}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_half_open_and_does_not_pass_the_gate_is_withdrawn_by_whoever_resumes() {
    for region in REGIONS {
        let rig = opened_but_in(&["sa-east-1"]).await;
        make_another(&rig, region);
        let ended = rig.resume().await;
        assert_eq!(ended.outcome.as_ref().err(), Some(&1), "{region}: {ended}");
        assert!(ended.said.contains("also has the name `Wallaroo 0.6.1`"), "{region}: {ended}");
        assert_eq!(open_in(&rig), [""; 0], "{region}: {ended}");
        assert_eq!(rig.endpoint.left(), [""; 0], "{region}: {ended}");
    }
}

/// Public in all regions, or in none, and nothing else of the build is there.
#[track_caller]
fn is_all_or_nothing(rig: &Rig, what: &str) {
    let open = open_in(rig);
    assert!(open.is_empty() || open == REGIONS, "{what}: it is public in {open:?}");
    assert_eq!(rig.endpoint.public_in(), open, "{what}");
    assert_eq!((rig.endpoint.images().len(), rig.endpoint.snapshots().len()), (open.len(), open.len()), "{what}");
    assert_eq!(rig.endpoint.left(), [""; 0], "{what}");
}

fn lose_journals(rig: &Rig) {
    std::fs::remove_dir_all(rig.desk.home.path()).expect("to lose all journals");
}

#[tokio::test(start_paused = true)]
async fn what_is_half_open_is_cleaned_up_with_the_journal_and_without() {
    let [first, second, third] = REGIONS;
    for closed in [&[first][..], &[second], &[third], &[first, second], &[first, third], &[second, third]] {
        for has_journal in [true, false] {
            let rig = opened_but_in(closed).await;
            let id = rig.unfinished();
            if !has_journal {
                lose_journals(&rig);
            }
            clean(&rig, Some(&id), 0).await;
            is_all_or_nothing(&rig, &format!("{closed:?}, with its journal: {has_journal}"));
            assert_eq!(open_in(&rig), [""; 0], "{closed:?}");
        }
    }
}

/// Whoever cleans up may die as well, when so many images are removed: the next one must still see that it was half open.
#[tokio::test(start_paused = true)]
async fn cleaning_up_what_is_half_open_may_be_cut_short() {
    for has_journal in [true, false] {
        for (closed, removed) in REGIONS.iter().flat_map(|closed| [1, 2].map(|removed| (closed, removed))) {
            let rig = opened_but_in(&[*closed]).await;
            let id = rig.unfinished();
            if !has_journal {
                lose_journals(&rig);
            }
            let mut arrivals = rig.endpoint.arrivals();
            let death = arrivals.wait_for(|_| REGIONS.len() - rig.endpoint.images().len() >= removed);
            tokio::select! {
                () = clean(&rig, Some(&id), 0) => panic!("it came to its end"),
                arrived = death => drop(arrived.expect("the endpoint is there")),
            }
            clean(&rig, Some(&id), 0).await;
            is_all_or_nothing(&rig, &format!("{closed}, {removed} removed, with its journal: {has_journal}"));
        }
    }
}
