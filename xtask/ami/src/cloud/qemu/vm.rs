//! A virtual machine: a QEMU process, controlled by QMP over its standard input and output.

use std::{
    net::SocketAddr,
    process::{ExitStatus, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use camino::{Utf8Path, Utf8PathBuf};
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines},
    process::{Child, ChildStdin, ChildStdout},
};

use super::{identity::Identity, network};
use crate::ground::process;

/// The timeout of a QMP command, which QEMU answers in milliseconds, or in a second on a busy computer.
const ANSWER_LIMIT: Duration = Duration::from_secs(30);

/// The hardware of a machine.
pub struct Hardware {
    /// QEMU's arguments for the accelerator and the processor.
    pub accelerator: Vec<String>,
    /// The boot disk, qcow2.
    pub disk: Utf8PathBuf,
    /// The seed disk for cloud-init.
    pub seed: Utf8PathBuf,
    /// QEMU's arguments for the firmware; none for its own, a BIOS.
    pub firmware: Vec<String>,
    /// What its parts are called.
    pub identity: Identity,
    /// Memory in MiB.
    pub memory_mib: u32,
    /// How long the guest's console may be silent before the first login.
    pub silence_limit: Duration,
}

/// A virtual machine. It is killed on drop, and when this process ends.
pub struct Vm {
    child: Child,
    commands: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
    folder: Utf8PathBuf,
    ssh: SocketAddr,
    stopping: bool,
    /// What is known of its boot; `None` once it has booted.
    boot: Option<Boot>,
}

/// What the console of a booting guest shows of its progress.
struct Boot {
    silence_limit: Duration,
    console_bytes: u64,
    changed: Instant,
}

/// The power state of a machine.
#[derive(Debug, PartialEq, Eq)]
pub enum Power {
    /// It runs.
    On,
    /// It was asked to shut down, and still runs.
    GoingOff,
    /// It is off, with the reason unless it was asked to shut down.
    Off(Option<String>),
}

impl Vm {
    /// Starts a machine with its files in `folder`.
    ///
    /// # Errors
    /// When QEMU doesn't start; the message has its output.
    pub async fn start(folder: &Utf8Path, hardware: &Hardware) -> Result<Vm> {
        let stderr = std::fs::File::create(folder.join(QEMU_LOG));
        let stderr = stderr.with_context(|| format!("failed to make {QEMU_LOG} in {folder}"))?;
        let mut command = process::command("qemu-system-x86_64", Signal::SIGKILL);
        command.args(arguments(folder, hardware)).kill_on_drop(true);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(stderr);
        let mut child = command.spawn().context("failed to start qemu-system-x86_64")?;
        let (Some(commands), Some(answers)) = (child.stdin.take(), child.stdout.take()) else {
            bail!("failed to talk to qemu-system-x86_64");
        };
        let ssh = SocketAddr::from(([127, 0, 0, 1], 0));
        let answers = BufReader::new(answers).lines();
        let boot = Boot { silence_limit: hardware.silence_limit, console_bytes: 0, changed: Instant::now() };
        let mut vm = Vm { child, commands, answers, folder: folder.to_owned(), ssh, stopping: false, boot: Some(boot) };
        vm.execute("qmp_capabilities", json!({})).await?;
        let port = vm.forwarded_port().await?;
        vm.ssh.set_port(port);
        Ok(vm)
    }

    /// The address on this computer that is forwarded to the guest's port 22.
    #[must_use]
    pub fn ssh(&self) -> SocketAddr {
        self.ssh
    }

    /// Presses the power button.
    ///
    /// # Errors
    /// When QEMU refuses.
    pub async fn press_power_button(&mut self) -> Result<()> {
        self.stopping = true;
        self.execute("system_powerdown", json!({})).await.map(drop)
    }

    /// Cuts the power: QEMU writes what the guest has synced to its disk, and exits.
    ///
    /// # Errors
    /// When QEMU refuses.
    pub async fn cut_power(&mut self) -> Result<()> {
        self.stopping = true;
        self.execute("quit", json!({})).await.map(drop)
    }

