//! One virtual machine: a QEMU process, controlled over its standard input and output (QMP).

use std::{net::SocketAddr, process::Stdio, time::Duration};

use anyhow::{Context as _, Result, bail};
use camino::{Utf8Path, Utf8PathBuf};
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines},
    process::{Child, ChildStdin, ChildStdout},
};

use crate::ground::process;

/// How long QEMU may take to answer a command; it answers in milliseconds, on a loaded machine in a second.
const ANSWER_LIMIT: Duration = Duration::from_secs(30);

/// What a machine is made of.
pub struct Hardware {
    /// QEMU's arguments for the accelerator and the processor.
    pub accelerator: Vec<String>,
    /// The disk that it boots, qcow2.
    pub disk: Utf8PathBuf,
    /// The NoCloud disk.
    pub seed: Utf8PathBuf,
    /// Memory in MiB.
    pub memory_mib: u32,
}

/// A running virtual machine. It ends when this is dropped, and when this process does.
pub struct Vm {
    child: Child,
    commands: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
    folder: Utf8PathBuf,
    ssh: SocketAddr,
    stopping: bool,
    settled: bool,
}

/// Whether a machine runs.
#[derive(Debug, PartialEq, Eq)]
pub enum Power {
    /// It runs.
    On,
    /// It was asked to shut down, and still runs.
    GoingOff,
    /// It is off; how QEMU ended, when that wasn't a shutdown that we asked for.
    Off(Option<String>),
}

impl Vm {
    /// Starts a machine whose files lie in `folder`.
    ///
    /// # Errors
    /// When QEMU doesn't start; the message has what it said.
    pub async fn start(folder: &Utf8Path, hardware: &Hardware) -> Result<Vm> {
        let said = std::fs::File::create(folder.join(QEMU_SAID));
        let said = said.with_context(|| format!("failed to make {QEMU_SAID} in {folder}"))?;
        let mut command = process::command("qemu-system-x86_64", Signal::SIGKILL);
        command.args(arguments(folder, hardware)).kill_on_drop(true);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(said);
        let mut child = command.spawn().context("failed to start qemu-system-x86_64")?;
        let (Some(commands), Some(answers)) = (child.stdin.take(), child.stdout.take()) else {
            bail!("failed to talk to qemu-system-x86_64");
        };
        let ssh = SocketAddr::from(([127, 0, 0, 1], 0));
        let answers = BufReader::new(answers).lines();
        let mut vm = Vm { child, commands, answers, folder: folder.to_owned(), ssh, stopping: false, settled: false };
        vm.execute("qmp_capabilities", json!({})).await?;
        let port = vm.forwarded_port().await?;
        vm.ssh.set_port(port);
        Ok(vm)
    }

    /// Where the guest's port 22 is reached on this computer.
    #[must_use]
    pub fn ssh(&self) -> SocketAddr {
        self.ssh
    }

    /// Presses the power button.
    ///
    /// # Errors
    /// When QEMU doesn't take it.
    pub async fn press_power_button(&mut self) -> Result<()> {
        self.stopping = true;
        self.execute("system_powerdown", json!({})).await.map(drop)
    }

    /// Restarts a guest whose kernel hangs while it boots, once; says whether it did.
    ///
    /// Emulated on a busy computer, about one boot in ten hangs for good before any program runs, and goes well the next
    /// time. The kernel's own watchdog says so on the console.
    ///
    /// # Errors
    /// When QEMU doesn't take it.
    pub async fn restart_if_hung(&mut self) -> Result<bool> {
        if self.settled || self.stopping {
            return Ok(false);
        }
        let console = std::fs::read(self.folder.join(CONSOLE)).unwrap_or_default();
        if !hangs(&String::from_utf8_lossy(&console)) {
            return Ok(false);
        }
        self.settled = true;
        self.execute("system_reset", json!({})).await?;
        Ok(true)
    }

