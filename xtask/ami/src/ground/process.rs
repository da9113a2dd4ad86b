//! Child processes: they end with this one, and their output is logged.

use std::{process::Stdio, time::Duration};

use anyhow::{Context as _, Result, anyhow, bail};
use camino::Utf8Path;
use nix::sys::signal::Signal;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, BufReader},
    process::{Child, Command},
};

use crate::events::Events;
pub use crate::shell::quote;

/// The timeout for reading the rest of the output of a program that has exited: it is in the pipe already.
const DRAIN_LIMIT: Duration = Duration::from_secs(1);

/// The timeout of [`output`]. The programs run with it only inspect something.
const OUTPUT_LIMIT: Duration = Duration::from_secs(10 * 60);

/// The seconds between SIGTERM and SIGKILL, as many as `docker stop` waits.
const GRACE_SECS: u32 = 10;

/// The longest line that is not split.
pub const MAX_LINE_BYTES: u64 = 64 * 1024;

/// How many last lines of a failed program a message shows.
const LAST_LINES: usize = 15;

/// A command with an empty standard input that gets `signal` when this process dies, in any way. Its own child
/// processes get no signal: for programs that have some, use [`run`].
///
/// It has a process group of its own, so Ctrl-C only reaches this process, which then terminates the others in order.
#[must_use]
pub fn command(program: impl AsRef<std::ffi::OsStr>, signal: Signal) -> Command {
    let mut command = Command::new(program);
    command.stdin(Stdio::null()).process_group(0);
    #[cfg(target_os = "linux")]
    #[expect(unsafe_code, reason = "prctl(2) is async-signal-safe, and there is no safe way to request this signal")]
    // SAFETY: the closure makes one system call, allocates nothing and takes no lock.
    unsafe {
        command.pre_exec(move || nix::sys::prctl::set_pdeathsig(signal).map_err(Into::into));
    }
    command
}

/// Runs a program and appends its output to `log`. Processes that it leaves behind are terminated after it. When the
/// future is dropped, or this process dies in any way, all of them are: with SIGTERM, and ten seconds later with
/// SIGKILL.
///
/// # Errors
/// When it can't be started, or its exit status isn't 0. The message says `what` failed, and has the last lines of
/// output.
pub async fn run(what: &str, command: Command, log: &Utf8Path, events: &Events) -> Result<()> {
    run_in(Group::new(GRACE_SECS)?, what, command, log, events).await
}

async fn run_in(group: Group, what: &str, mut command: Command, log: &Utf8Path, events: &Events) -> Result<()> {
    let file = tokio::fs::OpenOptions::new().create(true).append(true).open(log).await;
    let mut file = file.with_context(|| format!("failed to open the log {log}"))?;
    let line = format!("+ {}\n", display(&command));
    file.write_all(line.as_bytes()).await.with_context(|| format!("failed to write the log {log}"))?;
    let (reader, writer) = std::io::pipe().context("failed to make a pipe")?;
    command.stdout(writer.try_clone()?).stderr(writer);
    command.process_group(group.id);
    let mut child = command.spawn().with_context(|| format!("failed to start `{}`", display(&command)))?;
    // The command holds the write ends of the pipe: reading would never end.
    drop(command);
    let reader = tokio::net::unix::pipe::Receiver::from_owned_fd(reader.into())?;
    let mut tail = Vec::new();
    let source = log.file_stem().unwrap_or_default();
    let ended = {
        let mut copied = std::pin::pin!(copy_lines(reader, &mut file, &mut tail, source, events));
        let mut read_to_end = false;
        let ended = loop {
            tokio::select! {
                copied = &mut copied, if !read_to_end => {
                    copied.with_context(|| format!("failed to write the log {log}"))?;
                    read_to_end = true;
                }
                ended = child.wait() => break ended.with_context(|| format!("failed to wait for {what}"))?,
            }
        };
        if !read_to_end {
            // Processes that it left behind may hold the pipe open. Its own output is there already.
            let rest = tokio::time::timeout(DRAIN_LIMIT, copied).await;
            rest.unwrap_or(Ok(())).with_context(|| format!("failed to write the log {log}"))?;
        }
        ended
    };
    if ended.success() {
        return Ok(());
    }
    bail!("{what} failed ({ended}); the last lines of {log}:\n{}", indent(&tail))
}

/// A running program whose standard input and output are a connection. It is terminated with its processes when this is
/// dropped, or when this process dies in any way.
pub struct Piped {
    child: Child,
    _group: Group,
}

impl Piped {
    /// How the program ended, if it does within `limit`.
    pub async fn exited(&mut self, limit: Duration) -> Option<std::process::ExitStatus> {
        tokio::time::timeout(limit, self.child.wait()).await.ok()?.ok()
    }
}

