//! The commands of the guide, one after the other, as its reader types them.

use std::vec::IntoIter;

use xshell::{Shell, cmd};

use crate::{
    bench::Bench,
    guide::{self, Shown},
    running::Running,
    support::{Ended, workspace},
};

/// The commands that are not yet followed.
pub struct Guide(IntoIter<Shown>);

impl Guide {
    /// Opens the guide, with a checkout that is a commit: a candidate that is promoted is of one.
    pub fn open(bench: &Bench) -> Guide {
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
        Guide(commands.into_iter())
    }

    /// Follows the next command, which goes well and prints what the guide shows. None at the end.
    #[track_caller]
    pub fn follow(&mut self, bench: &Bench) -> Option<Ended> {
        let shown = self.0.next()?;
        let local: &[&str] = if shown.words.iter().any(|word| word == "--local") { &[] } else { &["--local"] };
        let words = shown.with(&[&["--root", bench.root.as_str()], local].concat());
        let ended = Running::start(&mut bench.home.ami(words)).end();
        assert_eq!(ended.code, Some(0), "{shown:?}: {ended}");
        shown.expect(&ended.stderr, &ended.stdout);
        Some(ended)
    }
}
