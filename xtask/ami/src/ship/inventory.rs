//! The packages that a machine has, as dpkg lists them.

use anyhow::{Context as _, Result, bail};

use crate::event::facts::{Upgrade, Upgrades};

/// Lists the packages of a machine, then, after an empty line, those that its base had before provision.sh.
pub const QUERY: &str = "dpkg-query -W -f '${db:Status-Abbrev}\\t${Package}\\t${Architecture}\\t${Version}\\t\
                         ${source:Package}\\t${source:Version}\\n' && echo && \
                         { cat /run/wallaroo-base-packages 2> /dev/null || true; }";

/// A package that is installed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Package {
    /// Its name.
    pub name: String,
    /// Its architecture, such as `amd64` or `all`.
    pub architecture: String,
    /// Its version.
    pub version: String,
    /// The source package that it was built from.
    pub source: String,
    /// The version of the source package.
    pub source_version: String,
}

/// What [`QUERY`] printed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Inventory {
    /// What is installed, sorted.
    pub packages: Vec<Package>,
    /// The base's packages that have another version now.
    pub upgraded: Upgrades,
}

impl Inventory {
    /// Parses what [`QUERY`] printed.
    ///
    /// # Errors
    /// When a line is not as dpkg-query prints it.
    pub fn parse(printed: &str) -> Result<Inventory> {
        let (now, before) = printed.split_once("\n\n").unwrap_or((printed, ""));
        let mut packages = Vec::new();
        for line in now.lines().filter(|line| !line.is_empty()) {
            let fields: Vec<&str> = line.split('\t').collect();
            let [state, name, architecture, version, source, source_version] = fields[..] else {
                bail!("dpkg-query printed a line that is no package: {line}");
            };
            if is_installed(state) {
                let [name, architecture, version, source, source_version] =
                    [name, architecture, version, source, source_version].map(str::to_owned);
                packages.push(Package { name, architecture, version, source, source_version });
            }
        }
        packages.sort();
        let mut upgraded = Upgrades::new();
        for line in before.lines().filter(|line| !line.is_empty()) {
            let fields: Vec<&str> = line.split('\t').collect();
            let [state, name, architecture, from] = fields[..] else {
                bail!("provision.sh noted a line that is no package of the base: {line}");
            };
            let now = packages.iter().find(|package| package.name == name && package.architecture == architecture);
            if let Some(now) = now.filter(|now| is_installed(state) && now.version != from) {
                upgraded.insert(name.to_owned(), Upgrade { from: from.to_owned(), to: now.version.clone() });
            }
        }
        Ok(Inventory { packages, upgraded })
    }

    /// The version of each package that `is_wanted` by its name.
    pub fn versions(&self, is_wanted: impl Fn(&str) -> bool) -> std::collections::BTreeMap<String, String> {
        let wanted = self.packages.iter().filter(|package| is_wanted(&package.name));
        wanted.map(|package| (package.name.clone(), package.version.clone())).collect()
    }
}

/// Whether dpkg's abbreviation says so, such as `ii ` or, for a package on hold, `hi `.
fn is_installed(state: &str) -> bool {
    state.chars().nth(1) == Some('i')
}

/// The name and the version number of a system, as the recipe calls it: `debian-13`.
///
/// # Errors
/// When it has no version.
pub fn distribution(system: &str) -> Result<(&str, &str)> {
    system.rsplit_once('-').with_context(|| format!("the system `{system}` has no version in its name"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ground::untrusted::{check, text};

    const PRINTED: &str = "ii \tlibc6\tamd64\t2.41-12\tglibc\t2.41-12\nhi \tapt\tamd64\t3.0.3\tapt\t3.0.3\n\
                           rc \told\tamd64\t1\told\t1\n\nii \tlibc6\tamd64\t2.41-11\nii \tapt\tamd64\t3.0.3\n\
                           ii \tgone\tall\t1\nrc \told\tamd64\t0\n";

    #[test]
    fn what_is_installed_and_what_of_the_base_has_another_version() {
        let inventory = Inventory::parse(PRINTED).expect("an inventory");
        let names: Vec<&str> = inventory.packages.iter().map(|package| package.name.as_str()).collect();
        assert_eq!(names, ["apt", "libc6"]);
        assert_eq!(inventory.packages[1].source, "glibc");
        let upgrade = Upgrade { from: "2.41-11".to_owned(), to: "2.41-12".to_owned() };
        assert_eq!(inventory.upgraded, Upgrades::from([("libc6".to_owned(), upgrade)]));
        assert_eq!(inventory.versions(|name| name == "apt")["apt"], "3.0.3");
    }

    #[test]
    fn what_is_no_list_of_packages_is_refused() {
        for printed in ["dpkg-query: no packages\n", "ii \tlibc6\tamd64\t1\tglibc\t1\n\nlibc6 1\n"] {
            Inventory::parse(printed).expect_err(printed);
        }
        assert_eq!(Inventory::parse("\n").expect("none"), Inventory::default());
    }

    #[test]
    fn whatever_dpkg_lists_each_version_belongs_to_the_name_before_it() {
        check(1000, text(PRINTED), |printed| {
            for package in Inventory::parse(&printed).map(|it| it.packages).unwrap_or_default() {
                let Package { name, architecture, version, .. } = package;
                assert!(printed.contains(&format!("{name}\t{architecture}\t{version}\t")), "{printed:?}");
            }
        });
    }
}
