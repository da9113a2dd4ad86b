//! The scripts that run on the machines.

use anyhow::{Context as _, Result, bail};
use camino::{Utf8Path, Utf8PathBuf};

/// How a line of a script begins that takes in the functions beside it. A machine gets only one text.
const TAKES_IN: &str = "source \"${BASH_SOURCE%/*}/";

/// Their paths. Each is the checkout's own, or else the workspace's.
#[derive(Clone, Debug)]
pub struct Scripts {
    /// Installs packages, rc.local and the payload.
    pub provision: Utf8PathBuf,
    /// Runs last before imaging: the checklist for shared images.
    pub seal: Utf8PathBuf,
    /// Runs on the booted image.
    pub check: Utf8PathBuf,
    /// Functions that the others take in: what they know of cloud-init.
    pub cloud_init: Utf8PathBuf,
    /// Functions that provision.sh takes in: how packages are installed, and the base's own brought up to date.
    pub packages: Utf8PathBuf,
    /// Functions that check.sh takes in: whether the bill of materials lists what is installed.
    pub bill: Utf8PathBuf,
    /// Lists that seal.sh and check.sh take in: what must not be in an image.
    pub unwanted: Utf8PathBuf,
}

impl Scripts {
    /// The scripts where `path` finds each by its name.
    pub fn found(path: impl Fn(&str) -> Utf8PathBuf) -> Scripts {
        Scripts {
            provision: path("provision.sh"),
            seal: path("seal.sh"),
            check: path("check.sh"),
            cloud_init: path("cloud-init.sh"),
            packages: path("packages.sh"),
            bill: path("bill.sh"),
            unwanted: path("unwanted.sh"),
        }
    }

    /// All of them.
    #[must_use]
    pub fn all(&self) -> [&Utf8PathBuf; 7] {
        [&self.provision, &self.seal, &self.check, &self.cloud_init, &self.packages, &self.bill, &self.unwanted]
    }

    /// The text of one of them, with what it takes in.
    ///
    /// # Errors
    /// When a file cannot be read, or it takes in anything but these shared ones.
    pub fn text(&self, path: &Utf8Path) -> Result<String> {
        let read = |path: &Utf8Path| {
            std::fs::read_to_string(path).with_context(|| format!("failed to read the script {path}"))
        };
        let text = read(path)?;
        let mut whole = String::with_capacity(text.len());
        for line in text.split_inclusive('\n') {
            match line.strip_prefix(TAKES_IN).and_then(|rest| rest.trim_end().strip_suffix('"')) {
                Some(name) => {
                    let shared = [&self.cloud_init, &self.packages, &self.bill, &self.unwanted];
                    match shared.into_iter().find(|shared| shared.file_name() == Some(name)) {
                        Some(shared) => whole.push_str(&read(shared)?),
                        None => bail!(
                            "the script {path} takes in {name}, and only cloud-init.sh, packages.sh, bill.sh and unwanted.sh can be taken in"
                        ),
                    }
                }
                None => whole.push_str(line),
            }
        }
        Ok(whole)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_takes_in_the_functions_wherever_they_lie_and_nothing_else() {
        let (_guard, folder) = crate::fixture::folder();
        let scripts =
            Scripts::found(|name| folder.join(if name == "cloud-init.sh" { "shared" } else { "own" }).join(name));
        for (path, text) in [
            (&scripts.cloud_init, "wait_for_it() { :; }\n"),
            (&scripts.seal, "#!/bin/bash\nsource \"${BASH_SOURCE%/*}/cloud-init.sh\"\nwait_for_it\n"),
            (&scripts.check, "source \"${BASH_SOURCE%/*}/other.sh\"\n"),
        ] {
            std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
            std::fs::write(path, text).expect("a file");
        }
        let whole = scripts.text(&scripts.seal).expect("a script");
        assert_eq!(whole, "#!/bin/bash\nwait_for_it() { :; }\nwait_for_it\n");
        let error = scripts.text(&scripts.check).expect_err("another file").to_string();
        assert!(error.contains("check.sh takes in other.sh"), "{error}");
    }
}
