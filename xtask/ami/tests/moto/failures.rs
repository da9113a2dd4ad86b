//! What goes wrong on the way, and what is left then.

use crate::{
    lab::{FROM, Lab, each, expect_nothing_runs},
    support::write,
};

const REGIONS: [&str; 2] = ["us-west-2", "eu-west-1"];

#[test]
fn an_image_that_fails_its_check_stays_private() {
    let Some(lab) = Lab::new() else { return };
    let check = "echo 'not ok the weather: it rains'\necho checked 1\nexit 1\n";
    write(&lab.root.join(".release/ami/check.sh"), check);
    let ended = lab.ami(&["--version", "0.6.1", "--yes", "--regions", &REGIONS.join(","), "--ssh-from", FROM]);
    ended.expect_error(1, &["the weather: it rains"]);
    let books = lab.books(&REGIONS);
    expect_nothing_runs(&books);
    for region in REGIONS {
        let public = each(&books[region]["images"], "Public");
        assert!(public.iter().all(|public| **public == false), "{region}: {public:?}");
        let permissions = each(&books[region]["snapshots"], "Permissions");
        assert!(permissions.iter().all(|list| list.as_array().is_some_and(Vec::is_empty)), "{region}: {permissions:?}");
    }
    assert!(!lab.log().contains("ModifySnapshotAttribute: done"), "{}", lab.log());
}

#[test]
fn a_machine_that_fails_leaves_nothing() {
    let Some(lab) = Lab::new() else { return };
    write(&lab.root.join(".release/ami/provision.sh"), "echo 'the mirror is gone' >&2\nexit 100\n");
    let ended = lab.ami(&["--version", "0.6.1", "--yes", "--regions", &REGIONS.join(","), "--ssh-from", FROM]);
    ended.expect_error(1, &["the mirror is gone"]);
    let books = lab.books(&REGIONS);
    expect_nothing_runs(&books);
    for region in REGIONS {
        assert!(each(&books[region]["images"], "ImageId").is_empty(), "{region}: {}", books[region]);
        assert!(each(&books[region]["snapshots"], "SnapshotId").is_empty(), "{region}: {}", books[region]);
    }
}
