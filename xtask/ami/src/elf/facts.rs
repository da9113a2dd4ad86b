//! What a base brings: its shared libraries with the versions that they define, and those of the packages that are
//! installed on it. A file of `.release/ami/systems` holds it for each system.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
};

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use camino::Utf8Path;
use serde::Deserialize;

/// The format of the files. Raise it when a reader of the former one would misread them.
const FORMAT: u32 = 2;

/// The longest line of a file, where its words allow.
const LINE_CHARS: usize = 118;

/// What a base brings.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Facts {
    /// The format of the file, 2.
    pub format: u32,
    /// The system, by its name in the recipe.
    pub system: String,
    /// Where the facts are from, for people.
    pub source: String,
    /// Whether they were read from the libraries. Others were written by hand: a library without versions may then have
    /// all but those above [`Facts::at_most`].
    pub read: bool,
    /// The machine type of its programs: `64-bit x86-64`.
    pub machine: String,
    /// The dynamic loader that its programs name.
    pub interpreter: String,
    /// The user to log in as, by the configuration of its cloud-init.
    pub user: Option<String>,
    /// The first process and its version: `systemd 257.8-1`.
    pub init: Option<String>,
    /// Whether that runs /etc/rc.local at boot by itself.
    pub runs_rc_local: Option<bool>,
    /// How many libraries are listed, by which a file is known that was cut short.
    pub libraries: Option<usize>,
    /// The packages that are on the base itself.
    pub base: BTreeSet<String>,
    /// The newest number of a family of versions, by the family: `GLIBC` has `2.23`.
    #[serde(default)]
    pub at_most: BTreeMap<String, String>,
    /// What the system calls packages of the recipe that are libraries: `libssl` is `libssl3t64`.
    #[serde(default)]
    pub names: BTreeMap<String, String>,
    /// Optional packages of the recipe that the system has not.
    #[serde(default)]
    pub absent: BTreeSet<String>,
    /// The packages that each package of the recipe brings, itself included if it has libraries.
    #[serde(default)]
    pub brings: BTreeMap<String, BTreeSet<String>>,
    /// The packages that have shared libraries, by name.
    #[serde(rename = "package")]
    pub packages: BTreeMap<String, Contents>,
}

/// The shared libraries of a package.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Contents {
    /// The version of the package that was read.
    pub version: Option<String>,
    /// The versions that each library defines, by the name that programs need it by.
    pub libraries: BTreeMap<String, Vec<String>>,
}

impl Facts {
    /// Facts that were read from this source, without any yet.
    #[must_use]
    pub fn of(system: &str, source: &str) -> Facts {
        Facts {
            format: FORMAT,
            system: system.to_owned(),
            source: source.to_owned(),
            read: true,
            machine: String::new(),
            interpreter: String::new(),
            user: None,
            init: None,
            runs_rc_local: None,
            libraries: None,
            base: BTreeSet::new(),
            at_most: BTreeMap::new(),
            names: BTreeMap::new(),
            absent: BTreeSet::new(),
            brings: BTreeMap::new(),
            packages: BTreeMap::new(),
        }
    }

    /// The facts of a system: of the first of these folders that has its file. `None` when none has.
    ///
    /// # Errors
    /// When the file can't be read, or has faults.
    pub fn find(folders: &[impl AsRef<Utf8Path>], system: &str) -> Result<Option<Facts>> {
        let mut paths = folders.iter().map(|folder| folder.as_ref().join(format!("{system}.toml")));
        let Some(path) = paths.find(|path| path.exists()) else { return Ok(None) };
        let facts = Facts::read(&path)?;
        ensure!(facts.system == system, "{path} is about {}, not about {system}: rename it", facts.system);
        Ok(Some(facts))
    }

    /// Reads a file of facts.
    ///
    /// # Errors
    /// When it can't be read, or has faults.
    pub fn read(path: &Utf8Path) -> Result<Facts> {
        let text = std::fs::read_to_string(path).with_context(|| format!("failed to read {path}"))?;
        Facts::parse(&text).map_err(|error| {
            let system = path.file_stem().unwrap_or("NAME");
            anyhow!(
                "{path} does not say what a system brings: {error:#}\n    to make it anew from a disk, or with --suite from \
                 packages: cargo xtask ami system-facts --system {system} --image FILE"
            )
        })
    }

    /// Parses the text of a file.
    ///
    /// # Errors
    /// When it isn't TOML, lacks a key or has one too many, was cut short, or names a package that it says nothing about.
    pub fn parse(text: &str) -> Result<Facts> {
        #[derive(Deserialize)]
        struct Format {
            format: u32,
        }
        // First, because another format may have other keys.
        let Format { format } = read(text)?;
        let newer = if format > FORMAT { ": use the version of this tool that wrote it" } else { "" };
        ensure!(format == FORMAT, "its format is {format}, and this tool reads {FORMAT}{newer}");
        let facts: Facts = read(text)?;
        if let Some(count) = facts.libraries.filter(|count| *count != facts.count()) {
            bail!("it was cut short, or changed: it lists {} libraries, not {count}", facts.count());
        }
        let named = facts.base.iter().chain(facts.brings.values().flatten());
        if let Some(unknown) = named.into_iter().find(|package| !facts.packages.contains_key(*package)) {
            bail!("it names the package `{unknown}`, but not its libraries");
        }
        Ok(facts)
    }

