//! What is left on a real terminal: each scene is played by a process of its own on a terminal that `script` makes for it.

use std::{
    io::{Read as _, Write as _},
    process::{Child, Command, Stdio},
};

use super::*;
use crate::{
    event::progress::Progress,
    fixture::{missing, skipped},
    record::state::State,
    show::{confirm, print, words::words},
};

/// The variable that names the scene to play.
const SCENE: &str = "XTASK_AMI_SCENE";

/// The variables that decide how things are shown.
const VARIABLES: [&str; 7] =
    ["CI", "GITHUB_ACTIONS", "TERM", "NO_COLOR", "CLICOLOR", "CLICOLOR_FORCE", "RUST_TEST_SHUFFLE"];

/// The line of the harness before anything that a test prints.
const HEADER: &str = "running 1 test";

fn shown(terminal: &Terminal, event: Event) {
    let about = crate::fixture::about();
    let words = words(&event, &State::default());
    terminal.show(&Line { at: "2026-11-27T22:00:00Z".to_owned(), event }, words.as_ref(), Some(&about));
}

/// Has the block painted. The clock is the test's own, so that this takes no time.
async fn painted(terminal: &Terminal) {
    assert!(tokio::time::timeout(Duration::from_secs(3), terminal.keep_drawing()).await.is_err());
}

/// Plays the scene that the environment names, and ends the process: the harness prints nothing more then.
#[tokio::test(start_paused = true)]
#[ignore = "a part of the other tests here, which play it on a terminal"]
async fn scene() {
    let Ok(scene) = std::env::var(SCENE) else { return };
    let mut interrupts = signal(SignalKind::interrupt()).expect("a handler");
    let terminal = Terminal::stderr(Level::Normal, Form::Text);
    let building =
        Progress::Building { binary: "machida".to_owned(), goal: "build-machida".to_owned(), number: 1, of: 1 };
    shown(&terminal, Event::Began { format: 2, build: Box::new(crate::fixture::about()) });
    shown(&terminal, Event::Intended { step: Step::Binaries, by: "".into() });
    shown(&terminal, Event::Progress { progress: building });
    painted(&terminal).await;
    let warned = |text: &str| shown(&terminal, Event::Warned { text: text.to_owned() });
    match scene.as_str() {
        "interrupted" => {
            assert!(interrupts.recv().await.is_some());
            shown(&terminal, Event::Error { text: "interrupted by Ctrl-C".to_owned() });
        }
        "failed" => shown(&terminal, Event::Error { text: "make failed".to_owned() }),
        "asked" => {
            let answer = confirm::ask("Go on? [y/N] ").await.expect("an answer");
            painted(&terminal).await;
            warned(&format!("the answer was {answer}"));
        }
        "told" => {
            print::print("us-west-2: ami-1\n").expect("printed");
            painted(&terminal).await;
            warned("that was the result");
        }
        other => panic!("there is no scene {other}"),
    }
    terminal.close();
    std::process::exit(0);
}

/// A process that plays a scene, on a terminal or with pipes, with no variables but these.
fn player(scene: &str, on_terminal: bool, variables: &[(&str, &str)]) -> Child {
    let program = std::env::current_exe().expect("this program");
    let program = program.to_str().expect("a path in UTF-8");
    let words = [program, "--exact", "show::terminal::scenes::scene", "--ignored", "--quiet", "--test-threads=2"];
    // A scene that waits in vain ends nonetheless.
    let mut command = Command::new("timeout");
    command.arg("120");
    if on_terminal {
        // Without a shell between, which a Ctrl-C would end as well.
        let words = format!("exec {}", shlex::try_join(words).expect("words"));
        command.args(["script", "--quiet", "--return", "--command", &words, "/dev/null"]);
    } else {
        command.args(words);
    }
    for name in VARIABLES {
        command.env_remove(name);
    }
    command.env(SCENE, scene).envs(variables.iter().copied());
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts")
}

