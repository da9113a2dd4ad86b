//! Reads what a base or a package brings from its files.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Result, bail};

use super::{
    Library, Target,
    facts::{Contents, Facts},
    library,
};

/// The files of a base.
pub trait Tree {
    /// The names of the entries of a folder, in any order; empty when it doesn't exist.
    ///
    /// # Errors
    /// When it can't be read.
    fn names(&self, folder: &str) -> Result<Vec<String>>;

    /// The content of a file; `None` when it doesn't exist or is none. Links are followed, and never lead out of the base.
    ///
    /// # Errors
    /// When it can't be read.
    fn content(&self, path: &str) -> Result<Option<Vec<u8>>>;
}

/// The folders that the loader of a Debian system searches (glibc, `SYSTEM_DIRS`), without `/usr`.
const FOLDERS: [&str; 4] = ["/lib/x86_64-linux-gnu", "/lib/aarch64-linux-gnu", "/lib64", "/lib"];

/// The C library, which tells the machine type and the loader of a base.
const LIBC: &str = "libc.so.6";

/// The package of libraries that no package brought.
const UNPACKAGED: &str = "unpackaged";

/// Reads the facts of a base. `None` when it has no C library where Debian has it.
///
/// # Errors
/// When its files can't be read.
pub fn base(tree: &dyn Tree, system: &str, source: &str) -> Result<Option<Facts>> {
    let found = libraries(tree)?;
    let Some((target, Some(interpreter))) =
        found.iter().find(|(_, name, _)| name == LIBC).map(|(_, _, libc)| (libc.target, libc.interpreter.clone()))
    else {
        return Ok(None);
    };
    let (owners, versions) = (owners(tree)?, installed(tree)?);
    let mut packages: BTreeMap<String, Contents> = BTreeMap::new();
    let mut seen = BTreeSet::new();
    for (folder, name, library) in &found {
        // Programs need a library by its soname, which must be the name of a file as well.
        let is_its_name = library.soname.as_ref().is_none_or(|soname| soname == name);
        if library.target != target || !is_its_name || !seen.insert(name) {
            continue;
        }
        // ldconfig makes the file of that name, unless the package has it.
        let same = found.iter().filter(|(other, _, it)| other == folder && it.soname == library.soname);
        let mut files = [name].into_iter().chain(same.map(|(_, name, _)| name));
        let owner = files.find_map(|name| owners.get(&format!("{folder}/{name}"))).map_or(UNPACKAGED, String::as_str);
        let contents = packages.entry(owner.to_owned()).or_default();
        contents.version = versions.get(owner).cloned();
        contents.libraries.insert(name.clone(), library.versions.clone());
    }
    let mut boot = Boot { systemd: versions.get(SYSTEMD).cloned(), ..Boot::default() };
    for path in [USER_FILE.to_owned(), GENERATOR.to_owned(), format!("/usr{GENERATOR}")] {
        if let Some(content) = tree.content(&path)? {
            boot.add(&path, &content);
        }
    }
    Ok(Some(Facts {
        machine: target.to_string(),
        interpreter,
        user: boot.user.clone(),
        init: boot.init(),
        runs_rc_local: boot.runs_rc_local(),
        base: packages.keys().cloned().collect(),
        packages,
        ..Facts::of(system, source)
    }))
}

/// The package of the only init that bases have.
pub const SYSTEMD: &str = "systemd";

/// The file in which cloud-init names the user to log in as.
const USER_FILE: &str = "/etc/cloud/cloud.cfg";

/// The program by which systemd makes /etc/rc.local a part of the boot (systemd-rc-local-generator(8)), without `/usr`.
const GENERATOR: &str = "/lib/systemd/system-generators/systemd-rc-local-generator";

/// Who may log in, and what runs at boot.
#[derive(Clone, Debug, Default)]
pub struct Boot {
    /// The user to log in as.
    pub user: Option<String>,
    /// The version of systemd, if that is the init.
    pub systemd: Option<String>,
    runs_rc_local: bool,
}

impl Boot {
    /// Whether a file tells.
    #[must_use]
    pub fn wants(path: &str) -> bool {
        let (folder, name) = split_path(path);
        [USER_FILE, GENERATOR].contains(&format!("{folder}/{name}").as_str())
    }

    /// Adds a file.
    pub fn add(&mut self, path: &str, content: &[u8]) {
        if path.ends_with(USER_FILE) {
            self.user = default_user(&String::from_utf8_lossy(content));
        } else {
            self.runs_rc_local = true;
        }
    }

    /// Adds what another package says.
    pub fn merge(&mut self, other: Boot) {
        self.user = self.user.take().or(other.user);
        self.systemd = self.systemd.take().or(other.systemd);
        self.runs_rc_local |= other.runs_rc_local;
    }

    /// The first process and its version.
    #[must_use]
    pub fn init(&self) -> Option<String> {
        self.systemd.as_ref().map(|version| format!("{SYSTEMD} {version}"))
    }

    /// Whether it runs /etc/rc.local; `None` where there is no init that is known.
    #[must_use]
    pub fn runs_rc_local(&self) -> Option<bool> {
        self.systemd.is_some().then_some(self.runs_rc_local)
    }
}

