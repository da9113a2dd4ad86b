//! `system-facts`: reads what a base and the recipe's packages bring, and writes it into the checkout.

use anyhow::{Context as _, Result, bail};
use camino::Utf8Path;
use xtask::{cli::FactsFlags, region::did_you_mean};

use crate::{
    ask::checkout::{Checkout, facts_folders},
    cloud::qemu::{
        base,
        debs::{ARCHITECTURE, Apt, State},
        disk::{RawDisk, system_of},
        sources::{self, ubuntu},
    },
    elf::{
        Folder,
        facts::Facts,
        survey::{self, Tree},
    },
    events::Events,
    recipe::{self, Recipe},
    show::print::print,
};

/// dpkg's list of the packages on a base.
const STATUS: &str = "/var/lib/dpkg/status";

/// Reads the facts and writes their file in the checkout; prints its path.
///
/// # Errors
/// When the base or a package can't be read, or the file can't be written.
pub async fn write(checkout: &Checkout, flags: &FactsFlags, events: &Events) -> Result<()> {
    warn_of_unknown(checkout, flags, events);
    let scratch = tempfile::tempdir().context("failed to make a temporary folder")?;
    let scratch = Utf8Path::from_path(scratch.path()).context("set TMPDIR to a path in UTF-8")?;
    let facts = match (&flags.image, &flags.folder) {
        (None, None) => of_suite(checkout, flags, scratch, events).await?,
        (image, folder) => of_base(checkout, flags, image.as_deref(), folder.as_deref(), scratch, events).await?,
    };
    let path = facts_folders(&checkout.root, &checkout.workspace)[0].join(format!("{}.toml", facts.system));
    let text = facts.text();
    Facts::parse(&text).context("failed to read back what was read from the base")?;
    let folder = path.parent().context("the file is in a folder")?;
    std::fs::create_dir_all(folder).with_context(|| format!("failed to create {folder}"))?;
    std::fs::write(&path, text).with_context(|| format!("failed to write {path}"))?;
    print(&format!("{path}\n"))
}

/// Warns where the recipe does not describe the system that is named: it may be a new one, or misspelt.
fn warn_of_unknown(checkout: &Checkout, flags: &FactsFlags, events: &Events) {
    let systems = &checkout.recipe.systems;
    if let Some(system) = flags.system.as_ref().filter(|system| !systems.contains_key(*system)) {
        let near = did_you_mean(system, &systems.keys().map(String::as_str).collect::<Vec<_>>());
        events.warn(format_args!(
            "the recipe does not describe the system {system}, so what its packages bring is not read{near}"
        ));
    }
}

/// The facts of a base as `--local` makes it of a suite.
async fn of_suite(checkout: &Checkout, flags: &FactsFlags, scratch: &Utf8Path, events: &Events) -> Result<Facts> {
    let suite = flags.suite.as_deref().context("give a --suite, an --image or a --folder")?;
    let of_suite = |system: &&recipe::System| system.suite.as_deref() == Some(suite);
    let known = checkout.recipe.systems.iter().find(|(_, system)| of_suite(system)).map(|(name, _)| name);
    let system = flags.system.as_ref().or(known);
    let system = system.with_context(|| {
        let suites = checkout.recipe.systems.values().filter_map(|system| system.suite.as_deref());
        let near = did_you_mean(suite, &suites.collect::<Vec<_>>());
        format!("no system of the recipe has the suite {suite}: give the name of one with --system{near}")
    })?;
    if ubuntu::is_ubuntu(system) {
        bail!("only a base of Debian is made of packages: give that of {system} with --image FILE or --folder DIR");
    }
    let packages = packages(checkout, system);
    let apt = apt(checkout, flags, (system, suite), scratch, b"", events).await?;
    let source = format!("Debian's packages of {suite} ({})", ARCHITECTURE);
    apt.facts(system, &source, &base::PACKAGES, &packages).await
}

