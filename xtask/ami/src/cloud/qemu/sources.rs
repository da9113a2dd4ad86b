//! The package sources of this computer's apt, so that the base is made from the same mirror.
//!
//! apt itself is asked for them, so all forms of its files and all options count. A virtual machine must be able to use
//! them as well: lists of mirrors are resolved to a mirror, and what only this computer can read is left out.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, bail};
use camino::Utf8Path;
use nix::sys::signal::Signal;
use tokio::process::Command;

use super::programs;
use crate::{ground::process, recipe};

pub mod ubuntu;

/// Debian's archive keys, from the package debian-archive-keyring, which Ubuntu has, too.
pub const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// The program that downloads a list of mirrors in the same way as apt, with its proxies and certificates.
const APT_HELPER: &str = "/usr/lib/apt/apt-helper";

/// How apt prints a source. It leaves a variable as it is whose value it does not know.
const FORMAT: &str = "$(REPO_URI)|$(RELEASE)|$(COMPONENT)|$(CODENAME)|$(ORIGIN)";

/// Debian's suites, by which a source is taken for Debian's whose lists were not fetched. The suite that a base is made of need
/// not be among them.
const SUITES: [&str; 15] = [
    "jessie",
    "stretch",
    "buster",
    "bullseye",
    "bookworm",
    "trixie",
    "forky",
    "duke",
    "sid",
    "oldoldstable",
    "oldstable",
    "stable",
    "testing",
    "unstable",
    "rc-buggy",
];

/// The suites whose updates come with the suite itself.
const WITHOUT_SECURITY: [&str; 3] = ["sid", "unstable", "experimental"];

/// In the addresses of systems that have suites named like Debian's.
const NAMESAKES: [&str; 2] = ["raspbian", "raspberrypi"];

/// A suite on a mirror.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Source {
    mirror: String,
    suite: String,
}

/// A list of package sources.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    usable: Vec<Source>,
    /// The others, each with the reason.
    unusable: Vec<(Source, &'static str)>,
    /// The suites that Debian publishes, by what apt has fetched.
    debians: Vec<String>,
}

/// A source as apt prints it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Target {
    uri: String,
    suite: String,
    /// The suite's code name, and who publishes it, if apt has fetched the source.
    codename: Option<String>,
    origin: Option<String>,
}

impl Sources {
    /// The sources of this computer's apt; empty without apt.
    ///
    /// # Errors
    /// When apt fails to read its sources.
    pub async fn of_this_computer() -> Result<Sources> {
        Sources::of(None).await
    }

    /// The sources of an apt with this configuration (apt.conf(5)).
    async fn of(config: Option<&Utf8Path>) -> Result<Sources> {
        let Some(apt) = programs::find("apt-get") else { return Ok(Sources::default()) };
        let ask = async |options: &[&str]| {
            let mut command = with_config(process::command(&apt, Signal::SIGKILL), config);
            command.arg("indextargets").args(options).args(["--format", FORMAT, "Created-By: Packages"]);
            let answer = process::output("asking apt for its sources", command).await?;
            anyhow::Ok(answer.lines().filter_map(Target::parse).collect::<Vec<_>>())
        };
        let fetched = ask(&[]).await?;
        // Sources whose lists were not fetched, as in most containers. Old versions of apt lack the option.
        let all = ask(&["--no-release-info"]).await.unwrap_or_default();
        let mut sources = Sources::default();
        let mut mirrors = BTreeMap::new();
        for target in merged(fetched, all) {
            if let Some(list) = mirror_list(&target.uri)
                && !mirrors.contains_key(&target.uri)
            {
                let text = read_list(&list, config).await;
                mirrors.insert(target.uri.clone(), text.map(|text| best_mirror(&text)).unwrap_or_default());
            }
            let mirror = mirrors.get(&target.uri).cloned().unwrap_or_else(|| Some(target.uri.clone()));
            sources.add(target, mirror);
        }
        Ok(sources)
    }

