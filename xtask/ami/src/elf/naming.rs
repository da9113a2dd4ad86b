//! What a system calls the recipe's packages.

use camino::Utf8Path;

use super::facts::Facts;
use crate::recipe::{Package, Recipe};

/// Gives the recipe's packages the names that they have on each system, by its facts, and leaves out those that it has
/// not. Facts with faults say nothing here: they are refused where the system is used.
pub fn name_packages(recipe: &mut Recipe, folders: &[impl AsRef<Utf8Path>]) {
    for (name, system) in &mut recipe.systems {
        let Ok(Some(facts)) = Facts::find(folders, name) else { continue };
        for package in &mut system.packages {
            package.known = facts.name_of(package).filter(|_| package.development.is_some()).map(str::to_owned);
        }
        let is_left_out = |package: &Package| package.optional.is_some() && facts.absent.contains(&package.name);
        let (left_out, packages) = std::mem::take(&mut system.packages).into_iter().partition(is_left_out);
        (system.left_out, system.packages) = (left_out, packages);
    }
}

impl Facts {
    /// What the system calls a package; `None` when that is not known.
    #[must_use]
    pub fn name_of<'a>(&'a self, package: &'a Package) -> Option<&'a str> {
        match package.development {
            Some(_) => self.names.get(&package.name).map(String::as_str),
            None => Some(&package.name),
        }
    }

    /// Whether it is known what these packages bring.
    #[must_use]
    pub fn know(&self, packages: &[Package]) -> bool {
        let is_known = |package: &Package| {
            self.absent.contains(&package.name)
                || self.name_of(package).is_some_and(|name| self.brings.contains_key(name))
        };
        packages.iter().all(is_known)
    }
}

#[cfg(test)]
mod tests {
    use crate::fixture::recipe;

    #[test]
    fn every_package_of_the_recipe_has_a_name_on_each_system_of_which_facts_were_read() {
        let words = |system: &str| {
            let packages = recipe().systems[system].packages.clone();
            packages.iter().map(|package| package.word()).collect::<Vec<_>>()
        };
        let debian_13 = words("debian-13");
        for word in ["libssl3t64=libssl:libssl-dev", "libpython3.13=libpython:libpython3-dev", "python3", "cpuset?"] {
            assert!(debian_13.iter().any(|other| other == word), "{word}: {debian_13:?}");
        }
        assert!(words("ubuntu-16.04").iter().any(|word| word == "libpython2.7=libpython:libpython-dev"));
        // Nothing is made up where it was not read: the machine looks it up.
        assert!(words("ubuntu-26.04").iter().any(|word| word == "libpython:libpython3-dev"));
    }
}
