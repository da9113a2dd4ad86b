//! A kill of all processes at once, in each phase of a build, which is then resumed, or cleaned up after.

use std::{os::unix::process::CommandExt as _, process::Command};

use camino::Utf8PathBuf;
use serde_json::Value;

use crate::{
    bench::Bench,
    phases::{Site, kill_and_clean, kill_and_resume, telling_or_every},
    running::Running,
    support::{Home, files},
};

/// While what was built is on its way to the machine; while copies are made and the disk is looked at; and when the first of
/// fourteen regions is being opened. `interruptions.rs` kills while make runs and while the image is verified.
const TELLING: [&str; 3] = ["bake install, intended", "copy REGION, intended", "publish, intended"];

/// While the machine boots; while the image is written; and when there are images and the machine that one of them boots on.
const TELLING_TO_CLEAN: [&str; 3] = ["bake launch, done", "available us-west-2, intended", "verify launch, done"];

impl Site for Bench {
    fn home(&self) -> &Home {
        &self.home
    }

    fn ami(&self, words: &[&str]) -> Command {
        // What begins is what is given; and a build knows its checkout.
        let root: &[&str] = if words[0] == "resume" { &[] } else { &["--root", self.root.as_str()] };
        self.home.ami([words, &["--local"], root].concat())
    }

    fn release(&self) -> Vec<&str> {
        vec!["--version", "0.6.1", "--yes", "--system", "debian-12"]
    }

    fn images(&self) -> Vec<(String, String)> {
        let attributes = files(&self.home.path().join("images")).into_iter();
        let attributes = attributes.filter(|path| path.extension() == Some("json"));
        let place = |path: Utf8PathBuf| {
            let region = path.parent().and_then(|folder| folder.file_name()).expect("a region").to_owned();
            (region, path.file_stem().expect("an id").to_owned())
        };
        attributes.map(place).collect()
    }

    fn expect_images_alone(&self, images: &[(String, String)]) {
        let folder = self.home.path().join("images");
        let mut wanted = Vec::new();
        for (region, id) in images {
            let (attributes, disk) = (folder.join(region).join(format!("{id}.json")), folder.join(region).join(id));
            let text = std::fs::read_to_string(&attributes).expect("attributes");
            let read: Value = serde_json::from_str(&text).expect("JSON");
            assert_eq!((&read["name"], &read["public"]), (&"Wallaroo 0.6.1".into(), &true.into()), "{attributes}");
            assert_eq!(read["snapshots_public"], true, "{attributes}");
            wanted.extend([attributes, Utf8PathBuf::from(format!("{disk}.qcow2"))]);
        }
        let there: Vec<Utf8PathBuf> = files(&folder).into_iter().filter(|path| !path.is_dir()).collect();
        let strange: Vec<_> = there.iter().filter(|path| !wanted.contains(path)).collect();
        assert!(strange.is_empty() && there.len() == wanted.len(), "{strange:?} are no images: {wanted:?}");
        assert_eq!(files(&self.home.path().join("instances")), [] as [Utf8PathBuf; 0]);
        let bases = self.home.path().join("bases");
        // Beside the base is what was read from it.
        let base = bases.join(self.base.file_name().expect("a name")).with_extension("");
        let there = files(&bases);
        assert!(there.iter().all(|path| path.as_str().starts_with(base.as_str())), "{there:?}");
        assert!(there.contains(&base.with_extension("qcow2")), "{there:?}");
    }
}

fn site() -> Option<Box<dyn Site>> {
    Some(Box::new(Bench::quick()?))
}

#[test]
fn a_build_killed_in_any_phase_is_resumed_to_its_end() {
    kill_and_resume(site, telling_or_every(&TELLING, site));
}

#[test]
fn who_cleans_up_after_a_kill_in_any_phase_finds_all_of_it() {
    kill_and_clean(site, &telling_or_every(&TELLING_TO_CLEAN, site));
}

#[test]
fn who_cleans_up_after_a_kill_while_the_base_is_made_finds_what_there_is_of_it() {
    let Some(bench) = Bench::quick() else { return };
    let bases = bench.home.path().join("bases");
    files(&bases).iter().for_each(|path| std::fs::remove_file(path).expect("a link"));
    let mut running = Running::start(bench.release(&[]).process_group(0));
    running.wait_for("Making the base");
    bench.wait_for_processes(&["/usr/bin/perl"]);
    running.kill_group();
    let ended = running.end();
    assert_eq!(ended.code, Some(-9), "{ended}");
    bench.home.expect_nothing_runs(&ended);
    assert!(!files(&bases).is_empty(), "{ended}");
    let cleaned = bench.manage(&["clean", bench.build().file_name().expect("a name")]);
    assert!(cleaned.code == Some(0) && cleaned.stderr.contains("left by a killed process"), "{cleaned}");
    assert_eq!(files(&bases), [] as [Utf8PathBuf; 0], "{cleaned}");
}
