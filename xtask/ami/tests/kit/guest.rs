//! A machine behind a login: what the pipeline's commands do on its disk.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::Read as _,
    net::SocketAddr,
};

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use camino::Utf8Path;
use serde::{Deserialize, Serialize};
use xtask_ami::{
    ground::sha256,
    machine::{Input, keys::Login, ssh::LoginRefused},
};

/// What the release's scripts do.
#[derive(Clone, Debug)]
pub struct Scripts {
    /// What check.sh prints, less its last line.
    pub checks: Vec<String>,
    /// seal.sh leaves the machine's id where it is.
    pub keeps_id: bool,
    /// seal.sh leaves the login key where it is.
    pub keeps_keys: bool,
}

impl Default for Scripts {
    fn default() -> Scripts {
        let checks = ["system is up", "machida help", "hyperthreads"].map(|name| format!("ok {name}"));
        Scripts { checks: checks.to_vec(), keeps_id: false, keeps_keys: false }
    }
}

/// What is on the disk of a machine, or in an image.
#[derive(Clone, Debug, Default)]
pub struct Disk {
    /// The machine's own id; none once it is sealed.
    pub machine_id: String,
    /// The public keys that log in.
    pub keys: BTreeSet<String>,
    /// Those that ever did.
    former_keys: BTreeSet<String>,
    /// The SHA-256 of what was shipped, by its place.
    pub files: BTreeMap<String, String>,
    /// Whether it booted from an image.
    of_image: bool,
    /// Whether check.sh found no fault with it.
    pub checked: bool,
    packages: Vec<String>,
    /// What was written down on the machine of a kept base.
    pub manifest: String,
    /// The payload that was uploaded and is not installed yet.
    pub staged: Unpacked,
    /// The SHA-256 of what was uploaded before the payload and is not in it yet, by its place on this disk.
    pub early: BTreeMap<String, String>,
}

/// What an upload brought.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Unpacked {
    /// The SHA-256 of each file, by its place on the image.
    pub files: BTreeMap<String, String>,
    /// The same as SHA256SUMS lists it.
    listed: BTreeMap<String, String>,
}

/// Where the payload is unpacked.
const STAGING: &str = "/var/tmp/wallaroo-staging";

impl Disk {
    /// The disk of the machine `id`, which boots from this image or else from the base, and which a key was granted to.
    pub fn of_machine(id: &str, image: Option<&Disk>, granted: impl IntoIterator<Item = String>) -> Disk {
        let source = image.cloned().unwrap_or_default();
        let mut disk = Disk { of_image: image.is_some(), checked: false, ..source };
        if disk.machine_id.is_empty() {
            disk.machine_id = format!("id-of-{id}");
        }
        for key in granted {
            disk.former_keys.insert(key.trim().to_owned());
            disk.keys.insert(key.trim().to_owned());
        }
        disk
    }

    /// An attempt to log in to a machine that answers, and has this user data.
    pub fn log_in(&self, address: SocketAddr, user_data: &str, login: &Login) -> Result<()> {
        ensure!(user_data.contains(&login.host_key.public()?), "{address} has another host key");
        if self.keys.contains(login.key.public()?.trim()) {
            return Ok(());
        }
        Err(anyhow!(LoginRefused::new(address, &login.users.likeliest())))
    }

    /// Whether this key ever logged in here: that another one is refused proves nothing.
    pub fn ever_let_in(&self, login: &Login) -> Result<bool> {
        Ok(self.former_keys.contains(login.key.public()?.trim()))
    }

