//! Commands, jobs and uploads over SSH.

use std::{cell::Cell, io::SeekFrom, pin::pin, time::Duration};

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use camino::{Utf8Path, Utf8PathBuf};
use russh::{ChannelMsg, client::Handle};
use tokio::{
    io::{AsyncSeekExt as _, AsyncWriteExt as _},
    time::Instant,
};

use super::{
    Destination, Input, Job, Lost, Machine, Output,
    dial::{self, PinnedHostKey},
    keys::Login,
    logged::{self, Logged},
    sending::Sending,
    through::Running,
    upload::Form,
};
use crate::{event::Event, events::Events, ground::process};

pub use super::dial::{Cipher, LoginRefused, Way};

/// The most that a command may print on standard output. Expected results are a few dozen lines.
const MAX_OUTPUT_BYTES: usize = 16 << 20;

/// How much longer than a job the tool waits for its end. The machine's clock counts for the job's limit, not the tool's.
const JOB_GRACE: Duration = Duration::from_secs(120);

/// How long a command whose input can't be sent may take to tell how it ended.
const LAST_WORDS: Duration = Duration::from_secs(10);

/// A login session over SSH.
pub struct Ssh {
    session: Handle<PinnedHostKey>,
    form: Form,
    /// The command that the connection goes through, which ends with it.
    _through: Option<Running>,
    log: Utf8PathBuf,
    /// The length of the log before this session.
    logged_bytes: usize,
    events: Events,
}

impl Ssh {
    /// Tries once to log in, directly or through a command. The output of commands is appended to `log`.
    ///
    /// # Errors
    /// When the machine doesn't answer in time, has a different host key, or refuses the login.
    pub async fn connect(
        to: &Destination<'_>,
        login: &Login,
        way: Way<'_>,
        log: &Utf8Path,
        events: &Events,
    ) -> Result<Ssh> {
        let logged_bytes = std::fs::metadata(log).map_or(0, |log| usize::try_from(log.len()).unwrap_or(usize::MAX));
        let dialled = dial::dial(to.address, login, way, log).await?;
        let (log, events) = (log.to_owned(), events.clone());
        let (session, form) = (dialled.session, dialled.form);
        Ok(Ssh { session, form, _through: dialled.through, log, logged_bytes, events })
    }

