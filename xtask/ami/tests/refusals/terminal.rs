//! What is asked on a terminal, and what an answer does.

use std::{
    io::Write as _,
    process::{Command, Stdio},
};

use crate::{
    put_image,
    support::{Ended, Home, files},
};

/// Runs a command on a terminal of its own, and types a line there. What it prints comes together, as on a terminal.
fn typed(command: &Command, line: &str) -> Ended {
    let words = [command.get_program()].into_iter().chain(command.get_args());
    let words = shlex::try_join(words.map(|word| word.to_str().expect("UTF-8"))).expect("words");
    let mut script = Command::new("script");
    script.args(["--quiet", "--return", "--command", &words, "/dev/null"]).stdin(Stdio::piped()).stdout(Stdio::piped());
    script.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let mut child = script.spawn().expect("script, which Debian always has");
    child.stdin.take().expect("its stdin").write_all(format!("{line}\n").as_bytes()).expect("typed");
    let output = child.wait_with_output().expect("its end");
    let said = String::from_utf8(output.stdout).expect("UTF-8");
    Ended { code: output.status.code(), stdout: String::new(), stderr: said }
}

#[test]
fn a_version_is_retired_when_its_number_is_typed_and_a_yes_does_not_do() {
    let home = Home::new();
    put_image(&home, "eu-west-1", "ami-00000000000000001", "Wallaroo 0.6.1");
    let images = home.path().join("images");
    let retire = home.ami(["retire", "--version", "0.6.1", "--local"]);
    for answer in ["y", "yes", "0.6", ""] {
        let ended = typed(&retire, answer);
        assert_eq!(ended.code, Some(2), "{answer:?}: {ended}");
        let words = [
            "Remove all listed images of `Wallaroo 0.6.1` for good (1 in all)? To confirm, type `0.6.1`:",
            &format!("nothing was removed: not confirmed: `{answer}` is not `0.6.1`"),
        ];
        assert!(words.iter().all(|word| ended.stderr.contains(word)), "{answer:?}: {ended}");
        assert_eq!(files(&images).iter().filter(|path| path.is_file()).count(), 2, "{answer:?}: {ended}");
    }
    let ended = typed(&retire, "0.6.1");
    assert_eq!(ended.code, Some(0), "{ended}");
    assert!(files(&images).iter().all(|path| path.is_dir()), "{ended}");
}
