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

use anyhow::{Context as _, Result, anyhow, ensure};
use camino::{Utf8Path, Utf8PathBuf};
use nix::sys::signal::Signal;

use super::{programs, trouble::Trouble};
use crate::{
    elf::{
        Target,
        facts::{Contents, Facts},
        survey::{self, Boot, Package, Tree},
    },
    ground::process,
    recipe,
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

/// Packages that apt would install: names and versions.
type Wanted = BTreeMap<String, String>;

/// The state of an apt.
#[derive(Clone, Debug, Default)]
pub struct State {
    /// Its sources, as lines of a sources.list.
    pub sources: Vec<String>,
    /// dpkg's status on the base that packages are added to; empty for none.
    pub status: Vec<u8>,
    /// Its package lists, by file name. They are fetched if there are none.
    pub lists: Vec<(String, Vec<u8>)>,
}

impl State {
    /// The state on a base.
    ///
    /// # Errors
    /// When it can't be read.
    pub fn on(base: &dyn Tree) -> Result<State> {
        let content = |path: &str| anyhow::Ok(base.content(path)?.unwrap_or_default());
        let mut files = vec!["/etc/apt/sources.list".to_owned()];
        let more = base.names("/etc/apt/sources.list.d")?.into_iter().filter(|name| name.ends_with(".list"));
        files.extend(more.map(|name| format!("/etc/apt/sources.list.d/{name}")));
        let mut state = State { status: content("/var/lib/dpkg/status")?, ..State::default() };
        for file in files {
            state.sources.extend(String::from_utf8_lossy(&content(&file)?).lines().map(str::to_owned));
        }
        for name in base.names("/var/lib/apt/lists")? {
            let list = base.content(&format!("/var/lib/apt/lists/{name}"))?;
            state.lists.extend(list.map(|list| (name, list)));
        }
        Ok(state)
    }
}

impl Apt {
    /// An apt in this folder.
    ///
    /// # Errors
    /// When the files can't be written, or the package lists can't be fetched.
    pub async fn new(folder: &Utf8Path, architecture: &'static str, state: &State) -> Result<Apt> {
        let apt = Apt { folder: folder.to_owned(), architecture };
        for name in ["state/lists/partial", "cache/archives/partial", "debs"] {
            let path = folder.join(name);
            std::fs::create_dir_all(&path).with_context(|| format!("failed to create {path}"))?;
        }
        let sources = state.sources.join("\n") + "\n";
        let lists = state.lists.iter().map(|(name, list)| (format!("state/lists/{name}"), list.as_slice()));
        let files = [("sources.list".to_owned(), sources.as_bytes()), ("status".to_owned(), &state.status)];
        for (name, content) in files.into_iter().chain(lists) {
            let path = folder.join(name);
            std::fs::write(&path, content).with_context(|| format!("failed to write {path}"))?;
        }
        if state.lists.iter().any(|(name, _)| name.ends_with("_Packages")) {
            return Ok(apt);
        }
        let mut update = apt.command("apt-get");
        update.args(["--error-on=any", "update"]);
        process::output("fetching package lists", update).await.map_err(by_its_cause)?;
        Ok(apt)
    }

    pub(super) fn command(&self, program: &str) -> tokio::process::Command {
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

    /// Fetches packages and reads them.
    async fn read(&self, wanted: &Wanted) -> Result<Vec<Deb>> {
        let (target, _) = survey::of_architecture(self.architecture)?;
        let names = wanted.iter().filter(|(name, _)| !name.starts_with(KERNELS));
        let words: Vec<String> = names.map(|(name, version)| format!("{name}={version}")).collect();
        if words.is_empty() {
            return Ok(Vec::new());
        }
        let mut download = self.command("apt-get");
        download.args(["download", "--"]).args(&words);
        process::output("downloading packages", download).await.map_err(by_its_cause)?;
        let folder = self.folder.join("debs");
        let mut debs = Vec::new();
        for file in folder.read_dir_utf8().with_context(|| format!("failed to read {folder}"))? {
            let path = file.with_context(|| format!("failed to read {folder}"))?.into_path();
            debs.push(read(&path, target).await.with_context(|| format!("failed to read {path}"))?);
        }
        Ok(debs)
    }

    /// What packages bring that are installed on a base, added to its facts.
    ///
    /// # Errors
    /// When apt doesn't know a package, or can't fetch it.
    pub async fn on_base(&self, mut facts: Facts, packages: &[recipe::Package]) -> Result<Facts> {
        let names = self.name(&mut facts, packages).await?;
        let debs = self.read(&self.added(&names).await?).await?;
        Ok(with(facts, &debs, &names))
    }

    /// The facts of a base that would be made of packages, and of what others bring on it.
    ///
    /// # Errors
    /// When apt doesn't know a package, or can't fetch it.
    pub async fn facts(
        &self,
        system: &str,
        source: &str,
        base: &[&str],
        packages: &[recipe::Package],
    ) -> Result<Facts> {
        let mut whole = self.required().await?;
        whole.extend(base.iter().map(|&name| name.to_owned()));
        let of_base = self.added(&whole).await?;
        let mut facts = Facts::of(system, source);
        let names = self.name(&mut facts, packages).await?;
        whole.extend_from_slice(&names);
        let debs = self.read(&self.added(&whole).await?).await?;
        let (target, interpreter) = survey::of_architecture(self.architecture)?;
        let (of_base, others): (Vec<Deb>, Vec<Deb>) = debs.into_iter().partition(|deb| of_base.contains_key(&deb.name));
        let contents: BTreeMap<String, Contents> = of_base.iter().filter_map(Deb::contents).collect();
        let mut boot = Boot::default();
        of_base.iter().for_each(|deb| boot.merge(deb.boot.clone()));
        let facts = Facts {
            machine: target.to_string(),
            interpreter: interpreter.to_owned(),
            user: boot.user.clone(),
            init: boot.init(),
            runs_rc_local: boot.runs_rc_local(),
            base: contents.keys().cloned().collect(),
            packages: contents,
            ..facts
        };
        Ok(with(facts, &others, &names))
    }
}

/// What the mirror lacks, if that is what apt failed for.
fn by_its_cause(error: anyhow::Error) -> anyhow::Error {
    // The first line of apt's stands behind what failed.
    let said = error.to_string().replacen(": E: ", ":\nE: ", 1);
    Trouble::of(&said).map_or(error, |trouble| anyhow!("{trouble}"))
}

/// A package.
#[derive(Debug, Default)]
struct Deb {
    name: String,
    version: String,
    /// The names that it depends on, alternatives among them.
    depends: Vec<String>,
    /// The names that it stands for beside its own.
    provides: Vec<String>,
    libraries: BTreeMap<String, Vec<String>>,
    boot: Boot,
}

impl Deb {
    /// What the facts say about it, if it has libraries.
    fn contents(&self) -> Option<(String, Contents)> {
        let contents = Contents { version: Some(self.version.clone()), libraries: self.libraries.clone() };
        (!self.libraries.is_empty()).then(|| (self.name.clone(), contents))
    }
}

/// A base's facts, with packages that are installed on it and what each of them brings.
fn with(mut facts: Facts, added: &[Deb], packages: &[String]) -> Facts {
    for package in packages {
        let brought = closure(added, package).into_iter().filter_map(Deb::contents);
        // An upgrade of what is on the base brings nothing that the base hasn't.
        let brought: Vec<_> = brought.filter(|(name, _)| !facts.base.contains(name)).collect();
        facts.brings.insert(package.clone(), brought.iter().map(|(name, _)| name.clone()).collect());
        facts.packages.extend(brought);
    }
    facts
}

/// A package of these and those that it depends on, all the way down.
fn closure<'a>(debs: &'a [Deb], package: &str) -> Vec<&'a Deb> {
    let (mut found, mut names): (Vec<&Deb>, Vec<&str>) = (Vec::new(), vec![package]);
    let mut seen = BTreeSet::new();
    while let Some(name) = names.pop() {
        for deb in debs.iter().filter(|deb| deb.name == name || deb.provides.iter().any(|other| other == name)) {
            if seen.insert(&deb.name) {
                names.extend(deb.depends.iter().map(String::as_str));
                found.push(deb);
            }
        }
    }
    found
}

