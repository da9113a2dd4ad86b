//! A lab for one test: moto with its machines, a home of the tool, and a checkout.

use std::{
    ffi::OsStr,
    fs::File,
    io::{BufRead as _, BufReader, Write as _},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use camino::{Utf8Path, Utf8PathBuf};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    guide,
    support::{Ended, Home, folder, missing, recipe, sample, skipped, workspace, write},
};

/// What the lab is made with, beyond the packages of its Python environment.
const PROGRAMS: [&str; 9] = ["unshare", "nsenter", "setpriv", "ip", "tar", "mmdebstrap", "make", "gcc", "timeout"];

/// What a run of the tool, or a look at the books, may take at most. A release takes a minute when quiet.
const RUN_LIMIT: &str = "900";

/// How long the lab may take to end its machines and to remove their disks, before it is killed.
const END_LIMIT: Duration = Duration::from_secs(60);

/// Whom port 22 is opened to: in the lab every address is everybody's.
pub const FROM: &str = "10.0.0.1/32";

/// How much is shown of each log when a test fails.
const LINES_SHOWN: usize = 40;

/// moto with its machines. All of it ends when this is dropped.
pub struct Lab {
    /// The tool's home.
    pub home: Home,
    /// The checkout: a copy of the sample.
    pub root: Utf8PathBuf,
    process: Child,
    endpoint: String,
    scratch: Utf8PathBuf,
    _scratch: TempDir,
    _folder: TempDir,
}

impl Lab {
    /// A lab with a base in each region, and a checkout whose recipe takes that base. None where it can't be.
    pub fn new() -> Option<Lab> {
        let python = python();
        let environment = (!python.exists()).then_some("Python environment with moto, which `cargo xtask test` makes");
        let not_root = !nix::unistd::geteuid().is_root();
        let uidmap = not_root.then(|| missing(&["newuidmap"])).flatten();
        if skipped(missing(&PROGRAMS).or(uidmap).or(environment)) {
            return None;
        }
        // Not in /tmp, which may be in memory: each machine has a whole disk.
        let scratch_guard = tempfile::Builder::new().prefix("moto-").tempdir_in(env!("CARGO_TARGET_TMPDIR"));
        let scratch_guard = scratch_guard.expect("a temporary folder");
        let scratch = Utf8PathBuf::try_from(scratch_guard.path().to_owned()).expect("a path in UTF-8");
        let log = File::create(scratch.join("lab.log")).expect("a log");
        let mut command = Command::new(&python);
        command.arg(beside("lab.py")).args(["--cache", tools().as_str(), "--scratch", scratch.as_str()]);
        command.args(["--recipe", workspace().join(".release/ami/ami.toml").as_str()]);
        // It ends when its stdin does, which is in this process.
        let mut process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(log).spawn().expect("the lab");
        let mut line = String::new();
        BufReader::new(process.stdout.take().expect("its stdout")).read_line(&mut line).expect("a line");
        let (guard, folder) = folder();
        let (home, root) = (Home::new(), sample(&folder));
        let endpoint = String::new();
        let mut lab = Lab { home, root, process, endpoint, scratch, _scratch: scratch_guard, _folder: guard };
        let ready: Value = serde_json::from_str(&line).expect("the lab says that it is ready");
        lab.endpoint = ready["endpoint"].as_str().expect("a URL").to_owned();
        let owner = ready["image"]["owner_id"].as_str().expect("an account");
        write(&lab.root.join(".release/ami/ami.toml"), recipe_of(owner));
        Some(lab)
    }

    /// `xtask-ami ami …` about the checkout, in the lab, with nothing but the lab's settings of AWS.
    pub fn ami(&self, words: &[&str]) -> Ended {
        run(&mut self.command(words))
    }

