//! The base of `--local`: a system like a cloud image, made from Debian's packages on this computer.
//!
//! mmdebstrap installs the packages into a tree, as root or else in a name space; two scripts make the tree a cloud
//! image and the disk with it. The disk is kept, under a name that has the SHA-256 of all that it is made from: when
//! anything of that changes, the next build makes another.

use std::{
    fmt::Write as _,
    time::{Duration, SystemTime},
};

use anyhow::{Context as _, Result, bail};
use camino::{Utf8Path, Utf8PathBuf};
use nix::sys::signal::Signal;
use sha2::{Digest as _, Sha256};
use tokio::process::Command;

use super::{folder, programs, sources::Sources};
use crate::{
    event::progress::Progress,
    events::Events,
    ground::{locks::lock_against_sweep, process},
    recipe,
    state_dir::StateDir,
};

const CUSTOMIZE: &str = include_str!("base-customize.sh");
const DISK: &str = include_str!("base-disk.sh");

/// To be raised when bases are made another way by what isn't one of the texts that are hashed.
const FORMAT: u32 = 1;

/// The packages of a base, each with what it depends on. None that provisioning must install is among them.
const PACKAGES: [&str; 18] = [
    "linux-image-cloud-amd64",
    "systemd-sysv",
    "dbus",
    "udev",
    "kmod",
    "systemd-resolved",
    "libnss-resolve",
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

/// Documentation is two thirds of the files, and unpacking it is what takes time, here and on the emulated machine.
const LEFT_OUT: &str = "path-exclude=/usr/share/man/*\\npath-exclude=/usr/share/doc/*\\n\
                        path-include=/usr/share/doc/*/copyright\\npath-exclude=/usr/share/locale/*\\n";

/// The UUID of the partition with the root, by which the kernel finds it.
const PARTITION: &str = "0fc63daf-0001-4000-8000-000000000001";

/// The size of a base's disk. A machine's disk is larger: it grows at its first boot, as on EC2.
const DISK_BYTES: u64 = 4 << 30;

/// What the tree takes while it is there, and what its disk and the base take together, with room to spare.
const TREE_BYTES: u64 = 1 << 30;
const DISKS_BYTES: u64 = 2 << 30;

/// Making a base takes half a minute; on a slow network and a busy machine some more.
const MAKING_AT_MOST: Duration = Duration::from_secs(20 * 60);

/// What the names of unfinished bases begin with.
const UNFINISHED: &str = ".making-";

/// A base, made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Base {
    /// Its disk, qcow2, never to be written to.
    pub path: Utf8PathBuf,
    /// What it is called in the image's description: `debian-12 made 2026-11-22 (a1b2c3d4)`.
    pub name: String,
    /// The system that it is of, as the recipe names it.
    pub system: String,
}

/// The base that is there already, made from just what one would be made from now.
///
/// # Errors
/// When apt doesn't understand its own sources, or a base of this system can't be made.
pub async fn cached(home: &StateDir, local: &recipe::LocalBase, system: &recipe::System) -> Result<Option<Base>> {
    Ok(Ingredients::collect(local, system).await?.found(home))
}

/// The base that is there, or else a new one.
///
/// # Errors
/// When it can't be made; the message has the last lines of what failed.
pub async fn ensure(
    home: &StateDir,
    local: &recipe::LocalBase,
    system: &recipe::System,
    log: &Utf8Path,
    events: &Events,
) -> Result<Base> {
    let ingredients = Ingredients::collect(local, system).await?;
    if let Some(base) = ingredients.found(home) {
        return Ok(base);
    }
    events.say(Progress::MakingBase { system: local.system.clone() });
    let started = tokio::time::Instant::now();
    let making = tokio::time::timeout(MAKING_AT_MOST, make(&ingredients, home, log, events));
    let made = making.await.with_context(|| format!("after {} s it wasn't done", MAKING_AT_MOST.as_secs()));
    made.and_then(|made| made).with_context(|| format!("failed to make the base {}", local.system))?;
    let base = ingredients.found(home).context("the base that was just made is gone")?;
    events.say(Progress::MadeBase { name: base.name.clone(), took_secs: started.elapsed().as_secs() });
    Ok(base)
}