    /// What a command answers.
    pub fn answer(&mut self, scripts: &Scripts, command: &str, input: Input<'_>) -> Result<String> {
        let words = shlex::split(command).context("words")?;
        match word(command) {
            "hold-back" => {
                let Input::Text(script) = input else { bail!("there is no script") };
                ensure!(script.contains("hold_back_background_apt"), "nothing is held back by {script}");
            }
            "prepare" => {
                self.files.insert("/etc/rc.local".to_owned(), sha256::sha256(b"rc.local"));
                let given = words.into_iter().skip_while(|word| word != "prepare").skip(1);
                self.packages = given.filter(|word| !word.starts_with("--")).collect();
            }
            "mark" => {
                let Input::Text(manifest) = input else { bail!("there is no manifest") };
                manifest.clone_into(&mut self.manifest);
            }
            "manifest" => return Ok(self.manifest.clone()),
            "packages" => {
                let names = self.packages.iter().map(|word| word.split(['=', ':', '?']).next().unwrap_or_default());
                return Ok(names.map(|name| format!("ii \t{name}\tamd64\t1.0-1\t{name}\t1.0-1\n")).collect());
            }
            "upload" => {
                self.staged = Unpacked::brought_by(input)?;
            }
            "early" => {
                let script = words.last().and_then(|script| script.strip_prefix("rm -rf ")).context("a script")?;
                let folder = script.split(' ').next().unwrap_or_default();
                let files = Unpacked::brought_by(input)?.files;
                self.early.extend(files.into_iter().map(|(path, sum)| (format!("{folder}/root{path}"), sum)));
            }
            "place" => {
                let script = words.last().context("a script")?;
                let links = script.split("ln -f ").skip(1).filter_map(|link| link.split(" ||").next()?.split_once(' '));
                for (from, to) in links {
                    let to = to.strip_prefix(STAGING).and_then(|to| to.strip_prefix("/root")).context("a place")?;
                    self.staged.files.extend(self.early.get(from).map(|sum| (to.to_owned(), sum.clone())));
                }
                self.early.clear();
            }
            "arrived" => return Ok("0\n".to_owned()),
            "install" => {
                let Unpacked { files, listed } = std::mem::take(&mut self.staged);
                ensure!(!files.is_empty(), "nothing was uploaded");
                ensure!(files == listed, "what was uploaded differs from SHA256SUMS: {files:?}, not {listed:?}");
                self.files.extend(files);
            }
            "machine-id" => return Ok(format!("{}\n", self.machine_id)),
            "seal" => {
                if !scripts.keeps_id {
                    self.machine_id.clear();
                }
                if !scripts.keeps_keys {
                    self.keys.clear();
                }
            }
            "check" => {
                ensure!(self.of_image, "this is no instance of the image");
                let checks = &scripts.checks;
                self.checked = !checks.is_empty() && checks.iter().all(|line| !line.starts_with("not ok "));
                let lines = checks.iter().map(|line| format!("{line}\n"));
                return Ok(lines.chain([format!("checked {}\n", checks.len())]).collect());
            }
            "sums" => {
                let paths = words.iter().filter(|word| word.starts_with('/'));
                let known = paths.filter_map(|path| self.files.get(path).map(|sum| format!("{sum}  {path}\n")));
                return Ok(known.collect());
            }
            other => bail!("nothing is known of {other}"),
        }
        Ok(String::new())
    }
}

/// A word for each command of the pipeline; another command is a mistake of the pipeline, or new to this file.
pub fn word(command: &str) -> &'static str {
    let begins = [
        ("sudo -n bash -s -- prepare ", "prepare"),
        ("dpkg-query -W ", "packages"),
        ("sudo -n sh -c 'rm -rf /var/tmp/wallaroo-staging ", "upload"),
        ("sudo -n stat -c %s /var/tmp/wallaroo-", "arrived"),
        ("sudo -n sh -c 'rm -rf /var/tmp/wallaroo-early/", "early"),
        ("sudo -n sh -c 'rm -rf /var/tmp/wallaroo-early'", "place"),
        ("sudo -n sh -c 'if [ -e /var/tmp/wallaroo-early/", "place"),
        ("sudo -n bash -s -- install ", "install"),
        ("cat /etc/machine-id", "machine-id"),
        ("sudo -n sh -c 'mkdir -p $(dirname /usr/share/wallaroo/manifest.json) ", "mark"),
        ("sudo -n cat /usr/share/wallaroo/manifest.json", "manifest"),
        ("sudo -n bash -s -- hold-back", "hold-back"),
        ("sudo -n sha256sum -- ", "sums"),
        ("sudo -n bash -s -- ", "check"),
        ("sudo -n bash -s", "seal"),
    ];
    let known = begins.iter().find(|(begin, _)| command.starts_with(begin));
    known.map(|(_, word)| *word).unwrap_or_else(|| panic!("the machine doesn't know `{command}`"))
}

impl Unpacked {
    fn brought_by(input: Input<'_>) -> Result<Unpacked> {
        match input {
            Input::File(path, ..) => Disk::content_of(path),
            // What was unpacked beside, as a machine does while others work.
            Input::Text(unpacked) => Ok(serde_json::from_str(unpacked)?),
            Input::None => bail!("there is nothing to unpack"),
        }
    }
}

impl Disk {
    /// What a payload's tar brings.
    pub fn content_of(path: &Utf8Path) -> Result<Unpacked> {
        let mut unpacked = Unpacked::default();
        for entry in tar::Archive::new(std::fs::File::open(path)?).entries()? {
            let mut entry = entry?;
            let name = entry.path()?.to_str().context("a name")?.to_owned();
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes)?;
            if name == "SHA256SUMS" {
                let lines = std::str::from_utf8(&bytes)?.lines().filter_map(|line| line.split_once("  "));
                unpacked.listed = lines.map(|(sum, path)| (format!("/{path}"), sum.to_owned())).collect();
            } else if let Some(name) = name.strip_prefix("root/").filter(|_| entry.header().entry_type().is_file()) {
                unpacked.files.insert(format!("/{name}"), sha256::sha256(&bytes));
            }
        }
        Ok(unpacked)
    }
}
