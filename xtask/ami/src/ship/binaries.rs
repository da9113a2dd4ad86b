//! The binaries: built by make in the checkout, copied out of it at once, and checked before any use.

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
    elf::host::Host,
    event::{facts::Built, progress::Progress},
    events::Events,
    ground::sha256::{self, Digest},
    ground::{
        finding::Finding,
        locks::{self, Lock, Share},
        process, programs,
    },
    recipe::{Binary, Container, Recipe},
    ship::container::{Engine, container_name},
};

/// Variables that cargo, rustup and make set for this process. A make started from here must not inherit them.
const INHERITED_VARIABLES: [&str; 8] = [
    "CARGO",
    "CARGO_PRIMARY_PACKAGE",
    "CARGO_CRATE_NAME",
    "RUST_RECURSION_COUNT",
    "RUSTUP_TOOLCHAIN",
    "MAKEFLAGS",
    "MFLAGS",
    "MAKELEVEL",
];

/// The prefixes of cargo's variables about the package that it runs.
const INHERITED_PREFIXES: [&str; 3] = ["CARGO_BIN_", "CARGO_MANIFEST_", "CARGO_PKG_"];

/// The parameters of a build of the binaries.
pub struct Job<'a> {
    /// With the binaries and the settings of make.
    pub recipe: &'a Recipe,
    /// The root of the checkout.
    pub root: &'a Utf8Path,
    /// The folder of the build, for the logs `make-NAME.log` and the copies `binaries/NAME`.
    pub folder: &'a Utf8Path,
    /// When the commit was made, in seconds since 1970; `None` outside of git.
    pub commit_secs: Option<u64>,
}

/// Builds the recipe's binaries in order; with `clean`, removes the results of earlier builds first. `announce` gets each as
/// soon as it is built.
///
/// # Errors
/// When make fails or doesn't write a result.
pub async fn build(job: &Job<'_>, clean: bool, announce: impl Fn(&Built), events: &Events) -> Result<Vec<Built>> {
    let _lock = lock_checkout(job, Share::Exclusive, events).await?;
    let engine = match job.recipe.build.container.image() {
        Some(image) => Some(Engine::find(image, job.root).await.map_err(|finding| anyhow!("{finding}"))?),
        None => None,
    };
    let mut built = Vec::new();
    let of = job.recipe.binaries.len();
    for (number, binary) in (1..).zip(&job.recipe.binaries) {
        let goal = binary.make.join(" ");
        events.say(Progress::Building { binary: binary.name.clone(), goal, number, of });
        let binary = build_one(job, engine.as_ref(), binary, clean, events).await?;
        announce(&binary);
        built.push(binary);
    }
    Ok(built)
}

/// Copies the existing binaries from the checkout, for `--skip-build`. `announce` gets each as soon as it is copied.
///
/// # Errors
/// When binaries are missing or share a result path, with all of them in one message.
pub async fn copy_existing(job: &Job<'_>, announce: impl Fn(&Built), events: &Events) -> Result<Vec<Built>> {
    let _lock = lock_checkout(job, Share::Shared, events).await?;
    let faults = job.missing_results();
    if !faults.is_empty() {
        bail!(
            "cannot use the existing binaries in {}:\n  {}\nrun the commands there, or omit --skip-build",
            job.root,
            faults.join("\n  ")
        );
    }
    let mut built = Vec::new();
    for binary in &job.recipe.binaries {
        let binary = copy_out(job, binary).await?;
        announce(&binary);
        built.push(binary);
    }
    Ok(built)
}

/// Locks the checkout. Two builds in one checkout would pick up each other's binaries, and `--skip-build` could read a
/// half-written one.
async fn lock_checkout(job: &Job<'_>, share: Share, events: &Events) -> Result<Lock> {
    // Locks the folder itself, to leave no lock file in the checkout.
    let folder = File::open(job.root).with_context(|| format!("failed to open {}", job.root))?;
    let what = format!("another build to finish make in {}", job.root);
    locks::acquire(folder, job.root, share, &what, job.recipe.limits.make, events).await
}

