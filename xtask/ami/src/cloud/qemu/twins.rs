//! Two machines of one image, compared with each other and with the image's disk: what the image has of the machine that
//! it was made on, and what its machines would share although each should have its own.
//!
//! Nothing here knows the files of any program. What machines write when they run is seen on two of them, and what a
//! package brought is known to dpkg. Only [`stay`] is a list, of what may stay, with a reason for each entry.

use std::{collections::BTreeSet, fmt};

use super::inventory::{Inventory, Item};

pub mod stay;

/// Folders in which files are a user's, or a record of what happened.
const PERSONAL: [&str; 8] =
    ["/home/", "/root/", "/var/log/", "/var/mail/", "/var/spool/", "/var/crash/", "/tmp/", "/var/tmp/"];

/// The most of what a file tells that a finding repeats.
const MAX_TELLS: usize = 2;

/// A file that must not be as it is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    /// Its path.
    pub path: String,
    /// What is wrong with it.
    pub why: Why,
}

/// What is wrong with a file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Why {
    /// It is on the image's disk with content, and machines write it when they run.
    Written,
    /// It is on the image's disk, where users' files and records are.
    Personal,
    /// It is the same on the image and both machines, and could identify one.
    Shared(BTreeSet<String>),
    /// Both machines made it, and alike.
    MadeAlike(BTreeSet<String>),
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let first = |tells: &BTreeSet<String>| tells.iter().take(MAX_TELLS).cloned().collect::<Vec<_>>().join("; ");
        let path = &self.path;
        match &self.why {
            Why::Written => write!(f, "{path}: running machines write it, and the image has what the build wrote"),
            Why::Personal => write!(f, "{path}: a user's file or a record, left from the build"),
            Why::Shared(tells) => write!(f, "{path}: the same on all machines of the image ({})", first(tells)),
            Why::MadeAlike(tells) => write!(f, "{path}: each machine makes it, and the same one ({})", first(tells)),
        }
    }
}

/// Compares the image's disk with those of two machines that have run, and were shut down. `payload` has the paths of what
/// was installed.
#[must_use]
pub fn compare(image: &Inventory, machines: [&Inventory; 2], payload: &BTreeSet<String>) -> Vec<Finding> {
    let [one, other] = machines.map(|machine| &machine.items);
    let paths: BTreeSet<&String> = image.items.keys().chain(one.keys()).chain(other.keys()).collect();
    let paths = paths.into_iter().filter(|path| stay::reason(path, payload).is_none());
    let why = |path: &String| fault(path, image.items.get(path), [one.get(path), other.get(path)]);
    paths.filter_map(|path| Some(Finding { path: path.clone(), why: why(path)? })).collect()
}

fn fault(path: &str, image: Option<&Item>, machines: [Option<&Item>; 2]) -> Option<Why> {
    let [one, other] = machines;
    let alike = is_same(one, other);
    let own = image.filter(|item| !item.of_package);
    if let Some(item) = own.filter(|item| item.length > 0) {
        if !alike || !is_same(one, Some(item)) {
            return Some(Why::Written);
        }
        if PERSONAL.iter().any(|folder| path.starts_with(folder)) && !stay::is_skeleton(path) {
            return Some(Why::Personal);
        }
    }
    // Of what is on the image, times of its making are known, too.
    let of_image = own.filter(|_| is_same(image, one));
    let made = of_image.or(one).filter(|item| alike && !item.of_package && !item.tells.is_empty())?;
    let tells = made.tells.clone();
    Some(if of_image.is_some() { Why::Shared(tells) } else { Why::MadeAlike(tells) })
}