    /// Adds what apt printed. `mirror` is its URI, or the mirror chosen from the list at its URI.
    fn add(&mut self, target: Target, mirror: Option<String>) {
        // A third party's packages may have the same suite's name.
        let origin = target.origin.as_deref();
        if origin.is_some_and(|origin| origin != "Debian") || NAMESAKES.iter().any(|name| target.uri.contains(name)) {
            return;
        }
        let is_debians = origin.is_some();
        // `stable` becomes another release one day, and the base is made for the code name.
        let suite = target.codename.filter(|name| recipe::is_plain_name(name)).unwrap_or(target.suite);
        if is_debians {
            self.debians.push(suite.clone());
        }
        let trimmed = |uri: &str| uri.trim_end_matches('/').to_owned();
        let refuse = |uri: &str, why| (Source { mirror: trimmed(uri), suite: suite.clone() }, why);
        let judged = match &mirror {
            None => Err(refuse(&target.uri, "its list of mirrors cannot be read, or names none on HTTP")),
            Some(uri) => match unusable(uri) {
                Some(why) => Err(refuse(uri, why)),
                None => Ok(Source { mirror: trimmed(uri), suite: suite.clone() }),
            },
        };
        match judged {
            // With more than one word it would have another meaning in a sources.list, or in a shell's quotes.
            Ok(source) if !recipe::is_url(&source.mirror) || !recipe::is_plain_name(&source.suite) => {}
            Ok(source) if self.usable.contains(&source) => {}
            Ok(source) => self.usable.push(source),
            Err(refused) if self.unusable.contains(&refused) => {}
            Err(refused) => self.unusable.push(refused),
        }
    }

    /// The lines of a sources.list for a suite with its updates.
    ///
    /// # Errors
    /// When none of the sources has the suite.
    pub fn with_updates(&self, suite: &str) -> Result<Vec<String>> {
        if let Some(same) = self.of_another_suite(suite) {
            return same.with_updates(suite);
        }
        self.mirror(suite)?;
        let others = [format!("{suite}-updates"), format!("{suite}-security")];
        let others = self.usable.iter().filter(|source| others.contains(&source.suite));
        Ok(self.mains(suite).into_iter().chain(others).map(Source::line).collect())
    }

    /// The sources of a suite itself. Where some of the mirrors have its updates as well, only those: the others may be a
    /// third party's.
    fn mains(&self, suite: &str) -> Vec<&Source> {
        let all: Vec<&Source> = self.usable.iter().filter(|source| source.suite == suite).collect();
        let whole: Vec<&Source> = all.iter().copied().filter(|main| self.has_updates(main)).collect();
        if whole.is_empty() { all } else { whole }
    }

    fn has_updates(&self, main: &Source) -> bool {
        let updates = format!("{}-updates", main.suite);
        self.usable.iter().any(|source| source.mirror == main.mirror && source.suite == updates)
    }

    /// The mirrors of another suite, which have this one as well: those of Debian have all. `None` if there is a source of
    /// this suite itself, or none that is known to be Debian's by its updates.
    fn of_another_suite(&self, suite: &str) -> Option<Sources> {
        let has = |name: &str| self.usable.iter().find(|source| source.suite == name);
        if has(suite).is_some() || self.unusable.iter().any(|(source, _)| source.suite == suite) {
            return None;
        }
        let security_of = |main: &Source| has(&format!("{}-security", main.suite));
        let is_debians = |main: &&Source| {
            (SUITES.contains(&main.suite.as_str()) || self.debians.contains(&main.suite)) && self.has_updates(main)
        };
        let main = self.usable.iter().find(|main| is_debians(main) && security_of(main).is_some())?;
        let security = security_of(main).map(|source| source.mirror.as_str());
        Some(Sources::default().and_mirror(&main.mirror, security, suite))
    }

    /// The same with the suite's backports, from the suite's mirror.
    ///
    /// # Errors
    /// When none of the sources has the suite.
    pub fn with_backports(&self, suite: &str) -> Result<Vec<String>> {
        let mut lines = self.with_updates(suite)?;
        let mirror = self.mirror(suite)?.to_owned();
        lines.push(Source { mirror, suite: format!("{suite}-backports") }.line());
        Ok(lines)
    }

