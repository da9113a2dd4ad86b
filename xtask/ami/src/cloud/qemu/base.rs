//! The base of `--local`: a system like a cloud image, made from Debian's packages on this computer.
//!
//! mmdebstrap installs the packages into a tree, as root or in a user namespace. Two scripts turn the tree into a cloud
//! image and write its disk. The disk is cached under a name with the SHA-256 of all its ingredients, so a change of
//! any makes the next build make another base.

use std::{
    fmt::Write as _,
    time::{Duration, SystemTime},
};

use anyhow::{Context as _, Result, bail};
use camino::{Utf8Path, Utf8PathBuf};
use nix::sys::signal::Signal;
use sha2::{Digest as _, Sha256};
use tokio::process::Command;

use super::{content, folder, programs, sources, trouble::Trouble};
use crate::{
    event::progress::Progress,
    events::Events,
    ground::{locks::lock_against_sweep, process},
    recipe,
    state_dir::StateDir,
};

const CUSTOMIZE: &str = include_str!("base-customize.sh");
const DISK: &str = include_str!("base-disk.sh");

/// Part of the hash. Raise it when this code changes the way bases are made.
const FORMAT: u32 = 3;

/// The packages of every base. The recipe's come to them: here they take seconds, on an emulated machine most of a minute.
pub const PACKAGES: [&str; 18] = [
    "linux-image-cloud-amd64",
    "systemd-sysv",
    "dbus",
    "udev",
    "kmod",
    "libnss-resolve",
    // For the machine's own name, which systemd-resolved knows only with a library that it does not depend on.
    "libnss-myhostname",
    "iproute2",
    "netbase",
    "openssh-server",
    "sudo",
    "ca-certificates",
    "grub-pc-bin",
    "e2fsprogs",
    "fdisk",
    "cloud-init",
    "cloud-guest-utils",
    "initramfs-tools",
];

/// systemd-resolved, which is a part of the package systemd where it has no package of its own. A pattern of apt, which
/// takes those of the packages that there are.
const RESOLVED: &str = "?or(?exact-name(systemd-resolved),?exact-name(systemd))";

/// Documentation is two thirds of the files, and unpacking it is slow, here and on an emulated machine.
const DPKG_EXCLUDES: &str = "path-exclude=/usr/share/man/*\\npath-exclude=/usr/share/doc/*\\n\
                        path-include=/usr/share/doc/*/copyright\\npath-exclude=/usr/share/locale/*\\n";

/// The UUID of the root partition, by which the kernel finds it.
const PARTITION: &str = "0fc63daf-0001-4000-8000-000000000001";

/// The size of a base's disk, in bytes. The root file system grows to a machine's larger disk at first boot, as on EC2.
const DISK_BYTES: u64 = 4 << 30;

/// The space for the tree, and for the raw disk and the base together, in bytes, with a margin.
const TREE_BYTES: u64 = 1 << 30;
const DISKS_BYTES: u64 = 2 << 30;

/// The timeout of making a base, which takes half a minute, more on a slow network or a busy computer.
const MAKE_LIMIT: Duration = Duration::from_secs(20 * 60);

/// The extension of the file beside a base that has the SHA-256 of its disk.
const SUM: &str = "sha256";

/// Prefix of the folders of unfinished bases.
const UNFINISHED: &str = ".making-";

/// A base in the cache.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Base {
    /// Its disk, qcow2; must not be written to.
    pub path: Utf8PathBuf,
    /// Its name in image descriptions: `debian-12 made 2026-11-22`.
    pub name: String,
    /// Its system, by its name in the recipe.
    pub system: String,
    /// The SHA-256 of its disk's content, in hexadecimal.
    pub sha256: String,
    /// When it was made.
    pub made: SystemTime,
}

/// The cached base for the current ingredients; `None` when it has to be made.
///
/// # Errors
/// When apt fails to read its sources, or a base of this system can't be made.
pub async fn cached(state_dir: &StateDir, local: &recipe::LocalBase, system: &recipe::System) -> Result<Option<Base>> {
    Ok(Ingredients::collect(local, system).await?.found(state_dir))
}

