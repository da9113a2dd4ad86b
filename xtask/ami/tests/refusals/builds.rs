//! Builds that this command is not the one for: of the other kind of cloud, of another checkout, or with a journal that
//! cannot be true.

use serde_json::{Value, json};

use crate::*;

const ID: &str = "20200102T030405Z-0.6.1-3f9a";

/// Puts an unfinished build into a home, as its journal tells it: of `root`, and with these differences.
pub(crate) fn put_build(home: &Home, root: &Utf8Path, local: bool, differences: &Value) -> Utf8PathBuf {
    let identity = if local {
        json!({"kind": "local", "account": "local"})
    } else {
        json!({"kind": "ec2", "account": "111122223333"})
    };
    let flag: &[&str] = if local { &["--local"] } else { &[] };
    let words = [&["ami", "--version", "0.6.1", "--root", root.as_str()], flag].concat();
    let mut build = json!({
        "id": ID, "version": "0.6.1", "name": "Wallaroo 0.6.1", "began": "2020-01-02T03:04:05Z", "root": root,
        "commit": null, "branch": null, "dirty": false, "local": local, "identity": identity,
        "profile": (!local).then_some("the builders"), "build_region": "us-west-2", "regions": ["us-west-2"],
        "private": false, "shared_with": [], "expires_secs": null, "system": "debian-12",
        "call": { "words": words, "folder": support::workspace() }, "inputs": {},
    });
    for (key, value) in differences.as_object().expect("differences") {
        build[key] = value.clone();
    }
    let began = json!({ "at": "2020-01-02T03:04:05.000Z", "event": "began", "format": 2, "build": build });
    let folder = home.path().join("builds").join(ID);
    write(&folder.join("journal.jsonl"), format!("{began}\n"));
    // Whoever worked on it left these.
    write(&folder.join("lock"), "");
    write(&home.path().join("builds.lock"), "");
    folder.join("journal.jsonl")
}

/// The command, without credentials, and without a way to get any.
fn ami(home: &Home, words: &[&str]) -> Command {
    let mut command = home.ami(words);
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("AWS_")) {
        command.env_remove(name);
    }
    command.env("AWS_EC2_METADATA_DISABLED", "true").env("HOME", home.path());
    command
}

/// Fails the test unless this is refused in these words, and the journal stays as it is, byte for byte.
#[track_caller]
fn refused_untouched(home: &Home, journal: &Utf8Path, words: &[&str], complaints: &[&str]) -> Ended {
    let before = std::fs::read(journal).expect("a journal");
    let ended = refused(home, &mut ami(home, words), complaints);
    assert_eq!(std::fs::read(journal).expect("a journal"), before, "{ended}");
    ended
}

#[test]
fn a_build_of_the_other_kind_of_cloud_is_refused_with_the_command_that_works() {
    let (home, (_guard, folder)) = (Home::new(), folder());
    let root = sample(&folder);
    let journal = put_build(&home, &root, false, &json!({}));
    let command = |verb: &str| format!("\n    cargo xtask ami {verb} {ID} --profile 'the builders'\n");
    let is_on_ec2 = "is on EC2, and the command looks with --local: nothing was done";
    refused_untouched(&home, &journal, &["clean", ID, "--local", "--yes"], &[is_on_ec2, &command("clean")]);
    refused_untouched(&home, &journal, &["resume", ID, "--local", "--yes"], &["on EC2", &command("resume")]);
    refused_untouched(&home, &journal, &["resume", "--local"], &["on EC2", &command("resume")]);

    let (home, command) = (Home::new(), |verb: &str| format!("\n    cargo xtask ami {verb} {ID} --local\n"));
    let journal = put_build(&home, &root, true, &json!({}));
    let is_local = "is of --local, and the command looks on EC2: nothing was done";
    refused_untouched(&home, &journal, &["clean", ID, "--yes"], &[is_local, &command("clean")]);
    refused_untouched(&home, &journal, &["resume", ID, "--yes"], &["with --local", &command("resume")]);
    refused_untouched(&home, &journal, &["resume"], &["with --local", &command("resume")]);
}

#[test]
fn a_grantee_that_a_build_does_not_share_with_is_told_with_the_nearest() {
    let (home, (_guard, folder)) = (Home::new(), folder());
    let root = sample(&folder);
    let words = ["ami", "--version", "0.6.1", "--root", root.as_str(), "--share", "111122223333,444455556666"];
    let call = json!({ "words": words, "folder": support::workspace() });
    let shared = json!({ "call": call, "private": true, "shared_with": ["111122223333", "444455556666"] });
    let journal = put_build(&home, &root, false, &shared);
    let words = ["does not share its image with 444455556665", "did you mean `444455556666`?"];
    refused_untouched(&home, &journal, &["resume", ID, "--without", "444455556665"], &words);
}