    /// From now on the guest is not restarted: somebody has logged in.
    pub fn let_be(&mut self) {
        self.settled = true;
    }

    /// Whether it runs.
    ///
    /// # Errors
    /// When the system can't say.
    pub fn power(&mut self) -> Result<Power> {
        Ok(match self.child.try_wait().context("failed to look at QEMU")? {
            None if self.stopping => Power::GoingOff,
            None => Power::On,
            Some(ended) if ended.success() => {
                Power::Off((!self.stopping).then(|| "the guest shut down by itself".to_owned()))
            }
            Some(ended) => Power::Off(Some(format!("QEMU ended ({ended}){}", self.said()))),
        })
    }

    /// Ends it at once, as pulling the plug does.
    ///
    /// # Errors
    /// When the system can't.
    pub async fn kill(&mut self) -> Result<()> {
        self.child.kill().await.context("failed to end QEMU")
    }

    async fn forwarded_port(&mut self) -> Result<u16> {
        let arguments = json!({ "command-line": "info usernet" });
        let table = self.execute("human-monitor-command", arguments).await?;
        let table = table.as_str().unwrap_or_default();
        parse_forwarded_port(table).with_context(|| format!("QEMU doesn't say which port it forwards:\n{table}"))
    }

    async fn execute(&mut self, command: &str, arguments: Value) -> Result<Value> {
        let answer = tokio::time::timeout(ANSWER_LIMIT, self.exchange(command, arguments)).await;
        answer.with_context(|| format!("QEMU did not answer `{command}` within {ANSWER_LIMIT:?}"))?
    }

    async fn exchange(&mut self, command: &str, arguments: Value) -> Result<Value> {
        let line = format!("{}\n", json!({ "execute": command, "arguments": arguments }));
        // A QEMU that has ended takes no command; the end of its answers is the better message.
        let _ = self.commands.write_all(line.as_bytes()).await;
        while let Some(line) = self.answers.next_line().await.context("failed to read QEMU's answer")? {
            if let Some(value) = parse_answer(command, &line)? {
                return Ok(value);
            }
        }
        let ended = self.child.wait().await.context("failed to wait for QEMU")?;
        bail!("QEMU ended ({ended}){}", self.said())
    }

    /// What QEMU said on its standard error, for the end of a message.
    fn said(&self) -> String {
        // It names files, and those have any bytes.
        let said = std::fs::read(self.folder.join(QEMU_SAID)).unwrap_or_default();
        let said = String::from_utf8_lossy(&said);
        // What emulated processors can't do it says at each start, and nothing comes of it.
        let telling = |line: &&str| !line.contains("warning: TCG doesn't support requested feature");
        let said: Vec<&str> = said.lines().filter(telling).collect();
        if said.is_empty() { String::new() } else { format!(":\n{}", process::last_lines(&said.join("\n"))) }
    }
}

const QEMU_SAID: &str = "qemu.log";

/// The guest's console, as it is written.
pub const CONSOLE: &str = "console.log";