/// The cached base, or else a new one.
///
/// # Errors
/// When it can't be made; the message has the last lines of the program that failed.
pub async fn ensure(
    state_dir: &StateDir,
    local: &recipe::LocalBase,
    system: &recipe::System,
    log: &Utf8Path,
    events: &Events,
) -> Result<Base> {
    let ingredients = Ingredients::collect(local, system).await?;
    if let Some(base) = ingredients.found(state_dir) {
        return Ok(base);
    }
    events.say(Progress::MakingBase { system: local.system.clone() });
    let started = tokio::time::Instant::now();
    let making = tokio::time::timeout(MAKE_LIMIT, make(&ingredients, state_dir, log, events));
    let made = making.await.with_context(|| format!("timed out after {} s", MAKE_LIMIT.as_secs()));
    made.and_then(|made| made).with_context(|| format!("failed to make the base {}", local.system))?;
    let base = ingredients.found(state_dir).context("the base that was just made is missing")?;
    events.say(Progress::MadeBase { name: base.name.clone(), took_secs: started.elapsed().as_secs() });
    Ok(base)
}

/// The ingredients of a base.
struct Ingredients {
    system: String,
    suite: String,
    user: String,
    sources: Vec<String>,
    /// The names of the recipe's packages, as far as they are known.
    packages: Vec<String>,
}

impl Ingredients {
    async fn collect(local: &recipe::LocalBase, system: &recipe::System) -> Result<Ingredients> {
        if !local.system.starts_with("debian-") {
            bail!(
                "a base for {} cannot be made from Debian's packages; \
                 name a debian-… with --system, or give an image with --base-image FILE",
                local.system
            );
        }
        let suite = system.suite.as_ref().with_context(|| {
            let name = &local.system;
            format!("the recipe does not say which suite of Debian {name} is: add `suite` to [system.\"{name}\"]")
        })?;
        Ok(Ingredients {
            system: local.system.clone(),
            suite: suite.clone(),
            sources: sources::lines(local, suite).await?,
            user: system.ssh_users.first().cloned().unwrap_or_default(),
            packages: system.packages.iter().filter_map(|package| package.known_name().map(str::to_owned)).collect(),
        })
    }

    /// The SHA-256 of all ingredients, in hexadecimal.
    fn hash(&self) -> String {
        let mut hash = Sha256::new();
        let packages = PACKAGES.join(" ");
        let of_recipe = self.packages.join(" ");
        let sources = self.sources.join("\n");
        let format = FORMAT.to_string();
        let parts = [
            &format,
            &self.system,
            &self.suite,
            &self.user,
            &sources,
            &packages,
            &of_recipe,
            RESOLVED,
            DPKG_EXCLUDES,
            PARTITION,
            CUSTOMIZE,
            DISK,
        ];
        for part in parts {
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part);
        }
        hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// The path of the base in the cache.
    fn path(&self, state_dir: &StateDir) -> Utf8PathBuf {
        state_dir.bases().join(format!("{}-{}.qcow2", self.system, &self.hash()[..16]))
    }

    /// The base in the cache; `None` when it has not been made.
    fn found(&self, state_dir: &StateDir) -> Option<Base> {
        let path = self.path(state_dir);
        let made = path.metadata().ok()?.modified().ok()?;
        // humantime formats no date before 1970 or after 9999, and a file may have one.
        made.duration_since(SystemTime::UNIX_EPOCH).ok()?;
        let mut date = String::new();
        write!(date, "{}", humantime::format_rfc3339_seconds(made)).ok()?;
        let day = date.get(..10)?;
        let sha256 = std::fs::read_to_string(path.with_extension(SUM)).ok()?.trim_end().to_owned();
        let name = format!("{} made {day}", self.system);
        Some(Base { path, name, system: self.system.clone(), sha256, made })
    }
}

