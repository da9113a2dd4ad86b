//! What Debian's packages bring: their shared libraries, read from the packages themselves.
//!
//! apt says which packages an installation would add to a base, and fetches them. It works in a folder of its own, as any
//! user, with its own sources and state: this computer's are neither read nor changed.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::File,
    io::Read as _,
    process::Stdio,
};

use anyhow::{Context as _, Result, bail};
use camino::{Utf8Path, Utf8PathBuf};
use nix::sys::signal::Signal;

use super::programs;
use crate::{
    elf::{
        Target,
        facts::{Contents, Facts},
        survey::{self, Package},
    },
    ground::process,
};

/// The architecture of a base, by dpkg's name: the image's, whatever this computer's is.
pub const ARCHITECTURE: &str = "amd64";

/// Kernels are the largest packages by far, and have no libraries.
const KERNELS: &str = "linux-image-";

/// An apt with sources and a state of its own.
pub struct Apt {
    folder: Utf8PathBuf,
    architecture: &'static str,
}

/// A package that apt would install: its name and version.
type Wanted = BTreeMap<String, String>;

impl Apt {
    /// Fetches the package lists of the sources, lines of a sources.list, into a folder. `status` is dpkg's on the base
    /// that packages are added to; empty for none.
    ///
    /// # Errors
    /// When the lists can't be fetched.
    pub async fn new(
        folder: &Utf8Path,
        architecture: &'static str,
        sources: &[String],
        status: &[u8],
        suite: &str,
    ) -> Result<Apt> {
        let apt = Apt { folder: folder.to_owned(), architecture };
        for name in ["state/lists/partial", "cache/archives/partial", "debs"] {
            let path = folder.join(name);
            std::fs::create_dir_all(&path).with_context(|| format!("failed to create {path}"))?;
        }
        let list = sources.join("\n") + "\n";
        for (name, content) in [("sources.list", list.as_bytes()), ("status", status)] {
            let path = folder.join(name);
            std::fs::write(&path, content).with_context(|| format!("failed to write {path}"))?;
        }
        let mut update = apt.command("apt-get");
        update.args(["--error-on=any", "update"]);
        process::output(&format!("fetching the package lists of {suite}"), update).await?;
        Ok(apt)
    }

    fn command(&self, program: &str) -> tokio::process::Command {
        let mut command = process::command(programs::program(program), Signal::SIGTERM);
        let folder = &self.folder;
        let architecture = self.architecture;
        let options = [
            format!("Dir::Etc::SourceList={folder}/sources.list"),
            "Dir::Etc::SourceParts=/dev/null".to_owned(),
            "Dir::Etc::Preferences=/dev/null".to_owned(),
            "Dir::Etc::PreferencesParts=/dev/null".to_owned(),
            format!("Dir::State={folder}/state"),
            format!("Dir::State::status={folder}/status"),
            format!("Dir::Cache={folder}/cache"),
            format!("APT::Architecture={architecture}"),
            format!("APT::Architectures={architecture}"),
            "APT::Install-Recommends=false".to_owned(),
            "APT::Sandbox::User=".to_owned(),
            "Acquire::Languages=none".to_owned(),
            "Debug::NoLocking=true".to_owned(),
        ];
        command.args(options.iter().flat_map(|option| ["-o", option]));
        command.current_dir(self.folder.join("debs")).env("LC_ALL", "C.UTF-8").env("PATH", programs::search_path());
        command
    }

    /// The packages that every system of the sources has: those that dpkg takes for essential, and the required ones.
    async fn required(&self) -> Result<Vec<String>> {
        let mut dump = self.command("apt-cache");
        dump.arg("dumpavail");
        Ok(required(&process::output("asking apt for its packages", dump).await?))
    }

    /// What installing packages on the base would add.
    async fn added(&self, packages: &[String]) -> Result<Wanted> {
        let mut simulate = self.command("apt-get");
        simulate.args(["--simulate", "install", "--"]).args(packages);
        let what = format!("asking apt what {} would bring", packages.last().map_or("nothing", String::as_str));
        Ok(added(&process::output(&what, simulate).await?))
    }

    /// Fetches packages and reads their libraries, by package. Packages without libraries are left out.
    async fn read(&self, wanted: &Wanted) -> Result<BTreeMap<String, Contents>> {
        let (mut found, (target, _)) = (BTreeMap::new(), survey::of_architecture(self.architecture)?);
        let names = wanted.iter().filter(|(name, _)| !name.starts_with(KERNELS));
        let words: Vec<String> = names.map(|(name, version)| format!("{name}={version}")).collect();
        if words.is_empty() {
            return Ok(found);
        }
        let mut download = self.command("apt-get");
        download.args(["download", "--"]).args(&words);
        process::output("downloading packages", download).await?;
        let folder = self.folder.join("debs");
        let files = folder.read_dir_utf8().with_context(|| format!("failed to read {folder}"))?;
        for file in files {
            let path = file.with_context(|| format!("failed to read {folder}"))?.into_path();
            let name = path.file_name().and_then(|name| name.split('_').next()).unwrap_or_default().to_owned();
            let libraries = libraries_of(&path, target).await.with_context(|| format!("failed to read {path}"))?;
            if !libraries.is_empty() {
                let version = wanted.get(&name).cloned();
                found.insert(name, Contents { version, libraries });
            }
        }
        Ok(found)
    }

