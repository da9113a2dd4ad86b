//! The firmware for machines that boot by UEFI. Its packages describe it for QEMU (QEMU's docs/interop/firmware.json),
//! wherever they put it; for BIOS, QEMU has its own.

use std::{collections::BTreeMap, fs};

use anyhow::{Context as _, Result};
use camino::{Utf8Path, Utf8PathBuf};
use serde::Deserialize;
use serde_json::json;

use super::accelerator::GUEST;

/// The firmware, and its Debian package.
pub const UEFI: (&str, &str) = ("firmware for UEFI", "ovmf");

/// Where descriptions are, in the order in which the later one of the same name counts. The user's own folder comes last.
const FOLDERS: [&str; 2] = ["/usr/share/qemu/firmware", "/etc/qemu/firmware"];

/// Features of firmware that needs a machine of its own, or starts only what is signed with keys that it has.
const NOT_WANTED: [&str; 6] =
    ["requires-smm", "secure-boot", "enrolled-keys", "amd-sev-es", "amd-sev-snp", "intel-tdx"];

/// The file of a machine's variables, in its folder.
const VARIABLES: &str = "firmware-variables";

/// A firmware for UEFI.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Uefi {
    /// One file, without memory: what the guest writes into its variables is gone with the machine.
    File(Utf8PathBuf),
    /// Flash memory with the code, and one with the variables, which each machine has a copy of.
    Flash {
        /// The code.
        code: Part,
        /// The variables of a new machine.
        variables: Part,
    },
}

/// The content of a flash memory.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Part {
    filename: Utf8PathBuf,
    format: String,
}

impl Uefi {
    /// The first one that is described for these machines, without Secure Boot.
    #[must_use]
    pub fn find() -> Option<Uefi> {
        let folder = |name: &str| std::env::var(name).ok().filter(|folder| !folder.is_empty()).map(Utf8PathBuf::from);
        let own = folder("XDG_CONFIG_HOME").or_else(|| Some(folder("HOME")?.join(".config")));
        let own = own.map(|folder| folder.join("qemu/firmware"));
        Uefi::find_in(FOLDERS.into_iter().map(Utf8PathBuf::from).chain(own))
    }

    fn find_in(folders: impl Iterator<Item = Utf8PathBuf>) -> Option<Uefi> {
        let mut descriptions = BTreeMap::new();
        for entry in folders.filter_map(|folder| folder.read_dir_utf8().ok()).flatten().filter_map(Result::ok) {
            if entry.file_name().ends_with(".json") {
                descriptions.insert(entry.file_name().to_owned(), entry.into_path());
            }
        }
        let texts = descriptions.into_values().filter_map(|path| fs::read_to_string(path).ok());
        texts.filter_map(|text| Description::parse(&text)?.uefi()).find(Uefi::is_there)
    }

    fn is_there(&self) -> bool {
        match self {
            Uefi::File(file) => file.is_file(),
            Uefi::Flash { code, variables } => code.filename.is_file() && variables.filename.is_file(),
        }
    }

    /// QEMU's arguments for a machine with its files in `folder`, where it has its variables from now on.
    ///
    /// # Errors
    /// When the variables can't be copied.
    pub fn place(&self, folder: &Utf8Path) -> Result<Vec<String>> {
        let (code, variables) = match self {
            Uefi::File(file) => return Ok(vec!["-bios".to_owned(), file.to_string()]),
            Uefi::Flash { code, variables } => (code, variables),
        };
        let own = folder.join(VARIABLES);
        // A copy would have the mode of the original, which may be read-only.
        let written = fs::read(&variables.filename).and_then(|bytes| fs::write(&own, bytes));
        written.with_context(|| format!("failed to copy {} to {own}", variables.filename))?;
        let device = |name: &str, part: &Part, file: &Utf8Path, read_only: bool| {
            let file = json!({ "driver": "file", "filename": file });
            json!({ "driver": part.format, "node-name": name, "read-only": read_only, "file": file }).to_string()
        };
        let code = device("firmware", code, &code.filename, true);
        let variables = device("variables", variables, &own, false);
        let words = ["-blockdev", &code, "-blockdev", &variables, "-machine", "pflash0=firmware,pflash1=variables"];
        Ok(words.map(str::to_owned).to_vec())
    }
}

/// A description of a firmware, as far as it matters here.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Description {
    #[serde(default)]
    interface_types: Vec<String>,
    mapping: Mapping,
    #[serde(default)]
    targets: Vec<Target>,
    #[serde(default)]
    features: Vec<String>,
}

#[derive(Deserialize)]
#[serde(tag = "device", rename_all = "kebab-case")]
enum Mapping {
    #[serde(rename_all = "kebab-case")]
    Flash {
        executable: Part,
        nvram_template: Option<Part>,
    },
    Memory {
        filename: Utf8PathBuf,
    },
    #[serde(other)]
    Other,
}

