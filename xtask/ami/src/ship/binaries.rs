//! The binaries: made in the tree as it stands, copied away at once, and looked at before anything is done with them.

use std::{
    fs::{File, Metadata},
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
    time::Instant,
};

use anyhow::{Context as _, Result, anyhow, bail};
use camino::{Utf8Path, Utf8PathBuf};
use nix::sys::signal::Signal;
use tokio::process::Command;

use crate::{
    event::{facts::Built, progress::Progress},
    events::Events,
    ground::{
        finding::Finding,
        locks::{self, Lock, Share},
        process,
    },
    recipe::{Binary, Recipe, System},
    ship::{
        elf,
        sha256::{self, Digest},
    },
};

/// Set by cargo, by rustup and by make for this process, and wrong for a build that only descends from it.
const FOREIGN_VARIABLES: [&str; 8] = [
    "CARGO",
    "CARGO_PRIMARY_PACKAGE",
    "CARGO_CRATE_NAME",
    "RUST_RECURSION_COUNT",
    "RUSTUP_TOOLCHAIN",
    "MAKEFLAGS",
    "MFLAGS",
    "MAKELEVEL",
];

/// Cargo's others: what it says of the package that it runs.
const FOREIGN_PREFIXES: [&str; 3] = ["CARGO_BIN_", "CARGO_MANIFEST_", "CARGO_PKG_"];

/// What is built, for what, and where its parts are kept.
pub struct Job<'a> {
    /// What says how.
    pub recipe: &'a Recipe,
    /// The checkout.
    pub root: &'a Utf8Path,
    /// The system that the binaries are to run on.
    pub system_name: &'a str,
    /// What it has.
    pub system: &'a System,
    /// The build's folder: logs go there as `make-NAME.log`, copies to `binaries/NAME`.
    pub folder: &'a Utf8Path,
}

/// Builds the recipe's binaries in their order; with `clean`, what earlier builds left is removed before.
///
/// # Errors
/// When make fails or makes nothing; when one couldn't run on the system, all such faults in one message.
pub async fn build(job: &Job<'_>, clean: bool, events: &Events) -> Result<Vec<Built>> {
    let _lock = lock_checkout(job, Share::Alone, events).await?;
    let mut built = Vec::new();
    for binary in &job.recipe.binaries {
        built.push(build_one(job, binary, clean, events).await?);
    }
    runnable(job, built)
}

/// Takes the recipe's binaries as they lie in the tree.
///
/// # Errors
/// When some aren't there, or not to be told apart, all named; when one couldn't run on the system, as [`build`].
pub async fn inspect_as_they_lie(job: &Job<'_>, events: &Events) -> Result<Vec<Built>> {
    let _lock = lock_checkout(job, Share::Shared, events).await?;
    let faults = job.missing_results();
    if !faults.is_empty() {
        bail!(
            "not all binaries are in {}:\n  {}\nrun the commands there, or leave --skip-build out",
            job.root,
            faults.join("\n  ")
        );
    }
    let mut built = Vec::new();
    for binary in &job.recipe.binaries {
        built.push(take(job, binary).await?);
    }
    runnable(job, built)
}

/// Locks a build's checkout: two that make in one would have each other's binaries, and who only takes what lies there
/// doesn't want half of one.
async fn lock_checkout(job: &Job<'_>, share: Share, events: &Events) -> Result<Lock> {
    // The folder itself is locked, so that nothing is put there for it.
    let folder = File::open(job.root).with_context(|| format!("failed to open {}", job.root))?;
    let what = format!("another build to be done with make in {}", job.root);
    locks::acquire(folder, job.root, share, &what, job.recipe.limits.make, events).await
}

