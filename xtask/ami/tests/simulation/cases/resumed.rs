//! A process that is killed in the middle of its work on an instance, and the next one, which resumes it there.

use std::time::Duration;

use super::rig::{NAME, Rig, asked};
use crate::fate::{Fault, Verb};

#[tokio::test(start_paused = true)]
async fn an_instance_outlives_the_process_that_is_killed_while_a_script_runs_on_it() {
    for word in ["prepare", "upload", "install"] {
        let rig = Rig::public();
        if word == "upload" {
            rig.cloud.slowly(Verb::Run, word, Duration::from_secs(60));
        }
        let rig = rig.killed_during(word).await;
        let ended = rig.release().await;
        assert_eq!(ended.report().name, NAME);
        // One to bake, and one to verify.
        assert_eq!(rig.cloud.positions(Verb::Launch).len(), 2, "{word}");
        assert_eq!(rig.cloud.positions(Verb::CreateImage).len(), 1, "{word}");
        assert_eq!(rig.cloud.left(), [""; 0], "{word}");
        // What was uploaded whole is not uploaded again.
        assert_eq!(asked(&rig, "upload"), if word == "upload" { 2 } else { 1 }, "{word}");
        let kept = rig.build.folder.read_dir_utf8().expect("the folder").filter_map(Result::ok);
        let keys: Vec<_> = kept.filter(|file| file.file_name().starts_with("bake-")).collect();
        assert!(keys.is_empty(), "{keys:?}");
    }
}

/// Its timed shutdown is off, and it may refuse logins; what names it was told to the killed process alone.
#[tokio::test(start_paused = true)]
async fn an_instance_that_was_being_sealed_is_replaced() {
    let rig = Rig::public().killed_during("seal").await;
    rig.release().await.report();
    assert_eq!(rig.cloud.positions(Verb::Launch).len(), 3);
    assert_eq!(rig.cloud.left(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn an_instance_without_its_login_is_replaced() {
    let rig = Rig::public().killed_during("prepare").await;
    xtask_ami::story::kept_login::delete(&rig.build.folder);
    rig.release().await.report();
    assert_eq!(rig.cloud.positions(Verb::Launch).len(), 3);
    assert_eq!(rig.cloud.left(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_resumed_instance_is_cleaned_up_when_the_build_fails() {
    let rig = Rig::public().killed_during("prepare").await;
    rig.cloud.always(Verb::Run, "upload", Fault::Refused);
    rig.fails(&["Run is refused"]).await;
    assert_eq!(rig.cloud.positions(Verb::Launch).len(), 1);
    assert_eq!(rig.cloud.left(), [""; 0]);
}
