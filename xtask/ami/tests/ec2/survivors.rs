//! What cleaning up leaves alone: a build that another process may resume meanwhile, and one whose journal cannot be read.

use std::time::Duration;

use xtask_ami::{
    cloud::Account as _,
    ground::outcome::Failure,
    record::{folder::JOURNAL, unfinished::Unfinished},
    story::run::Run,
};

use crate::{
    books::{ACCOUNT, Image},
    crashes::{clean, try_clean},
    rig::{HOME, Rig},
};

const REGIONS: [&str; 3] = ["eu-west-1", "sa-east-1", HOME];

/// The process is gone so long after this was called.
async fn dies_after(rig: &Rig, action: &str, secs: u64) {
    let death = async {
        rig.endpoint.until_called(action).await;
        tokio::time::sleep(Duration::from_secs(secs)).await;
    };
    tokio::select! { ended = rig.release() => panic!("it came to its end: {}", ended.said), () = death => {} }
}

/// While something is removed, and between the last removal and the end of the journal, when blocks are set again.
#[tokio::test(start_paused = true)]
async fn a_build_that_is_being_cleaned_up_is_not_resumed_until_its_journal_says_so() {
    for action in ["DeregisterImage", "EnableImageBlockPublicAccess"] {
        let mut rig = Rig::public(&REGIONS);
        rig.order.unblock_public_access = true;
        rig.endpoint.region("sa-east-1", |region| region.block_public_access.blocked = true);
        dies_after(&rig, "ModifySnapshotAttribute", 0).await;
        let (id, identity) = (rig.unfinished(), rig.ec2().await.identity().await.expect("whose the credentials are"));
        let journal = rig.desk.home.build(&id).join(JOURNAL);
        let before = std::fs::read_to_string(&journal).expect("a journal");
        let (home, events) = (rig.desk.home.clone(), rig.events());
        let rival = async {
            // The call has arrived, and its answer has not: cleaning up is in the middle of it.
            rig.endpoint.until_called(action).await;
            let resumed = Run::resume(rig.order.clone(), &id, &identity, &home, &events).await.map(|run| run.id);
            (resumed, std::fs::read_to_string(&journal).expect("a journal"))
        };
        let ((), (resumed, meanwhile)) = tokio::join!(clean(&rig, Some(&id), 0), rival);
        let error = resumed.expect_err(action).to_string();
        assert!(error.contains("another process works on the build"), "{action}: {error}");
        assert_eq!(meanwhile, before, "{action}");
        let after = std::fs::read_to_string(&journal).expect("a journal");
        let added = after.strip_prefix(&before).expect("the journal goes on as it was");
        // What was found and waited for before is of this process as well.
        let kinds: Vec<&str> = added.lines().filter_map(|line| line.split('"').nth(7)).collect();
        assert_eq!((kinds.first(), kinds.last()), (Some(&"resumed"), Some(&"ended")), "{action}: {added}");
        assert!(Unfinished::pick(&home, Some(&id), false).is_err(), "{action}");
    }
}

/// It may be of a newer version of the tool, and that may be at work on it.
#[tokio::test(start_paused = true)]
async fn a_build_whose_journal_cannot_be_read_loses_nothing() {
    let spoilt = [
        (r#""format":2"#, r#""format":99"#, "the journal has format 99, and this version of the tool reads up to 2"),
        ("\n", "\nnonsense\n", "line 2 is not a line of a journal"),
    ];
    for (good, bad, why) in spoilt {
        let rig = Rig::public(&REGIONS);
        dies_after(&rig, "CopyImage", 5).await;
        let id = rig.unfinished();
        let journal = rig.desk.home.build(&id).join(JOURNAL);
        let text = std::fs::read_to_string(&journal).expect("a journal").replacen(good, bad, 1);
        std::fs::write(&journal, &text).expect("a journal");
        let there = (rig.endpoint.images().len(), rig.endpoint.left());
        assert!(there.0 > 0 && there.1.len() > 2, "an image, and an instance with its access: {there:?}");

        clean(&rig, None, 0).await;
        assert_eq!((rig.endpoint.images().len(), rig.endpoint.left()), there, "{why}");
        assert!(rig.said().contains(&format!("warning: the build {id} is not cleaned up: ")), "{}", rig.said());
        assert!(rig.said().contains(why), "{}", rig.said());

        let refused = try_clean(&rig, &rig.ec2().await, Some(&id), 0).await;
        let Err(Failure::Refused(error)) = refused else { panic!("{why}: {refused:?}") };
        assert!(format!("{error:#}").contains(why), "{error:#}");
        assert_eq!((rig.endpoint.images().len(), rig.endpoint.left()), there, "{why}");
        assert_eq!(std::fs::read_to_string(&journal).expect("a journal"), text, "{why}");
    }
}

/// The journal was written by an earlier version, and killed while it verified the image.
#[tokio::test(start_paused = true)]
async fn a_build_whose_journal_is_of_format_2_is_cleaned_up_by_it() {
    const FORMAT_2: &str = include_str!("../../src/record/journal/format-2.jsonl");
    let (rig, id) = (Rig::public(&REGIONS), "20261127T225313Z-0.6.1-d75e");
    let folder = rig.desk.home.build(id);
    std::fs::create_dir_all(&folder).expect("a folder");
    std::fs::write(folder.join(JOURNAL), FORMAT_2).expect("a journal");
    let ids = ["ami-00000000000000008", "ami-0000000000000000a", "ami-00000000000000006"];
    for (region, image) in REGIONS.into_iter().zip(ids) {
        let mut image = Image::published(
            image,
            &image.replace("ami", "snap"),
            ACCOUNT,
            "Wallaroo 0.6.1",
            "2026-11-27T22:54:03.000Z",
        );
        image.launch_permissions.clear();
        image.tags = [("wallaroo:build".to_owned(), id.to_owned())].into();
        rig.endpoint.put(region, image);
    }
    assert_eq!(rig.unfinished(), id);
    clean(&rig, Some(id), 0).await;
    assert_eq!(rig.endpoint.images().len(), 0, "{}", rig.said());
    assert!(Unfinished::pick(&rig.desk.home, Some(id), false).is_err());
}
