//! Machines that don't do as they should, and what is left of them.

use std::time::Duration;

use super::rig::{HOME, Rig};
use crate::{
    fate::{Fault, Verb},
    script::Outcome,
};

#[tokio::test(start_paused = true)]
async fn an_instance_that_dies_before_the_login_ends_the_build_at_once() {
    let rig = Rig::public();
    rig.cloud.instances_die();
    let words = ["is terminated before a login was possible: the volume's key is not there", "Kernel panic"];
    let ended = rig.fails(&words).await;
    assert!(ended.took < Duration::from_secs(60), "{:?}", ended.took);
    assert!(ended.said.contains("No image was made"), "{ended}");
    assert_eq!(rig.cloud.left(), [""; 0]);
}

/// A test of each fault that hides neither what went wrong before, nor keeps anything: the faults, and what is said.
macro_rules! nothing_is_left {
    ($($(#[$why:meta])* $name:ident |$cloud:ident| $faults:expr => $words:expr;)*) => {$(
        $(#[$why])*
        #[tokio::test(start_paused = true)]
        async fn $name() {
            let rig = Rig::public();
            let $cloud = &rig.cloud;
            $faults;
            rig.fails(&[$words]).await;
            assert_eq!(rig.cloud.left(), [""; 0]);
        }
    )*};
}

nothing_is_left! {
    a_launch_that_is_refused_leaves_no_access |cloud| cloud.once(Verb::Launch, HOME, Fault::Refused) => "Launch is refused";
    an_access_that_can_not_be_taken_away_is_tried_again |cloud| {
        cloud.check_prints(&["not ok hyperthreads: cpu1 is online"]);
        cloud.once(Verb::RevokeAccess, HOME, Fault::Refused);
    } => "hyperthreads";
    a_console_that_can_not_be_read_keeps_no_machine_alive |cloud| {
        cloud.once(Verb::Run, "prepare", Fault::Refused);
        cloud.always(Verb::ReadConsole, HOME, Fault::Refused);
    } => "Run is refused";
    /// The baking machine is ended when its image is made; what came of the image is what counts.
    an_image_that_fails_is_what_is_told_when_its_machine_can_not_be_ended |cloud| {
        cloud.images_come_out(HOME, Outcome::Failed);
        cloud.once(Verb::Terminate, HOME, Fault::Refused);
    } => "the snapshot was lost";
    the_faults_are_what_is_told_when_the_machine_that_has_them_can_not_be_ended |cloud| {
        cloud.check_prints(&["not ok hyperthreads: cpu1 is online"]);
        // The first that ends is the baking machine.
        cloud.slowly(Verb::Terminate, HOME, Duration::from_secs(1));
        cloud.once(Verb::Terminate, HOME, Fault::Refused);
    } => "hyperthreads: cpu1 is online";
}

#[tokio::test(start_paused = true)]
async fn what_was_launched_is_ended_though_the_answer_was_lost() {
    for verb in [Verb::GrantAccess, Verb::Launch] {
        let rig = Rig::public();
        rig.cloud.once(verb, HOME, Fault::Lost);
        rig.fails(&["is lost"]).await;
        assert_eq!(rig.cloud.left(), [""; 0], "{verb:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_command_that_fails_or_never_ends_leaves_nothing() {
    let words = ["prepare", "packages", "upload", "place", "install", "machine-id", "seal"];
    for (word, trouble) in words.iter().flat_map(|word| [(word, Fault::Refused), (word, Fault::Hangs)]) {
        let rig = Rig::public();
        rig.cloud.once(Verb::Run, word, trouble);
        let why = if trouble == Fault::Hangs { "timed out after" } else { "Run is refused" };
        rig.fails(&[why]).await;
        assert_eq!(rig.cloud.left(), [""; 0], "{word} {trouble:?}");
        assert_eq!(rig.regions_with_an_image(), [""; 0], "{word} {trouble:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_look_at_the_booted_image_that_never_ends_makes_nothing_public() {
    for word in ["check", "sums", "machine-id"] {
        let rig = Rig::public();
        // Of the two that read the machine's id, the baking machine's is the first.
        if word == "machine-id" {
            rig.cloud.slowly(Verb::Run, word, Duration::from_secs(1));
        }
        rig.cloud.once(Verb::Run, word, Fault::Hangs);
        rig.fails(&["timed out after"]).await;
        assert_eq!(rig.cloud.public(), [""; 0], "{word}");
        assert_eq!(rig.cloud.left(), [""; 0], "{word}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_machine_that_can_not_be_ended_hides_neither_the_error_nor_the_accesses() {
    let rig = Rig::public();
    rig.cloud.once(Verb::Run, "prepare", Fault::Refused);
    rig.cloud.always(Verb::Terminate, HOME, Fault::Refused);
    let ended = rig.fails(&["Run is refused"]).await;
    let (error, warning) = ended.said.split_once("warning: ").unwrap_or_else(|| panic!("no warning: {ended}"));
    assert!(error.contains("Run is refused") && warning.contains("Terminate is refused"), "{ended}");
    assert!(!ended.said.contains("No instance is running"), "{ended}");
    let left = rig.cloud.left();
    assert!(left.len() == 1 && left[0].starts_with("i-"), "only the machine is left: {left:?}");
}

#[tokio::test(start_paused = true)]
async fn a_console_without_an_answer_keeps_no_machine_alive_after_an_interruption() {
    let rig = Rig::alone();
    rig.cloud.once(Verb::Run, "prepare", Fault::Interrupted);
    rig.cloud.always(Verb::ReadConsole, HOME, Fault::Hangs);
    let ended = rig.release().await;
    ended.failed(130, &[]);
    assert_eq!(rig.cloud.left(), [""; 0], "{ended}");
}
