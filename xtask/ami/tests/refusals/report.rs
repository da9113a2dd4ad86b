//! `ami report`: which build it shows, and what it says where it cannot.

use crate::*;

const JOURNAL: &str = include_str!("../../src/record/journal/format-2.jsonl");
const OLDER: &str = "20261126T225313Z-0.6.0-aaaa";
const NEWER: &str = "20261127T225313Z-0.6.1-d75e";

fn put(home: &Home, build: &str) -> Utf8PathBuf {
    let folder = home.path().join("builds").join(build);
    write(&folder.join("journal.jsonl"), JOURNAL);
    folder
}

#[test]
fn the_newest_build_is_shown_unless_one_is_named() {
    let home = Home::new();
    let (older, newer) = (put(&home, OLDER), put(&home, NEWER));
    for (words, folder) in [(vec!["report"], &newer), (vec!["report", OLDER], &older)] {
        let ended = run(&mut home.ami(&words));
        let page = folder.join("report.html");
        assert_eq!((ended.code, ended.stdout.as_str()), (Some(0), format!("{page}\n").as_str()), "{ended}");
        let html = std::fs::read_to_string(&page).expect("a page");
        assert!(html.contains("Wallaroo 0.6.1") && html.ends_with("</html>\n"), "{html}");
    }
}

#[test]
fn an_unknown_build_is_refused_with_the_nearest_ones() {
    let home = Home::new();
    refused(&home, &mut home.ami(["report"]), &["there is no build in", "cargo xtask ami --version X"]);
    put(&home, OLDER);
    put(&home, NEWER);
    let nearest = format!("the nearest are:\n    cargo xtask ami report {NEWER}\n    cargo xtask ami report {OLDER}\n");
    for wanted in ["20261127T225313Z-0.6.1-d75f", "0.6.1", "nothing like it"] {
        let words = [format!("there is no build `{wanted}`"), nearest.clone()];
        refused(&home, &mut home.ami(["report", wanted]), &words.each_ref().map(String::as_str));
    }
    let nearest = format!("the nearest are:\n    cargo xtask ami report {OLDER}\n");
    refused(&home, &mut home.ami(["report", "0.6.0"]), &[&nearest]);
    refused(&home, &mut home.ami(["report", &format!("../builds/{NEWER}")]), &["there is no build `../builds/"]);
}

#[test]
fn a_page_that_nothing_opens_is_made_all_the_same() {
    let home = Home::new();
    let page = put(&home, NEWER).join("report.html");
    let ended = run(home.ami(["report", "--open"]).env("PATH", home.path()));
    ended.expect_error(1, &["failed to run", &format!("open {page} in a browser")]);
    assert_eq!(ended.stdout, format!("{page}\n"), "{ended}");
}

#[test]
fn a_page_opens_in_the_users_own_browser() {
    let (home, (_guard, bin)) = (Home::new(), folder());
    let page = put(&home, NEWER).join("report.html");
    let opener = if cfg!(target_os = "macos") { "open" } else { "xdg-open" };
    write_program(&bin.join(opener), "#!/bin/sh\necho noise; printf %s \"$1\" > \"$(dirname \"$0\")/opened\"\n");
    let ended = run(home.ami(["report", "--open"]).env("PATH", format!("{bin}:/usr/bin:/bin")));
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(0), format!("{page}\n").as_str()), "{ended}");
    assert_eq!(std::fs::read_to_string(bin.join("opened")).expect("what was opened"), page.as_str());
}
