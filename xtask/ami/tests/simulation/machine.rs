//! What a machine of the cloud answers.

use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use tokio::time::timeout;
use xtask_ami::{
    cloud::InstanceState,
    event::ids::InstanceId,
    machine::{Input, Machine},
};

use crate::{
    books::Books,
    cloud::{Cloud, Effect::Changes},
    common::{sums_of_tar, word},
};

/// A login on an instance.
pub struct SimMachine {
    pub cloud: Cloud,
    pub instance: InstanceId,
}

impl Machine for SimMachine {
    async fn run(&self, what: &str, command: &str, input: Input<'_>, limit: Duration) -> Result<String> {
        let answer = self.cloud.call(Changes, word(command), &self.instance.0, |books, _| {
            let instance = books.instance(&self.instance)?;
            ensure!(instance.state() == InstanceState::Running, "{what}: the connection to the machine was lost");
            let text = if let Input::Text(text) = input { text } else { "" };
            if [command, text].iter().any(|words| words.contains("PRIVATE KEY")) {
                books.violation(7, format!("{what} hands a private key to the machine"));
            }
            self.answer(books, command, input).with_context(|| format!("{what} failed (exit status 1)"))
        });
        timeout(limit, answer).await.map_err(|_| anyhow!("{what} did not end within {limit:?}"))?
    }
}

impl SimMachine {
    fn answer(&self, books: &mut Books, command: &str, input: Input<'_>) -> Result<String> {
        let instance = books.instance(&self.instance)?;
        let words = shlex::split(command).context("words")?;
        match word(command) {
            "prepare" => instance.packages = words.into_iter().skip_while(|word| word != "prepare").skip(1).collect(),
            "packages" => return Ok(instance.packages.iter().map(|name| format!("{name} 1.0-1\n")).collect()),
            "upload" => {
                let Input::File(path) = input else { bail!("there is nothing to unpack") };
                instance.staged = sums_of_tar(path)?;
            }
            "install" => {
                ensure!(!instance.staged.is_empty(), "nothing was uploaded");
                instance.files = std::mem::take(&mut instance.staged);
            }
            "machine-id" => return Ok(format!("{}\n", instance.machine_id)),
            "seal" => {
                instance.machine_id.clear();
                instance.keys.clear();
            }
            "check" => {
                ensure!(instance.image.is_some(), "this is no instance of the image");
                instance.checked = true;
                return Ok("ok it is well\nchecked 1\n".to_owned());
            }
            "sums" => {
                let paths = words.iter().filter(|word| word.starts_with('/'));
                let known = paths.filter_map(|path| instance.files.get(path).map(|sum| format!("{sum}  {path}\n")));
                let known = known.collect();
                books.looked_at(&self.instance);
                return Ok(known);
            }
            other => bail!("nothing is known of {other}"),
        }
        Ok(String::new())
    }
}
