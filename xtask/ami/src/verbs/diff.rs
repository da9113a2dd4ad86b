//! `ami diff`: what changed from one image to another.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::anyhow;
use xtask::{
    cli::{CommonFlags, DiffFlags, DiffFormat},
    region::Region,
};

use super::{App, used};
use crate::{
    catalogue::{
        Catalogue, Entry,
        builds::{self, Made},
    },
    cloud::{Cloud, Image, tags::TAG_BUILD},
    events::Events,
    ground::outcome::Failure,
    recipe::Recipe,
    ship::{manifest::Manifest, sbom},
    show::{
        documents::diff::{Changes, Diff, FORMAT, Scope, Side},
        print,
    },
    state_dir::StateDir,
};
use known::Known;

mod formats;
mod known;
mod records;

pub use records::Records;

/// Prints what changed between the images that the flags name.
///
/// # Errors
/// As [`document`].
pub async fn diff<C: Cloud>(app: &App<'_, C>, flags: &DiffFlags, common: &CommonFlags) -> Result<(), Failure> {
    let App { cloud, checkout, state_dir, events, .. } = *app;
    let records = Records::read(state_dir, common.local).map_err(Failure::Refused)?;
    let diff =
        document(cloud, &checkout.recipe, &used(app).await.map_err(Failure::Refused)?, &records, flags, events).await?;
    let format = if common.json { DiffFormat::Json } else { flags.format };
    let text = formats::text(&diff, format).map_err(Failure::Failed)?;
    print::print(&text).map_err(Failure::Failed)
}

/// What changed between the images that the flags name, as far as this computer's builds, manifests and the cloud know them.
/// A private image is meant by its version only where nothing public has that.
///
/// # Errors
/// When one of them is not known, with the nearest names; when what is known of it cannot be read.
pub async fn document<C: Cloud>(
    cloud: &C,
    recipe: &Recipe,
    used: &BTreeSet<Region>,
    records: &Records,
    flags: &DiffFlags,
    events: &Events,
) -> Result<Diff, Failure> {
    let [from, to] = known_here(records, flags).map_err(Failure::Refused)?;
    let (from, to) = match (from, to) {
        (Some(from), Some(to)) => return Ok(compare(from, to)),
        others => others,
    };
    let looked = Catalogue::look(cloud, recipe, used, events).await.map_err(Failure::Failed)?;
    let find = async |given: &str, here: Option<Known>| {
        if let Some(known) = here {
            return Ok(known);
        }
        if let Some(entry) = known::public_in(&looked.found, given) {
            return of_image(cloud, records, given, entry).await;
        }
        looked.unanswered.all("find the image").map_err(Failure::Failed)?;
        if let Some(known) = records.find_private(given).map_err(Failure::Refused)? {
            return Ok(known);
        }
        match known::private_in(&looked.found, given) {
            Some(entry) => of_image(cloud, records, given, entry).await,
            None => Err(Failure::Refused(unknown(records, &looked.found, given, &cloud.flags()))),
        }
    };
    Ok(compare(find(&flags.from, from).await?, find(&flags.to, to).await?))
}

/// What is known of an image in the cloud: what its build wrote down here, or what it tells itself.
async fn of_image<C: Cloud>(cloud: &C, records: &Records, given: &str, entry: &Entry) -> Result<Known, Failure> {
    let build = entry.image.tag(TAG_BUILD).map(|build| records.of_build(given, build));
    match build.transpose().map_err(Failure::Refused)?.flatten() {
        Some(known) => Ok(known),
        None => known::of_image(cloud, given, entry).await.map_err(Failure::Failed),
    }
}

/// Whether both images are known on this computer, so that no cloud has to be asked.
///
/// # Errors
/// When the builds cannot be listed, or what is known of an image cannot be read.
pub fn is_known_here(state_dir: &StateDir, flags: &DiffFlags) -> anyhow::Result<bool> {
    Ok(known_here(&Records::read(state_dir, false)?, flags)?.iter().all(Option::is_some))
}

/// Both images, each where it is known on this computer.
fn known_here(records: &Records, flags: &DiffFlags) -> anyhow::Result<[Option<Known>; 2]> {
    Ok([records.find(&flags.from)?, records.find(&flags.to)?])
}

fn unknown(records: &Records, catalogue: &Catalogue, given: &str, cloud_flags: &str) -> anyhow::Error {
    let others = others(records, catalogue, given);
    if !others.is_empty() {
        return anyhow!(
            "of the version {given} no {} build that is done is known; to compare one of these, give its id instead of the \
             version:\n  {}",
            records.kind(),
            others.join("\n  ")
        );
    }
    let of_cloud =
        catalogue.entries.iter().flat_map(|entry| [Some(entry.image.id.0.as_str()), entry.version.as_deref()]);
    let mut names: Vec<&str> = records.names().chain(of_cloud.flatten()).collect();
    names.sort_unstable();
    names.dedup();
    let nearest = match xtask::region::nearest(given, &names) {
        Some(nearest) => format!("did you mean `{nearest}`?"),
        None => "give a version, an image's id, a build's id, or the path of a manifest.json".to_owned(),
    };
    anyhow!("there is no image `{given}`: {nearest}\nto list all images: cargo xtask ami list{cloud_flags}")
}