fn arguments(folder: &Utf8Path, hardware: &Hardware) -> Vec<String> {
    // The shape of an m5.large: one core with two hyperthreads, an NVMe disk, a console on the serial line.
    let disk = json!({
        "driver": "qcow2", "node-name": "disk", "discard": "unmap", "detect-zeroes": "unmap",
        // The disk is thrown away when this computer crashes, so the guest's flushes need not reach it.
        "cache": { "no-flush": true },
        "file": { "driver": "file", "filename": hardware.disk, "cache": { "no-flush": true }, "discard": "unmap" },
    });
    let seed = json!({
        "driver": "raw", "node-name": "seed", "read-only": true,
        "file": { "driver": "file", "filename": hardware.seed },
    });
    let console = format!("file,id=console,path={}", folder.join(CONSOLE).as_str().replace(',', ",,"));
    let memory = hardware.memory_mib.to_string();
    let (disk, seed) = (disk.to_string(), seed.to_string());
    let mut arguments = hardware.accelerator.clone();
    arguments.extend(
        [
            "-machine",
            "q35",
            "-smp",
            "2,sockets=1,cores=1,threads=2",
            "-m",
            &memory,
            "-nodefaults",
            "-no-user-config",
            "-display",
            "none",
            "-qmp",
            "stdio",
            "-chardev",
            &console,
            "-serial",
            "chardev:console",
            "-blockdev",
            &disk,
            "-device",
            "nvme,serial=vol0,drive=disk,bootindex=1",
            "-blockdev",
            &seed,
            "-device",
            "virtio-blk-pci,drive=seed",
            // Port 0: the system picks a free one, so that two machines never ask for the same.
            "-netdev",
            "user,id=network,ipv6=off,hostfwd=tcp:127.0.0.1:0-:22",
            "-device",
            "virtio-net-pci,netdev=network,romfile=",
            "-device",
            "virtio-rng-pci",
        ]
        .map(str::to_owned),
    );
    arguments
}

/// What a command returned, if this line of QEMU's says it; others tell of events.
fn parse_answer(command: &str, line: &str) -> Result<Option<Value>> {
    let mut answer: Value =
        serde_json::from_str(line).with_context(|| format!("QEMU answered `{command}` with no JSON: {line}"))?;
    if let Some(error) = answer.get("error") {
        bail!("QEMU refused `{command}`: {error}");
    }
    Ok(answer.get_mut("return").map(Value::take))
}

/// Whether a console says that the kernel hangs.
fn hangs(console: &str) -> bool {
    console.contains("detected stalls") || console.contains("soft lockup")
}

/// The port of this computer in QEMU's table, whose line is `TCP[HOST_FORWARD] 13 127.0.0.1 43219 10.0.2.15 22 0 0`.
fn parse_forwarded_port(table: &str) -> Option<u16> {
    let line = table.lines().find(|line| line.contains("HOST_FORWARD"))?;
    line.split_whitespace().nth(3)?.parse().ok().filter(|port| *port != 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ground::untrusted::{check, text};

    const TABLE: &str = "Hub -1 (network):\r\n  Protocol[State]    FD  Source Address  Port   Dest. Address  Port RecvQ SendQ\r\n  \
         TCP[HOST_FORWARD]  13       127.0.0.1 43219       10.0.2.15    22     0     0\r\n";

    #[test]
    fn whatever_qemu_answers_it_is_a_value_an_event_or_an_error() {
        for answer in [
            r#"{"return": "Hub -1 (network):\r\n"}"#,
            r#"{"error": {"class": "GenericError", "desc": "no"}}"#,
            r#"{"timestamp": {"seconds": 1, "microseconds": 2}, "event": "POWERDOWN"}"#,
        ] {
            check(700, text(answer), |line| match parse_answer("info", &line) {
                Ok(value) => assert!(value.is_none() || line.contains("return")),
                Err(error) => assert!(format!("{error:#}").starts_with("QEMU "), "{error:#}"),
            });
        }
    }

    #[test]
    fn whatever_table_qemu_prints_a_port_in_it_stands_in_it() {
        check(1000, text(TABLE), |table| {
            if let Some(port) = parse_forwarded_port(&table) {
                assert!(port > 0 && table.contains(&port.to_string()), "{port}");
            }
            hangs(&table);
        });
    }

    #[test]
    fn a_kernel_that_hangs_says_so() {
        assert!(hangs("[   21.0] rcu: INFO: rcu_preempt detected stalls on CPUs/tasks:"));
        assert!(!hangs("Debian GNU/Linux 12 wallaroo ttyS0\n"));
    }

    #[test]
    fn finds_the_forwarded_port() {
        assert_eq!(parse_forwarded_port(TABLE), Some(43219));
        assert_eq!(parse_forwarded_port("nothing"), None);
    }
}
