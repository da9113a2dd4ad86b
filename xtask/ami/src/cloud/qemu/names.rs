//! What the sources of an apt call the recipe's packages.

use anyhow::{Result, bail};

use super::debs::Apt;
use crate::{
    elf::facts::Facts,
    ground::process,
    recipe::{Package, is_of_library},
};

impl Apt {
    /// The names of the recipe's packages, which are added to the facts with those of optional ones that there are not.
    pub(super) async fn name(&self, facts: &mut Facts, packages: &[Package]) -> Result<Vec<String>> {
        let mut names = Vec::new();
        for package in packages {
            match self.name_of(package).await? {
                Some(name) => {
                    if package.development.is_some() {
                        facts.names.insert(package.name.clone(), name.clone());
                    }
                    names.push(name);
                }
                None if package.optional.is_some() => drop(facts.absent.insert(package.name.clone())),
                None => bail!("no package of these sources is {}", package.shown()),
            }
        }
        Ok(names)
    }

    /// What the sources call a package; `None` when they have none.
    async fn name_of(&self, package: &Package) -> Result<Option<String>> {
        let mut command = self.command("apt-cache");
        match &package.development {
            // A name that other packages only stand for is printed in angle brackets.
            Some(development) => command.args(["depends", "--recurse", "--important", "--", development]),
            None => command.args(["pkgnames", "--", &package.name]),
        };
        let printed = process::output(&format!("asking apt for {}", package.shown()), command).await;
        let printed = match printed {
            Err(_) if package.development.is_some() => String::new(),
            printed => printed?,
        };
        let is_it = |name: &&str| match package.development {
            Some(_) => is_of_library(&package.name, name),
            None => *name == package.name,
        };
        Ok(printed.lines().find(is_it).map(str::to_owned))
    }
}