/// Makes a base under a temporary name, and renames it when it is complete.
async fn make(ingredients: &Ingredients, state_dir: &StateDir, log: &Utf8Path, events: &Events) -> Result<()> {
    let bases = state_dir.bases();
    sweep(state_dir);
    let no_sweep = lock_against_sweep(&bases, events).await?;
    let scratch = tempfile::Builder::new().prefix(UNFINISHED).tempdir_in(&bases);
    let scratch = scratch.with_context(|| format!("failed to create a folder in {bases}"))?;
    let folder = Utf8Path::from_path(scratch.path()).context("the path of the base must be UTF-8")?;
    let _lock = folder::lock(folder)?;
    drop(no_sweep);
    let temporary = temporary_folder(folder);
    enough_space(&bases, DISKS_BYTES, "the disk")?;
    enough_space(&temporary, TREE_BYTES, "the tree")?;

    let disk = folder.join("disk.raw");
    let file =
        std::fs::File::create_new(&disk).and_then(|_| std::fs::OpenOptions::new().read(true).write(true).open(&disk));
    let file = file.with_context(|| format!("failed to create {disk}"))?;
    // In a user namespace another user writes the disk, through the open file.
    std::fs::set_permissions(&disk, std::os::unix::fs::PermissionsExt::from_mode(0o666))?;
    let list = folder.join("sources.list");
    std::fs::write(&list, ingredients.sources.join("\n") + "\n").with_context(|| format!("failed to write {list}"))?;

    debootstrap(log, events, || {
        file.set_len(0)?;
        file.set_len(DISK_BYTES)?;
        Ok(install(ingredients, &disk, &list, &temporary))
    })
    .await?;
    let image = folder.join("base.qcow2");
    let mut convert = process::command(programs::program("qemu-img"), Signal::SIGKILL);
    convert.args(["convert", "-f", "raw", "-O", "qcow2", disk.as_str(), image.as_str()]);
    let (sha256, ()) = tokio::try_join!(content::sha256(file), process::run("qemu-img", convert, log, events))?;
    let path = ingredients.path(state_dir);
    let sum = path.with_extension(SUM);
    std::fs::write(&sum, format!("{sha256}\n")).with_context(|| format!("failed to write {sum}"))?;
    // Synced before the rename: a file with the final name must be complete, even after a power cut.
    let failed = format!("failed to keep the base as {path}");
    // On a thread of its own, because it takes a while, and signals need this one.
    let kept = tokio::task::spawn_blocking(move || {
        std::fs::File::open(&image)?.sync_all()?;
        std::fs::rename(&image, &path)
    });
    kept.await?.context(failed)
}

/// Runs mmdebstrap. A mirror that lacks a file of its lists is asked once more, for fresh lists, and then named.
async fn debootstrap(
    log: &Utf8Path,
    events: &Events,
    mut command: impl FnMut() -> std::io::Result<Command>,
) -> Result<()> {
    let _waiting = events.waiting("mmdebstrap");
    let mut was_repeated = false;
    loop {
        let before = log.metadata().map_or(0, |metadata| metadata.len());
        let command = command().context("failed to empty the disk")?;
        let Err(error) = process::run("mmdebstrap", command, log, events).await else { return Ok(()) };
        let output = std::fs::read(log).unwrap_or_default();
        let output = output.get(usize::try_from(before)?..).unwrap_or_default();
        match Trouble::of(&String::from_utf8_lossy(output)) {
            Some(trouble) if trouble.may_pass() && !was_repeated => {
                events.warn(format_args!("{trouble}; trying once more with fresh lists"));
                was_repeated = true;
            }
            Some(trouble) => bail!("{trouble}; {log} has all that apt said"),
            None => return Err(error),
        }
    }
}

