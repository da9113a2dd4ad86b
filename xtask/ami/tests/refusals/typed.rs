//! The commands of the guide that need neither a cloud nor a machine, as they are typed there: below a line
//! `<!-- run: here -->`, in a shell. What they would do elsewhere is refused, or is asked of this computer instead.

use serde_json::{Value, json};

use crate::{images::put, *};

/// Runs what it is given after `cargo xtask` with the flags of the test, and stays in its folder.
const SHELL: &str = r#"
cargo() {
    [ "$1" != --quiet ] || shift
    [ "$1" = xtask ] || exit 99
    shift
    "$PROGRAM" "$@" $FLAGS
}
cd() { :; }
eval "$LINE"
"#;

/// A command of the guide, the flags that it is run with, the code that it ends with, and words that it prints.
type Typed = (&'static str, String, i32, &'static [&'static str]);

/// The lines of the guide.
fn lines(guide: &str) -> Vec<String> {
    let blocks = guide.split("<!-- run: here -->\n\n").skip(1).filter_map(|rest| rest.split("\n\n").next());
    let lines = blocks.flat_map(str::lines).filter(|line| line.contains("cargo ")).map(str::trim);
    // A line of a crontab begins with when it is run, and one of a workflow with what it is.
    lines.map(|line| line.trim_start_matches("7 6 * * * ").trim_start_matches("- run: ").to_owned()).collect()
}

fn run_in_a_shell(home: &Home, folder: &Utf8Path, line: &str, flags: &str) -> Ended {
    let program = home.ami([""; 0]).get_program().to_owned();
    let mut shell = Command::new("sh");
    shell.args(["-c", SHELL]).current_dir(folder).stdin(std::process::Stdio::null());
    shell.env("WALLAROO_AMI_HOME", home.path()).env("PROGRAM", program).env("LINE", line).env("FLAGS", flags);
    run(shell.env("VERSION", "0.6.1"))
}

#[test]
fn the_guides_commands_do_here_what_it_says() {
    let (home, (_guard, folder)) = (Home::new(), folder());
    let root = sample(&folder);
    write(&root.join("regions"), "# none yet\n");
    let tags = [
        ["wallaroo:build", "b"],
        ["wallaroo:version", "0.6.1"],
        ["wallaroo:commit", "89abcd1d89abcd1d89abcd1d89abcd1d89abcd1d"],
        ["wallaroo:sha256:machida", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"],
    ];
    let id = "ami-00000000000000001";
    put(&home, "us-west-2", id, &json!({ "deprecate_at": "2099-01-01T00:00:00Z", "tags": tags }));
    let typed: [Typed; 7] = [
        ("cargo xtask ami iam-policy > policy.json", String::new(), 0, &[]),
        // The release itself is that of other blocks; here, it has no region to go to.
        (r#"cargo xtask ami --version "$VERSION" --yes"#, format!("--local --root {root}"), 2, &["lists no region"]),
        (
            "cd /srv/wallaroo && cargo --quiet xtask ami check --version 0.6.1 --quiet > /dev/null",
            "--local --regions us-west-2".to_owned(),
            0,
            &[],
        ),
        ("cargo xtask ami resume", "--local".to_owned(), 2, &["no build is unfinished"]),
        ("cargo xtask ami clean", "--local".to_owned(), 0, &["there is nothing to remove"]),
        (
            "cargo xtask ami system-facts --image ubuntu-24.04-server-cloudimg-amd64.img",
            format!("--root {root}"),
            2,
            &["failed to open the disk image", "ubuntu-24.04-server-cloudimg-amd64.img"],
        ),
        (
            "cargo xtask ami system-facts --folder /srv/base --suite bookworm",
            format!("--root {root}"),
            2,
            &["/srv/base has no /etc/os-release"],
        ),
    ];
    let guide = std::fs::read_to_string(support::workspace().join("docs/guide.md")).expect("the guide");
    assert_eq!(lines(&guide), typed.each_ref().map(|(line, ..)| *line));
    for (line, flags, code, words) in &typed {
        let ended = run_in_a_shell(&home, &folder, line, flags);
        assert!(ended.code == Some(*code) && ended.stdout.is_empty(), "{line}: {ended}");
        assert!(words.iter().all(|word| ended.stderr.contains(word)), "{line}: not {words:?} in {ended}");
        assert!(!words.is_empty() || ended.stderr.is_empty(), "{line}: {ended}");
    }
    let policy = std::fs::read_to_string(folder.join("policy.json")).expect("the policy");
    let policy: Value = serde_json::from_str(&policy).expect("JSON");
    assert!(policy["Statement"].as_array().is_some_and(|statements| !statements.is_empty()), "{policy}");
}