    /// What packages bring that are installed on a base, added to its facts.
    ///
    /// # Errors
    /// When apt doesn't know a package, or can't fetch it.
    pub async fn on_base(&self, mut facts: Facts, packages: &[String]) -> Result<Facts> {
        let mut each = BTreeMap::new();
        for package in packages {
            each.insert(package.clone(), self.added(std::slice::from_ref(package)).await?);
        }
        let all: Wanted = each.values().flatten().map(|(name, version)| (name.clone(), version.clone())).collect();
        let read = self.read(&all).await?;
        for (package, added) in each {
            // An upgrade of what is on the base brings nothing that the base hasn't.
            let added = added.into_keys().filter(|name| read.contains_key(name) && !facts.base.contains(name));
            facts.brings.insert(package, added.collect());
        }
        for (name, contents) in read {
            facts.packages.entry(name).or_insert(contents);
        }
        Ok(facts)
    }

    /// The facts of a base that would be made of packages, and of what others bring on it.
    ///
    /// # Errors
    /// When apt doesn't know a package, can't fetch it, or there is no C library among them.
    pub async fn facts(&self, system: &str, source: &str, base: &[&str], packages: &[String]) -> Result<Facts> {
        let mut whole = self.required().await?;
        whole.extend(base.iter().map(|&name| name.to_owned()));
        let of_base = self.added(&whole).await?;
        let mut all = of_base.clone();
        let mut brings = BTreeMap::new();
        for package in packages {
            let with: Vec<String> = whole.iter().chain([package]).cloned().collect();
            let mut added = self.added(&with).await?;
            added.retain(|name, _| !of_base.contains_key(name));
            brings.insert(package.clone(), added.keys().cloned().collect::<BTreeSet<String>>());
            all.extend(added);
        }
        let read = self.read(&all).await?;
        brings.values_mut().for_each(|names| names.retain(|name| read.contains_key(name)));
        let (target, interpreter) = survey::of_architecture(self.architecture)?;
        Ok(Facts {
            format: 1,
            system: system.to_owned(),
            source: source.to_owned(),
            read: true,
            machine: target.to_string(),
            interpreter: interpreter.to_owned(),
            base: of_base.into_keys().filter(|name| read.contains_key(name)).collect(),
            at_most: BTreeMap::new(),
            brings,
            packages: read,
        })
    }
}

/// The packages with `Essential: yes` or `Priority: required` in apt's dump of what is available.
fn required(dump: &str) -> Vec<String> {
    let is_required = |stanza: &&str| {
        stanza.lines().any(|line| matches!(line, "Essential: yes" | "Priority: required"))
    };
    let name = |stanza: &str| stanza.lines().find_map(|line| line.strip_prefix("Package: ").map(str::to_owned));
    let names: BTreeSet<String> = dump.split("\n\n").filter(is_required).filter_map(name).collect();
    names.into_iter().collect()
}

/// The packages of lines `Inst NAME [OLD] (VERSION SOURCE [ARCHITECTURE])` of a simulated installation.
fn added(simulation: &str) -> Wanted {
    let package = |line: &str| {
        let (name, rest) = line.strip_prefix("Inst ")?.split_once(' ')?;
        let version = rest.split_once('(')?.1.split([' ', ')']).next()?;
        Some((name.to_owned(), version.to_owned()))
    };
    simulation.lines().filter_map(package).collect()
}

/// The libraries of a package.
async fn libraries_of(deb: &Utf8Path, target: Target) -> Result<BTreeMap<String, Vec<String>>> {
    let mut tar = tempfile::tempfile().context("failed to make a temporary file")?;
    let mut command = process::command(programs::program("dpkg-deb"), Signal::SIGKILL);
    command.args(["--fsys-tarfile", deb.as_str()]).stdout(Stdio::from(tar.try_clone()?)).stderr(Stdio::piped());
    command.kill_on_drop(true);
    let output = command.output().await.context("failed to start dpkg-deb")?;
    if !output.status.success() {
        bail!("dpkg-deb failed ({}): {}", output.status, String::from_utf8_lossy(&output.stderr).trim());
    }
    tokio::task::spawn_blocking(move || {
        std::io::Seek::rewind(&mut tar)?;
        libraries_in(tar, target)
    })
    .await?
}

fn libraries_in(tar: File, target: Target) -> Result<BTreeMap<String, Vec<String>>> {
    let mut package = Package::of(target);
    for entry in tar::Archive::new(std::io::BufReader::new(tar)).entries()? {
        let mut entry = entry?;
        let path = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        if entry.header().entry_type().is_file() && Package::wants(&path) {
            let mut content = Vec::new();
            entry.read_to_end(&mut content)?;
            package.add(&path, content);
        }
    }
    Ok(package.libraries)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_apt_would_install_is_read_from_its_simulation() {
        let said = "Reading package lists...\nInst libc6 [2.36-8] (2.36-9+deb12u13 Debian:12.15/oldstable [amd64]) []\n\
                    Inst libsnappy1v5 (1.1.9-3 Debian:12.15/oldstable [amd64])\nConf libc6 (2.36-9 Debian:12 [amd64])\n\
                    Inst\nInst odd\n";
        let wanted = added(said);
        let words: Vec<String> = wanted.iter().map(|(name, version)| format!("{name}={version}")).collect();
        assert_eq!(words, ["libc6=2.36-9+deb12u13", "libsnappy1v5=1.1.9-3"]);
    }

    #[test]
    fn required_packages_are_told_by_their_fields() {
        let dump = "Package: zutty\nPriority: optional\n\nPackage: base-files\nEssential: yes\n\nPackage: mount\n\
                    Description: x\nPriority: required\n\nPackage: base-files\nEssential: yes\n";
        assert_eq!(required(dump), ["base-files", "mount"]);
    }
}
