//! Traces of the machine that an image was made on, and credentials, in the content of the image's files.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result};
use regex_lite::Regex;

use crate::{cloud::DiskFiles, event::facts::Verification};

/// The beginning of seal.sh's lines that say what names the machine: `seal.sh: mark KIND=VALUE`.
const MARK: &str = "seal.sh: mark ";

/// The most marks that are taken from a machine, and the most characters of each. A machine has about ten.
const MAX_MARKS: usize = 64;
const MAX_MARK_CHARS: usize = 1000;

/// The kind of mark that is an IP address. Those of virtual machines are the same on all computers, so they prove nothing
/// in files that the base may have had.
const ADDRESS: &str = "address";

/// The folders whose files' content is looked at. Elsewhere are files of packages.
const FOLDERS: [&str; 7] = ["/etc", "/home", "/opt", "/root", "/srv", "/usr/local", "/var"];

/// Folders in which programs keep what came from packages.
const OF_PACKAGES: [&str; 3] = ["/var/cache/", "/var/lib/apt/", "/var/lib/dpkg/"];

/// Where a package's own files may show what a credential looks like.
const WITH_EXAMPLES: [&str; 3] = ["/etc/", "/opt/", "/usr/local/"];

/// The largest file whose content is looked at, in bytes.
const MAX_BYTES: u64 = 4 << 20;