/// All that a base is made from.
struct Ingredients {
    system: String,
    suite: String,
    user: String,
    sources: Vec<String>,
}

impl Ingredients {
    async fn collect(local: &recipe::LocalBase, system: &recipe::System) -> Result<Ingredients> {
        if !local.system.starts_with("debian-") {
            bail!(
                "a base {} can't be made from Debian's packages; \
                 set local_base.system in the recipe to a debian-…, or give an image with --base-image FILE",
                local.system
            );
        }
        let mut sources = Sources::of_this_computer().await?;
        if let Some(mirror) = &local.mirror {
            sources = sources.and_mirror(mirror, &local.suite);
        }
        Ok(Ingredients {
            system: local.system.clone(),
            suite: local.suite.clone(),
            user: system.ssh_user.clone(),
            sources: sources.with_updates(&local.suite)?,
        })
    }

    /// The SHA-256 of all of them, in hexadecimal.
    fn hash(&self) -> String {
        let mut hash = Sha256::new();
        let packages = PACKAGES.join(" ");
        let sources = self.sources.join("\n");
        let format = FORMAT.to_string();
        let parts =
            [&format, &self.system, &self.suite, &self.user, &sources, &packages, LEFT_OUT, PARTITION, CUSTOMIZE, DISK];
        for part in parts {
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part);
        }
        hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Where the base of them is kept.
    fn path(&self, home: &StateDir) -> Utf8PathBuf {
        home.bases().join(format!("{}-{}.qcow2", self.system, &self.hash()[..16]))
    }

    /// The base of them, when it was made.
    fn found(&self, home: &StateDir) -> Option<Base> {
        let path = self.path(home);
        let made = path.metadata().ok()?.modified().ok()?;
        // A file may have any date; humantime writes none before 1970, and none after the year 9999.
        made.duration_since(SystemTime::UNIX_EPOCH).ok()?;
        let mut date = String::new();
        write!(date, "{}", humantime::format_rfc3339_seconds(made)).ok()?;
        let day = date.get(..10)?;
        let name = format!("{} made {day} ({})", self.system, &self.hash()[..8]);
        Some(Base { path, name, system: self.system.clone() })
    }
}

/// Makes a base and puts it where it is looked for; until it is whole, it has another name.
async fn make(ingredients: &Ingredients, home: &StateDir, log: &Utf8Path, events: &Events) -> Result<()> {
    let bases = home.bases();
    sweep(home);
    let no_sweep = lock_against_sweep(&bases, events).await?;
    let scratch = tempfile::Builder::new().prefix(UNFINISHED).tempdir_in(&bases);
    let scratch = scratch.with_context(|| format!("failed to make a folder in {bases}"))?;
    let folder = Utf8Path::from_path(scratch.path()).context("the path of the base must be UTF-8")?;
    let _mine = folder::lock(folder)?;
    drop(no_sweep);
    let temporary = temporary_folder(folder);
    enough_space(&bases, DISKS_BYTES, "the disk")?;
    enough_space(&temporary, TREE_BYTES, "the tree")?;

    let disk = folder.join("disk.raw");
    let file = std::fs::File::create(&disk).with_context(|| format!("failed to make {disk}"))?;
    file.set_len(DISK_BYTES).with_context(|| format!("failed to make {disk} {DISK_BYTES} bytes long"))?;
    // In a name space the disk is written by another user, to whom only the open file is handed.
    std::fs::set_permissions(&disk, std::os::unix::fs::PermissionsExt::from_mode(0o666))?;
    let list = folder.join("sources.list");
    std::fs::write(&list, ingredients.sources.join("\n") + "\n").with_context(|| format!("failed to write {list}"))?;

    {
        let _waiting = events.waiting("mmdebstrap");
        process::run("mmdebstrap", install(ingredients, &disk, &list, &temporary), log, events).await?;
    }
    let image = folder.join("base.qcow2");
    let mut convert = process::command(programs::program("qemu-img"), Signal::SIGKILL);
    convert.args(["convert", "-f", "raw", "-O", "qcow2", disk.as_str(), image.as_str()]);
    process::run("qemu-img", convert, log, events).await?;
    let path = ingredients.path(home);
    // Its name is a promise that it is whole, and a power cut must not break that.
    let synced = std::fs::File::open(&image).and_then(|file| file.sync_all());
    synced.and_then(|()| std::fs::rename(&image, &path)).with_context(|| format!("failed to keep the base as {path}"))
}