/// What a terminal was sent in a scene in which somebody types `answer` once `cue` is to be seen.
fn sent(scene: &str, variables: &[(&str, &str)], cue: &str, answer: &str) -> String {
    let mut player = player(scene, true, variables);
    let (mut stdin, mut stdout) = (player.stdin.take().expect("its stdin"), player.stdout.take().expect("its stdout"));
    let (mut sent, mut part, mut answer) = (Vec::new(), [0; 4096], Some(answer));
    loop {
        let length = stdout.read(&mut part).expect("what it prints");
        sent.extend_from_slice(&part[..length]);
        if String::from_utf8_lossy(&sent).contains(cue)
            && let Some(answer) = answer.take()
        {
            stdin.write_all(answer.as_bytes()).expect("typed");
        }
        if length == 0 {
            break;
        }
    }
    let sent = String::from_utf8(sent).expect("UTF-8");
    let status = player.wait().expect("its end");
    assert!(status.success() && answer.is_none(), "{status}, {cue:?} was not to be seen: {sent}");
    sent
}

/// The lines that are to be seen at the end on a terminal of 80 columns that was sent this.
fn screen_after(sent: &str) -> Vec<String> {
    let mut terminal = vt100::Parser::new(100, 80, 0);
    terminal.process(sent.as_bytes());
    let screen = terminal.screen();
    let shown = screen.contents();
    let lines: Vec<&str> = shown.lines().collect();
    let below = (u16::try_from(lines.len()).expect("no more than its rows"), 0);
    assert_eq!(screen.cursor_position(), below, "the cursor begins the line below the last: {sent:?}");
    assert!(!screen.hide_cursor(), "the cursor stays hidden: {sent:?}");
    lines.into_iter().skip_while(|line| *line != HEADER).skip(1).map(str::to_owned).collect()
}

/// Fails unless there was a block in the scene, and these lines alone are to be seen at its end.
#[track_caller]
fn leaves(scene: &str, cue: &str, answer: &str, expected: &[&str]) {
    if skipped(missing(&["script"])) {
        return;
    }
    let sent = sent(scene, &[("TERM", "xterm-256color")], cue, answer);
    assert!(sent.contains("Building") && sent.contains("Total"), "there was no block: {sent:?}");
    assert_eq!(screen_after(&sent), expected, "{sent:?}");
}

#[test]
fn nothing_of_the_block_stays_after_a_ctrl_c() {
    leaves("interrupted", "Total", "\u{3}", &["error: interrupted by Ctrl-C"]);
}

#[test]
fn nothing_of_the_block_stays_after_an_error() {
    leaves("failed", "Total", "", &["error: make failed"]);
}

#[test]
fn nothing_of_the_block_stays_around_a_question() {
    leaves("asked", "[y/N] ", "y\n", &["Go on? [y/N] y", "warning: the answer was y"]);
}

#[test]
fn nothing_of_the_block_stays_around_a_result_on_the_same_terminal() {
    leaves("told", "ami-1", "", &["us-west-2: ami-1", "warning: that was the result"]);
}

#[test]
fn colours_and_the_block_are_where_the_terminal_and_the_environment_want_them() {
    if skipped(missing(&["script"])) {
        return;
    }
    let xterm = ("TERM", "xterm-256color");
    for (on_terminal, variables, colours, block) in [
        (true, &[xterm][..], true, true),
        (true, &[xterm, ("NO_COLOR", "1")], false, true),
        (true, &[xterm, ("CLICOLOR", "0")], false, true),
        (true, &[xterm, ("NO_COLOR", "1"), ("CLICOLOR_FORCE", "1")], false, true),
        (true, &[("TERM", "dumb")], false, false),
        (true, &[("TERM", "dumb"), ("CLICOLOR_FORCE", "1")], true, false),
        (false, &[xterm], false, false),
        (false, &[xterm, ("CLICOLOR_FORCE", "1")], true, false),
    ] {
        let sent = match on_terminal {
            true => sent("failed", variables, "error", ""),
            false => {
                let output = player("failed", false, variables).wait_with_output().expect("its end");
                String::from_utf8(output.stderr).expect("UTF-8")
            }
        };
        assert!(sent.contains("make failed"), "{variables:?}: {sent:?}");
        assert_eq!(sent.contains("\u{1b}[31m"), colours, "{on_terminal}, {variables:?}: {sent:?}");
        assert_eq!(sent.contains("Total"), block, "{on_terminal}, {variables:?}: {sent:?}");
    }
}
