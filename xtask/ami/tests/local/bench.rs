//! What a test with machines works on: a home with the base in it, and a checkout with scripts of its own.

use std::{
    fs::File,
    process::Command,
    time::{Duration, Instant},
};

use camino::{Utf8Path, Utf8PathBuf};
use nix::{
    fcntl::{Flock, FlockArg},
    sys::signal::Signal,
};
use serde_json::Value;
use tempfile::TempDir;

use crate::{
    running::Running,
    support::{Ended, Home, QEMU, files, folder, missing, recipe, sample, skipped, tool, write, write_program},
};

/// How long a machine may take to shut down by itself under emulation.
const ENDS_ITSELF_WITHIN: Duration = Duration::from_secs(120);

/// How soon what a run starts beside something else has to be there: a matter of scheduling, too.
const STARTED_WITHIN: Duration = Duration::from_secs(60);

/// How long it may take to read a base's libraries from its disk.
const READ_WITHIN: Duration = Duration::from_secs(300);

/// Enough for a machine to be imaged, and no package. Nothing waits for cloud-init, whose last stage still runs then.
pub const PROVISION: &str = r#"set -e
case $1 in
prepare) ;;
install) cp -r "$2/root/." / && rm -r "$2" ;;
esac
"#;

/// QEMU with the forwarded port led to one of the machine's on which nothing listens.
pub const DEAF_QEMU: &str = r#"for word; do
    shift
    case $word in
    *hostfwd=*-:22) word=${word%22}9 ;;
    esac
    set -- "$@" "$word"
done
exec qemu-system-x86_64 "$@"
"#;

/// A script that is content with any machine.
pub const CHECK: &str = "echo ok nothing was looked at\necho checked 1\n";

/// What a test works on. While it is there, no other test has one.
pub struct Bench {
    /// The tool's home.
    pub home: Home,
    /// The checkout: a copy of the sample.
    pub root: Utf8PathBuf,
    /// The base, outside the home.
    pub base: Utf8PathBuf,
    /// The system of the base, unless it is the recipe's.
    system: Option<&'static str>,
    _folder: TempDir,
    _lock: Flock<File>,
}

impl Bench {
    /// A checkout that is the sample, with the workspace's recipe and scripts. None where machines can't run.
    pub fn new() -> Option<Bench> {
        Bench::of(None, &[])
    }

    /// The same with the base of another system, and with these changes to the recipe.
    pub fn of(system: Option<&'static str>, changes: &[(&str, &str)]) -> Option<Bench> {
        Bench::with(system, changes, true)
    }

    /// The same with a recipe without packages, and so with a base without them.
    pub fn bare(system: Option<&'static str>, changes: &[(&str, &str)]) -> Option<Bench> {
        Bench::with(system, changes, false)
    }

    fn with(system: Option<&'static str>, changes: &[(&str, &str)], has_packages: bool) -> Option<Bench> {
        let needed = ["mmdebstrap", "mke2fs", "make", "gcc", "ssh"];
        if skipped(missing(&QEMU).or_else(|| missing(&needed))) {
            return None;
        }
        let path = Utf8Path::new(env!("CARGO_TARGET_TMPDIR")).join("machines.lock");
        let lock = Flock::lock(File::create(&path).expect("a lock file"), FlockArg::LockExclusive).expect("the lock");
        let recipe = recipe(changes);
        let recipe = if has_packages { recipe } else { without_packages(&recipe) };
        let base = base(system, &recipe, has_packages);
        let (guard, folder) = folder();
        let (home, root) = (Home::new(), sample(&folder));
        write(&root.join(".release/ami/ami.toml"), &recipe);
        let bases = home.path().join("bases");
        std::fs::create_dir_all(&bases).expect("a folder");
        let beside = ["facts.toml", "sha256"].map(|extension| base.with_extension(extension));
        for path in beside.iter().chain([&base]).filter(|path| path.exists()) {
            std::fs::hard_link(path, bases.join(path.file_name().expect("a name"))).expect("a link");
        }
        Some(Bench { home, root, base, system, _folder: guard, _lock: lock })
    }