/// What is wrong with the recipe's binaries as they lie in the tree; nothing is copied.
#[must_use]
pub fn faults_as_they_lie(recipe: &Recipe, root: &Utf8Path, system_name: &str, system: &System) -> Vec<Finding> {
    let folder = Utf8Path::new("");
    let job = Job { recipe, root, system_name, system, folder };
    let missing = job.missing_results();
    let there = recipe.binaries.iter().filter(|binary| root.join(&binary.result).is_file());
    let unfit =
        there.flat_map(|binary| elf::faults_of_file(&binary.name, &root.join(&binary.result), system_name, system));
    let remedy = "build it for the base, or leave --skip-build out".to_owned();
    missing.into_iter().chain(unfit).map(|problem| Finding { problem, remedy: remedy.clone() }).collect()
}

/// The program that builds and that isn't on this computer, with what to do about it.
#[must_use]
pub fn missing_program(recipe: &Recipe) -> Option<Finding> {
    missing_program_in(recipe, &std::env::var_os("PATH").unwrap_or_default())
}

fn missing_program_in(recipe: &Recipe, path: &std::ffi::OsStr) -> Option<Finding> {
    let program = recipe.build.container.first().map_or("make", String::as_str);
    let candidates = match program.contains('/') {
        true => vec![std::path::PathBuf::from(program)],
        false => std::env::split_paths(path).map(|folder| folder.join(program)).collect(),
    };
    let is_program = |file: &Metadata| file.is_file() && file.permissions().mode() & 0o111 != 0;
    if candidates.iter().any(|candidate| candidate.metadata().is_ok_and(|file| is_program(&file))) {
        return None;
    }
    let problem = format!("{program}, which builds the binaries, isn't on this computer");
    let remedy = match program {
        "make" => "install it: sudo apt-get install make",
        _ => "install it, or empty build.container in ami.toml",
    };
    Some(Finding { problem, remedy: remedy.to_owned() })
}

impl Job<'_> {
    /// The results that aren't there, or that can't be told apart, with the command that builds each.
    fn missing_results(&self) -> Vec<String> {
        let mut faults = Vec::new();
        for binary in &self.recipe.binaries {
            if shares_its_result(self.recipe, binary) {
                let fault = "is not the only binary with this result, so it can't be told whose it is; build it";
                faults.push(format!("{}: {} {fault}", binary.name, binary.result));
            } else if !self.root.join(&binary.result).is_file() {
                let command = process::display(&self.make(binary, &binary.make));
                faults.push(format!("{}: {} isn't there; `{command}` builds it", binary.name, binary.result));
            }
        }
        faults
    }

    /// Make with these words, for this binary, from the checkout's root.
    fn make(&self, binary: &Binary, words: &[String]) -> Command {
        let build = &self.recipe.build;
        let container = build.container.iter().map(|word| word.replace("{root}", self.root.as_str()));
        let mut line: Vec<String> = container.chain(["make".to_owned()]).collect();
        line.extend_from_slice(words);
        // On the command line they are stronger than what a Makefile sets.
        line.push(format!("target_cpu={}", build.target_cpu));
        line.extend_from_slice(&build.variables);
        line.extend_from_slice(&binary.variables);
        let mut command = process::command(&line[0], Signal::SIGTERM);
        command.args(&line[1..]).current_dir(self.root);
        for (name, _) in std::env::vars_os() {
            if name.to_str().is_some_and(is_foreign) {
                command.env_remove(name);
            }
        }
        command
    }

    fn log(&self, binary: &Binary) -> Utf8PathBuf {
        self.folder.join(format!("make-{}.log", binary.name))
    }
}

fn is_foreign(variable: &str) -> bool {
    FOREIGN_VARIABLES.contains(&variable) || FOREIGN_PREFIXES.iter().any(|prefix| variable.starts_with(prefix))
}

/// Whether another binary of the recipe is built to the same place, as the variants of one program are.
fn shares_its_result(recipe: &Recipe, binary: &Binary) -> bool {
    recipe.binaries.iter().filter(|other| other.result == binary.result).count() > 1
}