    /// Runs the guide's commands of a name, which go well and print what it shows, with these flags for those that make
    /// images. Nothing asks. Returns how each ended.
    #[track_caller]
    pub fn follow_guide(&self, name: &str, flags: &[&str]) -> Vec<Ended> {
        let text = std::fs::read_to_string(workspace().join("docs/guide.md")).expect("the guide");
        let commands = guide::commands(&text, name);
        assert!(!commands.is_empty(), "the guide has no commands `{name}`");
        let follow = |command: &guide::Shown| {
            let makes = command.words[0].starts_with("--");
            let flags: &[&str] = match command.words[0].as_str() {
                _ if makes => &[&["--yes", "--ssh-from", FROM], flags].concat(),
                "plan" => &["--ssh-from", FROM],
                "retire" | "clean" => &["--yes"],
                _ => &[],
            };
            let words = command.with(flags);
            let ended = self.ami(&words.iter().map(String::as_str).collect::<Vec<_>>());
            assert_eq!(ended.code, Some(0), "{command:?}: {ended}");
            command.expect(&ended.stderr, &ended.stdout);
            ended
        };
        commands.iter().map(follow).collect()
    }

    /// `xtask-ami ami …` to be started. Whoever ends all of its process group ends the tool with what it was started by.
    pub fn command(&self, words: &[&str]) -> Command {
        self.command_at(&self.process.id().to_string(), words)
    }

    fn command_at(&self, process: &str, words: &[&str]) -> Command {
        let wanted = self.home.ami(words.iter().copied().chain(["--root", self.root.as_str()]));
        let mut command = enter(process, wanted.get_program());
        command.args(wanted.get_args()).current_dir(workspace());
        command.env("WALLAROO_AMI_HOME", self.home.path());
        self.settings(&mut command);
        command
    }

    /// What the account has in some regions, as books.py tells it.
    #[track_caller]
    pub fn books(&self, regions: &[&str]) -> Value {
        let ended = run(self.inside(python()).arg(beside("books.py")).arg(&self.endpoint).args(regions));
        assert_eq!(ended.code, Some(0), "{ended}");
        serde_json::from_str(&ended.stdout).expect("JSON")
    }

    /// The images that `list` prints in a format, as listed.py reads it: a map from region to id.
    #[track_caller]
    pub fn listed(&self, format: &str, words: &[&str]) -> Value {
        let listed = self.ami(&[&["list", "--format", format], words].concat());
        assert_eq!(listed.code, Some(0), "{listed}");
        let mut reader = Command::new(python());
        reader.arg(beside("listed.py")).arg(format).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut reader = reader.spawn().expect("Python");
        reader.stdin.take().expect("its stdin").write_all(listed.stdout.as_bytes()).expect("read");
        let read = reader.wait_with_output().expect("its end");
        serde_json::from_slice(&read.stdout).unwrap_or_else(|error| panic!("{format}: {error}: {listed}"))
    }

    /// Makes a call as another client of the account, and returns its answer; its name is that of boto3's method.
    #[track_caller]
    pub fn call(&self, region: &str, method: &str, parameters: &Value) -> Value {
        let mut command = self.inside(python());
        command.arg(beside("call.py")).args([&self.endpoint, region, method]).arg(parameters.to_string());
        let ended = run(&mut command);
        assert_eq!(ended.code, Some(0), "{ended}");
        serde_json::from_str(&ended.stdout).expect("JSON")
    }

    /// Has the account refuse some of what it is asked for, as rules.py describes.
    pub fn rule(&self, rules: &Value) {
        write(&self.scratch.join("rules.json"), rules.to_string());
    }

    /// Starts an office in the lab, and returns it with what it says of itself.
    pub fn office(&self) -> (Office, Value) {
        let mut command = self.inside(python());
        command.arg(beside("office.py")).args(["--scratch", self.scratch.as_str()]);
        let mut process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("the office");
        let mut line = String::new();
        BufReader::new(process.stdout.take().expect("its stdout")).read_line(&mut line).expect("a line");
        let says = serde_json::from_str(&line).expect("the office says that it is ready");
        (Office(process), says)
    }

    /// `xtask-ami ami …` about the checkout, in the network of a process of the lab, with these variables besides.
    pub fn ami_at(&self, process: &Value, words: &[&str], variables: &[(&str, &str)]) -> Ended {
        let mut command = self.command_at(&process.to_string(), words);
        run(command.envs(variables.iter().copied()))
    }

    /// What went through the office's proxy.
    pub fn proxied(&self) -> String {
        std::fs::read_to_string(self.scratch.join("proxy.log")).expect("a log")
    }