    /// One with scripts that do next to nothing, and a recipe without packages, on the base that boots fastest.
    pub fn quick() -> Option<Bench> {
        let bench = Bench::bare(Some("debian-12"), &[])?;
        bench.script("provision.sh", PROVISION);
        bench.script("check.sh", CHECK);
        Some(bench)
    }

    /// Gives the checkout a script of its own.
    pub fn script(&self, name: &str, text: &str) {
        write(&self.root.join(".release/ami").join(name), text);
    }

    /// Gives the checkout the shipped recipe without packages, and with these changes.
    pub fn recipe(&self, changes: &[(&str, &str)]) {
        write(&self.root.join(".release/ami/ami.toml"), without_packages(&recipe(changes)));
    }

    /// Has machida made by these lines of a recipe of make.
    pub fn machida(&self, lines: &[&str]) {
        let lines: String = lines.iter().map(|line| format!("\t{line}\n")).collect();
        let makefile = format!("build-machida:\n{lines}\nclean-machida:\n\trm -rf machida/build\n");
        write(&self.root.join("Makefile"), makefile);
    }

    /// `xtask-ami ami --version 0.6.1 --local --yes --root …` with more words.
    pub fn release(&self, words: &[&str]) -> Command {
        let mut command = self.home.ami(["--version", "0.6.1", "--local", "--yes", "--root", self.root.as_str()]);
        // A given base says by itself which system it is.
        let system = self.system.filter(|_| !words.contains(&"--base-image"));
        command.args(words).args(system.iter().flat_map(|system| ["--system", system]));
        command
    }

    /// Runs another command about this checkout's images.
    pub fn manage(&self, words: &[&str]) -> Ended {
        Running::start(self.home.ami(words).args(["--local", "--yes", "--root", self.root.as_str()])).end()
    }

    /// The disks of the images that there are, of all regions.
    pub fn images(&self) -> Vec<Utf8PathBuf> {
        let images = files(&self.home.path().join("images")).into_iter();
        images.filter(|path| path.extension() == Some("qcow2")).collect()
    }

