//! What a machine of the cloud answers.

use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, ensure};
use tokio::time::timeout;
use xtask_ami::{
    cloud::InstanceState,
    event::ids::InstanceId,
    machine::{Input, Machine},
};

use crate::{
    cloud::Cloud,
    fate::{Fate, Verb},
    kit::word,
};

/// A login on an instance.
pub struct SimMachine<F> {
    pub cloud: Cloud<F>,
    pub instance: InstanceId,
}

impl<F: Fate> Machine for SimMachine<F> {
    async fn run(&self, what: &str, command: &str, input: Input<'_>, limit: Duration) -> Result<String> {
        let id = &self.instance;
        let answer = self.cloud.call_of(Verb::Run, word(command), &id.0, |books, _| {
            let scripts = books.scripts.clone();
            let instance = books.instance(id)?;
            ensure!(instance.state() == InstanceState::Running, "{what}: the connection to the machine was lost");
            let text = if let Input::Text(text) = input { text } else { "" };
            let answer = instance.disk.answer(&scripts, command, input);
            if [command, text].iter().any(|words| words.contains("PRIVATE KEY")) {
                books.violation(7, format!("{what} hands a private key to the machine"));
            }
            if word(command) == "sums" {
                books.looked_at(id);
            }
            answer.with_context(|| format!("{what} failed (exit status 1)"))
        });
        timeout(limit, answer).await.map_err(|_| anyhow!("{what} timed out after {limit:?}"))?
    }
}
