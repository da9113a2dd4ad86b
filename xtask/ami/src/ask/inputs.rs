//! What a build is made of, and whether that is still the same when somebody goes on with it.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, anyhow, bail};
use camino::Utf8PathBuf;
use serde::de::DeserializeOwned;
use xtask::region::Region;

use super::spec::{ReleaseSpec, Scripts};
use crate::{
    record::journal::History,
    ship::{binaries::Built, payload::Payload, sha256},
    story::bake,
};

/// The SHA-256 of files, by their places on the image.
pub type Sources = BTreeMap<String, String>;

/// The SHA-256 of the recipe and the scripts. One that can't be read has nothing in common with one that can.
pub fn files(order: &ReleaseSpec) -> BTreeMap<String, String> {
    let Scripts { provision, seal, check } = &order.scripts;
    let sum = |path: &Utf8PathBuf| (path.to_string(), sum_of(path));
    [&order.recipe_path, provision, seal, check].into_iter().map(sum).collect()
}

/// The SHA-256 of the files that go from the checkout to the image as they are, by their places there.
///
/// # Errors
/// When one can't be read, or must not be on an image.
pub fn sources(order: &ReleaseSpec) -> Result<Sources> {
    let files = &order.recipe.system(&order.system_name)?.files;
    Payload::gather(&[], &order.source.root, files)?.sha256()
}

fn sum_of(path: &Utf8PathBuf) -> String {
    std::fs::read(path).map_or_else(|error| error.to_string(), |bytes| sha256::sha256(&bytes))
}

/// The order as it was when the build began. What is in the checkout now matters as far as something of it is still to
/// go on the image.
///
/// # Errors
/// When something has changed that has gone on the image already, or says how to make it: all of it in one message.
pub fn as_it_began(mut order: ReleaseSpec, id: &str, history: &History) -> Result<ReleaseSpec> {
    order.system_name = history.text("system").to_owned();
    let region = |name: &str| name.parse::<Region>().map_err(|error| anyhow!(error));
    order.regions = told::<Vec<String>>(history, "regions")?.iter().map(|name| region(name)).collect::<Result<_>>()?;
    order.build_region = region(history.text("build_region"))?;
    let mut changed = differences(&told(history, "inputs")?, &files(&order));
    let (commit, dirty) = (told::<Option<String>>(history, "commit")?, told::<bool>(history, "dirty")?);
    match history.result::<Vec<Built>>("binaries")? {
        _ if bake::is_sealed(history) => {}
        Some(built) => {
            let other = built.iter().filter(|binary| sum_of(&binary.path) != binary.sha256);
            changed.extend(other.map(|binary| binary.path.to_string()));
            if let Some(then) = history.result::<Sources>("sources")? {
                changed.extend(differences(&then, &sources(&order)?));
            }
        }
        None if commit != order.source.commit => {
            let now = order.source.commit.as_deref().unwrap_or("none");
            changed.push(format!("the commit, which was {} and is {now}", commit.as_deref().unwrap_or("none")));
        }
        None if order.source.dirty && !dirty => {
            changed.push(format!("files in {}, which are not committed", order.source.root));
        }
        None => {}
    }
    if !changed.is_empty() {
        let flag = if order.local { " --local" } else { "" };
        bail!(
            "these have changed since the build {id} began, and what was made then is not to be mixed with what would be \
             made now:\n    {}\nbring them back, or remove what there is: cargo xtask ami clean {id}{flag}",
            changed.join("\n    ")
        );
    }
    order.source.commit = commit;
    order.source.branch = told(history, "branch")?;
    order.source.dirty = dirty;
    Ok(order)
}

/// Fails when files that go to the image as they are have changed in the checkout since the binaries were built.
///
/// # Errors
/// Then, with their places on the image.
pub fn expect_sources(order: &ReleaseSpec, then: &Sources) -> Result<()> {
    let changed = differences(then, &sources(order)?);
    if !changed.is_empty() {
        bail!("these have changed in {} since the binaries were built: {}", order.source.root, changed.join(", "));
    }
    Ok(())
}

fn told<T: DeserializeOwned>(history: &History, what: &str) -> Result<T> {
    T::deserialize(&history.about[what]).with_context(|| format!("its journal doesn't tell the {what} of the build"))
}

/// The names that don't stand for the same any more.
fn differences(before: &BTreeMap<String, String>, now: &BTreeMap<String, String>) -> Vec<String> {
    let names = before.keys().chain(now.keys().filter(|name| !before.contains_key(*name)));
    names.filter(|name| before.get(*name) != now.get(*name)).cloned().collect()
}
