//! Promotions that are refused before anything is made.

use super::*;

/// What is wrong with the candidate, and what the refusal says.
type Case = (&'static str, fn(&Rig), PromoteFlags, &'static [&'static str]);

/// What is asked for is wrong, or the candidate is not one that may be published.
fn cases() -> Vec<Case> {
    let usual = || flags("0.6.1-rc1", "0.6.1");
    vec![
        (
            "unknown",
            |_| {},
            flags("0.6.1-rc2", "0.6.1"),
            &["no image of the version 0.6.1-rc2", "did you mean 0.6.1-rc1?"],
        ),
        ("itself", |_| {}, flags("0.6.1-rc1", "0.6.1-rc1"), &["cannot be promoted to itself"]),
        (
            "taken",
            |rig| {
                twin(rig, "eu-west-1", |it| {
                    it.name = "Wallaroo 0.6.1".to_owned();
                    it.tags.clear();
                })
            },
            usual(),
            &["`Wallaroo 0.6.1` is already taken", "ami-00000000000000abc in eu-west-1"],
        ),
        (
            "not verified",
            |rig| each_candidate(rig, |it| drop(it.tags.remove("wallaroo:verified"))),
            usual(),
            &["no image of its build is marked as verified", "cargo xtask ami resume 2"],
        ),
        (
            "dirty",
            |rig| each_candidate(rig, |it| it.tags.get_mut("wallaroo:commit").expect("a tag").push_str("-dirty")),
            usual(),
            &["uncommitted changes", "-dirty"],
        ),
        (
            "no commit",
            |rig| each_candidate(rig, |it| "unknown".clone_into(it.tags.get_mut("wallaroo:commit").expect("a tag"))),
            usual(),
            &["no commit is known"],
        ),
        (
            "private",
            |rig| {
                each_candidate(rig, |it| {
                    it.tags.insert("wallaroo:expires".to_owned(), "2099-01-01T00:00:00Z".to_owned());
                    it.tags.remove("wallaroo:verified");
                })
            },
            usual(),
            &["--private or --share, and is never made public", "marked as verified"],
        ),
    ]
}

/// What there is of the candidate's images is not as it has to be.
fn cases_of_images() -> Vec<Case> {
    let usual = || flags("0.6.1-rc1", "0.6.1");
    vec![
        (
            "disabled",
            |rig| rig.endpoint.disable_images(HOME),
            usual(),
            &["is disabled; to enable it: aws ec2 enable-image"],
        ),
        (
            "no sums",
            |rig| each_candidate(rig, |it| it.tags.retain(|key, _| !key.contains("sha256"))),
            usual(),
            &["lacks the tags wallaroo:sha256:"],
        ),
        (
            "two builds",
            |rig| twin(rig, "eu-west-1", |it| drop(it.tags.insert("wallaroo:build".to_owned(), "b".to_owned()))),
            usual(),
            &["several images", "\n  build b: ", "1 image in eu-west-1", "--as 0.6.1 --build b"],
        ),
        (
            "two in a region",
            |rig| twin(rig, HOME, |it| it.tags.clear()),
            usual(),
            &["several images", "not made by this tool"],
        ),
        (
            "other tags than the journal",
            |rig| {
                each_candidate(rig, |it| {
                    it.tags.insert("wallaroo:sha256:machida".to_owned(), "f".repeat(64));
                })
            },
            usual(),
            &["the journal in"],
        ),
    ]
}

#[tokio::test(start_paused = true)]
async fn what_may_not_be_promoted_is_refused_with_one_error_before_anything_is_made() {
    for (what, spoil, flags, words) in cases().into_iter().chain(cases_of_images()) {
        let rig = candidate().await;
        spoil(&rig);
        let (images, snapshots) = (rig.endpoint.images(), rig.endpoint.snapshots());
        let ended = run(&rig, Work::Begin(&flags), usize::MAX).await.expect("it comes to its end");
        let said = rig.said();
        assert_eq!(ended.map_err(|failure| failure.exit_code()), Err(2), "{what}: {said}");
        assert_eq!(said.matches("error: ").count(), 1, "{what}: {said}");
        words.iter().for_each(|word| assert!(said.contains(word), "{what}: no `{word}` in {said}"));
        assert_eq!(rig.endpoint.images(), images, "{what}");
        assert_eq!(rig.endpoint.snapshots().len(), snapshots.len(), "{what}");
        assert!(Unfinished::pick(&rig.desk.home, None, false).is_err(), "{what}: no build began");
    }
}

#[tokio::test(start_paused = true)]
async fn an_image_of_a_private_build_is_not_promoted() {
    let rig = ordered(Rig::private());
    rig.release().await.report();
    let ended = run(&rig, Work::Begin(&flags("0.6.1-rc1", "0.6.1")), usize::MAX).await.expect("an end");
    assert_eq!(ended.map_err(|failure| failure.exit_code()), Err(2), "{}", rig.said());
    assert!(rig.said().contains("is never made public"), "{}", rig.said());
    assert_eq!(rig.endpoint.public_in(), [""; 0]);
}
