//! The commands that the pipeline runs on machines.

use std::{collections::BTreeMap, io::Read as _};

use anyhow::{Context as _, Result};
use camino::Utf8Path;
use xtask_ami::ship::sha256;

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

/// The SHA-256 of each file of the tar, by its place on the image.
pub fn sums_of_tar(path: &Utf8Path) -> Result<BTreeMap<String, String>> {
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