    /// Runs a command to its end, which is its exit status, or the name of a signal. `output` gets what it prints.
    /// What of that is `logged` is not logged again.
    async fn execute(
        &self,
        what: &str,
        command: &str,
        shown: &str,
        input: Input<'_>,
        (output, logged): (&mut Output, &mut Logged),
    ) -> Result<Result<u32, String>> {
        let source = self.log.file_stem().unwrap_or_default();
        let lost = || Lost::new(what, &self.log);
        let began = Instant::now();
        let file = tokio::fs::OpenOptions::new().create(true).append(true).open(&self.log).await;
        let mut log = file.with_context(|| format!("failed to open the log {}", self.log))?;
        let line = format!("+ {shown}\n");
        log.write_all(line.as_bytes()).await.with_context(|| format!("failed to write the log {}", self.log))?;
        let channel = self.session.channel_open_session().await.map_err(|_| lost())?;
        channel.exec(true, command).await.map_err(|_| lost())?;
        let (mut reader, writer) = channel.split();
        let send = async {
            match input {
                Input::None => {}
                Input::Text(text) => writer.data(text.as_bytes()).await.map_err(|_| lost())?,
                Input::File(path, from, form) => {
                    let mut file =
                        tokio::fs::File::open(path).await.with_context(|| format!("failed to open {path}"))?;
                    let failed = || format!("failed to read {path}");
                    let length = file.metadata().await.with_context(failed)?.len();
                    file.seek(SeekFrom::Start(from)).await.with_context(failed)?;
                    let (file, unreadable) = (file.into_std().await, Cell::new(None));
                    let sending = Sending::new(file, form, (from, length), &unreadable, source, &self.events);
                    let sent = writer.data(sending).await;
                    unreadable.take().map_or(Ok(()), Err).with_context(failed)?;
                    sent.map_err(|_| lost())?;
                }
            }
            anyhow::Ok(writer.eof().await.map_err(|_| lost())?)
        };
        let receive = async {
            let mut ended = None;
            let mut line = Vec::new();
            while let Some(message) = reader.wait().await {
                ensure!(output.stdout.len() <= MAX_OUTPUT_BYTES, "{what} printed more than {MAX_OUTPUT_BYTES} bytes");
                match message {
                    ChannelMsg::Data { data } => {
                        log.write_all(logged.rest(&data)).await?;
                        each_line(&mut line, &data, |line| self.events.output(source, line));
                        output.stdout.extend_from_slice(&data);
                        output.add(&data);
                    }
                    ChannelMsg::ExtendedData { data, .. } => {
                        log.write_all(&data).await?;
                        each_line(&mut line, &data, |line| self.events.output(source, line));
                        output.stderr_bytes += data.len();
                        output.add(&data);
                    }
                    ChannelMsg::ExitStatus { exit_status } => ended = Some(Ok(exit_status)),
                    ChannelMsg::ExitSignal { signal_name, .. } => ended = Some(Err(format!("{signal_name:?}"))),
                    _ => {}
                }
            }
            log.flush().await?;
            anyhow::Ok(ended)
        };
        let receive = async { receive.await.with_context(|| format!("failed to write the log {}", self.log)) };
        let ended = until_ended(send, receive).await?;
        self.events.say(Event::Ran {
            source: source.to_owned(),
            command: shown.to_owned(),
            took_ms: u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX),
            how: ended.as_ref().map_or_else(|| "the connection was lost".to_owned(), how),
        });
        Ok(ended.ok_or_else(lost)?)
    }

    fn failed(&self, what: &str, ended: &Result<u32, String>, output: &Output) -> anyhow::Error {
        let ended = how(ended);
        let last = process::last_lines(&String::from_utf8_lossy(&output.tail));
        anyhow!("{what} failed ({ended}); the last lines of {}:\n{last}", self.log)
    }

    fn timed_out(&self, what: &str, limit: Duration) -> anyhow::Error {
        let limit = humantime::format_duration(limit);
        anyhow!("{what} timed out after {limit}; its output until then is in {}", self.log)
    }

    /// What an earlier process has logged of a job that is begun by the command that is `shown`. Of two outputs that come
    /// apart, the log does not tell which is which.
    fn logged_of(&self, job: &Job, shown: &str) -> Logged {
        if !job.outputs_come_as_one() {
            return Logged::default();
        }
        // Without it everything is logged, at worst a second time.
        let log = std::fs::read(&self.log).unwrap_or_default();
        Logged::of(&log[..log.len().min(self.logged_bytes)], &job.what, shown)
    }

    async fn run_job(&self, job: &mut Job) -> Result<String> {
        let (start, shown) = (job.start()?, job.command()?);
        let mut printed = Output::default();
        let is_first_try = !std::mem::replace(&mut job.is_tried, true);
        let nothing = &mut Logged::default();
        let started = self.execute(&job.what, &start, &shown, Input::Text(&job.text), (&mut printed, nothing)).await?;
        if started != Ok(0) {
            return Err(self.failed(&job.what, &started, &printed));
        }
        let was_begun = is_first_try && printed.stdout.starts_with(logged::BEGUN.as_bytes());
        let mut logged = if was_begun { self.logged_of(job, &shown) } else { Logged::default() };
        let (follow, what) = (job.follow()?, job.what.clone());
        let shown = logged.line(&what, job.output.stdout.len());
        match self.execute(&what, &follow, &shown, Input::None, (&mut job.output, &mut logged)).await? {
            Ok(status) if job.counts_as_success(status) => Ok(job.printed()),
            Ok(status) if job.timed_out(status) => Err(self.timed_out(&job.what, job.limit)),
            ended => Err(self.failed(&job.what, &ended, &job.output)),
        }
    }
}

