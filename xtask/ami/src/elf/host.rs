//! The machine that a program has to run on, and the reasons why it can't.

use camino::Utf8Path;

use super::{
    Elf, NeededVersion, Target,
    facts::Facts,
    inspect,
    isa::{self, Levels},
    version::{compare, split},
};
use crate::recipe::{Package, Recipe, System};

/// The version that marks packed relative relocations (glibc 2.36, elf/Versions).
const PACKED: &str = "GLIBC_ABI_DT_RELR";

/// The machine that a program has to run on.
#[derive(Clone, Debug)]
pub struct Host {
    /// The name of its system.
    pub name: String,
    facts: Option<Facts>,
    system: System,
    /// The recipe's packages.
    packages: Vec<String>,
    target_cpu: String,
    instance_type: Option<String>,
}

impl Host {
    /// The machine of a recipe. `facts` are `None` where nothing is known about its system but what the recipe says.
    #[must_use]
    pub fn new(recipe: &Recipe, name: &str, system: &System, facts: Option<Facts>, is_local: bool) -> Host {
        let name_of = |package: &Package| {
            let by_facts = facts.as_ref().and_then(|facts| facts.name_of(package));
            by_facts.or(package.known_name()).map(str::to_owned)
        };
        Host {
            name: name.to_owned(),
            packages: system.packages.iter().filter_map(name_of).collect(),
            facts,
            system: system.clone(),
            target_cpu: recipe.build.target_cpu.clone(),
            instance_type: Some(recipe.instance.instance_type.clone()).filter(|_| !is_local),
        }
    }

    /// Why the binaries' libraries can't be checked, if they can't.
    #[must_use]
    pub fn ignorance(&self) -> Option<String> {
        (self.facts.is_none() && self.system.libraries.is_empty()).then(|| {
            format!(
                "it is not known which libraries {name} has, so those that the binaries need are not checked; \
                 `cargo xtask ami system-facts --system {name} --image FILE` reads them from a base into .release/ami/systems/{name}.toml",
                name = self.name
            )
        })
    }

    /// The reasons why the program at `path`, named `name` in messages, can't run here.
    #[must_use]
    pub fn faults_of_file(&self, name: &str, path: &Utf8Path) -> Vec<String> {
        match inspect(path) {
            Ok(elf) => self.faults(name, &elf),
            Err(error) => vec![format!("{name} {error:#}")],
        }
    }

    /// The reasons why the program can't run here.
    #[must_use]
    pub fn faults(&self, name: &str, elf: &Elf) -> Vec<String> {
        let machine = self.facts.as_ref().map_or(Target::X86_64.to_string(), |facts| facts.machine.clone());
        if elf.target.to_string() != machine {
            let fault = format!("{name} is compiled for {}, but {} is {machine}", elf.target, self.name);
            return vec![format!("{fault}: compile it for that")];
        }
        let too_new = self.levels_beyond(name, elf.isa);
        match elf.interpreter.as_deref() {
            None if elf.needed.is_empty() => return too_new,
            None => {
                let fault = format!("{name} needs {}, but has no interpreter to load them", elf.needed.join(", "));
                return vec![format!("{fault}: link it as a program")];
            }
            Some(it) if it == self.interpreter() => {}
            Some(other) => {
                let fault = format!("{name} is loaded by {other}, but {} only has {}", self.name, self.interpreter());
                return vec![format!("{fault}: build it with glibc, or link it statically")];
            }
        }
        let mut faults = self.missing_versions(name, elf);
        faults.extend(self.unreadable_relocations(name, elf));
        let missing = elf.needed.iter().filter(|library| self.library(library).is_none() && self.ignorance().is_none());
        faults.extend(missing.map(|library| self.missing_library(name, library)));
        faults.extend(too_new);
        faults
    }

    fn interpreter(&self) -> &str {
        self.facts.as_ref().map_or("/lib64/ld-linux-x86-64.so.2", |facts| facts.interpreter.as_str())
    }

    /// The versions that a library defines; `None` when there is no such library.
    fn library(&self, name: &str) -> Option<&[String]> {
        let known = self.facts.as_ref().and_then(|facts| facts.library(name, &self.packages));
        known.or_else(|| {
            let of_packages = self.system.packages.iter().flat_map(|package| &package.libraries);
            of_packages.chain(&self.system.libraries).any(|library| library == name).then_some(&[][..])
        })
    }

    fn missing_library(&self, name: &str, library: &str) -> String {
        let base = &self.name;
        let remedy = match self.facts.as_ref().and_then(|facts| facts.package_with(library)) {
            Some(package) => format!("add the package {package}, which contains it, to ami.toml"),
            None => "add the package that contains it to ami.toml".to_owned(),
        };
        format!("{name} needs {library}, but neither {base} nor a package of the recipe has it: {remedy}")
    }

