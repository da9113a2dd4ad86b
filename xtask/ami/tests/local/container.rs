//! Make in a container: an image of Debian's packages, run by podman.
//!
//! Not everywhere does a container run, so `cargo xtask test` makes the image, tries it, and runs this where that went well.

use std::{
    os::unix::fs::MetadataExt as _,
    process::Command,
    time::{Duration, Instant},
};

use nix::{sys::signal::Signal, unistd::getuid};

use crate::{bench::Bench, running::Running, support::BINARIES};

/// How long a container may take to run, or to be gone.
const LIMIT: Duration = Duration::from_secs(60);

/// The image, whose settings podman finds in the environment.
fn image() -> String {
    std::env::var("CONTAINER_IMAGE").expect("CONTAINER_IMAGE, which engine.sh beside this made")
}

fn podman(words: &[&str]) -> String {
    let output = Command::new("podman").args(words).output().expect("podman");
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).expect("UTF-8").trim().to_owned()
}

#[test]
#[ignore = "needs CONTAINER_IMAGE: cargo xtask test makes it, and runs this where containers run"]
fn the_binaries_are_made_in_the_container_and_are_the_callers() {
    let Some(bench) = Bench::quick() else { return };
    let image = image();
    let compiler = podman(&["run", "--rm", &image, "gcc", "-dumpfullversion"]);
    // Where make looks around: the caller's environment is not there, the checkout is at its own path.
    let path = bench.root.join("Makefile");
    let makefile = std::fs::read_to_string(&path).expect("the sample's");
    let rule = "build-machida: machida/build/machida\n";
    let looks = makefile.replacen(rule, &format!("{rule}\t@env > seen; pwd >> seen\n"), 1);
    assert_ne!(looks, makefile);
    std::fs::write(&path, looks).expect("a file");
    let mut release = bench.release(&["--private", "--no-reuse-base", "--build-container", &image]);
    let mut running = Running::start(release.env("OF_THE_CALLER", "1"));
    running.wait_for("Built sender");
    running.signal(Signal::SIGINT);
    let ended = running.end();
    assert_eq!(ended.code, Some(130), "{ended}");
    for binary in BINARIES {
        let path = bench.root.join(binary);
        let bytes = std::fs::read(&path).expect("it was built");
        let made_by = format!("GCC: (Debian {compiler}-");
        assert!(bytes.windows(made_by.len()).any(|part| part == made_by.as_bytes()), "{path} is not by {made_by}");
        assert_eq!(std::fs::metadata(&path).expect("it was built").uid(), getuid().as_raw(), "{path}");
    }
    let seen = std::fs::read_to_string(bench.root.join("seen")).expect("what make saw");
    assert!(seen.contains(&format!("\n{}\n", bench.root)) && !seen.contains("OF_THE_CALLER"), "{seen}");
    assert_eq!(podman(&["ps", "--all", "--quiet"]), "", "a container is left");
}

#[test]
#[ignore = "needs CONTAINER_IMAGE: cargo xtask test makes it, and runs this where containers run"]
fn an_interruption_ends_the_container_and_an_image_that_is_not_there_is_refused() {
    let Some(bench) = Bench::quick() else { return };
    let image = image();
    bench.machida(&["@sleep 1000"]);
    let mut running =
        Running::start(&mut bench.release(&["--private", "--no-reuse-base", "--build-container", &image]));
    running.wait_for("Building machida");
    let deadline = Instant::now() + LIMIT;
    while podman(&["ps", "--quiet"]).is_empty() {
        assert!(Instant::now() < deadline, "no container runs");
        std::thread::sleep(Duration::from_millis(100));
    }
    running.signal(Signal::SIGINT);
    let ended = running.end_within(LIMIT);
    assert_eq!(ended.code, Some(130), "{ended}");
    assert_eq!(podman(&["ps", "--all", "--quiet"]), "", "a container is left");
    let other = image.replace("base", "bsae");
    let refused =
        Running::start(&mut bench.release(&["--private", "--no-reuse-base", "--build-container", &other])).end();
    refused.expect_error(2, &["podman", &format!("no container image {other}"), &format!("did you mean `{image}`")]);
}