/// The name of the default user in cloud-init's configuration.
fn default_user(config: &str) -> Option<String> {
    let (_, after) = config.split_once("default_user:")?;
    let name = after.lines().find_map(|line| line.trim().strip_prefix("name:"))?.trim();
    (!name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || "-_".contains(c))).then(|| name.to_owned())
}

/// Collects the libraries of one package from its files.
pub struct Package {
    target: Target,
    /// What was found so far.
    pub libraries: BTreeMap<String, Vec<String>>,
}

impl Package {
    /// A package for programs of this machine type.
    #[must_use]
    pub fn of(target: Target) -> Package {
        Package { target, libraries: BTreeMap::new() }
    }

    /// Whether a file's content is wanted: the package may bring a library with it.
    #[must_use]
    pub fn wants(path: &str) -> bool {
        let (folder, name) = split_path(path);
        FOLDERS.contains(&folder.as_str()) && name.contains(".so")
    }

    /// Adds a file, links excepted: ldconfig makes the one that programs need.
    pub fn add(&mut self, path: &str, content: Vec<u8>) {
        let Some(library) = library(content).filter(|library| library.target == self.target) else { return };
        let name = library.soname.unwrap_or(split_path(path).1);
        self.libraries.insert(name, library.versions);
    }
}

/// The folder of a path, as in [`FOLDERS`], and its last part.
fn split_path(path: &str) -> (String, String) {
    let path = path.strip_prefix('.').unwrap_or(path);
    let path = path.strip_prefix("/usr").filter(|rest| rest.starts_with("/lib")).unwrap_or(path);
    let (folder, name) = path.rsplit_once('/').unwrap_or_default();
    (folder.to_owned(), name.to_owned())
}

/// The shared libraries that the loader finds: folder, name, and what was read. Those that it finds first are first.
fn libraries(tree: &dyn Tree) -> Result<Vec<(String, String, Library)>> {
    let mut found = Vec::new();
    let mut read = BTreeSet::new();
    for path in search_path(tree)? {
        let (folder, _) = split_path(&format!("{path}/"));
        let mut names = tree.names(&path)?;
        names.retain(|name| name.contains(".so"));
        names.sort();
        // On most systems /lib is a link to /usr/lib.
        if !read.insert((folder.clone(), names.clone())) {
            continue;
        }
        for name in names {
            let library = tree.content(&format!("{path}/{name}"))?.and_then(library);
            found.extend(library.map(|library| (folder.clone(), name, library)));
        }
    }
    Ok(found)
}

/// The folders that the loader searches: those of its configuration, then those that it was built with.
fn search_path(tree: &dyn Tree) -> Result<Vec<String>> {
    let mut files = vec!["/etc/ld.so.conf".to_owned()];
    let mut parts = tree.names("/etc/ld.so.conf.d")?;
    parts.sort();
    files.extend(
        parts.into_iter().filter(|name| name.ends_with(".conf")).map(|name| format!("/etc/ld.so.conf.d/{name}")),
    );
    let mut folders: Vec<String> = Vec::new();
    for file in files {
        let text = tree.content(&file)?.unwrap_or_default();
        let text = String::from_utf8_lossy(&text).into_owned();
        folders.extend(text.lines().map(str::trim).filter(|line| line.starts_with('/')).map(str::to_owned));
    }
    folders.extend(FOLDERS.iter().flat_map(|folder| [(*folder).to_owned(), format!("/usr{folder}")]));
    let mut seen = BTreeSet::new();
    folders.retain(|folder| seen.insert(folder.trim_end_matches('/').to_owned()));
    Ok(folders)
}

/// The package that each file of a folder of libraries belongs to, by dpkg's lists.
fn owners(tree: &dyn Tree) -> Result<BTreeMap<String, String>> {
    let mut owners = BTreeMap::new();
    for list in tree.names("/var/lib/dpkg/info")? {
        let Some(package) = list.strip_suffix(".list") else { continue };
        let package = package.split(':').next().unwrap_or(package);
        let content = tree.content(&format!("/var/lib/dpkg/info/{list}"))?.unwrap_or_default();
        for path in String::from_utf8_lossy(&content).lines().filter(|path| path.contains(".so")) {
            let (folder, name) = split_path(path);
            owners.insert(format!("{folder}/{name}"), package.to_owned());
        }
    }
    Ok(owners)
}

/// The versions of the installed packages, by dpkg's status.
fn installed(tree: &dyn Tree) -> Result<BTreeMap<String, String>> {
    let status = tree.content("/var/lib/dpkg/status")?.unwrap_or_default();
    let status = String::from_utf8_lossy(&status).into_owned();
    let field = |stanza: &str, name: &str| stanza.lines().find_map(|line| line.strip_prefix(name).map(str::to_owned));
    let version = |stanza: &str| Some((field(stanza, "Package: ")?, field(stanza, "Version: ")?));
    Ok(status.split("\n\n").filter_map(version).collect())
}

/// The machine type and the loader of programs for an architecture, by dpkg's name for it (psABI of each).
///
/// # Errors
/// When no base is of that kind.
pub fn of_architecture(architecture: &str) -> Result<(Target, &'static str)> {
    match architecture {
        "amd64" => Ok((Target::X86_64, "/lib64/ld-linux-x86-64.so.2")),
        "arm64" => Ok((Target::AARCH64, "/lib/ld-linux-aarch64.so.1")),
        _ => bail!("no base is of the architecture {architecture}"),
    }
}