/// The facts of a base that is there, with those of the recipe's packages: of a suite, or as the checkout has them.
async fn of_base(
    checkout: &Checkout,
    flags: &FactsFlags,
    image: Option<&Utf8Path>,
    folder: Option<&Utf8Path>,
    scratch: &Utf8Path,
    events: &Events,
) -> Result<Facts> {
    let at = image.or(folder).context("give an --image or a --folder")?.to_owned();
    let disk = match image {
        Some(image) => Some(RawDisk::of(image, scratch).await?),
        None => None,
    };
    let (named, path, recipe) = (flags.system.clone(), at.clone(), checkout.recipe.clone());
    // On a thread of its own, because it takes a while.
    let read = tokio::task::spawn_blocking(move || {
        let tree: Box<dyn Tree> = match disk {
            Some(disk) => Box::new(disk.open()?),
            None => Box::new(Folder::at(&path)),
        };
        read(&*tree, &path, named, &recipe)
    });
    let (facts, status) = read.await??;
    let packages = packages(checkout, &facts.system);
    if let Some(suite) = &flags.suite {
        let of = (facts.system.as_str(), suite.as_str());
        return apt(checkout, flags, of, scratch, &status, events).await?.on_base(facts.clone(), &packages).await;
    }
    // What is there may be what is to be made anew.
    let known =
        Facts::find(&facts_folders(&checkout.root, &checkout.workspace), &facts.system).unwrap_or_else(|error| {
            events.warn(format_args!("nothing is taken over: {:#}", error.root_cause()));
            None
        });
    let facts = known.map_or(facts.clone(), |known| facts.with_packages_of(&known));
    let unread = packages.iter().filter(|package| !facts.know(std::slice::from_ref(*package)));
    let unread: Vec<String> = unread.map(recipe::Package::shown).collect();
    if !unread.is_empty() {
        let names = unread.join(", ");
        let is_ubuntu = ubuntu::is_ubuntu(&facts.system);
        let mirror = if is_ubuntu { format!(", and --mirror {}", ubuntu::MIRROR) } else { String::new() };
        events.warn(format_args!(
            "what these packages bring to {at} was not read: {names}; give their suite with --suite{mirror}"
        ));
    }
    Ok(facts)
}

/// The facts of a base and dpkg's status on it.
fn read(tree: &dyn Tree, at: &Utf8Path, named: Option<String>, recipe: &Recipe) -> Result<(Facts, Vec<u8>)> {
    let release = tree.content("/etc/os-release")?.unwrap_or_default();
    let system = named.or_else(|| Some(recipe.system_called(system_of(&String::from_utf8_lossy(&release))?)));
    let system = system.with_context(|| {
        format!("{at} has no /etc/os-release with ID, and VERSION_ID or VERSION_CODENAME: give --system")
    })?;
    if !recipe::is_plain_name(&system) {
        bail!("{at} calls its system `{system}`, which cannot be a file's name: give --system");
    }
    let source = at.file_name().unwrap_or(at.as_str());
    let facts = survey::base(tree, &system, source)?;
    let facts = facts.with_context(|| format!("{at} has no C library where Debian's systems have it (libc.so.6)"))?;
    Ok((facts, tree.content(STATUS)?.unwrap_or_default()))
}

/// The recipe's packages for a system, which it may not describe. Those that it is said not to have are looked for again.
fn packages(checkout: &Checkout, system: &str) -> Vec<recipe::Package> {
    let system = checkout.recipe.systems.get(system);
    system.map(|system| [&system.packages[..], &system.left_out].concat()).unwrap_or_default()
}

async fn apt(
    checkout: &Checkout,
    flags: &FactsFlags,
    (system, suite): (&str, &str),
    scratch: &Utf8Path,
    status: &[u8],
    events: &Events,
) -> Result<Apt> {
    let _waiting = events.waiting("apt");
    let local = &checkout.recipe.local_base;
    let local = recipe::LocalBase {
        mirror: flags.mirror.clone().or(local.mirror.clone()),
        security_mirror: flags.security_mirror.clone().or(local.security_mirror.clone()),
        check_valid_until: local.check_valid_until && !flags.ignore_valid_until,
        uefi_firmware: None,
        ..local.clone()
    };
    let urls = [("mirror", local.mirror.as_deref()), ("security-mirror", local.security_mirror.as_deref())];
    for (flag, url) in urls {
        if let Some(url) = url.filter(|url| *url != recipe::NO_MIRROR && !recipe::is_url(url)) {
            bail!("--{flag}: `{url}` is not a URL");
        }
    }
    let sources = if ubuntu::is_ubuntu(system) {
        // The recipe's mirrors are Debian's.
        let (mirror, security) = (flags.mirror.as_deref(), flags.security_mirror.as_deref());
        ubuntu::lines(suite, mirror, security, !flags.ignore_valid_until)?
    } else {
        sources::lines(&local, suite).await?
    };
    let state = State { sources, status: status.to_vec(), lists: Vec::new() };
    Apt::new(&scratch.join("apt"), ARCHITECTURE, &state).await
}
