//! Login sessions on machines.

use std::{fmt, net::SocketAddr, time::Duration};

use anyhow::Result;
use camino::Utf8Path;
use xtask::region::Region;

use crate::event::ids::InstanceId;

pub mod cloud_init;
mod dial;
pub mod job;
pub mod keys;
mod logged;
pub mod openssh;
mod sending;
pub mod ssh;
pub mod through;
mod upload;

pub use job::Job;
pub use upload::{Form, Upload};

/// How much output is kept for the last lines of a message.
const TAIL_BYTES: usize = 64 << 10;

/// A login session on a machine.
#[expect(async_fn_in_trait, reason = "the futures are awaited on one thread, so they need not be Send")]
pub trait Machine {
    /// Runs a shell command with `input` on its standard input, and returns its standard output. All its output goes to
    /// the machine's log.
    ///
    /// # Errors
    /// When the connection is lost ([`Lost`]), the command exceeds `limit`, or its exit status isn't 0. The message names
    /// `what` failed, and has the last lines of output.
    async fn run(&self, what: &str, command: &str, input: Input<'_>, limit: Duration) -> Result<String>;

    /// Uploads a tar, and unpacks it as root.
    ///
    /// # Errors
    /// As [`Machine::run`].
    async fn upload(&self, what: &str, upload: &Upload<'_>, limit: Duration) -> Result<()> {
        let form = self.upload_form();
        self.run(what, &upload.command(&[], form), Input::File(upload.tar, 0, form), limit).await.map(drop)
    }

    /// In which form files are sent to it more quickly.
    fn upload_form(&self) -> Form {
        Form::Plain
    }

    /// Runs a script as root, and returns its standard output. Where the connection is lost ([`Lost`]), the script goes on
    /// on machines that support this, and another session follows the same job on.
    ///
    /// # Errors
    /// As [`Machine::run`].
    async fn script(&self, job: &mut Job) -> Result<String> {
        self.run(&job.what, &job.command()?, Input::Text(&job.text), job.limit).await
    }
}

/// The standard input of a command.
#[derive(Clone, Copy, Debug)]
pub enum Input<'a> {
    /// Empty.
    None,
    /// This text.
    Text(&'a str),
    /// The content of a file on this computer, from this byte on, in this form.
    File(&'a Utf8Path, u64, Form),
}

/// A machine to log in to.
#[derive(Clone, Copy, Debug)]
pub struct Destination<'a> {
    /// Its region.
    pub region: &'a Region,
    /// Its id.
    pub instance: &'a InstanceId,
    /// The address of its sshd.
    pub address: SocketAddr,
}

/// What a command has printed so far.
#[derive(Debug, Default)]
struct Output {
    stdout: Vec<u8>,
    stderr_bytes: usize,
    /// The end of both.
    tail: Vec<u8>,
}

impl Output {
    fn add(&mut self, data: &[u8]) {
        self.tail.extend_from_slice(data);
        if self.tail.len() > 2 * TAIL_BYTES {
            self.tail.drain(..self.tail.len() - TAIL_BYTES);
        }
    }
}

/// The error of a connection that was lost before the command's exit status arrived.
#[derive(Debug)]
pub struct Lost(String);

impl Lost {
    /// The connection was lost during this; its output until then is in `log`.
    #[must_use]
    pub fn new(what: &str, log: &Utf8Path) -> Lost {
        Lost(format!("{what}: the connection to the machine was lost; its output until then is in {log}"))
    }
}

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Lost {}