    /// Why this boot is taken to have failed; `None` while it has not.
    ///
    /// Under emulation on a busy computer, about one boot in ten hangs, and the next one succeeds. Mostly the kernel's
    /// watchdog reports the hang on the console. A kernel that gets no interrupts any more reports nothing. Rarely QEMU
    /// itself aborts while the guest sets up its devices.
    pub fn failed_boot(&mut self) -> Option<String> {
        if self.stopping || self.boot.is_none() {
            return None;
        }
        if let Ok(Some(ended)) = self.child.try_wait()
            && !ended.success()
        {
            return Some(self.end(ended));
        }
        let boot = self.boot.as_mut()?;
        let console = std::fs::read(self.folder.join(CONSOLE)).unwrap_or_default();
        boot.hang(&String::from_utf8_lossy(&console), Instant::now())
    }

    /// Its boot cannot fail from now on: a login shows that it has booted, or nothing could be done about it.
    pub fn has_booted(&mut self) {
        self.boot = None;
    }

    /// The power state.
    ///
    /// # Errors
    /// When the state of QEMU's process can't be read.
    pub fn power(&mut self) -> Result<Power> {
        Ok(match self.child.try_wait().context("failed to check on QEMU")? {
            None if self.stopping => Power::GoingOff,
            None => Power::On,
            Some(ended) if ended.success() => {
                Power::Off((!self.stopping).then(|| "the guest shut down by itself".to_owned()))
            }
            Some(ended) => Power::Off(Some(self.end(ended))),
        })
    }

    /// Kills QEMU: the guest loses power.
    ///
    /// # Errors
    /// When QEMU can't be killed.
    pub async fn kill(&mut self) -> Result<()> {
        self.child.kill().await.context("failed to kill QEMU")
    }

    async fn forwarded_port(&mut self) -> Result<u16> {
        let arguments = json!({ "command-line": "info usernet" });
        let table = self.execute("human-monitor-command", arguments).await?;
        let table = table.as_str().unwrap_or_default();
        parse_forwarded_port(table)
            .with_context(|| format!("failed to find the forwarded port in QEMU's output:\n{table}"))
    }

    async fn execute(&mut self, command: &str, arguments: Value) -> Result<Value> {
        let answer = tokio::time::timeout(ANSWER_LIMIT, self.exchange(command, arguments)).await;
        answer.with_context(|| format!("QEMU did not answer `{command}` within {ANSWER_LIMIT:?}"))?
    }

    async fn exchange(&mut self, command: &str, arguments: Value) -> Result<Value> {
        let line = format!("{}\n", json!({ "execute": command, "arguments": arguments }));
        // If QEMU has exited this fails, but the end of its output below gives the better message.
        let _ = self.commands.write_all(line.as_bytes()).await;
        while let Some(line) = self.answers.next_line().await.context("failed to read QEMU's answer")? {
            if let Some(value) = parse_answer(command, &line)? {
                return Ok(value);
            }
        }
        let ended = self.child.wait().await.context("failed to wait for QEMU")?;
        bail!(self.end(ended))
    }

    /// How QEMU ended, with the last lines of its standard error.
    fn end(&self, ended: ExitStatus) -> String {
        format!("QEMU ended ({ended}){}", self.stderr_tail())
    }

    /// The last lines of QEMU's standard error, for the end of a message.
    fn stderr_tail(&self) -> String {
        // It may contain names of files, which may be any bytes.
        let stderr = std::fs::read(self.folder.join(QEMU_LOG)).unwrap_or_default();
        let stderr = String::from_utf8_lossy(&stderr);
        // Emulation causes this harmless warning at each start.
        let is_relevant = |line: &&str| !line.contains("warning: TCG doesn't support requested feature");
        let lines: Vec<&str> = stderr.lines().filter(is_relevant).collect();
        if lines.is_empty() { String::new() } else { format!(":\n{}", process::last_lines(&lines.join("\n"))) }
    }
}

const QEMU_LOG: &str = "qemu.log";

/// The file with the guest's console output.
pub const CONSOLE: &str = "console.log";

