//! Copies that fail, and images that aren't good.

use std::time::Duration;

use xtask_ami::event::{
    Event,
    step::{Handle, Step},
};

use super::rig::{HOME, REGIONS, Rig};
use crate::{
    fate::{Fault, Verb},
    script::Outcome,
};

const HOUR: Duration = Duration::from_secs(60 * 60);

/// Nothing became public, the images that are good are still there, and nothing else is left.
#[track_caller]
fn nothing_public_and_nothing_lost(rig: &Rig, regions: &[&str]) {
    rig.cloud.never(Verb::SnapshotsPublic);
    rig.cloud.never(Verb::ImagePublic);
    assert_eq!(rig.regions_with_an_image(), regions);
    assert_eq!(rig.cloud.left(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_copy_that_fails_does_not_stop_the_others_and_nothing_is_public() {
    let rig = Rig::public();
    rig.cloud.images_come_out("sa-east-1", Outcome::Failed);
    // It is still pending when the other one fails.
    rig.cloud.slowly(Verb::CopyImage, "us-east-1", HOUR);
    let ended = rig.fails(&["sa-east-1", "the snapshot was lost"]).await;
    assert!(!ended.error().lines().any(|line| line.contains("us-east-1: the")), "{ended}");
    nothing_public_and_nothing_lost(&rig, &REGIONS);
    let looked_at = rig.cloud.was_asked(Verb::LookAtImage, "us-east-1");
    assert!(looked_at, "the other copy was waited for");
}

#[tokio::test(start_paused = true)]
async fn a_copy_that_is_refused_does_not_stop_the_others_and_nothing_is_public() {
    let rig = Rig::public();
    rig.cloud.once(Verb::CopyImage, "sa-east-1", Fault::Refused);
    rig.cloud.slowly(Verb::CopyImage, "us-east-1", HOUR);
    let ended = rig.fails(&["sa-east-1", "CopyImage is refused", "1 of 3 regions"]).await;
    nothing_public_and_nothing_lost(&rig, &["eu-west-1", "us-east-1", HOME]);
    for region in ["eu-west-1", "us-east-1", HOME] {
        let id = rig.made(region).unwrap_or_else(|| panic!("{region}: {ended}"));
        assert!(ended.said.contains(&format!("{region}: {id} (private)")), "{ended}");
    }
}

#[tokio::test(start_paused = true)]
async fn all_copies_that_fail_are_named() {
    let rig = Rig::public();
    rig.cloud.images_come_out("sa-east-1", Outcome::Failed);
    rig.cloud.once(Verb::CopyImage, "us-east-1", Fault::Refused);
    rig.fails(&["2 of 3 regions", "sa-east-1", "us-east-1"]).await;
    nothing_public_and_nothing_lost(&rig, &["eu-west-1", "sa-east-1", HOME]);
}

#[tokio::test(start_paused = true)]
async fn a_copy_that_is_pending_for_ever_is_given_up_at_the_limit() {
    let rig = Rig::public();
    rig.cloud.images_come_out("eu-west-1", Outcome::PendingForEver);
    let ended = rig.fails(&["timed out after 1h waiting for ami-", "in eu-west-1; last state: pending, 40%"]).await;
    assert!((HOUR..HOUR * 3 / 2).contains(&ended.took), "{:?}", ended.took);
    nothing_public_and_nothing_lost(&rig, &REGIONS);
}

/// A test of each image that must stay private: what is wrong with it, or with a copy, and what is said.
macro_rules! stay_private {
    ($($name:ident: cloud.$wrong:ident($($with:expr),*) => $words:expr;)*) => {$(
        #[tokio::test(start_paused = true)]
        async fn $name() {
            let rig = Rig::public();
            rig.cloud.$wrong($($with),*);
            rig.fails(&$words).await;
            nothing_public_and_nothing_lost(&rig, &REGIONS);
        }
    )*};
}

stay_private! {
    a_look_at_a_copy_that_never_answers_is_given_up_at_the_limit: cloud.once(Verb::LookAtImage, "eu-west-1", Fault::Hangs)
        => ["timed out after 1h waiting for ami-", "in eu-west-1"];
    an_image_that_a_check_finds_fault_with_stays_private:
        cloud.check_prints(&["ok machida help", "not ok hyperthreads: cpu1 is online", "not ok sshd: takes passwords"])
        => ["2 of ", "hyperthreads: cpu1 is online", "sshd: takes passwords"];
    an_image_that_was_not_checked_stays_private: cloud.check_prints(&[]) => ["check.sh did not finish"];
    an_image_with_other_bytes_than_were_built_stays_private: cloud.alter("/usr/bin/sender")
        => ["1 of ", "/usr/bin/sender has the bytes that were built: its SHA-256 is"];
    an_image_that_lets_the_old_key_in_stays_private: cloud.seal_keeps_the_key()
        => ["1 of ", "the key of the machine it was made on is refused: it still logs in"];
    an_image_with_the_old_machine_id_stays_private: cloud.seal_keeps_the_machine_id()
        => ["1 of ", "its machine id is its own"];
}

#[tokio::test(start_paused = true)]
async fn a_fault_and_a_copy_that_fails_are_both_told() {
    let rig = Rig::public();
    rig.cloud.check_prints(&["not ok hyperthreads: cpu1 is online"]);
    rig.cloud.once(Verb::CopyImage, "sa-east-1", Fault::Refused);
    rig.fails(&["hyperthreads: cpu1 is online", "sa-east-1"]).await;
    nothing_public_and_nothing_lost(&rig, &["eu-west-1", "us-east-1", HOME]);
}

/// The image there would stay open, and be in no result.
#[tokio::test(start_paused = true)]
async fn a_region_whose_image_may_be_open_is_not_left_out() {
    let mut rig = Rig::public();
    rig.build.spec.skip_failed_regions = true;
    rig.cloud.images_come_out("sa-east-1", Outcome::Failed);
    // An earlier process had begun to open the images.
    let began = Event::Intended { step: Step::Publish, by: Handle::NONE };
    rig.build.events.emit(began).expect("a journal");
    rig.fails(&["the image could not be copied to 1 of 3 regions", "sa-east-1"]).await;
    assert_eq!(rig.cloud.public(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn regions_that_fail_are_left_out_where_asked_and_the_result_says_so() {
    let mut rig = Rig::public();
    rig.build.spec.skip_failed_regions = true;
    rig.cloud.images_come_out("sa-east-1", Outcome::Failed);
    rig.cloud.may_be_left_out("sa-east-1");
    let ended = rig.release().await;
    let report = ended.report();
    assert_eq!(rig.cloud.public(), ["eu-west-1", "us-east-1", "us-west-2"]);
    assert!(report.skipped["sa-east-1"].contains("the snapshot was lost"), "{:?}", report.skipped);
    assert!(ended.said.contains("sa-east-1 is left out"), "{ended}");
    let text = report.text(false).expect("a text");
    assert!(text.starts_with("eu-west-1: ") && text.lines().count() == 3, "{text}");
}
