//! A run of the program beside the test.

use std::{
    io::{BufRead as _, BufReader, Read as _},
    os::unix::process::ExitStatusExt as _,
    process::{Child, Command, Stdio},
    sync::mpsc::{Receiver, RecvTimeoutError, channel},
    thread::JoinHandle,
    time::{Duration, Instant},
};

use camino::Utf8PathBuf;
use nix::{
    sys::signal::{Signal, kill, killpg},
    unistd::Pid,
};

use crate::support::{Ended, Home, files};

/// How soon all has to be gone after a run: the system ends it, so it is a matter of scheduling.
const GONE_WITHIN: Duration = Duration::from_secs(10);

/// How long a test waits for a line. The longest wait is for packages to be installed, a minute and a half when quiet.
const LINE_LIMIT: Duration = Duration::from_secs(480);

/// How much of a console is shown.
const CONSOLE_END_BYTES: usize = 2000;

/// A run of the program. It is ended when this is dropped.
pub struct Running {
    child: Child,
    lines: Receiver<String>,
    seen: Vec<String>,
    stdout: Option<JoinHandle<String>>,
    home: Option<Utf8PathBuf>,
}

impl Running {
    /// Starts it.
    pub fn start(command: &mut Command) -> Running {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the program starts");
        let (sender, lines) = channel();
        let stderr = BufReader::new(child.stderr.take().expect("its stderr"));
        std::thread::spawn(move || {
            for line in stderr.lines() {
                let _ = sender.send(line.expect("UTF-8"));
            }
        });
        let mut stdout = child.stdout.take().expect("its stdout");
        let stdout = std::thread::spawn(move || {
            let mut text = String::new();
            stdout.read_to_string(&mut text).expect("UTF-8");
            text
        });
        let home = command.get_envs().find(|(name, _)| *name == "WALLAROO_AMI_HOME").and_then(|(_, home)| home);
        let home = home.and_then(|home| home.to_str()).map(Utf8PathBuf::from);
        Running { child, lines, seen: Vec::new(), stdout: Some(stdout), home }
    }

    /// Its process.
    pub fn id(&self) -> Pid {
        Pid::from_raw(self.child.id().try_into().expect("an id"))
    }

    /// Waits until it prints a line on stderr that has this text.
    #[track_caller]
    pub fn wait_for(&mut self, text: &str) -> String {
        assert!(self.says(text), "it ended without {text:?}:\n{}", self.seen.join("\n"));
        self.seen.last().expect("the line").clone()
    }

    /// Waits until it prints a line on stderr that has this text, or ends without it.
    #[track_caller]
    pub fn says(&mut self, text: &str) -> bool {
        let deadline = Instant::now() + LINE_LIMIT;
        loop {
            match self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) => {
                    self.seen.push(line);
                    if self.seen.last().is_some_and(|line| line.contains(text)) {
                        return true;
                    }
                }
                Err(RecvTimeoutError::Timeout) => {
                    panic!("no {text:?} within {LINE_LIMIT:?}:\n{}", self.so_far())
                }
                Err(RecvTimeoutError::Disconnected) => return false,
            }
        }
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        kill(self.id(), signal).expect("it is there");
    }

    /// Whether it is still there.
    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("its status").is_none()
    }

    /// What it has said, and the ends of its machines' consoles, for a test that gives up on it.
    fn so_far(&self) -> String {
        let mut text = self.seen.join("\n");
        for path in self.home.iter().flat_map(|home| files(&home.join("instances"))) {
            if path.file_name() == Some("console.log") {
                let console = std::fs::read(&path).unwrap_or_default();
                let console = String::from_utf8_lossy(&console[console.len().saturating_sub(CONSOLE_END_BYTES)..]);
                text += &format!("\n{path} ends with:\n{console}");
            }
        }
        text
    }

    /// Kills it with all of its process group, which it leads.
    pub fn kill_group(&self) {
        killpg(self.id(), Signal::SIGKILL).expect("it is there");
    }

    /// Waits for its end.
    #[track_caller]
    pub fn end(self) -> Ended {
        self.end_within(LINE_LIMIT)
    }

    /// Waits for its end, which has to come within `limit`.
    #[track_caller]
    pub fn end_within(mut self, limit: Duration) -> Ended {
        let deadline = Instant::now() + limit;
        let status = loop {
            if let Some(status) = self.child.try_wait().expect("its status") {
                break status;
            }
            self.seen.extend(self.lines.try_iter());
            assert!(Instant::now() < deadline, "it goes on after {limit:?}:\n{}", self.so_far());
            std::thread::sleep(Duration::from_millis(20));
        };
        self.seen.extend(self.lines.iter());
        let stdout = self.stdout.take().expect("once").join().expect("its stdout");
        let code = status.code().or_else(|| status.signal().map(|signal| -signal));
        Ended { code, stdout, stderr: self.seen.iter().map(|line| format!("{line}\n")).collect() }
    }
}

impl Home {
    /// Fails the test unless all is gone that a run had running on this computer.
    #[track_caller]
    pub fn expect_nothing_runs(&self, ended: &Ended) {
        let deadline = Instant::now() + GONE_WITHIN;
        while !self.processes().is_empty() {
            assert!(Instant::now() < deadline, "still there: {:?}\n{ended}", self.processes());
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Its machines end with it.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
