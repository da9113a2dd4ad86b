//! What is known of an image that is given by one of its names: its manifest and its bill of materials, of its build's
//! folder, beside a manifest, or on its disk; or else what its tags tell.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use camino::Utf8Path;

use super::files;
use crate::{
    catalogue::{Catalogue, Entry},
    cloud::{
        Cloud,
        tags::{self, TAG_BUILD, TAG_COMMIT, TAG_EXPIRES, TAG_SYSTEM, TAG_VERIFIED, UNKNOWN},
    },
    ground::sha256,
    ship::{
        manifest::{self, Manifest},
        sbom,
    },
};

/// What is known of an image.
#[derive(Clone, Debug, Default)]
pub struct Known {
    /// How it was given.
    pub given: String,
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: Option<String>,
    /// The commit that it was built from.
    pub commit: Option<String>,
    /// Where this is known from.
    pub origin: String,
    /// What it was made from: name, system, sha256.
    pub base: BTreeMap<String, String>,
    /// The SHA-256 of its binaries, by name.
    pub binaries: Option<BTreeMap<String, String>>,
    /// Its manifest.
    pub manifest: Option<Manifest>,
    /// The versions of all its packages, of its bill of materials.
    pub packages: Option<BTreeMap<String, String>>,
    /// What is not known, and why.
    pub remark: Option<String>,
}

/// What a manifest and the bill of materials beside it tell.
pub(super) fn of_file(given: &str, file: &Utf8Path, origin: String) -> Result<Known> {
    let manifest = std::fs::read(file).with_context(|| format!("failed to read the manifest {file}"))?;
    let beside = file.with_file_name(sbom::NAME);
    let sbom = std::fs::read(&beside).ok();
    of_bytes(given, &manifest, sbom.as_deref(), origin).with_context(|| format!("failed to read {file}"))
}

fn of_bytes(given: &str, manifest: &[u8], sbom: Option<&[u8]>, origin: String) -> Result<Known> {
    let manifest: Manifest = serde_json::from_slice(manifest).context("it is no manifest of this tool")?;
    // One that the manifest does not name by its sum may be another image's.
    let own = sbom.filter(|bytes| manifest.sha256.get(sbom::PATH) == Some(&sha256::sha256(bytes)));
    let base = [
        ("name", Some(manifest.base.name.clone())),
        ("system", Some(manifest.base.system.clone())),
        ("sha256", manifest.base.sha256.clone()),
    ];
    Ok(Known {
        given: given.to_owned(),
        name: manifest.name.clone(),
        version: Some(manifest.version.clone()),
        commit: manifest.commit.clone(),
        origin,
        base: base.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?))).collect(),
        binaries: Some(files(&manifest, true)),
        packages: own.map(sbom::packages).transpose()?,
        manifest: Some(manifest),
        remark: None,
    })
}

/// The image of this id; or else a public one of this version, where all regions have the same.
pub(super) fn public_in<'a>(catalogue: &'a Catalogue, given: &str) -> Option<&'a Entry> {
    let entries = &catalogue.entries;
    let named = entries.iter().find(|entry| entry.image.id.0 == given);
    named.or_else(|| entries.iter().find(|entry| entry.is_of(given) && entry.image.public))
}

/// The last private image of this version that was verified. What was not may be of a build that failed, and what does not
/// expire is a release that is not published.
pub(super) fn private_in<'a>(catalogue: &'a Catalogue, version: &str) -> Option<&'a Entry> {
    let is_it = |entry: &&Entry| {
        let has = |tag: &str| entry.image.tag(tag).is_some();
        entry.is_of(version) && !entry.image.public && has(TAG_EXPIRES) && has(TAG_VERIFIED)
    };
    catalogue.entries.iter().filter(is_it).max_by(|a, b| a.image.created.cmp(&b.image.created))
}

/// What the disk of an image tells, or else its tags.
///
/// # Errors
/// When the disk cannot be read.
pub(super) async fn of_image<C: Cloud>(cloud: &C, given: &str, entry: &Entry) -> Result<Known> {
    let scratch = tempfile::Builder::new().prefix("wallaroo-diff-").tempdir().context("failed to create a folder")?;
    let folder = Utf8Path::from_path(scratch.path()).context("set TMPDIR to a path in UTF-8")?;
    let id = &entry.image.id;
    let Some(disk) = cloud.disk(&entry.region, id, folder).await? else { return Ok(of_image_by_tags(given, entry)) };
    // On another thread, because reading a disk takes a while, and signals need this one.
    let read = tokio::task::spawn_blocking(move || {
        let disk = disk.open()?;
        anyhow::Ok((disk.read(manifest::PATH)?, disk.read(sbom::PATH)?))
    });
    let (manifest, sbom) = read.await??;
    let manifest = manifest.with_context(|| format!("{id} has no {}: this tool did not make it", manifest::PATH))?;
    let known = of_bytes(given, &manifest, sbom.as_deref(), format!("the disk of {id}"))?;
    // On the disk of a promoted image are its candidate's.
    let version = entry.version.clone().or(known.version);
    Ok(Known { name: entry.image.name.clone(), version, ..known })
}

/// What an image's tags tell.
pub(super) fn of_image_by_tags(given: &str, entry: &Entry) -> Known {
    let Entry { region, image, version } = entry;
    let system = image.tag(TAG_SYSTEM).map(|system| ("system".to_owned(), system.to_owned()));
    let build = image.tag(TAG_BUILD).map(|build| format!(" of build {build}")).unwrap_or_default();
    Known {
        given: given.to_owned(),
        name: image.name.clone(),
        version: version.clone(),
        commit: image.tag(TAG_COMMIT).filter(|commit| *commit != UNKNOWN).map(str::to_owned),
        origin: format!("the tags of {} in {region}", image.id),
        base: system.into_iter().collect(),
        // An image that an earlier version of this tool made has no such tags.
        binaries: Some(tags::sha256_in(&image.tags)).filter(|sums| !sums.is_empty()),
        remark: Some(format!(
            "of {given} only the tags of {} are known, because the manifest{build} is not on this computer; give that \
             file, which is also on the image, as {}",
            image.id,
            manifest::PATH
        )),
        ..Known::default()
    }
}
