//! A kept base that a public image starts from: its packages are as old as it is, and that is said.

use xtask_ami::{
    ask::spec::{ReleaseSpec, Visibility},
    recipe::Upgrade,
    story::reuse,
};

use super::rig::Rig;

/// What was said of the packages of the kept base, and what a plan says, when the second release by an order starts from the
/// base that the first one kept.
async fn told(change: impl FnOnce(&mut ReleaseSpec)) -> (Vec<String>, Option<String>) {
    let rig = Rig::changed(|order| {
        order.reuse_base = true;
        change(order);
    });
    rig.release().await.report();
    let rig = rig.next("0.6.2").await;
    let planned = reuse::warning(&rig.cloud, &rig.build.spec).await;
    let ended = rig.release().await;
    let reused = ended.report().reused_base.clone().expect("it starts from the kept base");
    let of_base = |line: &&str| line.starts_with("warning: ") && line.contains(&reused.0);
    (ended.said.lines().filter(of_base).map(str::to_owned).collect(), planned)
}

#[tokio::test(start_paused = true)]
async fn a_public_image_of_an_old_kept_base_is_said_to_lack_the_updates_since() {
    let (said, planned) = told(|order| order.visibility = Visibility::Public).await;
    let [said] = &said[..] else { panic!("one warning, not {said:?}") };
    let planned = planned.expect("a warning");
    // The cloud says that its images are of this day.
    for words in [" old, the public image lacks all package updates since 2026-01-01, ", "--no-reuse-base"] {
        assert!(said.contains(words) && planned.contains(words), "no {words:?} in {said:?} and {planned:?}");
    }
    assert!(
        said.contains("stop this build, clean up with `cargo xtask ami clean 2") && !planned.contains("ami clean"),
        "{said}"
    );
}

#[tokio::test(start_paused = true)]
async fn neither_a_private_image_nor_one_that_is_to_have_no_updates_is_warned_of() {
    assert_eq!(told(|_| {}).await, (Vec::new(), None));
    let unchanged = told(|order| {
        order.visibility = Visibility::Public;
        order.recipe.packages.upgrade = Upgrade::None;
    });
    assert_eq!(unchanged.await, (Vec::new(), None));
}
