//! A build belongs to the account, the endpoint and the kind of cloud that it began in: anywhere else it is neither
//! resumed nor cleaned up, and nothing is forgotten.

use std::collections::BTreeSet;

use aws_config::ConfigLoader;
use camino::Utf8PathBuf;
use serde_json::{Value, json};
use xtask::cli::{CleanFlags, CommonFlags};
use xtask_ami::{
    cloud::{Account as _, ec2::Ec2},
    event::about::{CloudKind, Identity},
    ground::outcome::Failure,
    record::{folder::JOURNAL, unfinished::Unfinished},
    story::run::Run,
    verbs::clean,
};

use crate::{
    crashes::{self, COMMON, try_clean},
    endpoint::Endpoint,
    rig::{self, HOME, Rig},
};

const REGIONS: [&str; 2] = ["eu-west-1", HOME];

/// An endpoint that stands in for EC2's own.
const STAND_IN: &str = "http://localhost:5000";

/// A build whose process is gone when this was called: instances run, and an image is there.
async fn abandoned(action: &str) -> Rig {
    let mut rig = Rig::public(&REGIONS);
    rig.order.profile = Some("the builders".to_owned());
    rig.order.unblock_public_access = true;
    rig.endpoint.region("eu-west-1", |region| region.block_public_access.blocked = true);
    let is_called = rig.endpoint.until_called(action);
    tokio::select! { ended = rig.release() => panic!("it came to its end: {}", ended.said), () = is_called => {} }
    assert!(!rig.endpoint.images().is_empty());
    rig
}

/// EC2 as a command sees it whose SDK is set up like this.
async fn ec2(rig: &Rig, loader: ConfigLoader) -> Ec2 {
    let (home, recipe) = (HOME.parse().expect("a region"), rig.order.recipe.clone());
    Ec2::load(loader, rig.settings.clone(), &home, recipe, &rig.events()).await
}

/// EC2 at the endpoint that stands in for its own.
async fn stand_in(rig: &Rig) -> Ec2 {
    ec2(rig, rig::loader(&rig.endpoint).endpoint_url(STAND_IN)).await
}

fn journal(rig: &Rig) -> Utf8PathBuf {
    rig.desk.home.build(&rig.unfinished()).join(JOURNAL)
}

/// The message of what was refused before anything was done.
#[track_caller]
fn refusal(outcome: Result<(), Failure>) -> String {
    match outcome {
        Err(failure @ Failure::Refused(_)) if failure.exit_code() == 2 => match failure {
            Failure::Refused(error) => format!("{error:#}"),
            _ => unreachable!("it is a refusal"),
        },
        other => panic!("it is not refused: {other:?}"),
    }
}

/// Both verbs refuse the unfinished build with these words, the cloud is asked for nothing but whose the credentials are,
/// and the journal stays as it is, byte for byte. In the words, `VERB` stands for the verb and `ID` for the build.
async fn both_refuse(rig: &Rig, cloud: &Ec2, words: &[&str]) {
    let (id, journal) = (rig.unfinished(), journal(rig));
    let before = std::fs::read(&journal).expect("a journal");
    let identity = cloud.identity().await.expect("whose the credentials are");
    let calls = rig.endpoint.calls();
    let resumed = Run::resume(rig.order.clone(), &id, &identity, &rig.desk.home, &rig.events()).await;
    let resumed = resumed.map(drop).map_err(Failure::Refused);
    let cleaned = try_clean(rig, cloud, Some(&id), 0).await;
    for (verb, outcome) in [("resume", resumed), ("clean", cleaned)] {
        let error = refusal(outcome);
        for word in words.iter().map(|word| word.replace("VERB", verb).replace("ID", &id)) {
            assert!(error.contains(&word), "no {word:?} in {error}");
        }
    }
    assert_eq!(rig.endpoint.calls(), calls);
    assert_eq!(std::fs::read(&journal).expect("a journal"), before);
}

