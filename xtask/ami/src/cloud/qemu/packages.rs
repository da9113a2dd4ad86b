//! The Debian packages that `--local` needs.
//!
//! If one QEMU package is installed from backports, the others must be, too: packages of two releases conflict, and apt
//! would remove the installed one or fail. This computer's sources may lack backports, so they are read with a
//! temporary apt configuration, which leaves the computer's own unchanged.

use std::{
    collections::BTreeSet,
    fmt::{self, Display},
};

use anyhow::{Context as _, Result, bail};
use camino::Utf8Path;
use nix::sys::signal::Signal;

use super::{
    firmware::{UEFI, Uefi},
    programs::{find, program},
    sources::{self, Sources},
};
use crate::{event::progress::Progress, events::Events, ground::process};

/// The program that builds the binaries, and its Debian package.
pub const MAKE: (&str, &str) = ("make", "make");

/// The program for interactive logins, and its Debian package.
pub const SSH: (&str, &str) = ("ssh", "openssh-client");

/// QEMU's packages, which must be of the same release.
const QEMU_PACKAGES: [&str; 2] = ["qemu-system-x86", "qemu-utils"];

/// apt-get, waiting up to 300 s for another apt process: newly started computers often run one by themselves.
const APT: &str = "apt-get -o DPkg::Lock::Timeout=300";

/// What `--local` needs programs for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Needs {
    /// To run machines from an existing base.
    Machines,
    /// To make a base as well.
    Base,
}

/// A program or file that `--local` needs and this computer lacks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    /// The name of the program, or the path of the file.
    pub name: &'static str,
    /// How to get it.
    pub remedy: Remedy,
}

/// How to get something that is missing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Remedy {
    /// Install this Debian package.
    Package(&'static str),
    /// Give subordinate ids to this user, for the files of a base (subuid(5)).
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

/// The name of a program, and its Debian package.
pub type ByPackage = (&'static str, &'static str);

/// The missing ones of what `--local` needs and of `programs`.
#[must_use]
pub fn missing(needs: Needs, programs: &[ByPackage]) -> Vec<Program> {
    let mut wanted = vec![
        ("qemu-system-x86_64", "qemu-system-x86"),
        ("qemu-img", "qemu-utils"),
        // To read files from images without booting them.
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
    wanted.retain(|(name, _)| !is_there(name));
    let programs = wanted.into_iter().map(|(name, package)| Program { name, remedy: Remedy::Package(package) });
    let mut programs: Vec<Program> = programs.collect();
    if needs == Needs::Base && !is_root {
        programs.extend(subordinate_ids());
    }
    programs
}

fn is_there(name: &str) -> bool {
    // Each of its packages puts it elsewhere.
    if name == UEFI.0 { Uefi::find().is_some() } else { find(name).is_some() }
}

/// Subordinate ids, if this user has too few. Only with them can a user other than root create files of other users.
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

/// Whether a text of /etc/subuid gives a user at least 65536 ids in one range.
fn has_ids(text: &str, user: &str) -> bool {
    let counts = text.lines().filter_map(|line| line.strip_prefix(user)?.strip_prefix(':')?.rsplit(':').next());
    counts.filter_map(|count| count.trim().parse::<u64>().ok()).any(|count| count >= 65536)
}

/// The first subordinate id that is free for all users. Debian starts at 100000.
fn first_free_id() -> u64 {
    let texts = ["/etc/subuid", "/etc/subgid"].map(|file| std::fs::read_to_string(file).unwrap_or_default());
    first_free_of(texts.iter().flat_map(|text| text.lines()))
}

fn first_free_of<'a>(lines: impl Iterator<Item = &'a str>) -> u64 {
    // Ids have 32 bits. A range beyond that is invalid.
    let ends = lines.filter_map(end_of_ids).filter(|&end| end <= u64::from(u32::MAX));
    ends.max().unwrap_or(0).max(100_000)
}

/// The id after the range of a line `user:first:count`.
fn end_of_ids(line: &str) -> Option<u64> {
    let mut fields = line.rsplit(':');
    let (count, first) = (fields.next()?.trim().parse::<u64>().ok()?, fields.next()?.parse::<u64>().ok()?);
    first.checked_add(count)
}

/// The shell commands that install what is missing, one a line, to run in this order: with sudo, or without it
/// `as_root`.
///
/// # Errors
/// When this is not a Debian system, or apt fails to read its sources; the message names what is missing.
pub async fn install_commands(missing: &[Program], as_root: bool) -> Result<Vec<String>> {
    if find("apt-get").is_none() {
        let names: Vec<String> = missing.iter().map(Program::to_string).collect();
        bail!("this computer lacks {}; install them (the names are those of Debian's packages)", names.join(", "));
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
    // If dpkg-query does not know one of them it fails, but still prints the version of the other.
    let output = command.output().await.map(|output| output.stdout).unwrap_or_default();
    String::from_utf8_lossy(&output).into_owned()
}

/// The Debian release of an installed backport: 12 for `1:10.0.2+ds-2~bpo12+1`.
fn installed_backports(versions: &str) -> Option<u32> {
    let installed = versions.lines().filter_map(|line| line.strip_prefix("installed "));
    let mut releases = installed.filter_map(|version| {
        let (_, release) = version.rsplit_once("~bpo")?;
        release.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
    });
    releases.next()
}

/// The code name of a Debian release, from its number.
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

/// Installs what is missing, as root or with a sudo that asks for no password, and checks the result.
///
/// # Errors
/// When there is no such sudo, installing fails, or a program is still missing; the message has the commands.
pub async fn install(missing: Vec<Program>, log: &Utf8Path, events: &Events) -> Result<()> {
    if missing.is_empty() {
        return Ok(());
    }
    let is_root = nix::unistd::geteuid().is_root();
    let commands = install_commands(&missing, is_root).await?;
    let listing = commands.iter().map(|line| format!("    {line}")).collect::<Vec<_>>().join("\n");
    if !is_root && !sudo_needs_no_password().await {
        bail!("only root can install packages, and sudo asks for a password; run\n{listing}");
    }
    let names: Vec<&str> = missing.iter().map(|program| program.name).collect();
    let programs = names.into_iter().map(str::to_owned).collect();
    events.say(Progress::InstallingPrograms { programs });
    let _waiting = events.waiting("apt");
    let mut command = process::command("sh", Signal::SIGTERM);
    command.args(["-euc", &commands.join("\n")]).env("LC_ALL", "C.UTF-8");
    process::run("installing packages", command, log, events)
        .await
        .with_context(|| format!("failed to install what is missing; to do it by hand, run\n{listing}"))?;
    let missing: Vec<String> = missing
        .iter()
        .filter(|program| matches!(program.remedy, Remedy::Package(_)) && !is_there(program.name))
        .map(Program::to_string)
        .collect();
    if !missing.is_empty() {
        bail!("installing packages succeeded, but {} is still missing; see {log}", missing.join(", "));
    }
    Ok(())
}

/// Whether sudo runs a command without a password.
async fn sudo_needs_no_password() -> bool {
    let mut command = process::command("sudo", Signal::SIGKILL);
    command.args(["-n", "true"]);
    process::output("checking sudo", command).await.is_ok()
}

#[cfg(test)]
mod tests;
