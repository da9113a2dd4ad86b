//! What a machine of the cloud answers.

use super::*;
use crate::common::{sums_of_tar, word};

impl Machine for FakeMachine {
    async fn run(&self, what: &str, command: &str, input: Input<'_>, limit: Duration) -> Result<String> {
        let answer = self.cloud.perform(Verb::Run, word(command), |state| {
            let instance = state.instance(&self.instance).ok();
            let instance = instance.filter(|instance| instance.state() == InstanceState::Running);
            ensure!(instance.is_some(), "{what}: the connection to the machine was lost");
            self.answer(state, command, input).with_context(|| format!("{what} failed (exit status 1)"))
        });
        timeout(limit, answer).await.map_err(|_| anyhow!("{what} did not end within {limit:?}"))?
    }
}

impl FakeMachine {
    fn answer(&self, state: &mut State, command: &str, input: Input<'_>) -> Result<String> {
        let (checks, keeps_id, keeps_keys) = (state.checks.clone(), state.keeps_id, state.keeps_keys);
        let instance = state.instance(&self.instance)?;
        let words = shlex::split(command).context("words")?;
        match word(command) {
            "prepare" => {
                instance.packages = words.into_iter().skip_while(|word| word != "prepare").skip(1).collect();
                Ok(String::new())
            }
            "packages" => Ok(instance.packages.iter().map(|name| format!("{name} 1.0-1\n")).collect()),
            "upload" => {
                let Input::File(path) = input else { bail!("there is nothing to unpack") };
                instance.staged = sums_of_tar(path)?;
                Ok(String::new())
            }
            "install" => {
                ensure!(!instance.staged.is_empty(), "nothing was uploaded");
                instance.files = std::mem::take(&mut instance.staged);
                Ok(String::new())
            }
            "machine-id" => Ok(format!("{}\n", instance.machine_id)),
            "seal" => {
                if !keeps_id {
                    instance.machine_id.clear();
                }
                if !keeps_keys {
                    instance.keys.clear();
                }
                Ok(String::new())
            }
            "check" => {
                ensure!(instance.image.is_some(), "this is no instance of the image");
                instance.checked = true;
                Ok(checks
                    .iter()
                    .map(|line| format!("{line}\n"))
                    .chain([format!("checked {}\n", checks.len())])
                    .collect())
            }
            "sums" => {
                let paths = words.iter().filter(|word| word.starts_with('/'));
                let known = paths.filter_map(|path| instance.files.get(path).map(|sum| format!("{sum}  {path}\n")));
                Ok(known.collect())
            }
            other => bail!("nothing is known of {other}"),
        }
    }
}
