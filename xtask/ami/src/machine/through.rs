//! Connections through a command, whose standard input and output they are, as with OpenSSH's `ProxyCommand`.

use std::{process::Stdio, time::Duration};

use anyhow::{Context as _, Error, Result};
use camino::{Utf8Path, Utf8PathBuf};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    process::Command,
};

use crate::{
    ground::process::{self, Piped, quote},
    recipe::Ssh,
};

use super::Destination;

/// How long a command whose connection has ended may take to exit, so that its exit status is known.
const EXIT_LIMIT: Duration = Duration::from_secs(2);

/// A command for a machine.
#[derive(Clone, Debug)]
pub struct Through {
    program: String,
    arguments: Vec<String>,
    environment: Vec<(String, String)>,
}

/// A command that runs. It is ended with its processes when this is dropped.
pub struct Running {
    piped: Piped,
    shown: String,
    log: Utf8PathBuf,
    /// Where its messages begin in the log.
    began_at: u64,
}

impl Through {
    /// The recipe's command for a machine; None for a direct connection. It gets these variables in its environment.
    #[must_use]
    pub fn of(ssh: &Ssh, to: &Destination<'_>, environment: &[(String, String)]) -> Option<Through> {
        let (program, arguments) = ssh.through(|placeholder| match placeholder {
            "host" => to.address.ip().to_string(),
            "port" => to.address.port().to_string(),
            "instance" => to.instance.to_string(),
            _ => to.region.to_string(),
        })?;
        Some(Through { program, arguments, environment: environment.to_vec() })
    }

    /// The command as a line of shell.
    #[must_use]
    pub fn line(&self) -> String {
        let words = std::iter::once(&self.program).chain(&self.arguments).map(|word| quote(word));
        words.collect::<Vec<_>>().join(" ")
    }

    /// The value of OpenSSH's option `ProxyCommand`. Its tokens begin with `%` (ssh_config(5)).
    #[must_use]
    pub fn proxy_command(&self) -> String {
        let variables = self.environment.iter().map(|(name, value)| format!("{name}={} ", quote(value)));
        let variables: String = variables.collect();
        let env = if variables.is_empty() { "" } else { "env " };
        format!("{env}{variables}{}", self.line()).replace('%', "%%")
    }

    /// Starts the command. What it prints on standard error goes to the log.
    pub(super) fn open(&self, log: &Utf8Path) -> Result<(impl AsyncRead + AsyncWrite + Unpin + Send + use<>, Running)> {
        let shown = self.line();
        let file = std::fs::File::options().create(true).append(true).open(log);
        let file = file.with_context(|| format!("failed to open the log {log}"))?;
        let began_at = file.metadata().map(|metadata| metadata.len()).unwrap_or_default();
        let mut command = Command::new(&self.program);
        command.args(&self.arguments).envs(self.environment.iter().cloned()).stderr(Stdio::from(file));
        let (stream, piped) = process::connect(command).with_context(|| format!("failed to start `{shown}`"))?;
        Ok((stream, Running { piped, shown, log: log.to_owned(), began_at }))
    }
}

impl Running {
    /// The error of a connection through this command, with how it ended and what it said.
    pub(super) async fn explain(mut self, error: &Error) -> Error {
        let ended = self.piped.exited(EXIT_LIMIT).await;
        let ended = ended.map_or_else(|| format!("{error:#}"), |status| format!("it failed, {status}"));
        let said = std::fs::read(&self.log).unwrap_or_default();
        let said = said.get(usize::try_from(self.began_at).unwrap_or_default()..).unwrap_or_default();
        let said = process::last_lines(String::from_utf8_lossy(said).trim());
        let said = if said.is_empty() { said } else { format!(":\n{said}") };
        Error::msg(format!("no connection through `{}`: {ended}{said}", self.shown))
    }
}