async fn build_one(job: &Job<'_>, binary: &Binary, clean: bool, events: &Events) -> Result<Built> {
    let (name, log, result) = (&binary.name, job.log(binary), job.root.join(&binary.result));
    std::fs::create_dir_all(job.folder).with_context(|| format!("failed to make the folder {}", job.folder))?;
    events.say(Progress::Building { binary: name.clone() });
    let started = Instant::now();
    let waiting = events.waiting(format_args!("make to build {name}"));
    // To make, the variant that was built before is this one, and up to date.
    let clean = clean || shares_its_result(job.recipe, binary);
    if clean && !binary.clean.is_empty() {
        run(job, "cleaning", binary, &binary.clean, events).await?;
    }
    let left = fingerprint(&result);
    run(job, "building", binary, &binary.make, events).await?;
    let command = process::display(&job.make(binary, &binary.make));
    match fingerprint(&result) {
        None => bail!(
            "`{command}` ended well, but the file {result} isn't there: see {log}, or correct `result` of the binary \
             {name} in ami.toml"
        ),
        made if clean && made == left => bail!(
            "`{command}` ended well, but left {result} as it was before: make `clean` of the binary {name} in ami.toml \
             remove it, or remove it yourself"
        ),
        Some(_) => {}
    }
    let built = take(job, binary).await?;
    drop(waiting);
    let (size_bytes, took_secs) = (built.size_bytes, started.elapsed().as_secs());
    events.say(Progress::Built { binary: name.clone(), size_bytes, took_secs });
    Ok(built)
}

async fn run(job: &Job<'_>, doing: &str, binary: &Binary, words: &[String], events: &Events) -> Result<()> {
    let command = job.make(binary, words);
    let what = format!("{doing} {} (`{}` in {})", binary.name, process::display(&command), job.root);
    let limit = job.recipe.limits.make;
    let ended = tokio::time::timeout(limit, process::run(&what, command, &job.log(binary), events)).await;
    ended.map_err(|_| anyhow!("{what} did not end within {}", humantime::format_duration(limit)))?
}

/// What changes when a file is written again, be it with the same content; nothing when it isn't there.
fn fingerprint(path: &Utf8Path) -> Option<impl PartialEq + use<>> {
    let file = std::fs::metadata(path).ok().filter(Metadata::is_file)?;
    Some((file.dev(), file.ino(), file.len(), file.ctime(), file.ctime_nsec()))
}

/// Copies a binary out of the tree, where the next build may replace it.
async fn take(job: &Job<'_>, binary: &Binary) -> Result<Built> {
    let folder = job.folder.join("binaries");
    std::fs::create_dir_all(&folder).with_context(|| format!("failed to make the folder {folder}"))?;
    let (source, target) = (job.root.join(&binary.result), folder.join(&binary.name));
    let copied = {
        let (source, target) = (source.clone(), target.clone());
        // It may be large, and a machine's login waits on this thread, too.
        tokio::task::spawn_blocking(move || copy(&source, &target)).await?
    };
    let Digest { sha256, size_bytes } = copied.with_context(|| format!("failed to copy {source} to {target}"))?;
    Ok(Built { name: binary.name.clone(), path: target, sha256, size_bytes })
}

fn copy(source: &Utf8Path, target: &Utf8Path) -> Result<Digest> {
    let file = File::create(target)?;
    let digest = sha256::copy(File::open(source)?, &file)?;
    file.set_permissions(std::fs::Permissions::from_mode(0o755))?;
    // The build is not done again after a crash, so what the journal says of it must be on the disk.
    file.sync_all()?;
    Ok(digest)
}

/// The binaries, if they can run on the system.
fn runnable(job: &Job<'_>, built: Vec<Built>) -> Result<Vec<Built>> {
    let faults = built
        .iter()
        .flat_map(|binary| elf::faults_of_file(&binary.name, &binary.path, job.system_name, job.system))
        .collect::<Vec<_>>();
    if !faults.is_empty() {
        bail!("the binaries can't run on {}:\n  {}", job.system_name, faults.join("\n  "));
    }
    Ok(built)
}

#[cfg(test)]
mod tests;