    /// The text of the file: sorted and without a date, so that the same facts give the same bytes.
    #[must_use]
    pub fn text(&self) -> String {
        let quote = |text: &str| toml::Value::from(text).to_string();
        let mut text = String::from(
            "# What the base and the packages of the recipe bring: shared libraries, and the versions that they define. \
             Made by\n# `cargo xtask ami system-facts`, which also brings it up to date.\n",
        );
        let _ = writeln!(text, "format = {}\nsystem = {}", self.format, quote(&self.system));
        let _ = writeln!(text, "source = {}\nread = {}", quote(&self.source), self.read);
        let _ = writeln!(text, "machine = {}\ninterpreter = {}", quote(&self.machine), quote(&self.interpreter));
        for (key, value) in [("user", &self.user), ("init", &self.init)] {
            let _ = value.as_ref().map(|value| writeln!(text, "{key} = {}", quote(value)));
        }
        let _ = self.runs_rc_local.map(|runs| writeln!(text, "runs_rc_local = {runs}"));
        if self.read {
            let _ = writeln!(text, "libraries = {}", self.count());
        }
        if !self.absent.is_empty() {
            line(&mut text, "absent", self.absent.iter().map(|name| quote(name)));
        }
        line(&mut text, "base", self.base.iter().map(|name| quote(name)));
        if !self.at_most.is_empty() {
            text.push_str("\n[at_most]\n");
            let limits = self.at_most.iter().map(|(family, number)| format!("{} = {}\n", quote(family), quote(number)));
            text.extend(limits);
        }
        if !self.names.is_empty() {
            text.push_str("\n[names]\n");
            text.extend(self.names.iter().map(|(name, package)| format!("{} = {}\n", quote(name), quote(package))));
        }
        if !self.brings.is_empty() {
            text.push_str("\n[brings]\n");
        }
        for (package, brought) in &self.brings {
            line(&mut text, &quote(package), brought.iter().map(|name| quote(name)));
        }
        for (name, contents) in &self.packages {
            let _ = writeln!(text, "\n[package.{}]", quote(name));
            if let Some(version) = &contents.version {
                let _ = writeln!(text, "version = {}", quote(version));
            }
            let _ = writeln!(text, "[package.{}.libraries]", quote(name));
            for (library, versions) in &contents.libraries {
                line(&mut text, &quote(library), versions.iter().map(|version| quote(version)));
            }
        }
        text
    }

    fn count(&self) -> usize {
        self.packages.values().map(|contents| contents.libraries.len()).sum()
    }

    /// The versions that a library defines, if the base or one of these packages of the recipe brings it.
    #[must_use]
    pub fn library(&self, name: &str, installed: &[String]) -> Option<&[String]> {
        let brought = installed.iter().filter_map(|package| self.brings.get(package)).flatten();
        let packages = self.base.iter().chain(brought).filter_map(|package| self.packages.get(package));
        let mut found = packages.filter_map(|contents| contents.libraries.get(name));
        found.next().map(Vec::as_slice)
    }

    /// A package that has a library, whether it is installed or not.
    #[must_use]
    pub fn package_with(&self, library: &str) -> Option<&str> {
        let mut packages = self.packages.iter().filter(|(_, contents)| contents.libraries.contains_key(library));
        packages.next().map(|(name, _)| name.as_str())
    }

    /// These facts about a base, with what the others know about packages that are installed on it.
    #[must_use]
    pub fn with_packages_of(mut self, other: &Facts) -> Facts {
        for (name, package) in &other.names {
            self.names.entry(name.clone()).or_insert_with(|| package.clone());
        }
        self.absent.extend(other.absent.iter().cloned());
        for (package, brought) in &other.brings {
            if self.brings.contains_key(package) {
                continue;
            }
            for name in brought {
                let contents = other.packages.get(name).cloned().unwrap_or_default();
                self.packages.entry(name.clone()).or_insert(contents);
            }
            self.brings.insert(package.clone(), brought.clone());
        }
        self
    }
}

/// Parses TOML, with an error of one line.
fn read<T: serde::de::DeserializeOwned>(text: &str) -> Result<T> {
    toml::from_str(text).map_err(|error| {
        let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
        anyhow!("line {}: {}", before.matches('\n').count() + 1, error.message().replace('\n', ", "))
    })
}

/// Writes `key = [words]`, on several lines if it is long.
fn line(text: &mut String, key: &str, words: impl Iterator<Item = String>) {
    let words: Vec<String> = words.collect();
    let whole = format!("{key} = [{}]", words.join(", "));
    if whole.chars().count() <= LINE_CHARS {
        text.push_str(&whole);
        text.push('\n');
        return;
    }
    let _ = write!(text, "{key} = [");
    let mut length = LINE_CHARS;
    for word in &words {
        if length + word.len() + 2 > LINE_CHARS {
            text.push_str("\n   ");
            length = 3;
        }
        let _ = write!(text, " {word},");
        length += word.len() + 2;
    }
    text.push_str("\n]\n");
}

#[cfg(test)]
mod tests;