    /// One fault for each family of versions that a library doesn't define all of.
    fn missing_versions(&self, name: &str, elf: &Elf) -> Vec<String> {
        let mut missing: Vec<&NeededVersion> = elf.versions.iter().filter(|needed| !self.defines(needed)).collect();
        // The newest of each family says what is wanted.
        missing.sort_by(|a, b| {
            (&a.library, family(&a.name)).cmp(&(&b.library, family(&b.name))).then_with(|| newer(a, b))
        });
        missing.dedup_by(|later, first| later.library == first.library && family(&later.name) == family(&first.name));
        missing.into_iter().map(|needed| self.missing_version(name, needed)).collect()
    }

    fn defines(&self, needed: &NeededVersion) -> bool {
        // A library that is missing is a fault of its own.
        let defined = self.library(&needed.library).unwrap_or_default();
        needed.is_weak || if defined.is_empty() { self.may_have(&needed.name) } else { defined.contains(&needed.name) }
    }

    /// Whether a library of which no versions are known may define one.
    fn may_have(&self, version: &str) -> bool {
        let (family, number) = match (version, split(version)) {
            (PACKED, _) => ("GLIBC", "2.36"),
            // No loader before 2.42 defines any other of these.
            (other, _) if other.starts_with("GLIBC_ABI_") => ("GLIBC", "2.42"),
            (_, Some(parts)) => parts,
            (_, None) => return true,
        };
        self.at_most(family).is_none_or(|newest| compare(number, newest).is_le())
    }

    fn at_most(&self, family: &str) -> Option<&str> {
        let by_hand = self.system.glibc.as_deref().filter(|_| family == "GLIBC");
        let facts = self.facts.as_ref().filter(|facts| !facts.read);
        facts.and_then(|facts| facts.at_most.get(family).map(String::as_str)).or(by_hand)
    }

    fn missing_version(&self, name: &str, needed: &NeededVersion) -> String {
        let (base, NeededVersion { library, name: version, .. }) = (&self.name, needed);
        let family = family(version);
        let defined = self.library(library).unwrap_or_default();
        let of_family = defined.iter().filter_map(|version| split(version)).filter(|(other, _)| *other == family);
        let newest = of_family.map(|(_, number)| number).max_by(|a, b| compare(a, b)).or_else(|| self.at_most(family));
        let has = newest
            .map_or_else(|| format!("that of {base} does not define it"), |newest| format!("{base} has {newest}"));
        format!(
            "{name} needs {version} of {library}, but {has}: build on {base}, or in a container of it (build.container in \
             ami.toml), or choose another base"
        )
    }

    /// Relative relocations that a loader before glibc 2.36 would leave out, and a later one refuses unmarked.
    fn unreadable_relocations(&self, name: &str, elf: &Elf) -> Option<String> {
        let marks = || elf.versions.iter().filter(|version| version.name == PACKED);
        // A mark that is not defined has been told already, unless it is weak.
        if !elf.packed_relocations || marks().any(|mark| !mark.is_weak) {
            return None;
        }
        let marker = NeededVersion { library: "libc.so.6".to_owned(), name: PACKED.to_owned(), is_weak: false };
        if !self.defines(&marker) {
            let why = "has packed relative relocations (DT_RELR), which need glibc 2.36";
            return Some(format!("{name} {why}, but {} is older: link it with -z nopack-relative-relocs", self.name));
        }
        let needs_libc = elf.needed.iter().any(|library| library.starts_with("libc.so."));
        (needs_libc && !elf.versions.is_empty() && marks().next().is_none()).then(|| {
            format!(
                "{name} has packed relative relocations (DT_RELR) without the version {PACKED}, so glibc does not load \
                 it: link it with -z pack-relative-relocs, or without them"
            )
        })
    }

    fn levels_beyond(&self, name: &str, needed: Levels) -> Vec<String> {
        let target_cpu = format!("target_cpu {}", self.target_cpu);
        let mut cpus = vec![(target_cpu, isa::of_cpu(&self.target_cpu))];
        cpus.extend(
            self.instance_type.as_ref().map(|it| (format!("the instance type {it}"), isa::of_instance_type(it))),
        );
        let lacking = cpus.into_iter().filter_map(|(cpu, levels)| Some((cpu, levels?)));
        let lacking = lacking.filter(|(_, levels)| !needed.are_within(*levels));
        let fault = |(cpu, levels)| {
            format!(
                "{name} needs a CPU of {needed}, but {cpu} is {levels}: compile it for that, or choose another in ami.toml"
            )
        };
        lacking.map(fault).collect()
    }
}

/// The family of a version; that of glibc for the marks of its loader.
fn family(version: &str) -> &str {
    match split(version) {
        Some((family, _)) => family,
        None if version.starts_with("GLIBC_ABI_") => "GLIBC",
        None => version,
    }
}

/// The order of two versions of a family, newest first: the loader's marks are newer than numbers.
fn newer(a: &NeededVersion, b: &NeededVersion) -> std::cmp::Ordering {
    let number = |version: &NeededVersion| split(&version.name).map(|(_, number)| number.to_owned());
    match (number(a), number(b)) {
        (Some(a), Some(b)) => compare(&b, &a),
        (a, b) => a.is_some().cmp(&b.is_some()),
    }
}