#[test]
fn a_build_that_began_at_no_time_that_can_be_is_not_resumed() {
    let (_guard, folder) = folder();
    let root = sample(&folder);
    for began in
        ["9999-12-31T23:59:59Z", "2970-01-01T00:00:00Z", "1969-12-31T23:59:59Z", "0000-01-01T00:00:00Z", "soon"]
    {
        for private in [false, true] {
            let home = Home::new();
            let differences = json!({ "began": began, "private": private, "expires_secs": private.then_some(600) });
            let journal = put_build(&home, &root, true, &differences);
            let complaint = format!("the journal says that the build {ID} began at `{began}`, ");
            refused_untouched(&home, &journal, &["resume", ID, "--local"], &[&complaint]);
        }
    }
}

#[test]
fn a_build_whose_image_is_kept_for_ever_is_not_resumed() {
    let (home, (_guard, folder)) = (Home::new(), folder());
    let differences = json!({ "private": true, "expires_secs": u64::MAX });
    let journal = put_build(&home, &sample(&folder), true, &differences);
    let complaint = format!("the journal says that the image of the build {ID} is kept for {} s, ", u64::MAX);
    refused_untouched(&home, &journal, &["resume", ID, "--local"], &[&complaint]);
}

#[test]
fn a_build_is_resumed_in_its_own_checkout_only() {
    let (home, (_guard, folder)) = (Home::new(), folder());
    let (root, other) = (sample(&folder), folder.join("other"));
    std::fs::create_dir(&other).expect("a folder");
    let journal = put_build(&home, &root, true, &json!({}));
    let names_it = format!("the build {ID} is of the checkout {root}, and --root names {other}: nothing was done");
    let command = format!("\n    cargo xtask ami resume {ID} --local\n");
    let words = ["resume", ID, "--local", "--root", other.as_str()];
    refused_untouched(&home, &journal, &words, &[&names_it, &command]);
    refused_untouched(
        &home,
        &journal,
        &["resume", ID, "--local", "--root", "/nonexistent"],
        &["there is no checkout at /nonexistent"],
    );

    // By whatever name, it is the same one: what is refused then is that none of its inputs was there when it began.
    symlink(&root, folder.join("link")).expect("a link");
    for same in [root.as_str(), "link", "./sample", "other/../sample"] {
        let before = std::fs::read(&journal).expect("a journal");
        let mut command = ami(&home, &["resume", ID, "--local", "--root", same]);
        let words = ["its inputs have changed since it began", ".release/ami/ami.toml"];
        refused(&home, command.current_dir(&folder), &words);
        assert_eq!(std::fs::read(&journal).expect("a journal"), before, "{same}");
    }
}

#[test]
fn a_build_that_is_not_there_is_cleaned_up_unless_another_one_may_be_meant() {
    let (home, (_guard, folder)) = (Home::new(), folder());
    let journal = put_build(&home, &sample(&folder), true, &json!({}));
    for typed in ["20200102T030405Z-0.6.1-3fa9", "20200102T030405Z-0.6.1"] {
        let complaint = format!("there is no build {typed}");
        let near = format!("did you mean `{ID}`?");
        refused_untouched(&home, &journal, &["clean", typed, "--local", "--yes"], &[&complaint, &near]);
    }
    let ended = run(&mut ami(&home, &["clean", "20200103T030405Z-0.6.1-77aa", "--local", "--yes"]));
    assert!(ended.code == Some(0) && ended.stderr.contains("there is nothing to remove"), "{ended}");
}

#[test]
fn a_build_that_was_killed_before_its_first_line_is_none() {
    let (home, (_guard, folder)) = (Home::new(), folder());
    let journal = put_build(&home, &sample(&folder), true, &json!({}));
    for begun in ["", "{\"at\":\"2020-01-02T03"] {
        write(&journal, begun);
        let none = format!("there is no unfinished build {ID}");
        refused_untouched(&home, &journal, &["resume", ID, "--local"], &[&none]);
        refused_untouched(&home, &journal, &["resume", "--local"], &["no build is unfinished"]);
        let ended = run(&mut ami(&home, &["clean", ID, "--local", "--yes"]));
        assert_eq!(ended.code, Some(0), "{ended}");
    }
}
