//! What the documents say can be typed, and what they link to is there.

#![expect(clippy::expect_used, reason = "a test that cannot go on says so by panicking")]

use std::{
    fs,
    path::{Path, PathBuf},
};

use clap::{CommandFactory as _, Parser as _, error::ErrorKind};
use xtask::cli::Cli;

fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask lies in the workspace")
}

/// The documents for people, with their text.
fn documents() -> Vec<(PathBuf, String)> {
    let folders = ["", "docs", "xtask/ami", "xtask/ami/sample"].map(|folder| workspace().join(folder));
    let entries = folders.iter().flat_map(|folder| fs::read_dir(folder).expect("a folder").flatten());
    let paths = entries.map(|entry| entry.path()).filter(|path| path.extension().is_some_and(|kind| kind == "md"));
    let mut documents: Vec<_> =
        paths.map(|path| (path.clone(), fs::read_to_string(path).expect("a document"))).collect();
    documents.sort();
    assert!(documents.len() > 5, "there are {} documents only", documents.len());
    documents
}

/// The commands of this repository in a document: lines of code, and words between backticks. A line that ends with a
/// backslash goes on, and what comes after ` #` is a remark.
fn commands(text: &str) -> Vec<String> {
    let text = text.replace("\\\n", " ").replace("cargo --quiet xtask", "cargo xtask");
    // A version that a workflow puts in.
    let text = text.replace("\"$VERSION\"", "0.6.1");
    let lines = text.lines().map(|line| line.trim().trim_start_matches("$ ").trim_start_matches("- run: "));
    let lines = lines.filter(|line| line.starts_with("cargo xtask"));
    let paragraphs = text.replace('\n', " ");
    let spans = paragraphs.split('`').skip(1).step_by(2).filter(|span| span.starts_with("cargo xtask"));
    let all = lines.map(str::to_owned).chain(spans.map(str::to_owned));
    all.map(|command| command.split(" #").next().unwrap_or_default().trim().to_owned()).collect()
}

/// Whether a command is as clap wants it. One with `…` is no command, but speaks of several.
fn fault(command: &str) -> Option<String> {
    if command.contains('…') || ["cargo xtask", "cargo xtask ami"].contains(&command) {
        return None;
    }
    let ends = [" | ", " > ", " && ", " || ", "; "];
    let end = ends.iter().filter_map(|end| command.find(end)).min().unwrap_or(command.len());
    let words = shlex::split(command.get(..end)?)?;
    match Cli::try_parse_from(words.iter().skip(1)) {
        Ok(_) => None,
        Err(error) if error.kind() == ErrorKind::DisplayHelp => None,
        Err(error) => Some(format!("`{command}`: {error}")),
    }
}

#[test]
fn every_command_in_the_documents_can_be_typed() {
    let mut count = 0;
    let mut faults = Vec::new();
    for (path, text) in documents() {
        for command in commands(&text) {
            count += 1;
            faults.extend(fault(&command).map(|fault| format!("{}: {fault}", path.display())));
        }
    }
    assert!(faults.is_empty(), "\n{}\n", faults.join("\n"));
    assert!(count > 30, "{count} commands were found");
}

#[test]
fn a_command_that_cannot_be_typed_is_found() {
    let text =
        "Type `cargo xtask\nami lisst`, or:\n\n    $ cargo xtask ami list --version\n    cargo xtask ami list # fine\n";
    let commands = commands(text);
    assert_eq!(commands, ["cargo xtask ami list --version", "cargo xtask ami list", "cargo xtask ami lisst"]);
    assert_eq!(commands.iter().filter_map(|command| fault(command)).count(), 2);
}

/// The commands in the guide's blocks that no test takes from there, each with the reason.
const NOT_RUN: [(&str, &str); 2] = [
    (
        "cargo xtask ami system-facts --suite trixie",
        "it reads the package lists of a whole suite from a mirror, which a test may not have; `local` reads facts of the \
         base that it has",
    ),
    (
        "cargo xtask bench ec2 scale",
        "it compiles the AWS SDK, then takes minutes, and prints figures that differ from one run to the next",
    ),
];

/// The commands in blocks of a document that are not below a line with `run`.
fn not_run(text: &str) -> Vec<String> {
    let mut is_run = false;
    let mut is_console = false;
    let mut others = String::new();
    for line in text.lines() {
        match line {
            _ if line.starts_with("<!-- run: ") => (is_run, is_console) = (true, false),
            "```console" => is_console = true,
            "```" => (is_run, is_console) = (false, false),
            // A blank line comes before the block, and ends one that is indented.
            "" => {}
            _ if is_console || line.starts_with("    ") => {
                if !is_run {
                    let line = line.rsplit(" && ").next().unwrap_or_default().trim();
                    others.push_str(line);
                    others.push('\n');
                }
            }
            _ => is_run = false,
        }
    }
    commands(&others.replace('`', ""))
}

#[test]
fn what_no_test_takes_from_the_guide_is_known_with_the_reason() {
    let guide = fs::read_to_string(workspace().join("docs/guide.md")).expect("the guide");
    assert_eq!(not_run(&guide), NOT_RUN.map(|(command, _)| command));
    let text = "<!-- run: moto a -->\n\n    cargo xtask ami list\n\nand\n\n    cargo xtask ami plan\n";
    assert_eq!(not_run(text), ["cargo xtask ami plan"]);
}

/// A heading as the address that a link to it has.
fn anchor(heading: &str) -> String {
    let kept = heading.trim_start_matches(['#', ' ']).to_lowercase();
    kept.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c)).map(|c| if c == ' ' { '-' } else { c }).collect()
}

#[test]
fn what_the_documents_link_to_is_there() {
    let mut faults = Vec::new();
    for (path, text) in documents() {
        let targets = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
        for target in targets.filter(|target| !target.contains("://")) {
            let (file, heading) =
                target.split_once('#').map_or((target, None), |(file, heading)| (file, Some(heading)));
            let file = if file.is_empty() { path.clone() } else { path.with_file_name("").join(file) };
            let Ok(linked) = fs::read_to_string(&file).or_else(|_| fs::read_dir(&file).map(|_| String::new())) else {
                faults.push(format!("{}: {target}: there is no such file", path.display()));
                continue;
            };
            let mut headings = linked.lines().filter(|line| line.starts_with('#')).map(anchor);
            if heading.is_some_and(|heading| !headings.any(|there| there == heading)) {
                faults.push(format!("{}: {target}: there is no such heading", path.display()));
            }
        }
    }
    assert!(faults.is_empty(), "\n{}\n", faults.join("\n"));
}

/// The words of each command, as they are typed, with the examples of its help.
fn examples(words: &str, command: &clap::Command) -> Vec<(String, Vec<String>)> {
    let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
    let below = command.get_subcommands().filter(|below| below.get_name() != "help");
    let below = below.flat_map(|below| examples(&format!("{words} {}", below.get_name()), below));
    std::iter::once((words.to_owned(), commands(&help))).chain(below).collect()
}

#[test]
fn the_help_of_every_command_has_examples_of_it_that_can_be_typed() {
    let all = examples("cargo xtask", &Cli::command());
    assert!(all.len() > 15, "{all:?}");
    let mut faults = Vec::new();
    for (words, examples) in &all {
        if examples.is_empty() {
            faults.push(format!("`{words}` has no example"));
        }
        let strange = examples.iter().filter(|example| !example.starts_with(words));
        faults.extend(strange.map(|example| format!("`{words}` has the example `{example}`")));
        faults.extend(examples.iter().filter_map(|example| fault(example)));
    }
    assert!(faults.is_empty(), "\n{}\n", faults.join("\n"));
}