    /// Waits until there are processes of a run whose command lines begin with these words.
    #[track_caller]
    pub fn wait_for_processes(&self, beginnings: &[&str]) {
        let deadline = Instant::now() + STARTED_WITHIN;
        loop {
            let lines: Vec<String> = self.home.processes().into_iter().map(|(_, line)| line).collect();
            let is_there = |beginning: &&str| lines.iter().any(|line| line.starts_with(beginning));
            if beginnings.iter().all(is_there) {
                return;
            }
            assert!(Instant::now() < deadline, "not all of {beginnings:?} are there: {lines:?}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Waits until the processes are gone whose command lines begin like this.
    #[track_caller]
    pub fn wait_for_no_process(&self, beginning: &str) {
        let deadline = Instant::now() + ENDS_ITSELF_WITHIN;
        while self.home.processes().iter().any(|(_, line)| line.starts_with(beginning)) {
            assert!(Instant::now() < deadline, "still there: {:?}", self.home.processes());
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// Fails the test unless there is no process, no machine and no image, and the run said so.
    #[track_caller]
    pub fn expect_nothing_left(&self, ended: &Ended) {
        self.home.expect_nothing_runs(ended);
        assert_eq!(files(&self.home.path().join("instances")), [] as [Utf8PathBuf; 0], "{ended}");
        let images = files(&self.home.path().join("images"));
        assert!(images.iter().all(|path| path.is_dir()), "{images:?}: {ended}");
        for word in ["No instance is running.", "No image was made.", "Journal and logs: "] {
            assert!(ended.stderr.contains(word), "no {word:?} in {ended}");
        }
    }

    /// The folder of the only build.
    #[track_caller]
    pub fn build(&self) -> Utf8PathBuf {
        let builds = self.home.path().join("builds").read_dir_utf8().expect("builds");
        let builds: Vec<Utf8PathBuf> = builds.map(|build| build.expect("a build").into_path()).collect();
        assert_eq!(builds.len(), 1, "{builds:?}");
        builds[0].clone()
    }

    /// The journal of the only build, having seen to it that each step was intended before it was done or failed, and
    /// that its end is written down.
    #[track_caller]
    pub fn journal(&self, how: &str) -> Vec<Value> {
        let text = std::fs::read_to_string(self.build().join("journal.jsonl")).expect("a journal");
        let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
        assert_eq!(lines[0]["event"], "began", "{text}");
        let last = lines.last().expect("a line");
        assert_eq!((&last["event"], &last["how"]), (&"ended".into(), &how.into()), "{text}");
        let mut open = Vec::new();
        for line in &lines {
            match line["event"].as_str().expect("an event") {
                "intended" => open.push(&line["step"]),
                "done" | "failed" => {
                    let at = open.iter().position(|step| *step == &line["step"]);
                    open.remove(at.unwrap_or_else(|| panic!("{} was not intended:\n{text}", line["step"])));
                }
                _ => {}
            }
        }
        assert!(how != "done" || open.is_empty(), "not done: {open:?}\n{text}");
        lines
    }
}

/// A PATH whose first program of this name is a script of sh. In the script itself the name means the real one.
pub fn path_with(folder: &Utf8Path, name: &str, script: &str) -> String {
    let path = std::env::var("PATH").expect("PATH");
    let programs = folder.join("programs");
    write_program(&programs.join(name), format!("#!/bin/sh\nPATH='{path}'\n{script}"));
    format!("{programs}:{path}")
}

fn without_packages(recipe: &str) -> String {
    let mut kept = String::new();
    let mut of_package = false;
    for line in recipe.lines() {
        if line.starts_with('[') {
            of_package = line == "[[package]]" || line.starts_with("[[system.") && line.ends_with(".package]]");
        }
        if !of_package {
            kept.push_str(line);
            kept.push('\n');
        }
    }
    kept
}

/// The default base without the recipe's packages.
pub fn bare_base() -> Utf8PathBuf {
    base(None, &without_packages(&recipe(&[])), false)
}

/// A base for a recipe, made by the first test that needs it and by none after.
fn base(system: Option<&str>, recipe: &str, has_packages: bool) -> Utf8PathBuf {
    let name = format!("{}{}", system.unwrap_or("default"), if has_packages { "" } else { "-bare" });
    let shared = Utf8Path::new(env!("CARGO_TARGET_TMPDIR")).join("bases").join(name);
    let (_guard, folder) = folder();
    let root = sample(&folder);
    write(&root.join(".release/ami/ami.toml"), recipe);
    let ami = |words: &[&str]| {
        let mut command = Command::new(tool());
        command.arg("ami").args(words).args(["--version", "0", "--local", "--root", root.as_str()]);
        command.args(system.iter().flat_map(|system| ["--system", system]));
        command.env("WALLAROO_AMI_HOME", &shared).env("PATH", path_with(&folder, "qemu-system-x86_64", DEAF_QEMU));
        Running::start(&mut command)
    };
    let plan = ami(&["plan", "--json"]).end();
    assert_eq!(plan.code, Some(0), "{plan}");
    let found = |extension: &str| {
        let files = files(&shared.join("bases")).into_iter();
        files.filter(|path| path.extension() == Some(extension)).collect::<Vec<_>>()
    };
    if plan.stdout.contains("to be made") {
        // One that another version of the tool made is of no use.
        let _ = std::fs::remove_dir_all(&shared);
        // What is left of a run that ends then is the base, with what was read from it.
        let mut running = ami(&["--yes"]);
        running.wait_for("Launched");
        let deadline = Instant::now() + READ_WITHIN;
        while found("toml").is_empty() && running.is_running() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(100));
        }
        running.signal(Signal::SIGINT);
        let ended = running.end();
        assert_eq!((ended.code, found("toml").len()), (Some(130), 1), "{ended}");
    }
    let [base] = &found("qcow2")[..] else { panic!("one base") };
    base.clone()
}
