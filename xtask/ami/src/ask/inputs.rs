//! The inputs of a build, and the check that they are unchanged when it is resumed.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, bail};
use camino::Utf8PathBuf;
use xtask::grantee::Grantee;

use super::spec::{ReleaseSpec, Visibility};
use crate::{
    event::{
        about::About,
        facts::{Built, Sources},
        step::Step,
    },
    ground::sha256,
    record::{ownership, state::State},
    ship::payload::Payload,
};

/// The SHA-256 of the recipe and the scripts, by path; for an unreadable file, its error.
#[must_use]
pub fn files(spec: &ReleaseSpec) -> BTreeMap<String, String> {
    let sum = |path: &Utf8PathBuf| (path.to_string(), sum_of(path));
    // A promotion runs nothing on a machine.
    let scripts = spec.scripts.all().into_iter().filter(|_| spec.promotes.is_none());
    std::iter::once(&spec.recipe_path).chain(scripts).map(sum).collect()
}

/// The SHA-256 of the files that are installed from the checkout, by path on the image.
///
/// # Errors
/// When a file cannot be read, or cannot be in the payload.
pub fn sources(spec: &ReleaseSpec) -> Result<Sources> {
    let files = &spec.recipe.system(&spec.system_name)?.files;
    Payload::gather(&[], &spec.source.root, files)?.sha256()
}

fn sum_of(path: &Utf8PathBuf) -> String {
    std::fs::read(path).map_or_else(|error| error.to_string(), |bytes| sha256::sha256(&bytes))
}

/// The spec of a resumed build, as it was when the build began. The checkout only has to be unchanged as long as the
/// build still needs something from it.
///
/// # Errors
/// When inputs have changed that the build still needs or has used, with all of them in one message.
pub fn as_it_began(mut spec: ReleaseSpec, state: &State) -> Result<ReleaseSpec> {
    let about = state.about()?;
    spec.version.clone_from(&about.version);
    spec.name.clone_from(&about.name);
    spec.system_name.clone_from(&about.system);
    spec.regions.clone_from(&about.regions);
    spec.build_region.clone_from(&about.build_region);
    spec.promotes = about.promotes.as_deref().cloned();
    spec.visibility = visibility(about, &spec)?;
    let changed = changes(&spec, state, about)?;
    if !changed.is_empty() {
        bail!(
            "cannot resume build {id}: its inputs have changed since it began:\n    {}\nrestore them, or clean the build \
             up: cargo xtask ami clean {id}{}",
            changed.join("\n    "),
            ownership::flags(about),
            id = about.id
        );
    }
    if about.commit_secs.is_some() || about.commit != spec.source.commit {
        spec.source.commit_secs = about.commit_secs;
    }
    spec.source.commit.clone_from(&about.commit);
    spec.source.branch.clone_from(&about.branch);
    spec.source.dirty = about.dirty;
    Ok(spec)
}

fn visibility(about: &About, spec: &ReleaseSpec) -> Result<Visibility> {
    if !about.private {
        return Ok(Visibility::Public);
    }
    let expires = match (about.expires(), &spec.visibility) {
        (Some(expires), _) => expires,
        // A journal of format 1 has it only in the command line.
        (None, Visibility::Private { expires, .. }) => *expires,
        (None, Visibility::Public) => bail!("the journal does not say how long the private image is kept"),
    };
    let grantee = |name: &String| name.parse().map_err(anyhow::Error::msg);
    let shared_with = about.shared_with.iter().map(grantee).collect::<Result<_>>();
    let mut shared_with: Vec<Grantee> = shared_with.context("failed to parse the grantees in the journal")?;
    // Whoever resumes the build may leave grantees out, and may not add any.
    if let Visibility::Private { shared_with: asked, .. } = &spec.visibility {
        shared_with.retain(|grantee| asked.contains(grantee));
    }
    Ok(Visibility::Private { expires, shared_with })
}

/// The inputs that have changed since the build began and that still matter.
fn changes(spec: &ReleaseSpec, state: &State, about: &About) -> Result<Vec<String>> {
    let mut changed = differences(&about.inputs, &files(spec));
    match state.result::<Vec<Built>>(&Step::Binaries)? {
        _ if state.is_sealed() => {}
        Some(built) => {
            let other = built.iter().filter(|binary| sum_of(&binary.path) != binary.sha256);
            changed.extend(other.map(|binary| binary.path.to_string()));
            if let Some(then) = state.result::<Sources>(&Step::Sources)? {
                changed.extend(differences(&then, &sources(spec)?));
            }
        }
        None if about.commit != spec.source.commit => {
            let name = |commit: &Option<String>| commit.clone().unwrap_or_else(|| "none".to_owned());
            changed.push(format!(
                "the commit: it was {}, now it is {}",
                name(&about.commit),
                name(&spec.source.commit)
            ));
        }
        None if spec.source.dirty && !about.dirty => {
            changed.push(format!("uncommitted changes in {}", spec.source.root));
        }
        None => {}
    }
    Ok(changed)
}

/// The names whose values differ, or that are missing on one side.
fn differences(before: &BTreeMap<String, String>, now: &BTreeMap<String, String>) -> Vec<String> {
    let names = before.keys().chain(now.keys().filter(|name| !before.contains_key(*name)));
    names.filter(|name| before.get(*name) != now.get(*name)).cloned().collect()
}
