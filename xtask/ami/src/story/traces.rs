//! Traces of the machine that an image was made on, and credentials, in the content of the image's files.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result};
use memchr::memmem::Finder;
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

/// Files and folders of credentials, wherever they are, in which programs keep them for a user: the same as unwanted.sh has.
/// A `*` at the end stands for any end of the name.
const CREDENTIAL_FILES: [&str; 37] = [
    ".aws",
    ".azure",
    ".boto",
    ".databrickscfg",
    ".docker",
    ".git-credentials",
    ".gnupg",
    ".kaggle",
    ".kube",
    ".my.cnf",
    ".mylogin.cnf",
    ".netrc",
    ".npmrc",
    ".oci",
    ".pgpass",
    ".pypirc",
    ".s3cfg",
    ".terraformrc",
    ".vault-token",
    ".bundle/config",
    ".cache/huggingface/token",
    ".cargo/credentials*",
    ".composer/auth.json",
    ".config/containers/auth.json",
    ".config/doctl",
    ".config/gcloud",
    ".config/gh",
    ".config/git/credentials",
    ".config/glab-cli",
    ".config/hcloud",
    ".config/hub",
    ".config/op",
    ".config/pip",
    ".config/rclone",
    ".gem/credentials",
    ".pip",
    ".terraform.d/credentials.tfrc.json",
];

/// Whether a path is that of a file in which a program keeps credentials.
#[must_use]
pub fn is_credential_file(path: &str) -> bool {
    let is_of = |name: &str| match name.strip_suffix('*') {
        Some(begin) => path.contains(&format!("/{begin}")),
        None => path.ends_with(&format!("/{name}")) || path.contains(&format!("/{name}/")),
    };
    CREDENTIAL_FILES.into_iter().any(is_of)
}

/// A kind of credential.
struct Credential {
    kind: &'static str,
    /// One of these is in each. It is looked for first, because that is fast, and an expression is not.
    hints: &'static [&'static str],
    /// What a text with one looks like.
    expression: &'static str,
}

/// What no file may contain: the same as seal.sh looks for before the disk is closed.
const CREDENTIALS: [Credential; 11] = [
    Credential {
        kind: "private key",
        hints: &["PRIVATE KEY", "PuTTY-User-Key-File-", "AGE-SECRET-KEY-1"],
        expression: r"-----BEGIN ([A-Z0-9]+ )*PRIVATE KEY( BLOCK)?-----|PuTTY-User-Key-File-|AGE-SECRET-KEY-1",
    },
    Credential {
        kind: "private key",
        hints: &["PrivateKey", "PresharedKey"],
        expression: r"(?m)^[ \t]*(PrivateKey|PresharedKey)[ \t]*=[ \t]*[A-Za-z0-9+/]{43}=",
    },
    Credential {
        kind: "password in a URL",
        hints: &["://"],
        expression: r#"(?m)^[^#;\n]*[A-Za-z][A-Za-z0-9+.-]*://[^\s/:@%"<>{}$*\[\]]+:[^\s/@"<>{}$*\[\]]+@"#,
    },
    Credential {
        kind: "AWS access key",
        hints: &["AKIA", "ASIA"],
        expression: r"(^|[^A-Za-z0-9])(AKIA|ASIA)[A-Z0-9]{16}([^A-Za-z0-9]|$)",
    },
    Credential {
        kind: "AWS secret key",
        hints: &["aws_secret_access_key", "aws_session_token"],
        expression: r#"aws_(secret_access_key|session_token)[" ]*[=:][" ]*[A-Za-z0-9+/]{16}"#,
    },
    Credential {
        kind: "token",
        hints: &["gho_", "ghp_", "ghs_", "ghu_", "ghr_", "github_pat_", "glpat-"],
        expression: r"(^|[^A-Za-z0-9])(gh[opsur]_[A-Za-z0-9]{36}|github_pat_[A-Za-z0-9_]{22}|glpat-[A-Za-z0-9_-]{20})",
    },
    Credential {
        kind: "token",
        hints: &["xoxa-", "xoxb-", "xoxr-", "xoxp-", "xoxs-", "hvs.", "AIza"],
        expression: r"(^|[^A-Za-z0-9])(xox[abprs]-[A-Za-z0-9-]{10}|hvs\.[A-Za-z0-9_-]{20}|AIza[A-Za-z0-9_-]{35})",
    },
    Credential {
        kind: "registry token",
        hints: &["_auth", "\"auth\"", "\"identitytoken\"", "dckr_pat_", "npm_", "pypi-AgE"],
        expression: concat!(
            r"(^|[^A-Za-z0-9])_auth(Token)?[ \t]*=|(^|[^A-Za-z0-9])(dckr_pat_|npm_|pypi-AgE)[A-Za-z0-9_-]{20}",
            r#"|"(auth|identitytoken)"\s*:\s*"[A-Za-z0-9+/]{8}"#,
        ),
    },
    Credential {
        kind: "netrc",
        hints: &["machine", "default"],
        expression: r"(?m)^[ \t]*(machine[ \t]+\S+|default)[ \t]+login[ \t]",
    },
    Credential {
        kind: "machine token",
        hints: &["machineToken", "contractToken"],
        expression: r#""(machineToken|contractToken)"\s*:\s*"[^"]"#,
    },
    Credential {
        kind: "password hash",
        hints: &["$1$", "$apr1$", "$5$", "$6$", "$2", "$y$", "$gy$", "$7$"],
        expression: PASSWORD_HASH,
    },
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

/// Something to look for in texts.
struct Sought<'a> {
    kind: &'a str,
    /// One of these is in each text that has it; where there are none, any text may.
    hints: Vec<Finder<'a>>,
    expression: Regex,
}

impl Sought<'_> {
    fn credentials() -> Result<Vec<Sought<'static>>> {
        let sought = |credential: &Credential| {
            let hints = credential.hints.iter().map(|hint| Finder::new(*hint)).collect();
            Ok(Sought { kind: credential.kind, hints, expression: compiled(credential.expression)? })
        };
        CREDENTIALS.iter().map(sought).collect()
    }

    fn is_in(&self, text: &str) -> bool {
        let may_be = self.hints.is_empty() || self.hints.iter().any(|hint| hint.find(text.as_bytes()).is_some());
        may_be && self.expression.is_match(text)
    }
}

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
    let marks = marks.map(|(value, kind)| {
        anyhow::Ok(Sought { kind, hints: Vec::new(), expression: compiled(&expression(kind, value))? })
    });
    let marks: Vec<Sought<'_>> = marks.collect::<Result<_>>()?;
    let credentials = Sought::credentials()?;
    let of_packages = files_of_packages(disk)?;
    let (mut naming, mut secret) = (Vec::new(), Vec::new());
    for folder in FOLDERS {
        for (path, size) in disk.files(folder)? {
            if size == 0 || size > MAX_BYTES || OF_PACKAGES.iter().any(|folder| path.starts_with(folder)) {
                continue;
            }
            let Some(bytes) = disk.read(&path)? else { continue };
            let text = String::from_utf8_lossy(&bytes);
            let kinds = |all: &[Sought<'_>]| {
                let found = all.iter().filter(|sought| sought.is_in(&text));
                let kinds: BTreeSet<String> = found.map(|sought| format!("{path} ({})", sought.kind)).collect();
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