/// Whether two files have the same content, or neither exists.
fn is_same(one: Option<&Item>, other: Option<&Item>) -> bool {
    let content = |item: &Item| (item.of_package, item.length, item.digest);
    one.map(content) == other.map(content)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(content: &str, tells: &[&str]) -> Item {
        let mut digest = [0; 32];
        digest[..content.len()].copy_from_slice(content.as_bytes());
        let tells = tells.iter().map(|&tell| tell.to_owned()).collect();
        Item { of_package: false, length: content.len() as u64, digest, tells }
    }

    /// What is found about a file that the image and the two machines have like this.
    fn found(path: &str, image: Option<Item>, machines: [Option<Item>; 2]) -> Vec<Why> {
        let of = |item: Option<Item>| Inventory {
            items: item.into_iter().map(|item| (path.to_owned(), item)).collect(),
            newest_secs: 0,
        };
        let [one, other] = machines.map(of);
        compare(&of(image), [&one, &other], &BTreeSet::new()).into_iter().map(|finding| finding.why).collect()
    }

    #[test]
    fn a_file_is_a_finding_if_it_remembers_or_is_shared() {
        let id = |content| Some(item(content, &["an id"]));
        let plain = |content| Some(item(content, &[]));
        let tells: BTreeSet<String> = ["an id".to_owned()].into();
        // Whatever it is called.
        for path in ["/etc/agent/id", "/var/lib/agent/state.db"] {
            assert_eq!(found(path, id("a"), [id("a"), id("a")]), [Why::Shared(tells.clone())]);
            assert_eq!(found(path, None, [id("a"), id("a")]), [Why::MadeAlike(tells.clone())]);
            assert_eq!(found(path, id("a"), [id("b"), id("b")]), [Why::Written]);
            assert_eq!(found(path, plain("a"), [plain("b"), plain("a")]), [Why::Written]);
            assert_eq!(found(path, plain("a"), [None, plain("a")]), [Why::Written]);
            assert_eq!(found(path, None, [id("a"), id("b")]), []);
            assert_eq!(found(path, plain(""), [id("a"), id("b")]), []);
            assert_eq!(found(path, plain("a"), [plain("a"), plain("a")]), []);
            assert_eq!(found(path, plain(""), [plain("b"), plain("b")]), []);
        }
        assert_eq!(found("/home/debian/.agent_history", plain("a"), [plain("a"), plain("a")]), [Why::Personal]);
        assert_eq!(found("/home/debian/.profile", plain("a"), [plain("a"), plain("a")]), []);
    }

    #[test]
    fn what_a_package_brought_is_none() {
        let brought = || Some(Item { of_package: true, ..item("a", &[]) });
        assert_eq!(found("/etc/agent.conf", brought(), [brought(), brought()]), []);
        let written = Some(item("b", &["an id"]));
        let tells = ["an id".to_owned()].into();
        assert_eq!(found("/etc/agent.conf", brought(), [written.clone(), written]), [Why::MadeAlike(tells)]);
    }

    #[test]
    fn each_entry_of_the_list_has_a_reason_and_stands_for_something() {
        let mut seen = BTreeSet::new();
        for (pattern, reason) in stay::MAY_STAY {
            assert!(pattern.starts_with(['/', '*']) && seen.insert(pattern), "{pattern}");
            assert!(reason.len() > 15, "{pattern}: {reason}");
        }
        for path in ["/etc/machine-id", "/etc/ssh/ssh_host_rsa_key", "/var/log/wtmp", "/root/.bash_history"] {
            assert_eq!(stay::reason(path, &BTreeSet::new()), None, "{path}");
        }
        let payload = stay::payload(br#"{"sha256": {"/usr/bin/machida": "00"}}"#).expect("a manifest");
        let may_stay = |path| stay::reason(path, &payload).is_some();
        assert!(may_stay("/var/lib/dpkg/info/x.md5sums") && !may_stay("/etc/passwd-"));
        assert!(may_stay("/var/lib/dpkg/status") && !may_stay("/var/lib/dpkg/status-old"));
        assert!(!may_stay("/var/lib/dpkg/diversions-old") && !may_stay("/var/backups/dpkg.status.0"));
        assert!(may_stay("/usr/bin/machida") && !may_stay("/usr/bin/other"));
    }
}
