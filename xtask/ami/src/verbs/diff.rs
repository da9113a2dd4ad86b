//! `ami diff`: what changed from one image to another.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::anyhow;
use xtask::{
    cli::{CommonFlags, DiffFlags, DiffFormat},
    region::Region,
};

use super::{App, used};
use crate::{
    catalogue::Catalogue,
    cloud::Cloud,
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

pub use known::Records;

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
    let here = [&flags.from, &flags.to].map(|given| Ok((given, records.find(given)?)));
    let [from, to] = here.map(|found: anyhow::Result<_>| found.map_err(Failure::Refused));
    let (from, to) = (from?, to?);
    let (from, to) = match (from, to) {
        ((_, Some(from)), (_, Some(to))) => return Ok(compare(from, to)),
        others => others,
    };
    let looked = Catalogue::look(cloud, recipe, used, events).await.map_err(Failure::Failed)?;
    let find = async |(given, here): (&String, Option<Known>)| {
        if let Some(known) = here {
            return Ok(known);
        }
        match known::in_cloud(cloud, records, &looked.found, given).await.map_err(Failure::Failed)? {
            Some(known) => Ok(known),
            None => {
                looked.unanswered.all("find the image").map_err(Failure::Failed)?;
                Err(Failure::Refused(unknown(records, &looked.found, given, &cloud.flags())))
            }
        }
    };
    Ok(compare(find(from).await?, find(to).await?))
}

/// Whether both images are known on this computer, so that no cloud has to be asked.
///
/// # Errors
/// When the builds cannot be listed, or what is known of an image cannot be read.
pub fn is_known_here(state_dir: &StateDir, flags: &DiffFlags) -> anyhow::Result<bool> {
    let records = Records::read(state_dir, false)?;
    Ok(records.find(&flags.from)?.is_some() && records.find(&flags.to)?.is_some())
}

fn unknown(records: &Records, catalogue: &Catalogue, given: &str, cloud_flags: &str) -> anyhow::Error {
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

/// What changed.
fn compare(from: Known, to: Known) -> Diff {
    let mut remarks: Vec<String> = [&from, &to].into_iter().filter_map(|known| known.remark.clone()).collect();
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
    if packages_compared == Some(Scope::Recipe) {
        let lacking = [&from, &to].into_iter().filter(|known| known.packages.is_none());
        let lacking: Vec<&str> = lacking.map(|known| known.given.as_str()).collect();
        let lacking = lacking.join(" and ");
        remarks.push(format!("only the recipe's packages were compared: there is no bill of materials of {lacking}"));
    }
    let settings = manifests.filter(|(from, to)| !from.settings.is_empty() && !to.settings.is_empty());
    if manifests.is_some() && settings.is_none() {
        remarks
            .push("the settings were not compared: an earlier version of this tool made one of the images".to_owned());
    }
    Diff {
        format: FORMAT,
        base: Changes::between(&from.base, &to.base),
        binaries: both(|manifest| files(manifest, true)),
        packages: all.or_else(|| both(|manifest| manifest.packages.clone())),
        packages_compared,
        files: both(|manifest| files(manifest, false)),
        settings: settings.map(|(from, to)| Changes::between(&from.settings, &to.settings)),
        remarks,
        from: side(from),
        to: side(to),
    }
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
