//! Programs that this one starts: they end when it does, and what they print is kept.

use std::{process::Stdio, time::Duration};

use anyhow::{Context as _, Result, anyhow, bail};
use camino::Utf8Path;
use nix::sys::signal::Signal;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    process::{Child, Command},
};

use crate::events::Events;
pub use crate::shell::quote;

/// How long a program that has ended may take to say its last words: they are in the pipe already.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// How long a program whose output is the result may take; they all look at something that is there.
const OUTPUT_LIMIT: Duration = Duration::from_secs(10 * 60);

/// How long a program may take to end once it was asked to, in seconds; Docker gives its containers as much.
const GRACE_SECS: u32 = 10;

/// The longest line that is kept whole, in bytes.
pub const LONGEST_LINE: u64 = 64 * 1024;

/// How many of a failing program's last lines a message shows.
const LAST_LINES: usize = 15;

/// A program that gets `signal` when this process dies, however it dies, and nothing on its standard input. What it starts
/// itself gets no signal: for programs that do, there is [`run`].
///
/// It has a process group of its own: Ctrl-C reaches this process alone, which then ends the group in its own order.
#[must_use]
pub fn command(program: impl AsRef<std::ffi::OsStr>, signal: Signal) -> Command {
    let mut command = Command::new(program);
    command.stdin(Stdio::null()).process_group(0);
    #[cfg(target_os = "linux")]
    #[expect(unsafe_code, reason = "prctl(2) is async-signal-safe, and there is no safe way to ask for this signal")]
    // SAFETY: the closure makes one system call, allocates nothing and takes no lock.
    unsafe {
        command.pre_exec(move || nix::sys::prctl::set_pdeathsig(signal).map_err(Into::into));
    }
    command
}

/// Runs a program to its end; all that it prints goes to the end of `log`. What it leaves running is ended with it, and
/// all of it when this is given up or this process dies, however it dies: with SIGTERM, and what doesn't hear that is
/// killed ten seconds later.
///
/// # Errors
/// When it can't be started or doesn't end with 0; the message says `what` failed and has its last lines.
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
    // The command holds the writing ends of the pipe: reading would never come to an end.
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
            // Something that it left running may hold the pipe for ever; what it said itself is there at once.
            let rest = tokio::time::timeout(LAST_WORDS, copied).await;
            rest.unwrap_or(Ok(())).with_context(|| format!("failed to write the log {log}"))?;
        }
        ended
    };
    if ended.success() {
        return Ok(());
    }
    bail!("{what} failed ({ended}); its last lines, of {log}:\n{}", indent(&tail))
}

/// What a program prints, when it ends with 0.
///
/// # Errors
/// When it can't be started or doesn't end with 0; the message says `what` failed and has what it said.
pub async fn output(what: &str, mut command: Command) -> Result<String> {
    command.kill_on_drop(true);
    let output = tokio::time::timeout(OUTPUT_LIMIT, command.output()).await;
    let output =
        output.map_err(|_| anyhow!("{what} did not end within {}", humantime::format_duration(OUTPUT_LIMIT)))?;
    let output = output.with_context(|| format!("failed to start `{}`", display(&command)))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("{what} failed ({}): {}", output.status, said.trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// A command line as a user would type it.
#[must_use]
pub fn display(command: &Command) -> String {
    let command = command.as_std();
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let words = words.map(|word| word.to_string_lossy().into_owned());
    words.map(|word| quote(&word)).collect::<Vec<_>>().join(" ")
}

/// The last lines of what a program printed, each indented.
#[must_use]
pub fn last_lines(text: &str) -> String {
    let lines: Vec<String> = text.lines().map(str::to_owned).collect();
    indent(&lines[lines.len().saturating_sub(LAST_LINES)..])
}

fn indent(lines: &[String]) -> String {
    lines.iter().map(|line| format!("    {line}")).collect::<Vec<_>>().join("\n")
}

/// Copies lines to a log until the end, and keeps the last ones in `tail`.
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
        if (&mut reader).take(LONGEST_LINE).read_until(b'\n', &mut line).await? == 0 {
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

/// The first process of a [`Group`], which ends all of it. It waits for the end of a pipe, which comes when this process
/// lets go of the other end, or dies. Its own signals it doesn't hear, but for the last.
///
/// Where nothing else is left in the group it doesn't wait; without /proc it can't tell.
const LEADER: &str = r#"trap '' HUP INT TERM
others() {
    [ -e /proc/self/stat ] || return 0
    for stat in /proc/[0-9]*/stat; do
        # NUMBER (NAME) STATE PARENT GROUP …, and a name may have anything in it.
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

/// A process group that doesn't outlive its guard for long, nor this process, however that dies: all in it is asked to
/// end with SIGTERM, and killed when it hasn't after a while. Dropping the guard waits for none of that.
struct Group {
    id: i32,
    _leader: Child,
    /// The end of the pipe that the leader waits for: with the guard it is closed.
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