    fn mirror(&self, suite: &str) -> Result<&str> {
        if let Some(source) = self.mains(suite).first() {
            return Ok(&source.mirror);
        }
        let unusable = self.unusable.iter().filter(|(source, _)| source.suite == suite);
        let unusable: Vec<String> =
            unusable.map(|(source, why)| format!("\n  {}: {why}", hidden_password(&source.mirror))).collect();
        let which = if unusable.is_empty() { "" } else { " that a virtual machine can use" };
        bail!(
            "this computer's apt has no source of Debian's {suite}{which}: add one to /etc/apt/sources.list.d, or set \
             local_base.mirror in ami.toml to a Debian mirror (the folder that contains dists/{suite}){}",
            unusable.concat()
        )
    }

    /// Adds a mirror for a suite with its updates, and one for its security updates.
    #[must_use]
    pub fn and_mirror(mut self, mirror: &str, security: Option<&str>, suite: &str) -> Sources {
        let mirror = mirror.trim_end_matches('/').to_owned();
        let suites = [suite.to_owned(), format!("{suite}-updates")];
        self.usable.extend(suites.map(|suite| Source { mirror: mirror.clone(), suite }));
        let security = security.map(|mirror| mirror.trim_end_matches('/').to_owned());
        self.usable.extend(security.map(|mirror| Source { mirror, suite: format!("{suite}-security") }));
        self
    }
}

/// The lines of a sources.list for the base of a suite: from the recipe's mirrors, or else from this computer's apt.
///
/// # Errors
/// When apt fails to read its sources, or none of them has the suite.
pub async fn lines(local: &recipe::LocalBase, suite: &str) -> Result<Vec<String>> {
    let sources = match &local.mirror {
        Some(mirror) => Sources::default().and_mirror(mirror, security_mirror(local, mirror).as_deref(), suite),
        None => Sources::of_this_computer().await?,
    };
    let mut lines = sources.with_updates(suite)?;
    if local.security_mirror.as_deref() == Some(recipe::NO_MIRROR) {
        let security = format!(" {suite}-security ");
        lines.retain(|line| !line.contains(&security));
    }
    if !local.check_valid_until {
        lines.iter_mut().for_each(|line| *line = line.replacen("] ", " check-valid-until=no] ", 1));
    }
    Ok(lines)
}

/// What is said of a base of a suite that gets no security updates, although nobody asked for that. None if it gets them, or
/// cannot be made at all.
pub async fn lack_of_security(local: &recipe::LocalBase, suite: &str) -> Option<String> {
    let is_meant = local.security_mirror.as_deref() == Some(recipe::NO_MIRROR) || WITHOUT_SECURITY.contains(&suite);
    let lines = if is_meant { return None } else { lines(local, suite).await.ok()? };
    lacks_security(&lines, suite).then(|| {
        format!(
            "the base gets no security updates: this computer's apt has no usable source of {suite}-security; add one to \
             /etc/apt/sources.list.d, or set local_base.mirror in ami.toml; if that is meant, set \
             local_base.security_mirror = \"{}\"",
            recipe::NO_MIRROR
        )
    })
}

fn lacks_security(lines: &[String], suite: &str) -> bool {
    let security = format!(" {suite}-security ");
    !lines.iter().any(|line| line.contains(&security))
}

/// The mirror of security updates. Debian's archive is `debian`, and that of security updates `debian-security` beside it.
fn security_mirror(local: &recipe::LocalBase, mirror: &str) -> Option<String> {
    match local.security_mirror.as_deref() {
        Some(recipe::NO_MIRROR) => None,
        Some(given) => Some(given.to_owned()),
        None => Some(format!("{}-security", mirror.trim_end_matches('/'))),
    }
}

impl Source {
    fn line(&self) -> String {
        format!("deb [signed-by={KEYRING}] {} {} main", self.mirror, self.suite)
    }
}

