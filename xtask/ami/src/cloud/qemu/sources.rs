//! The package sources of this computer's apt, so that the base is made from the same mirror.

use anyhow::{Context as _, Result};
use nix::sys::signal::Signal;

use super::programs;
use crate::{ground::process, recipe};

/// Debian's archive keys, from the package debian-archive-keyring, which Ubuntu has, too.
pub const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// A suite on a mirror.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Source {
    mirror: String,
    suite: String,
}

/// A list of package sources.
#[derive(Clone, Debug, Default)]
pub struct Sources(Vec<Source>);

impl Sources {
    /// The sources of this computer's apt; empty without apt.
    ///
    /// # Errors
    /// When apt fails to read its sources.
    pub async fn of_this_computer() -> Result<Sources> {
        let Some(apt) = programs::find("apt-get") else { return Ok(Sources::default()) };
        let mut command = process::command(apt, Signal::SIGKILL);
        // apt parses both formats of its source files, with all options.
        let format = "$(REPO_URI)|$(RELEASE)|$(COMPONENT)";
        command.args(["indextargets", "--format", format, "Created-By: Packages"]);
        Ok(Sources::parse(&process::output("asking apt for its sources", command).await?))
    }

    fn parse(answer: &str) -> Sources {
        let mut sources = Vec::new();
        for line in answer.lines() {
            let mut fields = line.split('|');
            let (Some(mirror), Some(suite), Some("main")) = (fields.next(), fields.next(), fields.next()) else {
                continue;
            };
            // A virtual machine can't reach sources in files of this computer.
            let remote = mirror.starts_with("http://") || mirror.starts_with("https://");
            // With more than one word it would have another meaning in a sources.list, or in a shell's quotes.
            if !remote || !recipe::is_url(mirror) || !recipe::is_plain_name(suite) {
                continue;
            }
            let mirror = mirror.trim_end_matches('/').to_owned();
            let source = Source { mirror, suite: suite.to_owned() };
            if !sources.contains(&source) {
                sources.push(source);
            }
        }
        Sources(sources)
    }

    /// The lines of a sources.list for a suite with its updates.
    ///
    /// # Errors
    /// When none of the sources has the suite.
    pub fn with_updates(&self, suite: &str) -> Result<Vec<String>> {
        self.mirror(suite)?;
        let wanted = [suite.to_owned(), format!("{suite}-updates"), format!("{suite}-security")];
        Ok(self.0.iter().filter(|source| wanted.contains(&source.suite)).map(Source::line).collect())
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
        let source = self.0.iter().find(|source| source.suite == suite);
        source.map(|source| source.mirror.as_str()).with_context(|| {
            format!(
                "this computer's apt has no source of Debian's {suite}: add one to /etc/apt/sources.list.d, or set \
                 local_base.mirror in ami.toml to a Debian mirror (the folder that contains dists/{suite})"
            )
        })
    }

    /// Adds a mirror for a suite with its updates.
    #[must_use]
    pub fn and_mirror(mut self, mirror: &str, suite: &str) -> Sources {
        let mirror = mirror.trim_end_matches('/').to_owned();
        let suites = [suite.to_owned(), format!("{suite}-updates")];
        self.0.extend(suites.map(|suite| Source { mirror: mirror.clone(), suite }));
        self
    }
}

impl Source {
    fn line(&self) -> String {
        format!("deb [signed-by={KEYRING}] {} {} main", self.mirror, self.suite)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ground::untrusted::{check, text};

    #[test]
    fn the_mirror_of_this_computer_is_used() {
        let sources = Sources::parse(
            "http://mirror.example/debian/|bookworm|main\n\
             http://mirror.example/debian/|bookworm|contrib\n\
             http://mirror.example/debian/|bookworm|main\n\
             file:/srv/debian/|bookworm-updates|main\n\
             https://security.example/debian-security|bookworm-security|main\n\
             https://elsewhere.example/node|nodistro|main\n",
        );
        let line = |mirror: &str, suite: &str| format!("deb [signed-by={KEYRING}] {mirror} {suite} main");
        let own = line("http://mirror.example/debian", "bookworm");
        let security = line("https://security.example/debian-security", "bookworm-security");
        assert_eq!(sources.with_updates("bookworm").expect("sources"), [own.clone(), security.clone()]);
        let backports = line("http://mirror.example/debian", "bookworm-backports");
        assert_eq!(sources.with_backports("bookworm").expect("sources"), [own, security, backports]);
    }

    #[test]
    fn a_source_that_is_not_one_word_is_skipped() {
        let sources = Sources::parse(
            "http://mirror.example/debian [trusted=yes]|bookworm|main\n\
             http://mirror.example/'; reboot; '|bookworm|main\n\
             http://mirror.example/debian|bookworm main|main\n\
             http://mirror.example/debian|bookworm|main\n",
        );
        let only = format!("deb [signed-by={KEYRING}] http://mirror.example/debian bookworm main");
        assert_eq!(sources.with_updates("bookworm").expect("a source"), [only]);
    }

    #[test]
    fn any_output_of_apt_gives_lines_of_five_words_without_quotes() {
        let answer = "http://mirror.example/debian/|bookworm|main\n\
                      https://security.example/debian-security|bookworm-security|main\n\
                      http://mirror.example/debian/|bookworm-updates|main\n";
        check(1000, text(answer), |answer| {
            for line in Sources::parse(&answer).with_backports("bookworm").unwrap_or_default() {
                assert!(line.split(' ').count() == 5 && !line.contains(['\'', '\\']), "{line:?}");
                assert!(!line.contains(char::is_control), "{line:?}");
            }
        });
    }

    #[test]
    fn a_missing_suite_is_an_error_unless_the_recipe_has_a_mirror() {
        let none = Sources::default();
        let error = none.with_updates("trixie").expect_err("no source").to_string();
        assert!(error.contains("has no source of Debian's trixie") && error.contains("local_base.mirror"), "{error}");
        let lines = none.and_mirror("http://mirror.example/debian/", "trixie").with_updates("trixie").expect("sources");
        let line = |suite: &str| format!("deb [signed-by={KEYRING}] http://mirror.example/debian {suite} main");
        assert_eq!(lines, [line("trixie"), line("trixie-updates")]);
    }
}
