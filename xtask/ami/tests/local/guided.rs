//! The commands of the guide, one after the other, as its reader types them.

use xshell::{Shell, cmd};

use crate::{bench::Bench, guide, running::Running, support::workspace};

#[test]
fn the_guide_is_followed_from_top_to_bottom() {
    let Some(bench) = Bench::new() else { return };
    // A candidate that is promoted is of a commit.
    let sh = Shell::new().expect("a shell");
    sh.change_dir(&bench.root);
    let identity = ["-c", "user.name=A Developer", "-c", "user.email=developer@example.com"];
    cmd!(sh, "git init --quiet").run().expect("git");
    std::fs::write(bench.root.join(".gitignore"), "build/\n/utils/*/*\n!*.c\n!Makefile\n/giles/*/sender\n")
        .expect("a file");
    cmd!(sh, "git add .").run().expect("git");
    cmd!(sh, "git {identity...} commit --quiet --message Release").run().expect("git");
    let text = std::fs::read_to_string(workspace().join("docs/guide.md")).expect("the guide");
    let commands = guide::commands(&text, "local");
    assert!(commands.len() > 4, "{commands:?}");
    for shown in commands {
        let local: &[&str] = if shown.words.iter().any(|word| word == "--local") { &[] } else { &["--local"] };
        let ended =
            Running::start(&mut bench.home.ami(shown.with(&[&["--root", bench.root.as_str()], local].concat()))).end();
        assert_eq!(ended.code, Some(0), "{shown:?}: {ended}");
        shown.expect(&ended.stderr, &ended.stdout);
    }
}
