//! Completions, asked for in the real shells.

#![expect(clippy::expect_used, reason = "a test that cannot go on says so by panicking")]

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

const PROGRAM: &str = env!("CARGO_BIN_EXE_xtask");

/// What the tests know of a shell: its name, and a script that loads the completions of the file `$SCRIPT` and prints
/// what `$LINE`, with the cursor at its end, is completed to.
const SHELLS: [(&str, &str); 3] = [("bash", BASH), ("zsh", ZSH), ("fish", FISH)];

/// Asks as readline does: words end at blanks and at `=`.
const BASH: &str = r#"
_other() { COMPREPLY=("other ${COMP_WORDS[COMP_CWORD]}"); }
complete -F _other cargo
source "$SCRIPT"
source "$SCRIPT"
split=${LINE//=/ = }
read -ra COMP_WORDS <<< "$split"
[[ $LINE != *[\ ] ]] || COMP_WORDS+=("")
COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
word=${COMP_WORDS[COMP_CWORD]}
[[ $word != = ]] || word=
$(complete -p cargo | sed 's/.*-F \([^ ]*\).*/\1/') cargo "$word" x
printf '%s\n' "${COMPREPLY[@]}"
"#;

/// Presses Tab in a shell of its own, whose completions only print what they were given.
const ZSH: &str = r#"
zmodload zsh/zpty
zpty shell zsh -f -i
zpty -w shell 'PS1= PS2= RPS1=; unsetopt zle_bracketed_paste 2> /dev/null
autoload -Uz compinit && compinit -u -D
_other() { print -r -- "<other ${words[CURRENT]}>"; exit }
compdef _other cargo
source "$SCRIPT"; source "$SCRIPT"
_describe() {
    local array reply
    for array in "$@"; do
        case $array in (folders|plain) for reply in "${(@P)array}"; do print -r -- "<$reply>"; done;; esac
    done
}
functions[_hooked]=$functions[_cargo_xtask]
_cargo_xtask() { _hooked "$@"; print -r -- "<end>"; exit }
bindkey "^I" complete-word
print "rea""dy"'
zpty -r shell output '*ready*'
zpty -w -n shell "$LINE"$'\t'
while zpty -r shell output; do
    print -r -- "$output"
done | tr -d '\r' | sed -n 's/^.*<\(.*\)>.*$/\1/p' | grep -v '^end$'
exit 0
"#;

const FISH: &str = r#"
complete --command cargo --condition 'test (count (commandline -opc)) -eq 1' --arguments build
source $SCRIPT
complete -C $LINE
"#;

/// A folder that looks like a checkout, with the state of two builds and a local image. `with` the dispatcher or not.
fn checkout(name: &str, with: bool) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = fs::remove_dir_all(&folder);
    let write = |path: &str, text: &str| {
        let path = folder.join(path);
        fs::create_dir_all(path.parent().expect("a folder")).expect("the folder");
        fs::write(path, text).expect("a file");
    };
    write("checkout/xtask/Cargo.toml", "");
    write("checkout/deep/down/file", "");
    write("checkout/VERSION", "0.6.2\n");
    write("checkout/regions", "eu-west-1\nus-west-2\n# no region\n");
    write("checkout/.release/ami/ami.toml", "[system.\"debian-12\"]\nsuite = \"bookworm\"\n[system.\"debian-13\"]\n");
    for (id, version, end) in [("0.6.0-b1", "0.6.0", r#","how":"done""#), ("0.6.1-b2", "0.6.1", r#","how":"failed""#)] {
        let began = format!(r#"{{"at":"","event":"began","format":2,"build":{{"id":"{id}","version":"{version}","#);
        let journal = format!("{began}\"regions\":[\"ap-east-2\"]}}}}\n{{\"at\":\"\",\"event\":\"ended\"{end}}}\n");
        write(&format!("state/builds/{id}/journal.jsonl"), &journal);
    }
    write("state/builds/broken/journal.jsonl", "{");
    write("state/images/us-west-2/ami-07.json", r#"{ "tags": { "wallaroo:version": "0.5.9" } }"#);
    fs::create_dir_all(folder.join("checkout/xtask/target/debug")).expect("the folder");
    if with {
        std::os::unix::fs::symlink(PROGRAM, folder.join("checkout/xtask/target/debug/xtask")).expect("a link");
    }
    folder
}

/// The words that a shell offers, without their descriptions.
fn offered(shell: &str, script: &str, folder: &Path, line: &str) -> Vec<String> {
    let completions = folder.join(format!("completions.{shell}"));
    let printed = Command::new(PROGRAM).args(["ami", "completions", shell]).output().expect("the script");
    assert!(printed.status.success(), "{printed:?}");
    fs::write(&completions, printed.stdout).expect("the script");
    let mut command = Command::new(shell);
    match shell {
        "bash" => command.args(["--norc", "--noprofile"]),
        "zsh" => command.arg("-f"),
        _ => command.arg("--no-config"),
    };
    let Output { stdout, stderr, .. } = command
        .args(["-c", script])
        .current_dir(folder.join("checkout/deep/down"))
        .env("SCRIPT", completions)
        .env("LINE", line)
        .env("WALLAROO_AMI_HOME", folder.join("state"))
        .env("HOME", folder)
        .env("TERM", "dumb")
        .env_remove("CARGO_TARGET_DIR")
        .output()
        .expect(shell);
    let stderr = String::from_utf8_lossy(&stderr);
    assert!(stderr.is_empty(), "{shell}: {line}: {stderr}");
    let before_help = |line: &str| {
        let end = if shell == "zsh" { line.find(':') } else { line.find('\t') };
        line[..end.unwrap_or(line.len())].trim_end().to_owned()
    };
    String::from_utf8_lossy(&stdout).lines().map(before_help).filter(|word| !word.is_empty()).collect()
}

/// Plays a line in every shell of this computer.
fn in_every_shell(folder: &Path, line: &str, check: impl Fn(&str, Vec<String>)) {
    for (shell, script) in SHELLS {
        let is_there = std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default())
            .any(|folder| folder.join(shell).is_file());
        if is_there {
            check(shell, offered(shell, script, folder, line));
            continue;
        }
        assert!(
            std::env::var_os("CI").is_none(),
            "CI is set, so nothing may be skipped, and this computer lacks {shell}"
        );
        // Not with eprintln!, which the test harness keeps to itself when a test passes.
        let text = format!("skipped: completions in {shell}: no {shell}\n");
        let _ = std::io::Write::write_all(&mut std::io::stderr(), text.as_bytes());
    }
}

#[test]
fn every_shell_completes_commands_flags_and_what_this_computer_knows() {
    let folder = checkout("completions known", true);
    for (line, words) in [
        ("cargo xtask a", &["ami"][..]),
        ("cargo +stable xtask ami sc", &["schema"]),
        ("cargo xtask ami schema e", &["events"]),
        ("cargo xtask ami --skip-f", &["--skip-failed-regions"]),
        ("cargo xtask ami list --format t", &["table", "terraform"]),
        ("cargo xtask ami --version ", &["0.6.2", "0.6.1", "0.6.0", "0.5.9"]),
        ("cargo xtask ami check --version 0.6.1 --regions us", &["us-west-2"]),
        ("cargo xtask ami iam-policy --regions us-west-2,e", &["us-west-2,eu-west-1"]),
        ("cargo xtask ami plan --version 0.6.1 --build-region a", &["ap-east-2"]),
        ("cargo xtask ami resume 0", &["0.6.1-b2", "0.6.0-b1"]),
        ("cargo xtask ami clean 0.6.0", &["0.6.0-b1"]),
        ("cargo xtask ami boot ami", &["ami-07"]),
        ("cargo xtask ami check --deep 0", &["0.5.9"]),
        ("cargo xtask ami promote --version 0.6.1 --as 0.6.2", &["0.6.2"]),
        ("cargo xtask ami diff 0.6.0", &["0.6.0", "0.6.0-b1"]),
        ("cargo xtask ami diff 0.6.0 a", &["ami-07"]),
        ("cargo xtask ami plan --local --system debian-13", &["debian-13"]),
        ("cargo xtask ami completions ", &["bash", "fish", "zsh"]),
        ("cargo xtask ami retire --version 7", &[]),
    ] {
        in_every_shell(&folder, line, |shell, offered| {
            let offered: Vec<&str> = offered
                .iter()
                .map(String::as_str)
                .filter(|word| !word.starts_with('-') || line.contains("--skip"))
                .collect();
            let sorted = |words: &[&str]| {
                let mut words = words.to_vec();
                words.sort_unstable();
                words.join(" ")
            };
            assert_eq!(sorted(&offered), sorted(words), "{shell}: {line}");
        });
    }
}

/// Bash ends a word at `=`, and takes only what follows it.
#[test]
fn a_value_after_an_equals_sign_is_completed() {
    let folder = checkout("completions equals", true);
    in_every_shell(&folder, "cargo xtask ami list --version=0.6", |shell, offered| {
        let before = if shell == "bash" { "" } else { "--version=" };
        assert_eq!(offered, ["0.6.2", "0.6.1", "0.6.0"].map(|version| format!("{before}{version}")), "{shell}");
    });
}

#[test]
fn without_a_compiled_dispatcher_there_are_the_commands_and_flags() {
    let folder = checkout("completions without", false);
    for (line, word) in
        [("cargo xtask ami sche", "schema"), ("cargo xtask ami clean --exp", "--expired"), ("cargo xtask te", "test")]
    {
        in_every_shell(&folder, line, |shell, offered| {
            assert!(offered.iter().any(|it| it == word), "{shell}: {offered:?}")
        });
    }
}

#[test]
fn other_commands_of_cargo_are_completed_as_before() {
    let folder = checkout("completions other", true);
    in_every_shell(&folder, "cargo build", |shell, offered| match shell {
        "fish" => assert!(offered.iter().any(|it| it == "build"), "{offered:?}"),
        _ => assert_eq!(offered, ["other build"], "{shell}"),
    });
}

#[test]
fn another_shell_is_refused_with_the_nearest() {
    for (shell, words) in
        [("fihs", "a similar value exists: 'fish'"), ("powershell", "possible values: bash, zsh, fish")]
    {
        let refused = Command::new(PROGRAM).args(["ami", "completions", shell]).output().expect("the dispatcher");
        let stderr = String::from_utf8_lossy(&refused.stderr);
        assert_eq!(refused.status.code(), Some(2), "{stderr}");
        assert!(refused.stdout.is_empty() && stderr.contains(words), "{stderr}");
    }
}