/// The faults of the existing binaries in the checkout. Copies nothing.
#[must_use]
pub fn existing_faults(recipe: &Recipe, root: &Utf8Path, host: &Host) -> Vec<Finding> {
    let job = Job { recipe, root, folder: Utf8Path::new(""), commit_secs: None };
    let missing = job.missing_results();
    let existing = recipe.binaries.iter().filter(|binary| root.join(&binary.result).is_file());
    let unfit = existing.flat_map(|binary| host.faults_of_file(&binary.name, &root.join(&binary.result)));
    let remedy = "build it for the base, or omit --skip-build".to_owned();
    missing.into_iter().chain(unfit).map(|problem| Finding { problem, remedy: remedy.clone() }).collect()
}

/// The finding when make, or the program that runs the container, is not installed.
#[must_use]
pub fn missing_program(recipe: &Recipe) -> Option<Finding> {
    missing_program_in(recipe, &std::env::var_os("PATH").unwrap_or_default())
}

fn missing_program_in(recipe: &Recipe, path: &std::ffi::OsStr) -> Option<Finding> {
    let program = match &recipe.build.container {
        Container::Command(words) => words.first().map_or("make", String::as_str),
        // The engine has its own check.
        Container::Image(image) if !image.is_empty() => return None,
        Container::Image(_) => "make",
    };
    if programs::find_in(path, program).is_some() {
        return None;
    }
    let problem = format!("{program}, which builds the binaries, is not installed");
    let remedy = match program {
        "make" => "install it: sudo apt-get install make",
        _ => "install it, or empty build.container in ami.toml",
    };
    Some(Finding { problem, remedy: remedy.to_owned() })
}

impl Job<'_> {
    /// The results that are missing, each with the command that builds it, or that two binaries share.
    fn missing_results(&self) -> Vec<String> {
        let mut faults = Vec::new();
        for binary in &self.recipe.binaries {
            if shares_its_result(self.recipe, binary) {
                let fault = "is the result path of another binary, too, so --skip-build cannot tell which one is there; build it instead";
                faults.push(format!("{}: {} {fault}", binary.name, binary.result));
            } else if !self.root.join(&binary.result).is_file() {
                let command = process::display(&self.make(None, binary, &binary.make));
                faults.push(format!("{}: {} does not exist; `{command}` builds it", binary.name, binary.result));
            }
        }
        faults
    }

    /// The make command for this binary, run in the checkout's root.
    fn make(&self, engine: Option<&Engine>, binary: &Binary, words: &[String]) -> Command {
        let build = &self.recipe.build;
        let mut line = match (engine, &build.container) {
            (Some(engine), _) => engine.line(&self.container(binary), self.root),
            (None, Container::Command(words)) => {
                words.iter().map(|word| word.replace("{root}", self.root.as_str())).collect()
            }
            (None, Container::Image(_)) => Vec::new(),
        };
        line.push("make".to_owned());
        line.extend_from_slice(words);
        // Variables on the command line override those in a Makefile.
        line.push(format!("target_cpu={}", build.target_cpu));
        line.extend_from_slice(&build.variables);
        line.extend_from_slice(&binary.variables);
        // Compilers take it for the time of the build, so the same commit gives the same bytes. Make exports it, in a
        // container as well.
        line.extend(self.commit_secs.map(|secs| format!("SOURCE_DATE_EPOCH={secs}")));
        let mut command = process::command(&line[0], Signal::SIGTERM);
        command.args(&line[1..]).current_dir(self.root);
        for (name, _) in std::env::vars_os() {
            if name.to_str().is_some_and(is_inherited) {
                command.env_remove(name);
            }
        }
        command
    }

    /// The name of the container that make runs in.
    fn container(&self, binary: &Binary) -> String {
        container_name(&format!("{}-{}", self.folder.file_name().unwrap_or_default(), binary.name))
    }

    fn log(&self, binary: &Binary) -> Utf8PathBuf {
        self.folder.join(format!("make-{}.log", binary.name))
    }
}

fn is_inherited(variable: &str) -> bool {
    INHERITED_VARIABLES.contains(&variable) || INHERITED_PREFIXES.iter().any(|prefix| variable.starts_with(prefix))
}

/// Whether another binary of the recipe has the same result path, as variants of one program have.
fn shares_its_result(recipe: &Recipe, binary: &Binary) -> bool {
    recipe.binaries.iter().filter(|other| other.result == binary.result).count() > 1
}

