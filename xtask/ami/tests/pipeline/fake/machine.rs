//! What a machine of the cloud answers.

use super::*;

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

/// A word for each command of the pipeline; another command is a mistake of the pipeline, or new to this file.
pub fn word(command: &str) -> &'static str {
    let begins = [
        ("sudo -n bash -s -- prepare ", "prepare"),
        ("dpkg-query -W ", "packages"),
        ("sudo -n sh -c 'rm -rf /var/tmp/wallaroo-staging ", "upload"),
        ("sudo -n bash -s -- install ", "install"),
        ("cat /etc/machine-id", "machine-id"),
        ("sudo -n sha256sum -- ", "sums"),
        ("sudo -n bash -s -- ", "check"),
        ("sudo -n bash -s", "seal"),
    ];
    let known = begins.iter().find(|(begin, _)| command.starts_with(begin));
    known.map(|(_, word)| *word).unwrap_or_else(|| panic!("the machine doesn't know `{command}`"))
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

/// The SHA-256 of each file of the tar, by its place on the image.
fn sums_of_tar(path: &Utf8Path) -> Result<BTreeMap<String, String>> {
    let mut sums = BTreeMap::new();
    for entry in tar::Archive::new(std::fs::File::open(path)?).entries()? {
        let mut entry = entry?;
        let name = entry.path()?.to_str().context("a name")?.to_owned();
        if let Some(name) = name.strip_prefix("root/").filter(|_| entry.header().entry_type().is_file()) {
            let name = format!("/{name}");
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes)?;
            sums.insert(name, sha256::sha256(&bytes));
        }
    }
    Ok(sums)
}
