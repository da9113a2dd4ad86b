//! All that is refused before anything is created: exit code 2, one error, nothing left.
#![cfg(test)]

use std::{
    os::unix::fs::symlink,
    process::{Command, Stdio},
    time::Duration,
};

use camino::{Utf8Path, Utf8PathBuf};
use schema::expect_valid;
use support::{BINARIES, Ended, Home, files, folder, missing, recipe, sample, skipped, write, write_program};
use xtask::cli::Document;

mod bases;
mod binaries;
mod facts;
mod images;
mod network;
mod builds;
mod diff;
mod estimates;
mod regions;
mod report;
mod settings;
mod stream;
mod terminal;
mod typed;
mod words;
#[path = "../kit/schema.rs"]
mod schema;
#[path = "../support/mod.rs"]
mod support;

const MAIN: &str = "#include <stdio.h>\nint main(void) { puts(\"hello\"); return 0; }\n";

/// A command that takes longer has begun something. Alone it takes a fraction of a second; tests run side by side.
const AT_ONCE: Duration = Duration::from_secs(15);

/// Runs a command to its end. One that goes on for longer than any command takes that starts no machine is ended.
fn run(command: &mut Command) -> Ended {
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.spawn().expect("the program starts");
    let id = nix::unistd::Pid::from_raw(child.id().try_into().expect("an id"));
    let (ended, waiting) = std::sync::mpsc::channel::<()>();
    let guard = std::thread::spawn(move || {
        if waiting.recv_timeout(AT_ONCE) == Err(std::sync::mpsc::RecvTimeoutError::Timeout) {
            let _ = nix::sys::signal::kill(id, nix::sys::signal::Signal::SIGINT);
        }
    });
    let output = child.wait_with_output().expect("its output");
    drop(ended);
    guard.join().expect("the guard");
    Ended {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).expect("UTF-8"),
        stderr: String::from_utf8(output.stderr).expect("UTF-8"),
    }
}

