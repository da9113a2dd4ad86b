//! Binaries that are uploaded before the payload is, while packages are installed.

use std::time::Duration;

use serde_json::Value;

use super::rig::{Rig, asked};
use crate::fate::{Fault, Verb};

/// What the journal says of early uploads: the kind of each event, and its binary.
fn told(rig: &Rig) -> Vec<(String, String)> {
    let journal = std::fs::read_to_string(rig.build.folder.join("journal.jsonl")).expect("a journal");
    let lines = journal.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    let of_binary = lines.filter_map(|line| {
        let (what, binary) = (line["what"].as_str()?, line["binary"].as_str()?);
        what.contains("upload").then(|| (what.to_owned(), binary.to_owned()))
    });
    of_binary.collect()
}

#[tokio::test(start_paused = true)]
async fn binaries_are_uploaded_while_packages_are_installed_and_not_again_with_the_payload() {
    let rig = Rig::public().killed_during("prepare").await;
    // The script that installs the packages takes longer.
    assert_eq!((asked(&rig, "early"), asked(&rig, "packages")), (4, 0));
    // The next process knows nothing of that, and the packages are still being installed.
    rig.release().await.report();
    assert_eq!((asked(&rig, "early"), asked(&rig, "upload")), (8, 1));
    assert_eq!(rig.cloud.positions(Verb::Launch).len(), 2);
    assert_eq!(rig.cloud.left(), [""; 0]);
    let (told, names) = (told(&rig), ["machida", "cluster_shutdown", "data_receiver", "sender"]);
    for name in names {
        let of_binary: Vec<&str> = told.iter().filter(|(_, of)| of == name).map(|(what, _)| what.as_str()).collect();
        assert_eq!(of_binary, ["uploading_binary", "uploaded"].repeat(2), "{name}");
    }
    let tar = xtask_ami::ship::payload::TAR;
    let files = rig.build.folder.read_dir_utf8().expect("the folder").filter_map(Result::ok);
    let tars: Vec<_> = files.filter(|file| file.file_name().starts_with(tar)).collect();
    assert!(tars.is_empty(), "{tars:?}");
}

#[tokio::test(start_paused = true)]
async fn what_can_not_be_uploaded_early_is_in_the_payload() {
    for (fault, uploads) in [(Fault::Refused, 1), (Fault::Lost, 1), (Fault::Hangs, 1)] {
        let rig = Rig::public();
        rig.cloud.once(Verb::Run, "early", fault);
        rig.release().await.report();
        assert_eq!((asked(&rig, "early"), asked(&rig, "upload")), (uploads, 1), "{fault:?}");
        assert_eq!(rig.cloud.left(), [""; 0], "{fault:?}");
        let told: Vec<String> = told(&rig).into_iter().map(|(what, _)| what).collect();
        assert_eq!(told, ["uploading_binary", "not_uploaded"], "{fault:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_process_that_is_killed_while_it_uploads_early_leaves_nothing_of_that() {
    let rig = Rig::public();
    rig.cloud.slowly(Verb::Run, "early", Duration::from_secs(60));
    let rig = rig.killed_during("early").await;
    assert_eq!(asked(&rig, "early"), 1);
    rig.release().await.report();
    assert_eq!((asked(&rig, "early"), asked(&rig, "upload")), (5, 1));
    assert_eq!(rig.cloud.left(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn packages_that_fail_end_the_build_though_a_binary_is_being_uploaded() {
    let rig = Rig::public();
    rig.cloud.slowly(Verb::Run, "early", Duration::from_secs(600));
    rig.cloud.once(Verb::Run, "prepare", Fault::Refused);
    let ended = rig.fails(&["Run is refused"]).await;
    assert!(ended.took < Duration::from_secs(300), "{:?}", ended.took);
    assert_eq!(rig.cloud.left(), [""; 0]);
}
