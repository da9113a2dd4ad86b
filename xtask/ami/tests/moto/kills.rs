//! A kill of all processes at once, in each phase of a build on EC2, which is then resumed, or cleaned up after.

use std::process::Command;

use serde_json::json;

use crate::{
    lab::{FROM, Lab, each, expect_nothing_runs},
    phases::{Site, kill_and_clean, kill_and_follow, kill_and_resume, telling_or_every},
    support::Home,
};

const REGIONS: [&str; 2] = ["us-west-2", "eu-west-1"];

/// While a key and a group are made; when there is a machine, an image or a copy that the journal may not know; while the
/// image boots; and when the first region is being opened.
const TELLING: [&str; 6] = [
    "bake access, intended",
    "bake launch, intended",
    "image us-west-2, intended",
    "copy REGION, intended",
    "verify login, intended",
    "publish, intended",
];

/// When a machine is there that the journal may not know; and when there are images that aren't available yet.
const TELLING_TO_CLEAN: [&str; 3] = ["bake launch, intended", "image us-west-2, done", "copy REGION, done"];

impl Site for Lab {
    fn home(&self) -> &Home {
        &self.home
    }

    fn ami(&self, words: &[&str]) -> Command {
        self.command(words)
    }

    fn release(&self) -> Vec<&str> {
        vec!["--version", "0.6.1", "--yes", "--regions", "us-west-2,eu-west-1", "--ssh-from", FROM]
    }

    fn images(&self) -> Vec<(String, String)> {
        let books = self.books(&REGIONS);
        let mut found = Vec::new();
        for region in REGIONS {
            let images = books[region]["images"].as_array().expect("images").iter();
            let available = images.filter(|image| image["State"] == "available");
            found.extend(available.map(|it| (region.to_owned(), it["ImageId"].as_str().expect("an id").to_owned())));
        }
        found.sort();
        found
    }

    fn expect_images_alone(&self, images: &[(String, String)]) {
        let books = self.books(&REGIONS);
        expect_nothing_runs(&books);
        for region in REGIONS {
            let (here, snapshots) = (&books[region]["images"], &books[region]["snapshots"]);
            let wanted = images.iter().filter(|(at, _)| at == region).map(|(_, id)| id.as_str());
            assert!(each(here, "ImageId").into_iter().eq(wanted), "{region} is to have {images:?}: {here}");
            let devices = each(here, "BlockDeviceMappings").into_iter();
            let of_images: Vec<_> = devices.map(|devices| &devices[0]["Ebs"]["SnapshotId"]).collect();
            assert_eq!(each(snapshots, "SnapshotId"), of_images, "{region}: {here} {snapshots}");
            for thing in [here, snapshots] {
                let everybody = json!([{ "Group": "all" }]);
                let permissions = each(thing, "Permissions");
                assert!(permissions.iter().all(|permissions| **permissions == everybody), "{region}: {thing}");
            }
        }
        assert!(self.home.processes().is_empty(), "{:?}", self.home.processes());
    }
}

fn site() -> Option<Box<dyn Site>> {
    Some(Box::new(Lab::new()?))
}

#[test]
fn a_build_killed_in_any_phase_is_resumed_to_its_end() {
    kill_and_resume(site, telling_or_every(&TELLING, site));
}

#[test]
fn who_cleans_up_after_a_kill_in_any_phase_finds_all_of_it() {
    kill_and_clean(site, &telling_or_every(&TELLING_TO_CLEAN, site));
}

/// The script goes on though its process is gone, and the one that resumes the build follows it on the same machine.
#[test]
fn a_machine_outlives_a_kill_while_packages_are_installed_on_it() {
    let Some(lab) = Lab::new() else { return };
    let journal = kill_and_follow(&lab, "bake packages, intended");
    let launches = journal.iter().filter(|line| line["event"] == "intended" && line["step"] == "bake launch");
    assert_eq!(launches.count(), 1, "{journal:?}");
    assert!(journal.iter().any(|line| line["what"] == "resumed"), "{journal:?}");
}
