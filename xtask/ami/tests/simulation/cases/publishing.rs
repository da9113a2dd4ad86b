//! Publishing that fails or is interrupted half way.

use super::rig::{HOME, NAME, REGIONS, Rig};
use crate::fate::{Fault, Verb};

/// Nothing is public, and all images are still there.
#[track_caller]
fn all_is_withdrawn(rig: &Rig) {
    assert_eq!(rig.cloud.public(), [""; 0]);
    assert_eq!(rig.regions_with_an_image(), REGIONS);
    assert_eq!(rig.cloud.left(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_permission_that_is_refused_or_whose_answer_is_lost_in_one_region_withdraws_all() {
    for (fault, word) in [(Fault::Refused, "is refused"), (Fault::Lost, "is lost")] {
        for verb in [Verb::SnapshotsPublic, Verb::ImagePublic] {
            let rig = Rig::public();
            rig.cloud.once(verb, "sa-east-1", fault);
            let ended = rig.fails(&["nothing is public", "sa-east-1", word]).await;
            assert_eq!(ended.called_public(), [""; 0], "{ended}");
            all_is_withdrawn(&rig);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_can_not_be_withdrawn_is_named_and_only_that() {
    let rig = Rig::public();
    rig.cloud.once(Verb::ImagePublic, "sa-east-1", Fault::Lost);
    rig.cloud.always(Verb::ImagePrivate, "eu-west-1", Fault::Refused);
    let ended = rig.fails(&["could not be undone", "eu-west-1"]).await;
    assert!(!ended.said.contains("nothing is public"), "{ended}");
    let id = rig.made("eu-west-1").expect("an image");
    assert_eq!(ended.called_public(), [format!("eu-west-1: {id} (PUBLIC)")], "{ended}");
    assert_eq!(rig.cloud.public(), ["eu-west-1"]);
    assert_eq!(rig.cloud.left(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn two_images_of_the_name_make_nothing_public() {
    let rig = Rig::public();
    let other = rig.cloud.add_foreign_image("eu-west-1", NAME);
    let ended = rig.fails(&["eu-west-1", "has the name", NAME, &other.0]).await;
    assert_eq!(ended.called_public(), [""; 0], "{ended}");
    assert_eq!(rig.cloud.public(), [""; 0]);
    rig.cloud.never(Verb::SnapshotsPublic);
    assert_eq!(rig.cloud.left(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn an_interruption_while_publishing_withdraws_all() {
    for verb in [Verb::SnapshotsPublic, Verb::ImagePublic] {
        let rig = Rig::alone();
        rig.cloud.once(verb, "sa-east-1", Fault::Interrupted);
        let ended = rig.release().await;
        ended.failed(130, &["interrupted by Ctrl-C"]);
        assert_eq!(ended.called_public(), [""; 0], "{ended}");
        all_is_withdrawn(&rig);
    }
}

#[tokio::test(start_paused = true)]
async fn an_interruption_while_publishing_names_what_can_not_be_withdrawn() {
    let rig = Rig::alone();
    rig.cloud.once(Verb::ImagePublic, "sa-east-1", Fault::Interrupted);
    rig.cloud.always(Verb::ImagePrivate, "eu-west-1", Fault::Refused);
    let ended = rig.release().await;
    ended.failed(130, &[]);
    let id = rig.made("eu-west-1").expect("an image");
    assert_eq!(ended.called_public(), [format!("eu-west-1: {id} (PUBLIC)")], "{ended}");
    assert_eq!(rig.cloud.public(), ["eu-west-1"]);
}

#[tokio::test(start_paused = true)]
async fn an_interruption_before_publishing_makes_nothing_public_and_leaves_no_machine() {
    for word in ["prepare", "seal", "check"] {
        let rig = Rig::alone();
        rig.cloud.once(Verb::Run, word, Fault::Interrupted);
        let ended = rig.release().await;
        assert_eq!(ended.outcome.as_ref().err(), Some(&130), "{word}: {ended}");
        rig.cloud.never(Verb::SnapshotsPublic);
        assert_eq!(rig.cloud.left(), [""; 0], "{word}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_block_is_lifted_where_asked_and_set_again_however_it_ends() {
    for (trouble, fails) in [(None, false), (Some(Fault::Refused), true), (Some(Fault::Lost), true)] {
        let mut rig = Rig::public();
        rig.build.spec.unblock_public_access = true;
        rig.cloud.block("sa-east-1");
        if let Some(trouble) = trouble {
            rig.cloud.once(Verb::ImagePublic, "eu-west-1", trouble);
        }
        let ended = rig.release().await;
        assert_eq!(ended.outcome.is_err(), fails, "{ended}");
        assert_eq!(rig.cloud.public().is_empty(), fails, "{ended}");
        assert_eq!(rig.cloud.blocked(), ["sa-east-1"], "{ended}");
        assert_eq!(rig.cloud.positions(Verb::Unblock).len(), 1, "only where there is a block");
    }
}

#[tokio::test(start_paused = true)]
async fn a_lifted_block_is_set_again_after_an_interruption() {
    for verb in [Verb::Unblock, Verb::ImagePublic] {
        let mut rig = Rig::alone();
        rig.build.spec.unblock_public_access = true;
        rig.cloud.block("sa-east-1");
        rig.cloud.once(verb, "sa-east-1", Fault::Interrupted);
        let ended = rig.release().await;
        ended.failed(130, &[]);
        assert_eq!(rig.cloud.public(), [""; 0], "{ended}");
        assert_eq!(rig.cloud.blocked(), ["sa-east-1"], "{ended}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_block_is_left_alone_unless_lifting_was_asked_for() {
    let rig = Rig::public();
    rig.cloud.block("sa-east-1");
    rig.fails(&["sa-east-1", "public images are blocked", "nothing is public"]).await;
    rig.cloud.never(Verb::Unblock);
    all_is_withdrawn(&rig);
}

#[tokio::test(start_paused = true)]
async fn a_block_that_can_not_be_set_again_is_said_with_what_to_type() {
    let mut rig = Rig::public();
    rig.build.spec.unblock_public_access = true;
    rig.cloud.block("sa-east-1");
    rig.cloud.always(Verb::Block, "sa-east-1", Fault::Refused);
    let ended = rig.release().await;
    ended.report();
    let command =
        "aws ec2 enable-image-block-public-access --image-block-public-access-state block-new-sharing --region";
    assert!(ended.said.contains(&format!("{command} sa-east-1")), "{ended}");
}

#[tokio::test(start_paused = true)]
async fn a_shared_image_is_opened_only_to_those_named() {
    let rig = Rig::private(&["123456789012", "210987654321"]);
    let ended = rig.release().await;
    let report = ended.report();
    assert_eq!((report.public, report.shared_with.len()), (false, 2));
    let expected =
        ["123456789012 may copy", "123456789012 may launch", "210987654321 may copy", "210987654321 may launch"];
    assert_eq!(rig.cloud.shared_with(HOME), expected);
    assert_eq!(rig.cloud.public(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn sharing_that_fails_is_taken_back() {
    let rig = Rig::private(&["123456789012"]);
    rig.cloud.once(Verb::Share, HOME, Fault::Lost);
    rig.fails(&["nothing is public", "is lost"]).await;
    assert_eq!(rig.cloud.shared_with(HOME), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn after_an_interruption_a_withdrawal_that_hangs_keeps_no_block_lifted_and_no_machine_up() {
    let mut rig = Rig::alone();
    rig.build.spec.unblock_public_access = true;
    rig.cloud.block("sa-east-1");
    rig.cloud.once(Verb::ImagePublic, "sa-east-1", Fault::Interrupted);
    rig.cloud.always(Verb::ImagePrivate, "eu-west-1", Fault::Hangs);
    let ended = rig.release().await;
    ended.failed(130, &[]);
    assert_eq!(rig.cloud.blocked(), ["sa-east-1"], "{ended}");
    assert_eq!(rig.cloud.left(), [""; 0], "{ended}");
}