/// The packages with `Essential: yes` or `Priority: required` in apt's dump of what is available.
fn required(dump: &str) -> Vec<String> {
    let is_required =
        |stanza: &&str| stanza.lines().any(|line| matches!(line, "Essential: yes" | "Priority: required"));
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

/// Reads a package file.
async fn read(path: &Utf8Path, target: Target) -> Result<Deb> {
    let mut fields = process::command(programs::program("dpkg-deb"), Signal::SIGKILL);
    fields.args(["--field", path.as_str(), "Package", "Version", "Depends", "Pre-Depends", "Provides"]);
    let deb = Deb::of_fields(&process::output("dpkg-deb --field", fields).await?);
    let mut tar = tempfile::tempfile().context("failed to make a temporary file")?;
    let mut command = process::command(programs::program("dpkg-deb"), Signal::SIGKILL);
    command.args(["--fsys-tarfile", path.as_str()]).stdout(Stdio::from(tar.try_clone()?)).kill_on_drop(true);
    let ended = command.status().await.context("failed to start dpkg-deb")?;
    ensure!(ended.success(), "dpkg-deb --fsys-tarfile failed ({ended})");
    let read = tokio::task::spawn_blocking(move || {
        std::io::Seek::rewind(&mut tar)?;
        contents_of(tar, target)
    });
    let (libraries, mut boot) = read.await??;
    boot.systemd = (deb.name == survey::SYSTEMD).then(|| deb.version.clone());
    Ok(Deb { libraries, boot, ..deb })
}

impl Deb {
    fn of_fields(text: &str) -> Deb {
        let mut deb = Deb::default();
        for (field, value) in text.lines().filter_map(|line| line.split_once(": ")) {
            // Relations: `libc6 (>= 2.34), debconf | debconf-2.0, python3:any`.
            let names = value.split([',', '|']).filter_map(|word| word.split_whitespace().next());
            let names = names.map(|name| name.split(':').next().unwrap_or(name).to_owned());
            match field {
                "Package" => deb.name = value.to_owned(),
                "Version" => deb.version = value.to_owned(),
                "Depends" | "Pre-Depends" => deb.depends.extend(names),
                "Provides" => deb.provides.extend(names),
                _ => {}
            }
        }
        deb
    }
}

fn contents_of(tar: File, target: Target) -> Result<(BTreeMap<String, Vec<String>>, Boot)> {
    let (mut package, mut boot) = (Package::of(target), Boot::default());
    for entry in tar::Archive::new(std::io::BufReader::new(tar)).entries()? {
        let mut entry = entry?;
        let path = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        let (is_library, is_of_boot) = (Package::wants(&path), Boot::wants(&path));
        if entry.header().entry_type().is_file() && (is_library || is_of_boot) {
            let mut content = Vec::new();
            entry.read_to_end(&mut content)?;
            if is_of_boot {
                boot.add(&path, &content);
            } else {
                package.add(&path, content);
            }
        }
    }
    Ok((package.libraries, boot))
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
    fn a_mirror_that_lacks_a_file_is_told_as_that() {
        let said =
            "downloading packages failed (exit status: 100): E: Failed to fetch http://m.example/a.deb  404  Not Found";
        let told = by_its_cause(anyhow!(said)).to_string();
        assert!(told.starts_with("the mirror lists http://m.example/a.deb, but does not have it"), "{told}");
        assert_eq!(by_its_cause(anyhow!("apt was killed")).to_string(), "apt was killed");
    }

    #[test]
    fn a_package_brings_what_it_depends_on_under_any_name() {
        let deb = Deb::of_fields;
        let debs = [
            deb(
                "Package: libpython3.11\nVersion: 3.11.2-6\nDepends: libpython3.11-stdlib (= 3.11.2-6), libc6 (>= 2.36)\n",
            ),
            deb("Package: libpython3.11-stdlib\nPre-Depends: nothing | xml-abi, mime:any\n"),
            deb("Package: libexpat1\nProvides: xml-abi (= 1)\nDepends: libpython3.11\n"),
            deb("Package: libsnappy1v5\n"),
        ];
        let brought: Vec<&str> = closure(&debs, "libpython3.11").iter().map(|deb| deb.name.as_str()).collect();
        assert_eq!(brought, ["libpython3.11", "libpython3.11-stdlib", "libexpat1"]);
        assert_eq!(closure(&debs, "cpuset").len(), 0);
    }

    #[test]
    fn required_packages_are_told_by_their_fields() {
        let dump = "Package: zutty\nPriority: optional\n\nPackage: base-files\nEssential: yes\n\nPackage: mount\n\
                    Description: x\nPriority: required\n\nPackage: base-files\nEssential: yes\n";
        assert_eq!(required(dump), ["base-files", "mount"]);
    }
}
