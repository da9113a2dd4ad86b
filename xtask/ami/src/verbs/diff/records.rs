//! The builds of this computer that an image may be of.

use anyhow::{Context as _, Result};
use camino::{Utf8Path, Utf8PathBuf};

use super::known::{self, Known};
use crate::{
    event::{How, about::About},
    record::{folder::JOURNAL, journal::Reading},
    ship::manifest,
    state_dir::StateDir,
};

/// The builds of this computer that have a manifest.
pub struct Records {
    /// The oldest first.
    builds: Vec<Build>,
    /// Whether the wanted ones are those of `--local`.
    local: bool,
}

/// A build that has a manifest.
struct Build {
    about: About,
    folder: Utf8PathBuf,
    images: Vec<String>,
    ended: Option<How>,
}

impl Records {
    /// Reads which builds there are. A version is one of `--local` with `local`, and one of EC2 without it.
    ///
    /// # Errors
    /// When they cannot be listed.
    pub fn read(state_dir: &StateDir, local: bool) -> Result<Records> {
        let folder = state_dir.path().join("builds");
        let entries = match folder.read_dir_utf8() {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Ok(Records { builds: Vec::new(), local });
            }
            entries => entries.with_context(|| format!("failed to read {folder}"))?,
        };
        let mut builds = Vec::new();
        for entry in entries {
            let entry = entry.with_context(|| format!("failed to read {folder}"))?;
            let folder = entry.path().to_owned();
            // A build whose journal cannot be read has nothing that can be trusted.
            let Ok(Reading { state, .. }) = Reading::of(&folder.join(JOURNAL)) else { continue };
            let images = state.images.values().map(|image| image.id.0.clone()).collect();
            let (true, Some(about)) = (folder.join(manifest::NAME).exists(), state.about) else { continue };
            builds.push(Build { images, ended: state.ended, about, folder });
        }
        // An id begins with the time.
        builds.sort_by(|a, b| a.id().cmp(b.id()));
        Ok(Records { builds, local })
    }

    /// The image that is given by a path, the id of a build or of an image, or the version of a public image whose build is
    /// done. None if this computer has no record of it.
    ///
    /// # Errors
    /// When the records cannot be read.
    pub fn find(&self, given: &str) -> Result<Option<Known>> {
        let path = Utf8Path::new(given);
        if given.contains('/') || path.extension() == Some("json") {
            let file = if path.is_dir() { path.join(manifest::NAME) } else { path.to_owned() };
            return known::of_file(given, &file, format!("the manifest {file}")).map(Some);
        }
        let named = |build: &&Build| build.id() == given || build.images.iter().any(|id| id == given);
        let build = self.builds.iter().rev().find(named);
        build.or_else(|| self.done(given, false)).map(|build| build.known(given)).transpose()
    }

    /// The private image of a version whose build is done. None if this computer has no record of one.
    ///
    /// # Errors
    /// When the records cannot be read.
    pub fn find_private(&self, version: &str) -> Result<Option<Known>> {
        self.done(version, true).map(|build| build.known(version)).transpose()
    }

    /// The last build of a version that is done: another one may have made another image, or none.
    fn done(&self, version: &str, private: bool) -> Option<&Build> {
        let is_it = |build: &&Build| {
            let Build { about, ended, .. } = build;
            about.local == self.local
                && about.private == private
                && *ended == Some(How::Done)
                && about.version.as_str() == version
        };
        self.builds.iter().rev().find(is_it)
    }

    /// The image of the build of this id. None if this computer has no record of it.
    ///
    /// # Errors
    /// When the records cannot be read.
    pub(super) fn of_build(&self, given: &str, id: &str) -> Result<Option<Known>> {
        let build = self.builds.iter().find(|build| build.id() == id);
        build.map(|build| build.known(given)).transpose()
    }

    /// The builds of a version, each with what it is: for a message where none of them counts as the version.
    pub(super) fn of_version(&self, version: &str) -> impl Iterator<Item = (&str, String)> {
        let builds = self.builds.iter().filter(move |build| build.about.version.as_str() == version);
        builds.map(|build| (build.id(), build.described()))
    }

    /// The kind of builds that a version is one of.
    pub(super) fn kind(&self) -> &'static str {
        if self.local { "--local" } else { "EC2" }
    }

    /// The names by which images can be given.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let all = self.builds.iter();
        all.flat_map(|build| {
            let images = build.images.iter().map(String::as_str);
            [build.id(), build.about.version.as_str()].into_iter().chain(images)
        })
    }
}

impl Build {
    /// What its manifest and the bill of materials beside it tell. A promotion has its candidate's, and its image has another
    /// name and version than they say.
    fn known(&self, given: &str) -> Result<Known> {
        let About { name, version, promotes, .. } = &self.about;
        let promotion = promotes.as_ref().map(|promotes| format!(", a promotion of {}", promotes.version));
        let origin = format!("the manifest of build {}{}", self.id(), promotion.unwrap_or_default());
        let known = known::of_file(given, &self.folder.join(manifest::NAME), origin)?;
        Ok(Known { name: name.clone(), version: Some(version.to_string()), ..known })
    }

    /// Its id: the name of its folder.
    fn id(&self) -> &str {
        self.folder.file_name().unwrap_or(&self.about.id)
    }

    fn described(&self) -> String {
        let place = if self.about.local { "made with --local" } else { "made on EC2" };
        let private = if self.about.private { ", private" } else { "" };
        let end = match self.ended {
            Some(How::Done) => "",
            Some(How::Failed) => ", failed",
            Some(How::Interrupted) => ", interrupted",
            Some(How::Cleaned) => ", cleaned up",
            None => ", not ended",
        };
        format!("{place}{private}{end}")
    }
}