/// The build is cleaned up, and not resumed any more.
async fn is_cleaned(rig: &Rig) {
    let (id, journal) = (rig.unfinished(), journal(rig));
    crashes::clean(rig, Some(&id), 0).await;
    assert!(rig.endpoint.images().is_empty(), "{:?}", rig.endpoint.images());
    assert_eq!(rig.endpoint.left(), [""; 0]);
    let text = std::fs::read_to_string(journal).expect("a journal");
    assert!(text.trim_end().ends_with(r#""event":"ended","how":"cleaned","left":false}"#), "{text}");
    assert!(Unfinished::pick(&rig.desk.home, Some(&id), false).is_err());
}

#[tokio::test(start_paused = true)]
async fn a_build_of_another_account_is_refused() {
    let rig = abandoned("CopyImage").await;
    let own = rig.endpoint.world(|world| std::mem::replace(&mut world.caller, "999988887777".to_owned()));
    let words = [
        "the build ID belongs to account 111122223333, and these credentials are for account 999988887777",
        "nothing was done\n    cargo xtask ami VERB ID --profile 'the builders'",
    ];
    both_refuse(&rig, &rig.ec2().await, &words).await;
    rig.endpoint.world(|world| world.caller = own);
    is_cleaned(&rig).await;
}

#[tokio::test(start_paused = true)]
async fn a_build_at_another_endpoint_is_refused() {
    let rig = abandoned("CopyImage").await;
    let words = [
        "account 111122223333, and these credentials are for account 111122223333 at http://localhost:5000",
        "\n    env -u AWS_ENDPOINT_URL -u AWS_ENDPOINT_URL_EC2 cargo xtask ami VERB ID --profile 'the builders'",
    ];
    both_refuse(&rig, &stand_in(&rig).await, &words).await;
    is_cleaned(&rig).await;

    let rig = Rig::public(&REGIONS);
    let identity = stand_in(&rig).await.identity().await.expect("whose the credentials are");
    drop(Run::begin(rig.order.clone(), identity, &rig.desk.home, &rig.events()).await.expect("a build"));
    let words = [
        "account 111122223333 at http://localhost:5000, and these credentials are for account 111122223333:",
        "\n    AWS_ENDPOINT_URL=http://localhost:5000 cargo xtask ami VERB ID",
    ];
    both_refuse(&rig, &rig.ec2().await, &words).await;
}

#[tokio::test(start_paused = true)]
async fn a_build_of_another_kind_of_cloud_is_refused() {
    let rig = abandoned("CopyImage").await;
    let (id, cloud) = (rig.unfinished(), rig.ec2().await);
    let before = std::fs::read(journal(&rig)).expect("a journal");
    let flags = CleanFlags { build: Some(id.clone()), older_than: std::time::Duration::ZERO.into(), expired: false };
    let common = CommonFlags { local: true, ..COMMON };
    let calls = rig.endpoint.calls();
    let error = refusal(clean::clean(&cloud, &rig.desk.home, &BTreeSet::new(), &flags, &common, &rig.events()).await);
    assert!(error.contains("is on EC2, and the command looks with --local: nothing was done"), "{error}");
    assert!(error.ends_with(&format!("\n    cargo xtask ami clean {id} --profile 'the builders'")), "{error}");
    let error = Unfinished::pick(&rig.desk.home, Some(&id), true).map(|build| build.id).expect_err("it is on EC2");
    assert!(
        error.to_string().ends_with(&format!("\n    cargo xtask ami resume {id} --profile 'the builders'")),
        "{error}"
    );
    assert_eq!(rig.endpoint.calls(), calls);
    assert_eq!(std::fs::read(journal(&rig)).expect("a journal"), before);
    is_cleaned(&rig).await;

    let mut rig = Rig::public(&REGIONS);
    rig.order.local = true;
    let identity = Identity { kind: CloudKind::Local, account: "local".to_owned(), endpoint: None };
    let run = Run::begin(rig.order.clone(), identity, &rig.desk.home, &rig.events()).await.expect("a build");
    let (id, journal) = (run.id.clone(), run.folder.join(JOURNAL));
    drop(run);
    let before = std::fs::read(&journal).expect("a journal");
    let flags = CleanFlags { build: Some(id.clone()), ..flags };
    let error = refusal(clean::refuse_other_kind(&flags, &COMMON, &rig.desk.home).map_err(Failure::Refused));
    assert!(error.contains("is of --local, and the command looks on EC2"), "{error}");
    assert!(error.ends_with(&format!("\n    cargo xtask ami clean {id} --local")), "{error}");
    let error = Unfinished::pick(&rig.desk.home, Some(&id), false).map(|build| build.id).expect_err("it is local");
    assert!(error.to_string().ends_with(&format!("\n    cargo xtask ami resume {id} --local")), "{error}");
    assert_eq!(rig.endpoint.calls(), 0);
    assert_eq!(std::fs::read(&journal).expect("a journal"), before);
}

/// Makes a journal one of format 1, which says neither which account the build belongs to, nor with which profile.
fn make_format_1(rig: &Rig) {
    let journal = journal(rig);
    let text = std::fs::read_to_string(&journal).expect("a journal");
    let (first, rest) = text.split_once('\n').expect("lines");
    let mut first: Value = serde_json::from_str(first).expect("JSON");
    assert_eq!(first["format"], 2);
    first["format"] = json!(1);
    let build = first["build"].as_object_mut().expect("an object");
    for key in ["identity", "profile", "expires_secs"] {
        build.remove(key).expect(key);
    }
    let region = build.remove("build_region").expect("a region");
    build.insert("home_region".to_owned(), region);
    std::fs::write(&journal, format!("{first}\n{rest}")).expect("a journal");
}

/// Such a build may be another account's: where nothing of it is found, nothing is changed, and nothing is forgotten.
#[tokio::test(start_paused = true)]
async fn a_build_of_an_unknown_account_of_which_nothing_is_found_is_not_marked_as_cleaned_up() {
    let rig = abandoned("ModifySnapshotAttribute").await;
    make_format_1(&rig);
    let (id, journal) = (rig.unfinished(), journal(&rig));
    let before = std::fs::read(&journal).expect("a journal");
    let elsewhere = Endpoint::new();
    let cloud = ec2(&rig, rig::loader(&elsewhere)).await;
    try_clean(&rig, &cloud, Some(&id), 0).await.expect("nothing to do");
    for word in [
        format!(
            "warning: nothing of the build {id} was found, and its journal does not say which account it belongs to"
        ),
        "it is not marked as cleaned up".to_owned(),
        "aws ec2 enable-image-block-public-access".to_owned(),
    ] {
        assert!(rig.said().contains(&word), "no {word:?} in {}", rig.said());
    }
    assert_eq!(std::fs::read(&journal).expect("a journal"), before);
    assert_eq!(elsewhere.public_access_blocked_in(), [""; 0]);
    assert_eq!(elsewhere.counts().of("EnableImageBlockPublicAccess"), 0);
    // Where its things are, they are found, and it is cleaned up.
    is_cleaned(&rig).await;
    tokio::time::sleep(std::time::Duration::from_secs(600)).await;
    assert_eq!(rig.endpoint.public_access_blocked_in(), ["eu-west-1"]);
}
