//! What a mirror of packages lacks, by what apt says.

use std::fmt;

/// What a mirror lacks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// A file of its own lists: the address.
    Gone(String),
    /// Lists of today: the address of its Release file.
    Expired(String),
    /// A suite: what apt says about it.
    NoSuite(String),
}

impl Trouble {
    /// What stopped apt, by its output. What is said first is the cause of the rest.
    #[must_use]
    pub fn of(output: &str) -> Option<Trouble> {
        let told = output.lines().filter_map(|line| line.trim_start().strip_prefix("E: "));
        told.filter_map(Trouble::of_line).next()
    }

    fn of_line(line: &str) -> Option<Trouble> {
        // Release file for URL is expired (invalid since 21d 2h). Updates for this repository will not be applied.
        if let Some((url, _)) =
            line.strip_prefix("Release file for ").and_then(|rest| rest.split_once(" is expired (invalid since"))
        {
            return Some(Trouble::Expired(url.to_owned()));
        }
        if let Some((source, _)) = line
            .strip_prefix("The repository '")
            .and_then(|rest| rest.split_once("' does not have a Release file").or(rest.split_once("' no longer has")))
        {
            return Some(Trouble::NoSuite(source.to_owned()));
        }
        // Failed to fetch URL  404  Not Found [IP: …]
        let (url, why) = line.strip_prefix("Failed to fetch ")?.split_once(' ')?;
        let is_gone = ["404 ", "410 ", "Hash Sum mismatch", "File not found", "File has unexpected size"];
        is_gone.iter().any(|words| why.trim_start().starts_with(words)).then(|| Trouble::Gone(url.to_owned()))
    }

    /// Whether lists that are fetched anew may help: the mirror may have been changing.
    #[must_use]
    pub fn may_pass(&self) -> bool {
        matches!(self, Trouble::Gone(_))
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Trouble::Gone(url) => write!(
                f,
                "the mirror lists {url}, but does not have it as listed: it is incomplete, or is being updated. Try later, \
                 set local_base.mirror in ami.toml to another, or, if only its security updates lack files, \
                 local_base.security_mirror"
            ),
            Trouble::Expired(url) => write!(
                f,
                "{url} has expired: the mirror is no longer updated. Set local_base.mirror in ami.toml to another, or, to \
                 take the packages as they were, local_base.check_valid_until to false"
            ),
            Trouble::NoSuite(source) => write!(
                f,
                "the mirror has no `{source}`: set local_base.mirror in ami.toml to one that has it, and \
                 local_base.security_mirror to that of its security updates, or to \"none\" for an image without them"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_apt_says_is_told_by_its_cause() {
        for (output, trouble) in [
            (
                "Err:1 http://m.example/debian bookworm/main amd64 numactl\n  404  Not Found [IP: ::1 80]\n\
                 E: Failed to fetch http://m.example/debian/pool/numactl.deb  404  Not Found [IP: ::1 80]\n\
                 E: Unable to fetch some archives, maybe run apt-get update or try with --fix-missing?\n",
                Some(Trouble::Gone("http://m.example/debian/pool/numactl.deb".to_owned())),
            ),
            (
                "E: Failed to fetch http://m.example/a.deb  Hash Sum mismatch\n",
                Some(Trouble::Gone("http://m.example/a.deb".to_owned())),
            ),
            (
                "E: Release file for http://m.example/debian/dists/forky/InRelease is expired (invalid since 21d 2h 3min \
                 9s). Updates for this repository will not be applied.\n",
                Some(Trouble::Expired("http://m.example/debian/dists/forky/InRelease".to_owned())),
            ),
            (
                "E: The repository 'http://m.example/debian-security trixie-security Release' does not have a Release \
                 file.\n",
                Some(Trouble::NoSuite("http://m.example/debian-security trixie-security Release".to_owned())),
            ),
            ("E: Failed to fetch http://m.example/a.deb  Could not resolve 'm.example'\n", None),
            ("dpkg: error processing package numactl\nE: Sub-process /usr/bin/dpkg returned an error code (1)\n", None),
        ] {
            assert_eq!(Trouble::of(output), trouble, "{output}");
        }
    }
}
