//! The Debian packages that `--local` needs.
//!
//! Where a part of QEMU came from backports, the rest must come from there too: of two releases they conflict, and apt
//! either removes the part that is there or gives up. Backports needn't be among the machine's own sources, so they are
//! read with an apt configuration of their own, which leaves that of the machine as it was.

use std::{
    collections::BTreeSet,
    fmt::{self, Display},
};

use anyhow::{Context as _, Result, bail};
use camino::Utf8Path;
use nix::sys::signal::Signal;

use super::{
    programs::{find, program},
    sources::{self, Sources},
};
use crate::{event::progress::Progress, events::Events, ground::process};

/// What builds the binaries, and the Debian package that has it.
pub const MAKE: (&str, &str) = ("make", "make");

/// What people log in with, and the Debian package that has it.
pub const SSH: (&str, &str) = ("ssh", "openssh-client");

/// QEMU's packages that must be of one release.
const QEMU_PACKAGES: [&str; 2] = ["qemu-system-x86", "qemu-utils"];

/// How long apt waits for another one to end; machines that have just started often run one by themselves.
const APT: &str = "apt-get -o DPkg::Lock::Timeout=300";

/// What `--local` is about to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Needs {
    /// Run machines from a base that is there.
    Machines,
    /// Make a base as well.
    Base,
}

/// Something that `--local` needs and this computer hasn't.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    /// What is looked for: a program's name or a file's path.
    pub name: &'static str,
    /// What brings it.
    pub remedy: Remedy,
}

/// What brings something that is missing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Remedy {
    /// A Debian package.
    Package(&'static str),
    /// User ids for the user with this name to give to the files of a base.
    SubordinateIds(String),
}

impl Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.remedy {
            Remedy::Package(package) => write!(f, "{} (package {package})", self.name),
            Remedy::SubordinateIds(user) => write!(f, "subordinate ids of {user} ({})", self.name),
        }
    }
}

/// A program's name, and the Debian package that has it.
pub type ByPackage = (&'static str, &'static str);

/// What isn't on this computer, of what `--local` needs and of `programs`.
#[must_use]
pub fn missing(needs: Needs, programs: &[ByPackage]) -> Vec<Program> {
    let mut wanted = vec![
        ("qemu-system-x86_64", "qemu-system-x86"),
        ("qemu-img", "qemu-utils"),
        // Images are looked at without booting them.
        ("sfdisk", "fdisk"),
    ];
    let is_root = nix::unistd::geteuid().is_root();
    if needs == Needs::Base {
        wanted.extend([("mmdebstrap", "mmdebstrap"), ("mke2fs", "e2fsprogs")]);
        wanted.push((sources::KEYRING, "debian-archive-keyring"));
        if !is_root {
            wanted.extend([("newuidmap", "uidmap"), ("newgidmap", "uidmap")]);
        }
    }
    wanted.extend(programs);
    wanted.retain(|(name, _)| find(name).is_none());
    let programs = wanted.into_iter().map(|(name, package)| Program { name, remedy: Remedy::Package(package) });
    let mut programs: Vec<Program> = programs.collect();
    if needs == Needs::Base && !is_root {
        programs.extend(subordinate_ids());
    }
    programs
}

/// The lack of subordinate ids, without which an ordinary user can't make files that belong to others.
fn subordinate_ids() -> Option<Program> {
    let id = nix::unistd::geteuid();
    let name = nix::unistd::User::from_uid(id).ok().flatten().map(|user| user.name);
    let name = name.unwrap_or_else(|| id.to_string());
    let missing = ["/etc/subuid", "/etc/subgid"].into_iter().find(|file| {
        let text = std::fs::read_to_string(file).unwrap_or_default();
        !has_ids(&text, &name) && !has_ids(&text, &id.to_string())
    })?;
    Some(Program { name: missing, remedy: Remedy::SubordinateIds(name) })
}

