//! The package sources of a suite of Ubuntu, for what packages bring to a base of it.

use anyhow::{Result, bail};
use camino::Utf8Path;

/// Ubuntu's archive keys, from the package ubuntu-archive-keyring of Debian, or ubuntu-keyring of Ubuntu.
const KEYRING: &str = "/usr/share/keyrings/ubuntu-archive-keyring.gpg";

/// Where its packages are, for a message.
pub const MIRROR: &str = "http://archive.ubuntu.com/ubuntu";

/// Whether a system of the recipe is one of Ubuntu.
#[must_use]
pub fn is_ubuntu(system: &str) -> bool {
    system.starts_with("ubuntu-")
}

/// The lines of a sources.list for a suite with its updates. Its security updates are on the same mirror, unless another is
/// named, or `none`.
///
/// # Errors
/// When no mirror is named, or this computer lacks Ubuntu's keys.
pub fn lines(
    suite: &str,
    mirror: Option<&str>,
    security: Option<&str>,
    check_valid_until: bool,
) -> Result<Vec<String>> {
    let Some(mirror) = mirror else {
        bail!("the packages of Ubuntu's {suite} are on no mirror of Debian: give one of Ubuntu with --mirror {MIRROR}");
    };
    if !Utf8Path::new(KEYRING).is_file() {
        bail!(
            "this computer lacks {KEYRING}, the keys of Ubuntu's packages: install the package ubuntu-archive-keyring of Debian, or ubuntu-keyring of Ubuntu"
        );
    }
    Ok(of_mirror(suite, mirror, security, check_valid_until))
}

fn of_mirror(suite: &str, mirror: &str, security: Option<&str>, check_valid_until: bool) -> Vec<String> {
    let security = Some(security.unwrap_or(mirror)).filter(|mirror| *mirror != crate::recipe::NO_MIRROR);
    let unchecked = if check_valid_until { "" } else { " check-valid-until=no" };
    let suites = [(Some(mirror), ""), (Some(mirror), "-updates"), (security, "-security")];
    let line = |(mirror, part): (Option<&str>, &str)| {
        let mirror = mirror?.trim_end_matches('/');
        // Some of the packages, such as cpuset, are in universe.
        Some(format!("deb [signed-by={KEYRING}{unchecked}] {mirror} {suite}{part} main universe"))
    };
    suites.into_iter().filter_map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_suite_comes_with_its_updates_and_with_security_updates_from_the_same_mirror_unless_another_is_named() {
        let line = |mirror: &str, suite: &str| format!("deb [signed-by={KEYRING}] {mirror} {suite} main universe");
        let of = |security| of_mirror("noble", "http://m.example/ubuntu/", security, true);
        let own = ["noble", "noble-updates"].map(|suite| line("http://m.example/ubuntu", suite));
        assert_eq!(of(Some("none")), own);
        assert_eq!(of(None)[2..], [line("http://m.example/ubuntu", "noble-security")]);
        assert_eq!(of(Some("http://s.example/x"))[2..], [line("http://s.example/x", "noble-security")]);
        assert!(of_mirror("noble", MIRROR, None, false)[0].contains(".gpg check-valid-until=no] "));
    }

    #[test]
    fn without_a_mirror_it_is_said_what_to_give() {
        let error = lines("noble", None, None, true).expect_err("no mirror").to_string();
        assert!(error.ends_with("--mirror http://archive.ubuntu.com/ubuntu"), "{error}");
    }
}