    /// What the lab was asked so far, one line a call: time, region, action and how it went.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.scratch.join("lab.log")).expect("a log")
    }

    /// Gives a command the lab's settings of AWS, and no others.
    fn settings<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("AWS_")) {
            command.env_remove(name);
        }
        command.env("AWS_ENDPOINT_URL", &self.endpoint).env("AWS_EC2_METADATA_DISABLED", "true");
        command.env("AWS_ACCESS_KEY_ID", "lab").env("AWS_SECRET_ACCESS_KEY", "lab");
        command.env("AWS_CONFIG_FILE", "/dev/null").env("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
    }

    /// A command that runs in the lab's network.
    fn inside(&self, program: impl AsRef<OsStr>) -> Command {
        enter(&self.process.id().to_string(), program)
    }
}

/// A command that runs in the network of a process.
fn enter(process: &str, program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new("timeout");
    command.args(["--kill-after=10", RUN_LIMIT, "nsenter", "--net", "--target", process]);
    if !nix::unistd::geteuid().is_root() {
        command.args(["--user", "--preserve-credentials"]);
    }
    command.arg("--").arg(program);
    command
}

/// A network with one way out. It ends when this is dropped.
pub struct Office(Child);

impl Drop for Office {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        drop(self.process.stdin.take());
        let deadline = Instant::now() + END_LIMIT;
        while Instant::now() < deadline && matches!(self.process.try_wait(), Ok(None)) {
            std::thread::sleep(Duration::from_millis(50));
        }
        // The system ends everything that is in the lab with it.
        let _ = self.process.kill();
        let _ = self.process.wait();
        if std::thread::panicking() {
            show(&self.scratch.join("lab.log"));
            for entry in self.scratch.read_dir_utf8().expect("the lab's folder").filter_map(Result::ok) {
                show(&entry.path().join("console.log"));
            }
        }
    }
}

/// The values of a field of each thing in a list.
#[track_caller]
pub fn each<'a>(things: &'a Value, field: &str) -> Vec<&'a Value> {
    things.as_array().expect("a list").iter().map(|thing| &thing[field]).collect()
}

/// Fails the test unless nothing is left of the machines and of the ways in to them.
#[track_caller]
pub fn expect_nothing_runs(books: &Value) {
    for (region, books) in books.as_object().expect("regions") {
        for kind in ["key_pairs", "security_groups", "volumes"] {
            assert_eq!(books[kind], json!([]), "{kind} of {region}");
        }
        let states = each(&books["instances"], "State");
        assert!(states.iter().all(|state| state["Name"] == "terminated"), "{region}: {states:?}");
    }
}

/// Shows the last lines of a log, where there is one.
fn show(log: &Utf8Path) {
    let Ok(bytes) = std::fs::read(log) else { return };
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<&str> = text.lines().collect();
    let last = lines[lines.len().saturating_sub(LINES_SHOWN)..].join("\n");
    let _ = std::io::Write::write_all(&mut std::io::stderr(), format!("--- {log}\n{last}\n").as_bytes());
}

fn run(command: &mut Command) -> Ended {
    let output = command.stdin(Stdio::null()).output().expect("the program starts");
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    Ended { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
}

/// The shipped recipe, with the lab's base.
fn recipe_of(owner: &str) -> String {
    recipe(&[
        (
            "system = \"ubuntu-16.04\"\nowner = { aws = \"099720109477\",",
            &format!("system = \"debian-12\"\nowner = {{ aws = \"{owner}\","),
        ),
        ("ubuntu/images/hvm-ssd/ubuntu-xenial-16.04-amd64-server-*", "debian-12-amd64-*"),
    ])
}

/// Where `cargo xtask test` keeps what it made for the tests.
fn tools() -> Utf8PathBuf {
    Utf8Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("tools")
}

/// The Python that has moto.
pub fn python() -> Utf8PathBuf {
    tools().join("moto/bin/python")
}

/// A file beside this one.
pub fn beside(name: &str) -> Utf8PathBuf {
    workspace().join("xtask/ami/tests/moto").join(name)
}