/// Starts a program whose standard input and output are a connection.
///
/// # Errors
/// When it can't be started.
pub fn connect(mut command: Command) -> Result<(impl AsyncRead + AsyncWrite + Unpin + Send + use<>, Piped)> {
    let group = Group::new(GRACE_SECS)?;
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).process_group(group.id);
    let mut child = command.spawn()?;
    let (stdin, stdout) = (child.stdin.take().context("no stdin")?, child.stdout.take().context("no stdout")?);
    Ok((tokio::io::join(stdout, stdin), Piped { child, _group: group }))
}

/// Runs a program and returns its standard output.
///
/// # Errors
/// When it can't be started, times out, or its exit status isn't 0. The message says `what` failed, and has its
/// standard error.
pub async fn output(what: &str, mut command: Command) -> Result<String> {
    command.kill_on_drop(true);
    let output = tokio::time::timeout(OUTPUT_LIMIT, command.output()).await;
    let output = output.map_err(|_| anyhow!("{what} timed out after {}", humantime::format_duration(OUTPUT_LIMIT)))?;
    let output = output.with_context(|| format!("failed to start `{}`", display(&command)))?;
    if !output.status.success() {
        let stderr = String::from_utf8_lossy(&output.stderr);
        bail!("{what} failed ({}): {}", output.status, stderr.trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The command line, quoted for a shell.
#[must_use]
pub fn display(command: &Command) -> String {
    let command = command.as_std();
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let words = words.map(|word| word.to_string_lossy().into_owned());
    words.map(|word| quote(&word)).collect::<Vec<_>>().join(" ")
}

/// The last lines of a program's output, indented.
#[must_use]
pub fn last_lines(text: &str) -> String {
    let lines: Vec<String> = text.lines().map(str::to_owned).collect();
    indent(&lines[lines.len().saturating_sub(LAST_LINES)..])
}

fn indent(lines: &[String]) -> String {
    lines.iter().map(|line| format!("    {line}")).collect::<Vec<_>>().join("\n")
}

/// Copies lines to the log until the end of the output, and keeps the last ones in `tail`.
async fn copy_lines(
    reader: impl AsyncRead + Unpin,
    log: &mut tokio::fs::File,
    tail: &mut Vec<String>,
    source: &str,
    events: &Events,
) -> Result<()> {
    let mut reader = BufReader::new(reader);
    let mut line = Vec::new();
    loop {
        line.clear();
        if (&mut reader).take(MAX_LINE_BYTES).read_until(b'\n', &mut line).await? == 0 {
            return Ok(());
        }
        log.write_all(&line).await?;
        log.flush().await?;
        let text = String::from_utf8_lossy(&line).trim_end().to_owned();
        events.output(source, &text);
        if tail.len() == LAST_LINES {
            tail.remove(0);
        }
        tail.push(text);
    }
}

/// The leader of a [`Group`], which terminates it. It waits for the end of a pipe, whose other end this process closes
/// or loses by dying. It ignores its own signals, except SIGKILL.
///
/// It skips the grace period when no other process is left in the group, which it can only see in /proc.
const LEADER: &str = r#"trap '' HUP INT TERM
others() {
    [ -e /proc/self/stat ] || return 0
    for stat in /proc/[0-9]*/stat; do
        # PID (COMM) STATE PPID PGRP …; COMM may contain any character.
        read -r line < "$stat" || continue
        set -- "${stat#/proc/}" ${line##*) }
        [ "$4" = $$ ] && [ "$2" != Z ] && [ "${1%/stat}" != $$ ] && return 0
    done
    return 1
}
read -r _
kill -s TERM 0
seconds=$1
while [ "$seconds" -gt 0 ] && others; do
    sleep 1
    seconds=$((seconds - 1))
done
kill -s KILL 0"#;

/// A process group that is terminated when this guard is dropped or this process dies: with SIGTERM, then, after a
/// grace period, with SIGKILL. Dropping doesn't wait for that.
struct Group {
    id: i32,
    _leader: Child,
    /// The end of the pipe that the leader waits for, closed on drop.
    _held: std::io::PipeWriter,
}

impl Group {
    fn new(grace_secs: u32) -> Result<Group> {
        let (reader, held) = std::io::pipe().context("failed to make a pipe")?;
        let mut leader = Command::new("sh");
        leader.args(["-c", LEADER, "sh", &grace_secs.to_string()]).process_group(0);
        leader.stdin(reader).stdout(Stdio::null()).stderr(Stdio::null());
        let leader = leader.spawn().context("failed to start `sh`")?;
        let id = leader.id().and_then(|id| i32::try_from(id).ok()).context("`sh` has no process id")?;
        Ok(Group { id, _leader: leader, _held: held })
    }
}

#[cfg(test)]
mod tests;