#[derive(Deserialize)]
struct Target {
    architecture: String,
    #[serde(default)]
    machines: Vec<String>,
}

impl Description {
    fn parse(text: &str) -> Option<Description> {
        // One that another program can make sense of is passed over: there may be others.
        serde_json::from_str(text).ok()
    }

    fn uefi(self) -> Option<Uefi> {
        let of_machine = |machine: &String| machine.starts_with("pc-q35") || machine == "q35" || machine == "*";
        let of_target = |target: &Target| target.architecture == GUEST && target.machines.iter().any(of_machine);
        let is_wanted = self.interface_types.iter().any(|kind| kind == "uefi")
            && self.targets.iter().any(of_target)
            && !self.features.iter().any(|feature| NOT_WANTED.contains(&feature.as_str()));
        match self.mapping {
            _ if !is_wanted => None,
            Mapping::Flash { executable: code, nvram_template: Some(variables) } => {
                Some(Uefi::Flash { code, variables })
            }
            Mapping::Flash { executable, nvram_template: None } => Some(Uefi::File(executable.filename)),
            Mapping::Memory { filename } => Some(Uefi::File(filename)),
            Mapping::Other => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{folder, write};
    use crate::ground::untrusted::{check, text};

    fn description(code: &Utf8Path, features: &str) -> String {
        let part = |name| json!({ "filename": code.with_file_name(name), "format": "raw" });
        let (executable, template) = (part(code.file_name().expect("a name")), part("variables"));
        format!(
            r#"{{"description": "x", "interface-types": ["uefi"], "tags": [],
                "mapping": {{"device": "flash", "mode": "split", "executable": {executable}, "nvram-template": {template}}},
                "targets": [{{"architecture": "aarch64", "machines": ["virt-*"]}},
                    {{"architecture": "x86_64", "machines": ["pc-i440fx-*", "pc-q35-*"]}}],
                "features": [{features}]}}"#
        )
    }

    #[test]
    fn the_first_description_counts_that_fits_and_whose_files_are_there() {
        let (_guard, folder) = folder();
        let found = || Uefi::find_in(["vendor", "local", "absent"].map(|name| folder.join(name)).into_iter());
        let files = folder.join("files");
        write(&files.join("variables"), "of a new machine");
        for name in ["secure", "plain", "own"] {
            write(&files.join(name), "code");
        }
        assert_eq!(found(), None);
        write(&folder.join("vendor/10-gone.json"), description(&files.join("gone"), ""));
        write(
            &folder.join("vendor/20-secure.json"),
            description(&files.join("secure"), "\"acpi-s3\", \"secure-boot\""),
        );
        write(&folder.join("vendor/30-other.json"), description(&files.join("plain"), "").replace("x86_64", "riscv64"));
        write(&folder.join("vendor/40-bios.json"), description(&files.join("plain"), "").replace("uefi", "bios"));
        write(&folder.join("vendor/50-damaged.json"), "{");
        assert_eq!(found(), None);
        write(&folder.join("vendor/60-plain.json"), description(&files.join("plain"), "\"acpi-s3\""));
        let is_from =
            |name: &str| matches!(found(), Some(Uefi::Flash { code, .. }) if code.filename == files.join(name));
        assert!(is_from("plain"));
        // A user's own, and one that hides another of its name.
        write(&folder.join("local/10-gone.json"), description(&files.join("own"), ""));
        assert!(is_from("own"));
        write(&folder.join("local/10-gone.json"), "");
        assert!(is_from("plain"));
    }

    #[test]
    fn each_machine_has_variables_of_its_own_that_it_may_write() {
        let (_guard, folder) = folder();
        write(&folder.join("code"), "code");
        write(&folder.join("variables"), "of a new machine");
        fs::set_permissions(folder.join("variables"), std::os::unix::fs::PermissionsExt::from_mode(0o444))
            .expect("a mode");
        let uefi = Description::parse(&description(&folder.join("code"), "")).and_then(Description::uefi).expect("one");
        let machine = folder.join("machine");
        fs::create_dir(&machine).expect("a folder");
        let arguments = uefi.place(&machine).expect("arguments").join(" ");
        assert!(
            arguments.contains(&format!("{folder}/code")) && arguments.contains(&format!("{machine}/firm")),
            "{arguments}"
        );
        assert!(!arguments.contains(&format!("{folder}/variables")), "{arguments}");
        let own = machine.join(VARIABLES);
        assert_eq!(fs::read_to_string(&own).expect("a copy"), "of a new machine");
        assert!(!own.metadata().expect("a copy").permissions().readonly());
        let file = Uefi::File("/srv/OVMF.fd".into()).place(&machine).expect("arguments");
        assert_eq!(file, ["-bios", "/srv/OVMF.fd"]);
    }

    #[test]
    fn any_description_is_read_or_passed_over() {
        check(500, text(&description("/x/code".into(), "\"acpi-s3\"")), |text| {
            let _ = Description::parse(&text).and_then(Description::uefi);
        });
    }
}