/// The command that installs the packages and writes the disk.
fn install(ingredients: &Ingredients, disk: &Utf8Path, list: &Utf8Path, temporary: &Utf8Path) -> Command {
    // The shell hands the open disk on; the scripts come in the environment, for a file might be out of the reach of
    // the user that they run as, and mmdebstrap repeats the whole text of a hook that fails.
    let mut command = process::command("sh", Signal::SIGTERM);
    command.args(["-c", "disk=$1; shift; exec \"$@\" 3<> \"$disk\"", "sh", disk.as_str()]);
    let is_root = nix::unistd::geteuid().is_root();
    if is_root {
        // As root mmdebstrap mounts /proc, /sys and /dev in the tree for all to see, and killed it leaves them there,
        // for whoever then removes the tree to remove what is in them. In a name space of its own they go with it.
        command.args([programs::program("unshare").as_str(), "--mount", "--propagation", "private", "--"]);
    }
    command.arg(programs::program("mmdebstrap"));
    let mode = if is_root { "root" } else { "unshare" };
    command.args(["--verbose", "--variant=minbase", "--format=null", &format!("--mode={mode}")]);
    command.arg(format!("--include={}", PACKAGES.join(",")));
    // Cleaning up is what the first script does: it keeps apt's lists.
    command.arg("--skip=cleanup");
    command.args(["--aptopt=APT::Install-Recommends \"false\"", "--aptopt=Acquire::Languages \"none\""]);
    command.arg("--dpkgopt=force-unsafe-io");
    // As a --dpkgopt these would send all of the essential packages through a filter, which takes 8 s.
    let to = "\"$1/etc/dpkg/dpkg.cfg.d/90local\"";
    command.arg(format!("--setup-hook=mkdir -p \"$1/etc/dpkg/dpkg.cfg.d\" && printf '{LEFT_OUT}' > {to}"));
    command.args(["--customize-hook=eval \"$BASE_CUSTOMIZE\"", "--customize-hook=eval \"$BASE_DISK\""]);
    command.args([ingredients.suite.as_str(), "/dev/null", list.as_str()]);
    command.envs([("BASE_CUSTOMIZE", CUSTOMIZE), ("BASE_DISK", DISK), ("BASE_PARTITION", PARTITION)]);
    command.envs([("BASE_USER", &ingredients.user), ("BASE_HOSTNAME", &ingredients.system)]);
    // The kernel boots without an initial RAM disk, and making one takes 6 s.
    command.envs([("INITRD", "No"), ("LC_ALL", "C.UTF-8"), ("TMPDIR", temporary.as_str())]);
    command.env("PATH", programs::search_path());
    command
}

/// Where mmdebstrap has its tree. Root's is beside the disk, so that it goes with it; that of another user is where a
/// name space reaches it, which below a home directory it doesn't. /tmp may be in memory.
fn temporary_folder(scratch: &Utf8Path) -> Utf8PathBuf {
    if nix::unistd::geteuid().is_root() {
        return scratch.to_owned();
    }
    let chosen = std::env::var("TMPDIR").ok().filter(|folder| !folder.is_empty());
    Utf8PathBuf::from(chosen.unwrap_or_else(|| "/var/tmp".to_owned()))
}

fn enough_space(folder: &Utf8Path, wanted: u64, what: &str) -> Result<()> {
    let found = nix::sys::statvfs::statvfs(folder.as_std_path());
    let found = found.with_context(|| format!("failed to see how much space {folder} has"))?;
    let free = found.blocks_available() as u64 * found.fragment_size() as u64;
    if free < wanted {
        let mib = |bytes: u64| bytes >> 20;
        bail!("{what} of the base needs {} MiB in {folder}, which has {} MiB left", mib(wanted), mib(free));
    }
    Ok(())
}

/// Removes what builds left that were killed while they made a base; gives back what that was.
pub fn sweep(home: &StateDir) -> Vec<Utf8PathBuf> {
    folder::sweep(&home.bases(), UNFINISHED)
}

#[cfg(test)]
mod tests;