/// Whether a text of /etc/subuid gives a user as many ids as a system uses.
fn has_ids(text: &str, user: &str) -> bool {
    let counts = text.lines().filter_map(|line| line.strip_prefix(user)?.strip_prefix(':')?.rsplit(':').next());
    counts.filter_map(|count| count.trim().parse::<u64>().ok()).any(|count| count >= 65536)
}

/// The first id that no user has been given to give to files; Debian begins at 100000.
fn first_free_id() -> u64 {
    let texts = ["/etc/subuid", "/etc/subgid"].map(|file| std::fs::read_to_string(file).unwrap_or_default());
    first_free_of(texts.iter().flat_map(|text| text.lines()))
}

fn first_free_of<'a>(lines: impl Iterator<Item = &'a str>) -> u64 {
    // Linux's ids have 32 bits: a line that goes further gives nobody any.
    let ends = lines.filter_map(end_of_ids).filter(|&end| end <= u64::from(u32::MAX));
    ends.max().unwrap_or(0).max(100_000)
}

/// The id behind the last one of a line `user:first:count`.
fn end_of_ids(line: &str) -> Option<u64> {
    let mut fields = line.rsplit(':');
    let (count, first) = (fields.next()?.trim().parse::<u64>().ok()?, fields.next()?.parse::<u64>().ok()?);
    first.checked_add(count)
}

/// The commands that bring what is missing, each one line for a shell, to be run in this order by an ordinary user with
/// sudo, or, `as_root`, by root.
///
/// # Errors
/// When this is no Debian system, or apt doesn't understand its own sources; the message names what is missing.
pub async fn install_commands(missing: &[Program], as_root: bool) -> Result<Vec<String>> {
    if find("apt-get").is_none() {
        let names: Vec<String> = missing.iter().map(Program::to_string).collect();
        bail!("this computer lacks {}; install them, the packages are Debian's", names.join(", "));
    }
    let (suite, sources) = match installed_backports(&qemu_versions().await) {
        Some(release) => (Some(backports_suite(release)), Sources::of_this_computer().await?),
        None => (None, Sources::default()),
    };
    commands(missing, if as_root { "" } else { "sudo " }, suite.as_deref(), &sources)
}

fn commands(missing: &[Program], sudo: &str, backported: Option<&str>, sources: &Sources) -> Result<Vec<String>> {
    let mut plain = BTreeSet::new();
    let mut of_qemu = BTreeSet::new();
    let mut lines = Vec::new();
    for program in missing {
        match &program.remedy {
            Remedy::Package(package) if backported.is_some() && QEMU_PACKAGES.contains(package) => {
                of_qemu.extend(QEMU_PACKAGES);
            }
            Remedy::Package(package) => drop(plain.insert(*package)),
            Remedy::SubordinateIds(user) => {
                let (first, last) = (first_free_id(), first_free_id() + 65535);
                let ids = format!("--add-subuids {first}-{last} --add-subgids {first}-{last}");
                lines.push(format!("{sudo}usermod {ids} {}", process::quote(user)));
            }
        }
    }
    let install = "install --yes --no-install-recommends";
    let words = |packages: &BTreeSet<&str>| packages.iter().copied().collect::<Vec<_>>().join(" ");
    if !plain.is_empty() {
        lines.push(format!("{sudo}{APT} update"));
        lines.push(format!("{sudo}env DEBIAN_FRONTEND=noninteractive {APT} {install} {}", words(&plain)));
    }
    if let Some(suite) = backported.filter(|_| !of_qemu.is_empty()) {
        let list: Vec<String> = sources.with_backports(suite)?.iter().map(|line| process::quote(line)).collect();
        lines.push("folder=$(mktemp -d) && chmod 755 \"$folder\" && mkdir -p \"$folder/lists/partial\"".to_owned());
        lines.push(format!("printf '%s\\n' {} > \"$folder/sources.list\"", list.join(" ")));
        let apt = format!(
            "{APT} -o Dir::Etc::SourceList=\"$folder/sources.list\" -o Dir::Etc::SourceParts=- \
             -o Dir::State::Lists=\"$folder/lists\""
        );
        lines.push(format!("{sudo}{apt} update"));
        let frontend = "env DEBIAN_FRONTEND=noninteractive";
        lines.push(format!("{sudo}{frontend} {apt} {install} --target-release {suite}-backports {}", words(&of_qemu)));
        lines.push(format!("{sudo}rm -r \"$folder\""));
    }
    Ok(lines)
}