impl Machine for Ssh {
    async fn run(&self, what: &str, command: &str, input: Input<'_>, limit: Duration) -> Result<String> {
        let waiting = self.events.waiting_on(self.log.file_stem(), what);
        let mut output = Output::default();
        let mut nothing = Logged::default();
        let work = self.execute(what, command, command, input, (&mut output, &mut nothing));
        let ended = tokio::time::timeout(limit, work).await;
        drop(waiting);
        match ended.map_err(|_| self.timed_out(what, limit))?? {
            Ok(0) => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
            ended => bail!(self.failed(what, &ended, &output)),
        }
    }

    fn upload_form(&self) -> Form {
        self.form
    }

    async fn script(&self, job: &mut Job) -> Result<String> {
        let waiting = self.events.waiting_on(self.log.file_stem(), &job.what);
        let (what, limit) = (job.what.clone(), job.limit);
        let ended = tokio::time::timeout(limit + JOB_GRACE, self.run_job(job)).await;
        drop(waiting);
        ended.map_err(|_| self.timed_out(&what, limit))?
    }
}

/// How a command ended, in words.
fn how(ended: &Result<u32, String>) -> String {
    match ended {
        Ok(status) => format!("exit status {status}"),
        Err(signal) => format!("signal {signal}"),
    }
}

/// Sends a command's input until it has ended, and returns how it did.
///
/// A command may end before it has read all its input, and so may the connection. The rest can't be sent then: russh waits
/// for the server to ask for it. If the connection is lost, the exit status is the better message, if one has come.
async fn until_ended<T>(
    send: impl Future<Output = Result<()>>,
    receive: impl Future<Output = Result<Option<T>>>,
) -> Result<Option<T>> {
    let (mut send, mut receive) = (pin!(send), pin!(receive));
    let sent = tokio::select! {
        ended = &mut receive => return ended,
        sent = &mut send => sent,
    };
    match sent {
        Ok(()) => receive.await,
        Err(error) if !error.is::<Lost>() => Err(error),
        Err(error) => match tokio::time::timeout(LAST_WORDS, receive).await {
            Ok(Ok(Some(ended))) => Ok(Some(ended)),
            _ => Err(error),
        },
    }
}

/// Shows each line as soon as it is complete, or has the maximum length. An incomplete line stays in `line`.
fn each_line(line: &mut Vec<u8>, data: &[u8], mut show: impl FnMut(&str)) {
    for &byte in data {
        if byte != b'\n' {
            line.push(byte);
        }
        if byte == b'\n' || line.len() as u64 >= process::MAX_LINE_BYTES {
            show(String::from_utf8_lossy(line).trim_end());
            line.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ground::untrusted::{bytes, check};

    #[test]
    fn an_endless_line_is_shown_in_parts() {
        let (mut line, mut shown) = (Vec::new(), Vec::new());
        for _ in 0..3 {
            each_line(&mut line, &[b'a'; 50_000], |line| shown.push(line.len()));
        }
        assert_eq!((shown, line.len()), (vec![65_536, 65_536], 150_000 - 2 * 65_536));
    }

    #[test]
    fn lines_are_shown_the_same_however_they_arrive() {
        check(
            300,
            bytes("Get:1 http://mirror.example bookworm\r\n(Reading database ... 5%\nünïcödé\n"),
            |printed| {
                let all = |size: usize| {
                    let (mut line, mut shown) = (Vec::new(), Vec::new());
                    printed
                        .chunks(size)
                        .for_each(|data| each_line(&mut line, data, |line| shown.push(line.to_owned())));
                    shown
                };
                assert_eq!(all(1), all(4096));
                assert!(all(7).len() >= printed.iter().filter(|&&byte| byte == b'\n').count());
            },
        );
    }
}