/// A release of this root, with more words.
fn release<'a>(root: &'a Utf8Path, words: &[&'a str]) -> Vec<&'a str> {
    [&["--version", "0.6.1", "--local", "--root", root.as_str()], words].concat()
}

/// Fails the test unless this is refused in these words, and leaves the home as it was.
#[track_caller]
fn refused(home: &Home, command: &mut Command, words: &[&str]) -> Ended {
    let before = files(home.path());
    let ended = run(command);
    ended.expect_error(2, words);
    assert_eq!(ended.stdout, "", "{ended}");
    assert_eq!(files(home.path()), before, "{ended}");
    assert_eq!(home.processes(), [], "{ended}");
    ended
}

#[test]
fn a_root_without_sources_names_what_was_looked_for_and_the_sample() {
    let (home, (_guard, root)) = (Home::new(), folder());
    let words = ["no Wallaroo sources", root.as_str(), "machida", "giles/sender", "--root xtask/ami/sample"];
    refused(&home, &mut home.ami(release(&root, &[])), &words);
    let nowhere = root.join("nowhere");
    refused(&home, &mut home.ami(release(&nowhere, &[])), &["there is no checkout at", nowhere.as_str()]);
}

#[test]
fn illegal_versions() {
    let home = Home::new();
    let long = "1".repeat(200);
    for (version, word) in [
        ("0.6.1+dev", "'+' is not allowed in an image's name"),
        ("", "cannot be empty"),
        (&long, "it has 200 characters"),
        ("0.6\n1", "'\\n' is not allowed"),
        ("0.6.1\n", "end with whitespace"),
    ] {
        refused(&home, &mut home.ami(["--version", version, "--local", "--yes"]), &["--version", word]);
        refused(&home, &mut home.ami(["plan", "--version", version, "--local"]), &["--version", word]);
    }
    // With the name's other words it is too long.
    let ended = run(&mut home.ami(["--version", &long[..125], "--local"]));
    ended.expect_error(2, &["has 134 characters; EC2 permits 3 to 128"]);
}

/// A folder of links to the programs of this computer, all but these.
fn programs_but(folder: &Utf8Path, without: &[&str]) -> Utf8PathBuf {
    let programs = folder.join("programs");
    std::fs::create_dir_all(&programs).expect("a folder");
    for place in ["/usr/local/bin", "/usr/bin", "/bin"] {
        let Ok(entries) = Utf8Path::new(place).read_dir_utf8() else { continue };
        for entry in entries.filter_map(Result::ok).filter(|entry| !without.contains(&entry.file_name())) {
            // The same name in a later folder isn't found by a shell, either.
            let _ = symlink(entry.path(), programs.join(entry.file_name()));
        }
    }
    programs
}

#[test]
fn a_missing_make_is_named_with_what_installs_it() {
    let (home, (_guard, folder)) = (Home::new(), folder());
    let (root, programs) = (sample(&folder), programs_but(&folder, &["make"]));
    let words = ["this computer lacks make (package make)", "add --yes", "--no-install-recommends make\n"];
    refused(&home, home.ami(release(&root, &[])).env("PATH", &programs), &words);
}

#[test]
fn missing_programs_are_named_together_with_their_packages_and_the_command() {
    if skipped(missing(&["apt-get"])) {
        return;
    }
    let (home, (_guard, folder)) = (Home::new(), folder());
    let root = sample(&folder);
    let programs = programs_but(&folder, &["qemu-system-x86_64", "qemu-img", "mmdebstrap", "make"]);
    let words = [
        "mmdebstrap (package mmdebstrap), make (package make)",
        "this computer lacks qemu-system-x86_64 (package qemu-system-x86), qemu-img (package qemu-utils), mmdebstrap",
        "add --yes to install what is missing, or run",
        "apt-get -o DPkg::Lock::Timeout=300 install --yes --no-install-recommends",
    ];
    refused(&home, home.ami(release(&root, &[])).env("PATH", &programs), &words);
    // A plan installs nothing, whatever is said.
    let ended = run(home.ami([&["plan"], &release(&root, &["--yes"])[..]].concat()).env("PATH", &programs));
    ended.expect_error(2, &["this computer lacks qemu-system-x86_64"]);
    assert_eq!(files(home.path()), [] as [Utf8PathBuf; 0]);
}

#[test]
fn faults_of_the_recipe() {
    let (home, (_guard, folder)) = (Home::new(), folder());
    let root = sample(&folder);
    let file = root.join(".release/ami/ami.toml");
    for (from, to, words) in [
        (
            "root_volume_gib = 8",
            "root_volume_gib = \"8\"",
            &["failed to parse the recipe", "ami.toml", "root_volume_gib = \"8\""][..],
        ),
        ("target_cpu =", "target_cpus =", &["unknown field `target_cpus`", "did you mean `target_cpu`?"]),
        ("[limits]", "[limits", &["failed to parse the recipe", "ami.toml", "[limits"]),
        ("login = \"10min\"", "login = \"soon\"", &["login = \"soon\""]),
        ("\"giles/sender/sender\"", "\"/usr/bin/sender\"", &["ami.toml has faults", "below the root of the checkout"]),
        ("system = \"debian-13\"", "system = \"debian-99\"", &["local_base.system: there is no", "debian-99"]),
        ("suite = \"trixie\"", "suite = \"a b\"", &["system debian-13: suite: `a b` is not one plain word"]),
        ("of = \"gcc\"", "of = \"-gcc\"", &["package `-gcc`: not a valid name of a Debian package"]),
    ] {
        write(&file, recipe(&[(from, to)]));
        let words = [&[file.as_str()], words].concat();
        refused(&home, &mut home.ami(release(&root, &[])), &words);
    }
    let several = [
        ("root_volume_gib = 8", "root_volume_gib = \"8\""),
        ("login = \"10min\"", "login = 600"),
        ("through = []", "thruogh = []"),
    ];
    write(&file, recipe(&several));
    let words = ["root_volume_gib = \"8\"", "login = 600", "did you mean `through`?"];
    refused(&home, &mut home.ami(release(&root, &[])), &words);
    write(&file, b"name = \"\xff\"\n");
    refused(&home, &mut home.ami(release(&root, &[])), &["failed to read the recipe", file.as_str(), "UTF-8"]);
    std::fs::remove_file(&file).expect("removed");
    std::fs::create_dir(&file).expect("a folder in its place");
    refused(&home, &mut home.ami(release(&root, &[])), &["failed to read the recipe", file.as_str()]);
}

#[test]
fn a_file_that_the_recipe_lays_over_the_image_and_that_is_not_there() {
    let (home, (_guard, folder)) = (Home::new(), folder());
    let root = sample(&folder);
    let text =
        recipe(&[("source = \"machida/lib/wallaroo\"", "source = \"machida/lib/walaroo\""), ("optional = true", "")]);
    write(&root.join(".release/ami/ami.toml"), text);
    let words = ["machida/lib/walaroo", "/usr/lib/python3/dist-packages/wallaroo", "optional = true"];
    refused(&home, &mut home.ami(release(&root, &[])), &words);
}

#[test]
fn a_missing_script_is_found_before_the_launch() {
    let (home, (_guard, folder)) = (Home::new(), folder());
    let root = sample(&folder);
    // A checkout without one has the workspace's; here something else has its name.
    for script in ["provision.sh", "check.sh"] {
        std::fs::create_dir_all(root.join(".release/ami").join(script)).expect("a folder");
    }
    let words = [".release/ami/provision.sh", ".release/ami/check.sh", "restore it"];
    refused(&home, &mut home.ami(release(&root, &[])), &words);
}

#[test]
fn a_base_image_that_is_none() {
    if skipped(missing(&support::QEMU)) {
        return;
    }
    let (home, (_guard, folder)) = (Home::new(), folder());
    let root = sample(&folder);
    // The tool makes it to look at the file, and leaves it empty.
    std::fs::create_dir_all(home.path()).expect("a home");
    let file = folder.join("base.qcow2");
    let with_base = ["--base-image", file.as_str()];
    let remedy = "give a disk image that has a system on ext4";
    refused(&home, &mut home.ami(release(&root, &with_base)), &[file.as_str(), "No such file", remedy]);
    for bytes in [&b"This is a text, and no disk.\n"[..], b"", b"QFI\xfb\0\0\0\x03 cut short"] {
        write(&file, bytes);
        refused(&home, &mut home.ami(release(&root, &with_base)), &[file.as_str(), "is not a disk image", remedy]);
    }
    refused(&home, &mut home.ami(release(&root, &["--base-image", folder.as_str()])), &["it is not a file"]);
    let random: Vec<u8> = (0..4_000_000_u32).map(|number| (number.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    write(&file, random);
    refused(&home, &mut home.ami(release(&root, &with_base)), &["is not a disk image", remedy]);
}

/// Puts an image of this name into a home, as far as its attributes go.
fn put_image(home: &Home, region: &str, id: &str, name: &str) {
    let version = name.strip_prefix("Wallaroo ").expect("a version");
    let attributes = serde_json::json!({
        "name": name, "description": "A test's", "created": "2026-11-22T00:00:00Z", "deprecate_at": null,
        "public": false, "snapshots_public": false, "tags": [["wallaroo:build", "b"], ["wallaroo:version", version]],
    });
    write(&home.path().join(format!("images/{region}/{id}.json")), attributes.to_string());
    write(&home.path().join(format!("images/{region}/{id}.qcow2")), "");
}

#[test]
fn a_name_that_is_taken_in_any_of_the_regions() {
    let (home, (_guard, folder)) = (Home::new(), folder());
    let root = sample(&folder);
    put_image(&home, "eu-west-1", "ami-00000000000000001", "Wallaroo 0.6.1");
    put_image(&home, "eu-west-2", "ami-00000000000000002", "Wallaroo 0.6.0");
    let words = [
        "the image name `Wallaroo 0.6.1` is already taken: ami-00000000000000001 in eu-west-1",
        "cargo xtask ami retire --version 0.6.1 --local",
    ];
    refused(&home, &mut home.ami(release(&root, &[])), &words);
    refused(&home, &mut home.ami(release(&root, &["--regions", "eu-west-1"])), &words);
    // Elsewhere the name is free. That it is asked for a base that is none keeps this from going on.
    let ended = run(&mut home.ami(release(&root, &["--regions", "eu-west-2", "--base-image", "/nonexistent"])));
    ended.expect_error(2, &["/nonexistent"]);
    assert!(!ended.stderr.contains("already"), "{ended}");
    // Without a terminal it can't be confirmed that it shall be removed.
    let retire = ["retire", "--version", "0.6.1", "--local"];
    let words = ["nothing was removed: not confirmed: stdin is not a terminal; pass --yes"];
    let ended = refused(&home, &mut home.ami(retire), &words);
    assert!(ended.stderr.contains("eu-west-1: ami-00000000000000001 (private, "), "{ended}");
}

#[test]
fn too_little_space() {
    // In a name space of its own, everybody may mount.
    let mut unshare = Command::new("unshare");
    unshare.args(["--map-root-user", "--mount"]);
    let works = Command::new("unshare").args(["--map-root-user", "--mount", "true"]).output();
    if skipped((!works.is_ok_and(|output| output.status.success())).then_some("user name spaces")) {
        return;
    }
    let (home, (_guard, mount), (_guard2, elsewhere)) = (Home::new(), folder(), folder());
    let root = sample(&elsewhere);
    let script = "mount -t tmpfs -o size=64m tmpfs \"$1\" && shift && exec \"$@\"";
    let ami = home.ami(release(&root, &[]));
    unshare.args(["sh", "-c", script, "sh", mount.as_str()]).arg(ami.get_program()).args(ami.get_args());
    unshare.env("WALLAROO_AMI_HOME", mount.join("home")).current_dir(support::workspace());
    refused(&home, &mut unshare, &["64 MiB free, but a build needs 3072 MiB", "set WALLAROO_AMI_HOME"]);
}

#[test]
fn several_faults_are_reported_together() {
    let (home, (_guard, folder)) = (Home::new(), folder());
    let (root, programs) = (sample(&folder), programs_but(&folder, &["make"]));
    put_image(&home, "us-west-2", "ami-00000000000000001", "Wallaroo 0.6.1");
    std::fs::create_dir_all(root.join(".release/ami/seal.sh")).expect("a folder");
    let words = ["this computer lacks make", "seal.sh is missing", "the image name `Wallaroo 0.6.1` is already taken"];
    refused(&home, home.ami(release(&root, &[])).env("PATH", &programs), &words);
}

#[test]
fn commands_about_images_that_are_not_there() {
    let home = Home::new();
    let ended = run(&mut home.ami(["list", "--local"]));
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(0), ""), "{ended}");
    assert!(ended.stderr.contains("to make one: cargo xtask ami"), "{ended}");
    let ended = run(&mut home.ami(["list", "--local", "--json"]));
    assert_eq!(ended.code, Some(0), "{ended}");
    assert_eq!(
        expect_valid(Document::List, &ended.stdout),
        serde_json::json!({ "format": 1, "images": [], "unanswered": [] })
    );
    let ended = run(&mut home.ami(["check", "--version", "0.6.1", "--local"]));
    ended.expect_error(
        1,
        &["there is no image `Wallaroo 0.6.1` in any of 14 regions; to list the images: cargo xtask ami"],
    );
    let check = |regions| home.ami(["check", "--version", "0.6.1", "--local", "--regions", regions]);
    let ended = run(&mut check("eu-west-3"));
    ended.expect_error(1, &["there is no image `Wallaroo 0.6.1` in eu-west-3; to list"]);
    assert!(!ended.stderr.contains("us-west-2"), "{ended}");
    refused(&home, &mut check("eu-west-3,cn-north-1"), &["cn-north-1", "aws-cn"]);
    assert_eq!(ended.stdout, "");
    let ended = run(&mut home.ami(["check", "--version", "0.6.1", "--local", "--json"]));
    ended.expect_error(1, &["there is no image `Wallaroo 0.6.1` in any"]);
    let checked = expect_valid(Document::Check, &ended.stdout);
    assert_eq!((&checked["ok"], checked["regions"].as_array().map(Vec::len)), (&false.into(), Some(14)), "{checked}");
    assert_eq!(checked["regions"][0]["faults"][0]["kind"], "missing", "{checked}");
    let words = ["there is no image `Wallaroo 0.6.1`", "ami list"];
    refused(&home, &mut home.ami(["retire", "--version", "0.6.1", "--local", "--yes"]), &words);
    refused(&home, &mut home.ami(["boot", "0.6.1"]), &["there is no local image `0.6.1`", "ami list --local"]);
    assert_eq!(files(home.path()), [] as [Utf8PathBuf; 0]);
}

#[test]
fn nothing_asked_for_and_nonsense() {
    let home = Home::new();
    refused(&home, &mut home.ami(["--local"]), &["--version"]);
    refused(&home, &mut home.ami(["--version", "0.6.1", "--local", "--nonsense"]), &["--nonsense"]);
    refused(&home, &mut home.ami(["--version", "0.6.1", "--local", "--expires", "7d"]), &["--private"]);
    refused(&home, &mut home.ami(["--version", "1", "--local", "--private", "--expires", "soon"]), &["--expires"]);
    let words = ["clean", "--local", "--older-than", "99999999999999s"];
    refused(&home, &mut home.ami(words), &["--older-than", "give at most 10years"]);
    let words = ["--version", "1", "--local", "--private", "--expires", "0s"];
    refused(&home, &mut home.ami(words), &["--expires", "give at least 1m"]);
}

#[test]
fn a_plan_tells_all_and_creates_nothing() {
    if skipped(missing(&support::QEMU).or(missing(&["mmdebstrap", "make"]))) {
        return;
    }
    let (home, (_guard, folder)) = (Home::new(), folder());
    let root = sample(&folder);
    let ended = run(&mut home.ami([&["plan", "--json"], &release(&root, &["--regions", "eu-west-1"])[..]].concat()));
    assert_eq!(ended.code, Some(0), "{ended}");
    let plan = expect_valid(Document::Plan, &ended.stdout);
    assert_eq!(plan["name"], "Wallaroo 0.6.1");
    assert_eq!((&plan["visibility"], &plan["expires_after_secs"]), (&"public".into(), &serde_json::Value::Null));
    assert_eq!(plan["regions"], serde_json::json!(["eu-west-1"]));
    assert_eq!((&plan["system"], &plan["left_out"]), (&"debian-13".into(), &serde_json::json!({})));
    // What a system lacks is left out, and its own names are there.
    let facts = root.join(".release/ami/systems/debian-12.toml");
    let shipped =
        std::fs::read_to_string(support::workspace().join(".release/ami/systems/debian-12.toml")).expect("facts");
    write(&facts, shipped.replacen("\nbase = [", "\nabsent = [\"cpuset\"]\nbase = [", 1));
    let ended = run(&mut home.ami([&["plan"], &release(&root, &["--system", "debian-12"])[..]].concat()));
    assert_eq!(ended.code, Some(0), "{ended}");
    for words in ["libssl3 ", "Left out  cpuset, which debian-12 lacks: taskset", "Base  debian-12, to be made"] {
        assert!(ended.stdout.contains(words), "{words}: {ended}");
    }
    assert_eq!(plan["findings"], serde_json::json!([]));
    let ended = run(&mut home.ami([&["plan"], &release(&root, &[])[..]].concat()));
    assert_eq!(ended.code, Some(0), "{ended}");
    for word in
        ["`Wallaroo 0.6.1`, public", "machida cluster_shutdown data_receiver sender", "14 regions: ap-northeast-1"]
    {
        assert!(ended.stdout.contains(word), "{word}: {ended}");
    }
    assert_eq!(files(home.path()), [] as [Utf8PathBuf; 0]);

    // What stands in the way is in the plan, and its exit code says that it does.
    put_image(&home, "us-west-2", "ami-00000000000000001", "Wallaroo 0.6.1");
    let ended = run(&mut home.ami([&["plan", "--json"], &release(&root, &[])[..]].concat()));
    ended.expect_error(2, &["the image name `Wallaroo 0.6.1` is already taken"]);
    let plan = expect_valid(Document::Plan, &ended.stdout);
    assert_eq!(plan["findings"].as_array().map(Vec::len), Some(1), "{plan}");
}

#[test]
fn the_schema_of_each_result_is_printed_without_a_home() {
    let home = Home::new();
    for (name, property) in [("list", "images"), ("plan", "findings"), ("check", "regions"), ("diff", "binaries")] {
        let ended = run(&mut home.ami(["schema", name]));
        assert_eq!(ended.code, Some(0), "{ended}");
        let schema: serde_json::Value = serde_json::from_str(&ended.stdout).expect("JSON");
        assert_eq!(schema["properties"]["format"]["const"], 1, "{name}");
        assert!(schema["properties"][property]["description"].is_string(), "{name}: {schema}");
    }
    refused(&home, &mut home.ami(["schema", "nonsense"]), &["nonsense", "list, plan, check, diff, report, events"]);
    assert_eq!(files(home.path()), [] as [Utf8PathBuf; 0]);
}