/// The installed versions of QEMU's packages.
async fn qemu_versions() -> String {
    let mut command = process::command(program("dpkg-query"), Signal::SIGKILL);
    command.args(["--show", "--showformat", "${db:Status-Status} ${Version}\\n"]).args(QEMU_PACKAGES);
    command.kill_on_drop(true);
    // It fails when one of them isn't known, and then still says which version the other has.
    let output = command.output().await.map(|output| output.stdout).unwrap_or_default();
    String::from_utf8_lossy(&output).into_owned()
}

/// The Debian release that an installed package was backported to: 12 for `1:10.0.2+ds-2~bpo12+1`.
fn installed_backports(versions: &str) -> Option<u32> {
    let installed = versions.lines().filter_map(|line| line.strip_prefix("installed "));
    let mut releases = installed.filter_map(|version| {
        let (_, release) = version.rsplit_once("~bpo")?;
        release.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
    });
    releases.next()
}

/// The name of a Debian release, which the suite of its backports begins with.
fn backports_suite(release: u32) -> String {
    match release {
        11 => "bullseye".to_owned(),
        12 => "bookworm".to_owned(),
        13 => "trixie".to_owned(),
        _ => {
            let text = std::fs::read_to_string("/etc/os-release").unwrap_or_default();
            let name = text.lines().find_map(|line| line.strip_prefix("VERSION_CODENAME="));
            name.unwrap_or("stable").to_owned()
        }
    }
}

/// Installs what is missing, as root or by a sudo that asks for no password, and looks again.
///
/// # Errors
/// When this may not install packages, when it fails, or when something is missing still; the message has the commands.
pub async fn install(missing: Vec<Program>, log: &Utf8Path, events: &Events) -> Result<()> {
    if missing.is_empty() {
        return Ok(());
    }
    let is_root = nix::unistd::geteuid().is_root();
    let commands = install_commands(&missing, is_root).await?;
    let typed = commands.iter().map(|line| format!("    {line}")).collect::<Vec<_>>().join("\n");
    if !is_root && !sudo_asks_nothing().await {
        bail!("packages can only be installed by root, and sudo asks for a password; type\n{typed}");
    }
    let names: Vec<&str> = missing.iter().map(|program| program.name).collect();
    let programs = names.into_iter().map(str::to_owned).collect();
    events.say(Progress::InstallingPrograms { programs });
    let _waiting = events.waiting("apt");
    let mut command = process::command("sh", Signal::SIGTERM);
    command.args(["-euc", &commands.join("\n")]).env("LC_ALL", "C.UTF-8");
    process::run("installing packages", command, log, events)
        .await
        .with_context(|| format!("failed to install what is missing; by hand it is\n{typed}"))?;
    let still: Vec<String> = missing
        .iter()
        .filter(|program| matches!(program.remedy, Remedy::Package(_)) && find(program.name).is_none())
        .map(Program::to_string)
        .collect();
    if !still.is_empty() {
        bail!("installing packages went well, but {} is still missing; {log} has what apt said", still.join(", "));
    }
    Ok(())
}

/// Whether sudo would run a command without asking.
async fn sudo_asks_nothing() -> bool {
    let mut command = process::command("sudo", Signal::SIGKILL);
    command.args(["-n", "true"]);
    process::output("asking sudo", command).await.is_ok()
}

#[cfg(test)]
mod tests;