/// What has a version and is not meant by it: builds of this computer, and images of other computers' builds.
fn others(records: &Records, catalogue: &Catalogue, version: &str) -> Vec<String> {
    let builds: Vec<(&str, String)> = records.of_version(version).collect();
    let is_elsewhere = |image: &Image| !builds.iter().any(|(id, _)| image.tag(TAG_BUILD) == Some(*id));
    let images = catalogue.entries.iter().filter(|entry| entry.is_of(version) && is_elsewhere(&entry.image));
    // Of another computer's build, the id of any of its images names it.
    let images: Vec<&Entry> = images.collect();
    let first = |build: Option<&str>| images.iter().find(|entry| entry.image.tag(TAG_BUILD) == build);
    let images = builds::lines(images.iter().copied().map(Made::from)).into_iter();
    let images = images.filter_map(|(build, line)| Some(format!("{} ({line}, not public)", first(build)?.image.id)));
    builds.iter().map(|(id, what)| format!("{id} ({what})")).chain(images).collect()
}

/// What changed.
fn compare(from: Known, to: Known) -> Diff {
    let manifests = from.manifest.as_ref().zip(to.manifest.as_ref());
    let both = |of: fn(&Manifest) -> BTreeMap<String, String>| {
        manifests.map(|(from, to)| Changes::between(&of(from), &of(to)))
    };
    let all = from.packages.as_ref().zip(to.packages.as_ref()).map(|(from, to)| Changes::between(from, to));
    let packages_compared = match (&all, manifests) {
        (Some(_), _) => Some(Scope::All),
        (None, Some(_)) => Some(Scope::Recipe),
        (None, None) => None,
    };
    let settings = manifests.filter(|(from, to)| !from.settings.is_empty() && !to.settings.is_empty());
    Diff {
        format: FORMAT,
        base: bases(&from, &to),
        binaries: from.binaries.as_ref().zip(to.binaries.as_ref()).map(|(from, to)| Changes::between(from, to)),
        packages: all.or_else(|| both(|manifest| manifest.packages.clone())),
        packages_compared,
        files: both(|manifest| files(manifest, false)),
        settings: settings.map(|(from, to)| Changes::between(&from.settings, &to.settings)),
        remarks: remarks(&from, &to),
        from: side(from),
        to: side(to),
    }
}

/// What differs in the bases. Tags tell less of one than a manifest does, and that is no difference.
fn bases(from: &Known, to: &Known) -> Changes {
    let has_manifests = from.manifest.is_some() && to.manifest.is_some();
    let common = |of: &Known, other: &Known| -> BTreeMap<String, String> {
        let known = of.base.iter().filter(|(key, _)| has_manifests || other.base.contains_key(*key));
        known.map(|(key, value)| (key.clone(), value.clone())).collect()
    };
    Changes::between(&common(from, to), &common(to, from))
}

/// What was not compared, and why.
fn remarks(from: &Known, to: &Known) -> Vec<String> {
    let mut remarks = Vec::new();
    match from.manifest.as_ref().zip(to.manifest.as_ref()) {
        None => {
            let has_system = [from, to].iter().all(|known| known.base.contains_key("system"));
            let base = if has_system { "the name of the base" } else { "the base" };
            let has_binaries = from.binaries.is_some() && to.binaries.is_some();
            let binaries = if has_binaries { "" } else { "the binaries, " };
            remarks.push(format!("{base}, {binaries}the packages, the files and the settings were not compared"));
        }
        Some(manifests) => {
            let lacking = [from, to].into_iter().filter(|known| known.packages.is_none());
            let lacking: Vec<&str> = lacking.map(|known| known.given.as_str()).collect();
            if !lacking.is_empty() {
                let lacking = lacking.join(" and ");
                remarks.push(format!(
                    "only the recipe's packages were compared: there is no bill of materials of {lacking}"
                ));
            }
            if manifests.0.settings.is_empty() || manifests.1.settings.is_empty() {
                remarks.push(
                    "the settings were not compared: an earlier version of this tool made one of the images".to_owned(),
                );
            }
        }
    }
    remarks.extend([from, to].into_iter().filter_map(|known| known.remark.clone()));
    remarks
}

/// The binaries by name, or the other files by path, with their SHA-256. The bill of materials differs whenever anything
/// does, so it says nothing by itself.
fn files(manifest: &Manifest, are_binaries: bool) -> BTreeMap<String, String> {
    let all = manifest.sha256.iter().filter(|(path, _)| *path != sbom::PATH);
    let named = all.filter_map(|(path, sum)| match path.strip_prefix("/usr/bin/") {
        Some(name) => are_binaries.then(|| (name.to_owned(), sum.clone())),
        None => (!are_binaries).then(|| (path.clone(), sum.clone())),
    });
    named.collect()
}

fn side(known: Known) -> Side {
    let Known { given, name, version, commit, origin, .. } = known;
    Side { given, name, version, commit, origin }
}

#[cfg(test)]
mod tests;