/// The command that installs the packages and writes the disk.
fn install(ingredients: &Ingredients, disk: &Utf8Path, list: &Utf8Path, temporary: &Utf8Path) -> Command {
    // The shell passes the open disk on. The scripts are in the environment: the user that they run as may not be able
    // to read a file, and mmdebstrap repeats the whole text of a failing hook.
    let mut command = process::command("sh", Signal::SIGTERM);
    command.args(["-c", "disk=$1; shift; exec \"$@\" 3<> \"$disk\"", "sh", disk.as_str()]);
    let is_root = nix::unistd::geteuid().is_root();
    if is_root {
        // As root mmdebstrap mounts /proc, /sys and /dev in the tree. If it is killed they stay mounted, and removing
        // the tree would delete what is in them. In a mount namespace of its own they are unmounted with it.
        command.args([programs::program("unshare").as_str(), "--mount", "--propagation", "private", "--"]);
    }
    command.arg(programs::program("mmdebstrap"));
    let mode = if is_root { "root" } else { "unshare" };
    command.args(["--verbose", "--variant=minbase", "--format=null", &format!("--mode={mode}")]);
    // Whatever this computer's is.
    command.arg("--architectures=amd64");
    command.arg(format!("--include={}", PACKAGES.join(",")));
    // In an option of its own, because a list is split at commas.
    command.arg(format!("--include={RESOLVED}"));
    // What the suite does not have is provisioning's business, which looks for it under other names.
    command
        .args(ingredients.packages.iter().map(|name| format!("--include=?or(?exact-name({name}),?exact-name(dpkg))")));
    // The first script cleans up instead, because it keeps apt's lists.
    command.arg("--skip=cleanup");
    command.args(["--aptopt=APT::Install-Recommends \"false\"", "--aptopt=Acquire::Languages \"none\""]);
    command.arg("--dpkgopt=force-unsafe-io");
    // As a --dpkgopt, these would filter all essential packages, which takes 8 s.
    let to = "\"$1/etc/dpkg/dpkg.cfg.d/90local\"";
    command.arg(format!("--setup-hook=mkdir -p \"$1/etc/dpkg/dpkg.cfg.d\" && printf '{DPKG_EXCLUDES}' > {to}"));
    command.args(["--customize-hook=eval \"$BASE_CUSTOMIZE\"", "--customize-hook=eval \"$BASE_DISK\""]);
    command.args([ingredients.suite.as_str(), "/dev/null", list.as_str()]);
    command.envs([("BASE_CUSTOMIZE", CUSTOMIZE), ("BASE_DISK", DISK), ("BASE_PARTITION", PARTITION)]);
    command.envs([("BASE_USER", &ingredients.user), ("BASE_HOSTNAME", &ingredients.system)]);
    // The kernel boots without an initial RAM disk, which takes 6 s to make.
    command.envs([("INITRD", "No"), ("LC_ALL", "C.UTF-8"), ("TMPDIR", temporary.as_str())]);
    command.env("PATH", programs::search_path());
    command
}

/// The folder of mmdebstrap's tree. For root it is beside the disk, to be removed with it. For another user it is in
/// TMPDIR or /var/tmp: a user namespace may have no access to a home directory, and /tmp may be in memory.
fn temporary_folder(scratch: &Utf8Path) -> Utf8PathBuf {
    if nix::unistd::geteuid().is_root() {
        return scratch.to_owned();
    }
    let chosen = std::env::var("TMPDIR").ok().filter(|folder| !folder.is_empty());
    Utf8PathBuf::from(chosen.unwrap_or_else(|| "/var/tmp".to_owned()))
}

fn enough_space(folder: &Utf8Path, wanted: u64, what: &str) -> Result<()> {
    let free = folder::free_bytes(folder).with_context(|| format!("failed to find the free space of {folder}"))?;
    if free < wanted {
        let mib = |bytes: u64| bytes >> 20;
        bail!("{what} of the base needs {} MiB in {folder}, which has {} MiB free", mib(wanted), mib(free));
    }
    Ok(())
}

/// Removes the folders of unfinished bases that killed processes left. Returns the removed ones.
pub fn sweep(state_dir: &StateDir) -> Vec<Utf8PathBuf> {
    folder::sweep(&state_dir.bases(), UNFINISHED)
}

#[cfg(test)]
mod tests;