impl Target {
    /// Parses a line of apt's. `None` if it isn't of the component main.
    fn parse(line: &str) -> Option<Target> {
        let fields: Vec<&str> = line.split('|').collect();
        let [uri, suite, "main", codename, origin] = fields[..] else { return None };
        let known = |field: &str| (!field.is_empty() && !field.starts_with("$(")).then(|| field.to_owned());
        Some(Target {
            uri: uri.trim_end_matches('/').to_owned(),
            suite: suite.to_owned(),
            codename: known(codename),
            origin: known(origin),
        })
    }
}

/// All targets, each once; with what is known of those that were fetched.
fn merged(fetched: Vec<Target>, all: Vec<Target>) -> Vec<Target> {
    let mut merged: Vec<Target> = Vec::new();
    let known = |target: &Target| {
        let same = fetched.iter().find(|other| (&other.uri, &other.suite) == (&target.uri, &target.suite));
        same.unwrap_or(target).clone()
    };
    for target in all.iter().map(known).chain(fetched.iter().cloned()) {
        if !merged.contains(&target) {
            merged.push(target);
        }
    }
    merged
}

/// The location of the list at a URI of apt's mirror method (apt-transport-mirror(1)).
fn mirror_list(uri: &str) -> Option<String> {
    match uri.strip_prefix("mirror:") {
        Some(rest) => Some(format!("http:{rest}")),
        None => uri.strip_prefix("mirror+").map(str::to_owned),
    }
}

/// A list of mirrors, from a file or through apt.
async fn read_list(location: &str, config: Option<&Utf8Path>) -> Result<String> {
    if let Some(path) = location.strip_prefix("file:").or_else(|| location.strip_prefix("copy:")) {
        let path = format!("/{}", path.trim_start_matches('/'));
        return std::fs::read_to_string(&path).with_context(|| format!("failed to read the list of mirrors {path}"));
    }
    let folder = tempfile::tempdir().context("failed to make a folder")?;
    let file = folder.path().join("mirrors");
    let mut command = with_config(process::command(APT_HELPER, Signal::SIGKILL), config);
    command.args(["-o", "Acquire::http::Timeout=10", "-o", "Acquire::https::Timeout=10", "-o", "Acquire::Retries=0"]);
    command.args(["download-file", location]).arg(&file);
    process::output("downloading a list of mirrors", command).await?;
    std::fs::read_to_string(&file).context("failed to read a list of mirrors")
}

/// The mirror of a list that is preferred among those that a virtual machine can use. A smaller priority is preferred.
fn best_mirror(list: &str) -> Option<String> {
    let mirrors = list.lines().map(str::trim).filter(|line| !line.starts_with('#')).filter_map(|line| {
        let mut words = line.split_whitespace();
        let uri = words.next()?;
        let priority = words.find_map(|word| word.strip_prefix("priority:")?.parse::<u64>().ok());
        unusable(uri).is_none().then(|| (priority.unwrap_or(u64::MAX), uri.to_owned()))
    });
    // Of equal ones min_by_key takes the first.
    mirrors.min_by_key(|(priority, _)| *priority).map(|(_, uri)| uri)
}

/// Why a virtual machine can't use a source, or an image must not have it.
fn unusable(uri: &str) -> Option<&'static str> {
    let (scheme, rest) = uri.split_once(':').unwrap_or(("", uri));
    match scheme {
        "http" | "https" if rest.split('/').nth(2).is_some_and(|host| host.contains('@')) => {
            Some("it contains a password, which would be in the image")
        }
        "http" | "https" => None,
        "file" | "copy" => Some("only this computer has these files"),
        "cdrom" => Some("only this computer has the disc"),
        _ if scheme.starts_with("tor+") => Some("a virtual machine would reach it without Tor"),
        _ => Some("a virtual machine's apt reads HTTP and HTTPS only"),
    }
}

/// A URI for a message.
fn hidden_password(uri: &str) -> String {
    match (uri.split_once("://"), uri.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, host))) => format!("{scheme}://…@{host}"),
        _ => uri.to_owned(),
    }
}

/// The command with apt's configuration.
fn with_config(mut command: Command, config: Option<&Utf8Path>) -> Command {
    if let Some(config) = config {
        command.env("APT_CONFIG", config);
    }
    command
}

#[cfg(test)]
mod tests;