fn arguments(folder: &Utf8Path, hardware: &Hardware) -> Vec<String> {
    // The shape of an m5.large: one core with two hyperthreads, an NVMe disk, a console on the serial line.
    let disk = json!({
        "driver": "qcow2", "node-name": "disk", "discard": "unmap", "detect-zeroes": "unmap",
        // If this computer crashes the disk is discarded, so the guest's flushes need not reach the storage.
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
    let boot_disk = format!("nvme,serial={},drive=disk,bootindex=1", hardware.identity.disk_serial);
    let network = format!("virtio-net-pci,netdev=network,romfile=,mac={}", hardware.identity.mac);
    let mut arguments = hardware.accelerator.clone();
    arguments.extend_from_slice(&hardware.firmware);
    arguments.extend(
        [
            "-machine",
            // Controllers that an m5.large lacks, too, and whose drivers an emulated machine takes seconds to load.
            "q35,sata=off,smbus=off,vmport=off",
            "-smp",
            "2,sockets=1,cores=1,threads=2",
            "-m",
            &memory,
            "-uuid",
            &hardware.identity.uuid,
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
            &boot_disk,
            "-blockdev",
            &seed,
            "-device",
            "virtio-blk-pci,drive=seed",
            "-netdev",
            &network::user_network(),
            "-device",
            &network,
            "-device",
            "virtio-rng-pci",
        ]
        .map(str::to_owned),
    );
    arguments
}

/// The return value of a command, if this line has it. Other lines are events.
fn parse_answer(command: &str, line: &str) -> Result<Option<Value>> {
    let mut answer: Value =
        serde_json::from_str(line).with_context(|| format!("QEMU answered `{command}` with invalid JSON: {line}"))?;
    if let Some(error) = answer.get("error") {
        bail!("QEMU refused `{command}`: {error}");
    }
    Ok(answer.get_mut("return").map(Value::take))
}

impl Boot {
    fn hang(&mut self, console: &str, now: Instant) -> Option<String> {
        if console.contains("detected stalls") || console.contains("soft lockup") {
            return Some("its kernel reports a stall".to_owned());
        }
        let bytes = console.len() as u64;
        if bytes != self.console_bytes {
            (self.console_bytes, self.changed) = (bytes, now);
        }
        if now.duration_since(self.changed) < self.silence_limit {
            return None;
        }
        let limit = humantime::format_duration(self.silence_limit);
        Some(match console.trim_end().lines().next_back() {
            Some(line) => format!("no login, and nothing on its console for {limit} after `{}`", line.trim()),
            None => format!("no login, and nothing on its console for {limit}"),
        })
    }
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
    fn any_answer_of_qemu_is_a_value_an_event_or_an_error() {
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
    fn any_table_gives_a_port_that_it_contains_or_none() {
        check(1000, text(TABLE), |table| {
            if let Some(port) = parse_forwarded_port(&table) {
                assert!(port > 0 && table.contains(&port.to_string()), "{port}");
            }
        });
    }

    #[test]
    fn a_boot_hangs_when_the_kernel_says_so_or_the_console_is_silent_for_too_long() {
        let (start, limit) = (Instant::now(), Duration::from_secs(60));
        let after = |secs| start + Duration::from_secs(secs);
        let mut boot = Boot { silence_limit: limit, console_bytes: 0, changed: start };
        assert_eq!(boot.hang("Booting\n", after(59)), None);
        assert_eq!(boot.hang("Booting\n", after(118)), None);
        let silent = "no login, and nothing on its console for 1m after `Booting`";
        assert_eq!(boot.hang("Booting\n", after(119)).as_deref(), Some(silent));
        assert_eq!(boot.hang("Booting\nWelcome\n", after(120)), None);
        let stalled = "[   21.0] rcu: INFO: rcu_preempt detected stalls on CPUs/tasks:";
        assert_eq!(boot.hang(stalled, after(121)).as_deref(), Some("its kernel reports a stall"));
    }

    #[test]
    fn the_forwarded_port_is_found_in_the_table() {
        assert_eq!(parse_forwarded_port(TABLE), Some(43219));
        assert_eq!(parse_forwarded_port("nothing"), None);
    }
}
