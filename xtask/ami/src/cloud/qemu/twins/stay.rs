//! What of a system's own files may be the same on all machines of an image, and why.

/// Paths, and why they may stay. A `*` stands for anything.
pub const MAY_STAY: [(&str, &str); 3] = [
    ("/var/lib/dpkg/*", "dpkg's record of packages, and the same for the same packages"),
    ("/etc/ssl/certs/ca-certificates.crt", "the certificates of the package ca-certificates in one file"),
    ("*/__pycache__/*", "compiled from files of packages"),
];

/// The files that a user's home begins with, as adduser copies them from /etc/skel.
const SKELETON: [&str; 4] = [".bashrc", ".bash_logout", ".profile", ".zshrc"];

/// Why a path may stay; none when it may not.
#[must_use]
pub fn reason(path: &str) -> Option<&'static str> {
    MAY_STAY.iter().find(|(pattern, _)| matches(pattern, path)).map(|(_, reason)| *reason)
}

/// Whether a file is one that a home begins with.
#[must_use]
pub fn is_skeleton(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or_default();
    SKELETON.contains(&name)
}

fn matches(pattern: &str, path: &str) -> bool {
    let Some((begin, rest)) = pattern.split_once('*') else { return pattern == path };
    let Some(mut left) = path.strip_prefix(begin) else { return false };
    let parts: Vec<&str> = rest.split('*').collect();
    let Some((last, between)) = parts.split_last() else { return true };
    for part in between {
        let Some((_, after)) = left.split_once(part) else { return false };
        left = after;
    }
    left.ends_with(last)
}