async fn build_one(
    job: &Job<'_>,
    engine: Option<&Engine>,
    binary: &Binary,
    clean: bool,
    events: &Events,
) -> Result<Built> {
    let (name, log, result) = (&binary.name, job.log(binary), job.root.join(&binary.result));
    std::fs::create_dir_all(job.folder).with_context(|| format!("failed to create the folder {}", job.folder))?;
    let started = Instant::now();
    let waiting = events.waiting(format_args!("make to build {name}"));
    // Make would take the other variant at this path for an up-to-date result.
    let clean = clean || shares_its_result(job.recipe, binary);
    if clean && !binary.clean.is_empty() {
        run(job, engine, "cleaning", binary, &binary.clean, events).await?;
    }
    let before = fingerprint(&result);
    run(job, engine, "building", binary, &binary.make, events).await?;
    let command = process::display(&job.make(engine, binary, &binary.make));
    match fingerprint(&result) {
        None => bail!(
            "`{command}` succeeded, but the file {result} does not exist: see {log}, or correct `result` of the binary \
             {name} in ami.toml"
        ),
        made if clean && made == before => bail!(
            "`{command}` succeeded, but did not rebuild {result}: correct `clean` of the binary {name} in ami.toml so \
             that it removes this file, or remove it yourself"
        ),
        Some(_) => {}
    }
    let built = copy_out(job, binary).await?;
    drop(waiting);
    let (size_bytes, took_secs) = (built.size_bytes, started.elapsed().as_secs());
    events.say(Progress::Built { binary: name.clone(), size_bytes, took_secs });
    Ok(built)
}

async fn run(
    job: &Job<'_>,
    engine: Option<&Engine>,
    doing: &str,
    binary: &Binary,
    words: &[String],
    events: &Events,
) -> Result<()> {
    let command = job.make(engine, binary, words);
    let what = format!("{doing} {} (`{}` in {})", binary.name, process::display(&command), job.root);
    let command = match engine {
        Some(engine) => engine.guarded(&job.container(binary), &command),
        None => command,
    };
    let limit = job.recipe.limits.make;
    let ended = tokio::time::timeout(limit, process::run(&what, command, &job.log(binary), events)).await;
    ended.map_err(|_| anyhow!("{what} timed out after {}", humantime::format_duration(limit)))?
}

/// Changes whenever a file is rewritten, even with the same content; `None` when it doesn't exist.
fn fingerprint(path: &Utf8Path) -> Option<impl PartialEq + use<>> {
    let file = std::fs::metadata(path).ok().filter(Metadata::is_file)?;
    Some((file.dev(), file.ino(), file.len(), file.ctime(), file.ctime_nsec()))
}

/// Copies a binary out of the checkout, where the next build may replace it.
async fn copy_out(job: &Job<'_>, binary: &Binary) -> Result<Built> {
    let folder = job.folder.join("binaries");
    std::fs::create_dir_all(&folder).with_context(|| format!("failed to create the folder {folder}"))?;
    let (source, target) = (job.root.join(&binary.result), folder.join(&binary.name));
    let copied = {
        let (source, target) = (source.clone(), target.clone());
        // On a thread of its own: it may be large, and this thread also serves the logins.
        tokio::task::spawn_blocking(move || copy(&source, &target)).await?
    };
    let Digest { sha256, size_bytes } = copied.with_context(|| format!("failed to copy {source} to {target}"))?;
    Ok(Built { name: binary.name.clone(), path: target, sha256, size_bytes })
}

fn copy(source: &Utf8Path, target: &Utf8Path) -> Result<Digest> {
    let file = File::create(target)?;
    let digest = sha256::copy(File::open(source)?, &file)?;
    file.set_permissions(std::fs::Permissions::from_mode(0o755))?;
    // A resumed build reuses the copy that the journal records, so it must survive a crash.
    file.sync_all()?;
    Ok(digest)
}

/// The reasons why a binary can't run on the machine.
///
/// # Errors
/// When this process ends.
pub async fn faults(host: &Host, binary: &Built) -> Result<Vec<String>> {
    let (host, Built { name, path, .. }) = (host.clone(), binary.clone());
    // On a thread of its own, as the copies are.
    Ok(tokio::task::spawn_blocking(move || host.faults_of_file(&name, &path)).await?)
}

/// Refuses binaries that can't run on the machine.
///
/// # Errors
/// When there are `faults`, with all of them in one message.
pub fn refuse(host: &Host, faults: &[String]) -> Result<()> {
    if !faults.is_empty() {
        bail!("the binaries cannot run on {}:\n  {}", host.name, faults.join("\n  "));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
