//! What is known of an image that is given by one of its names: its manifest and its bill of materials, of its build's
//! folder, beside a manifest, or on its disk; or else what its tags tell.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use camino::{Utf8Path, Utf8PathBuf};

use crate::{
    catalogue::{Catalogue, Entry},
    cloud::{
        Cloud,
        tags::{TAG_BUILD, TAG_COMMIT, TAG_SYSTEM},
    },
    ground::sha256,
    record::{folder::JOURNAL, journal::Reading},
    ship::{
        manifest::{self, Manifest},
        sbom,
    },
    state_dir::StateDir,
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
    /// Its manifest.
    pub manifest: Option<Manifest>,
    /// The versions of all its packages, of its bill of materials.
    pub packages: Option<BTreeMap<String, String>>,
    /// What is not known, and why.
    pub remark: Option<String>,
}

/// The builds of this computer that have a manifest.
pub struct Records {
    builds: Vec<Build>,
}

struct Build {
    id: String,
    folder: Utf8PathBuf,
    version: String,
    images: Vec<String>,
    /// Whether it is of the wanted kind of cloud, and whether it was done. Of a version, the last of the best counts.
    rank: (bool, bool),
}

impl Records {
    /// Reads which builds there are. Those of `--local` are preferred with `local`, and the others without it.
    ///
    /// # Errors
    /// When they cannot be listed.
    pub fn read(state_dir: &StateDir, local: bool) -> Result<Records> {
        let folder = state_dir.path().join("builds");
        let entries = match folder.read_dir_utf8() {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Records { builds: Vec::new() }),
            entries => entries.with_context(|| format!("failed to read {folder}"))?,
        };
        let mut builds = Vec::new();
        for entry in entries {
            let entry = entry.with_context(|| format!("failed to read {folder}"))?;
            let folder = entry.path().to_owned();
            // A build whose journal cannot be read has nothing that can be trusted.
            let Ok(Reading { state, .. }) = Reading::of(&folder.join(JOURNAL)) else { continue };
            let (true, Ok(about)) = (folder.join(manifest::NAME).exists(), state.about()) else { continue };
            builds.push(Build {
                id: entry.file_name().to_owned(),
                version: about.version.to_string(),
                images: state.images.values().map(|image| image.id.0.clone()).collect(),
                rank: (about.local == local, state.ended == Some(crate::event::How::Done)),
                folder,
            });
        }
        builds.sort_by(|a, b| (a.rank, &a.id).cmp(&(b.rank, &b.id)));
        Ok(Records { builds })
    }

    /// The image that is given by a path, a build's id, an image's id or a version. None if this computer has no record of
    /// it.
    ///
    /// # Errors
    /// When the records cannot be read.
    pub fn find(&self, given: &str) -> Result<Option<Known>> {
        let path = Utf8Path::new(given);
        if given.contains('/') || path.extension() == Some("json") {
            let file = if path.is_dir() { path.join(manifest::NAME) } else { path.to_owned() };
            return of_file(given, &file, format!("the manifest {file}")).map(Some);
        }
        let of = |is_it: &dyn Fn(&Build) -> bool| self.builds.iter().rev().find(|build| is_it(build));
        let build = of(&|build| build.id == given || build.images.iter().any(|id| id == given));
        let build = build.or_else(|| of(&|build| build.version == given));
        build.map(|build| of_build(given, build)).transpose()
    }

    /// The names by which images can be given.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let all = self.builds.iter();
        all.flat_map(|build| [&build.id, &build.version].into_iter().chain(&build.images)).map(String::as_str)
    }
}

fn of_build(given: &str, build: &Build) -> Result<Known> {
    of_file(given, &build.folder.join(manifest::NAME), format!("the manifest of build {}", build.id))
}

/// What a manifest and the bill of materials beside it tell.
fn of_file(given: &str, file: &Utf8Path, origin: String) -> Result<Known> {
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
        packages: own.map(sbom::packages).transpose()?,
        manifest: Some(manifest),
        remark: None,
    })
}

/// The image of this id, or the first one of this version: all regions have the same.
///
/// # Errors
/// When the image's disk or its build's records cannot be read.
pub async fn in_cloud<C: Cloud>(
    cloud: &C,
    records: &Records,
    catalogue: &Catalogue,
    given: &str,
) -> Result<Option<Known>> {
    let is_it = |entry: &&Entry| entry.image.id.0 == given || entry.is_of(given);
    let Some(entry) = catalogue.entries.iter().find(is_it) else { return Ok(None) };
    let build = entry.image.tag(TAG_BUILD);
    if let Some(build) = records.builds.iter().find(|known| Some(known.id.as_str()) == build) {
        return of_build(given, build).map(Some);
    }
    let scratch = tempfile::Builder::new().prefix("wallaroo-diff-").tempdir().context("failed to create a folder")?;
    let folder = Utf8Path::from_path(scratch.path()).context("set TMPDIR to a path in UTF-8")?;
    let id = &entry.image.id;
    match cloud.disk(&entry.region, id, folder).await? {
        Some(disk) => {
            // On another thread, because reading a disk takes a while, and signals need this one.
            let read = tokio::task::spawn_blocking(move || {
                let disk = disk.open()?;
                anyhow::Ok((disk.read(manifest::PATH)?, disk.read(sbom::PATH)?))
            });
            let (manifest, sbom) = read.await??;
            let manifest =
                manifest.with_context(|| format!("{id} has no {}: this tool did not make it", manifest::PATH))?;
            of_bytes(given, &manifest, sbom.as_deref(), format!("the disk of {id}")).map(Some)
        }
        None => Ok(Some(of_tags(given, entry))),
    }
}

/// What an image's tags tell.
fn of_tags(given: &str, entry: &Entry) -> Known {
    let Entry { region, image, version } = entry;
    let system = image.tag(TAG_SYSTEM).map(|system| ("system".to_owned(), system.to_owned()));
    let build = image.tag(TAG_BUILD).map(|build| format!(" of build {build}")).unwrap_or_default();
    Known {
        given: given.to_owned(),
        name: image.name.clone(),
        version: version.clone(),
        commit: image.tag(TAG_COMMIT).filter(|commit| *commit != "unknown").map(str::to_owned),
        origin: format!("the tags of {} in {region}", image.id),
        base: system.into_iter().collect(),
        remark: Some(format!(
            "of {given} only the tags of {} are known, because the folder{build} is not on this computer; give its \
             manifest.json, which is also on the image, as {}",
            image.id,
            manifest::PATH
        )),
        ..Known::default()
    }
}