/// Kinds of credentials, and how their lines look.
const CREDENTIALS: [(&str, &str); 9] = [
    ("private key", r"-----BEGIN ([A-Z0-9]+ )*PRIVATE KEY( BLOCK)?-----|PuTTY-User-Key-File-|AGE-SECRET-KEY-1"),
    ("password in a URL", r#"(?m)^[^#;\n]*[A-Za-z][A-Za-z0-9+.-]*://[^\s/:@%"<>{}$*\[\]]+:[^\s/@"<>{}$*\[\]]+@"#),
    ("AWS access key", r"(^|[^A-Za-z0-9])(AKIA|ASIA)[A-Z0-9]{16}([^A-Za-z0-9]|$)"),
    ("AWS secret key", r#"aws_(secret_access_key|session_token)[" ]*[=:][" ]*[A-Za-z0-9+/]{16}"#),
    ("token", r"(^|[^A-Za-z0-9])(gh[opsur]_[A-Za-z0-9]{36}|github_pat_[A-Za-z0-9_]{22}|glpat-[A-Za-z0-9_-]{20})"),
    ("registry token", r#"(?m)(^|[^A-Za-z0-9])_auth(Token)?[ \t]*=|"(auth|identitytoken)"\s*:\s*"[A-Za-z0-9+/]{8}"#),
    ("netrc", r"(?m)^[ \t]*(machine[ \t]+\S+|default)[ \t]+login[ \t]"),
    ("machine token", r#""(machineToken|contractToken)"\s*:\s*"[^"]"#),
    ("password hash", PASSWORD_HASH),
];

/// A hash of crypt(3), of its whole length: MD5, SHA-256, SHA-512, bcrypt, and yescrypt and its kin. Only whole ones are
/// meant, because documents and templates show the beginning of one.
const PASSWORD_HASH: &str = concat!(
    r"\$(1|apr1)\$[./A-Za-z0-9]{1,8}\$[./A-Za-z0-9]{22}([^./A-Za-z0-9]|$)",
    r"|\$5\$(rounds=[0-9]+\$)?[./A-Za-z0-9]{0,16}\$[./A-Za-z0-9]{43}([^./A-Za-z0-9]|$)",
    r"|\$6\$(rounds=[0-9]+\$)?[./A-Za-z0-9]{0,16}\$[./A-Za-z0-9]{86}([^./A-Za-z0-9]|$)",
    r"|\$2[abxy]?\$[0-9]{2}\$[./A-Za-z0-9]{53}([^./A-Za-z0-9]|$)",
    r"|\$(y|gy|7)\$[./A-Za-z0-9]+\$([./A-Za-z0-9]+\$)?[./A-Za-z0-9]{43}([^./A-Za-z0-9]|$)",
);

/// What names a machine, by what seal.sh printed on it: values, each with its kind. Lines of another form are skipped.
#[must_use]
pub fn marks(printed: &str) -> BTreeMap<String, String> {
    let lines = printed.lines().filter_map(|line| line.strip_prefix(MARK)?.split_once('='));
    let fits = |text: &str, legal: &str| {
        let is_legal = |c: char| c.is_ascii_alphanumeric() || legal.contains(c);
        (1..=MAX_MARK_CHARS).contains(&text.len()) && text.chars().all(is_legal)
    };
    let sound = lines.filter(|(kind, value)| fits(kind, " ") && fits(value, ".:=+/_%-") && value.len() >= 6);
    sound.map(|(kind, value)| (value.to_owned(), kind.to_owned())).take(MAX_MARKS).collect()
}

/// An extended regular expression, for grep as well as for this program, for a mark in all forms that programs write.
#[must_use]
pub fn expression(kind: &str, value: &str) -> String {
    let either_case = |c: char| match c {
        'a'..='f' | 'A'..='F' => format!("[{}{}]", c.to_ascii_lowercase(), c.to_ascii_uppercase()),
        '.' | '+' | '*' | '?' | '(' | ')' | '[' | ']' | '{' | '}' | '|' | '^' | '$' | '\\' => format!("\\{c}"),
        c => c.to_string(),
    };
    let plain = |text: &str| text.chars().map(either_case).collect::<String>();
    match kind {
        // As a UUID, too.
        "machine id" | "system id" => {
            let digits: Vec<char> = value.chars().filter(|&c| c != '-').collect();
            let dashed = |(at, &c): (usize, &char)| {
                let dash = if [8, 12, 16, 20].contains(&at) { "-?" } else { "" };
                format!("{dash}{}", either_case(c))
            };
            digits.iter().enumerate().map(dashed).collect()
        }
        "hardware address" => value.split(':').map(plain).collect::<Vec<_>>().join("[:-]?"),
        // In a database other words may touch it.
        ADDRESS if !value.contains(':') => format!("(^|[^.]){}($|[^0-9])", plain(value)),
        "instance id" | "host name" => format!("{}($|[^0-9A-Za-z])", plain(value)),
        // Keys are told apart by case.
        kind if kind.ends_with("key") => value.replace('+', "\\+"),
        _ => plain(value),
    }
}

/// Checks the content of the files on a closed disk.
///
/// # Errors
/// When the disk can't be read.
pub fn look_at_disk(disk: &dyn DiskFiles, marks: &BTreeMap<String, String>, seen: &mut Verification) -> Result<()> {
    let marks = marks.iter().filter(|(_, kind)| *kind != ADDRESS);
    let marks = marks.map(|(value, kind)| Ok((kind.as_str(), compiled(&expression(kind, value))?)));
    let marks: Vec<(&str, Regex)> = marks.collect::<Result<_>>()?;
    let credentials = CREDENTIALS.iter().map(|(kind, expression)| Ok((*kind, compiled(expression)?)));
    let credentials: Vec<(&str, Regex)> = credentials.collect::<Result<_>>()?;
    let of_packages = files_of_packages(disk)?;
    let (mut naming, mut secret) = (Vec::new(), Vec::new());
    for folder in FOLDERS {
        for (path, size) in disk.files(folder)? {
            if size == 0 || size > MAX_BYTES || OF_PACKAGES.iter().any(|folder| path.starts_with(folder)) {
                continue;
            }
            let Some(bytes) = disk.read(&path)? else { continue };
            let text = String::from_utf8_lossy(&bytes);
            let kinds = |all: &[(&str, Regex)]| {
                let found = all.iter().filter(|(_, expression)| expression.is_match(&text));
                let kinds: BTreeSet<String> = found.map(|(kind, _)| format!("{path} ({kind})")).collect();
                kinds
            };
            naming.extend(kinds(&marks));
            if !of_packages.contains(&path) {
                secret.extend(kinds(&credentials));
            }
        }
    }
    seen.add("on the disk: nothing names the machine it was made on", found(&naming));
    seen.add("on the disk: no credentials in any file", found(&secret));
    Ok(())
}

fn found(files: &[String]) -> Option<String> {
    (!files.is_empty()).then(|| files.join(", "))
}

fn compiled(expression: &str) -> Result<Regex> {
    Regex::new(expression).with_context(|| format!("failed to compile the expression {expression}"))
}

/// The files that dpkg installed.
fn files_of_packages(disk: &dyn DiskFiles) -> Result<BTreeSet<String>> {
    let mut owned = BTreeSet::new();
    for (path, _) in disk.files("/var/lib/dpkg/info")? {
        if path.ends_with(".list") {
            let bytes = disk.read(&path)?.unwrap_or_default();
            let text = String::from_utf8_lossy(&bytes);
            let is_settings = |line: &&str| WITH_EXAMPLES.iter().any(|folder| line.starts_with(folder));
            owned.extend(text.lines().filter(is_settings).map(str::to_owned));
        }
    }
    Ok(owned)
}

#[cfg(test)]
mod tests;
