//! The result of a release, as text and as JSON.

use std::{collections::BTreeMap, io::Write as _};

use anyhow::{Context as _, Result};
use serde::Serialize;
use xtask::region::Region;

use crate::{
    ask::spec::Visibility,
    event::{facts::Base, ids::ImageId},
    record::journal::Timing,
    story::{bake::Baked, run::Run, verify::Verification},
};

/// What a release made.
#[derive(Debug, Serialize)]
pub struct Report {
    /// The version.
    pub version: String,
    /// The image's name, the same in all regions.
    pub name: String,
    /// What it is, as strangers see it.
    pub description: String,
    /// Whether everybody may launch it.
    pub public: bool,
    /// The image in each region, sorted by region.
    pub images: Vec<RegionImage>,
    /// The regions that were left out, and why.
    pub skipped: BTreeMap<String, String>,
    /// Who may launch it beside its owner, when not everybody may.
    pub shared_with: Vec<String>,
    /// The commit that it was built from.
    pub commit: Option<String>,
    /// Whether the checkout had changes that were not committed.
    pub dirty: bool,
    /// What it was made of.
    pub base: Base,
    /// The SHA-256 of each file that was installed, by its path on the image.
    pub sha256: BTreeMap<String, String>,
    /// The packages that the recipe lists, with their versions.
    pub packages: BTreeMap<String, String>,
    /// What was seen on the booted image.
    pub verification: Verification,
    /// How long each step took.
    pub timings: Vec<Timing>,
    /// Where journal, logs and manifest lie.
    pub folder: String,
}

/// The image in one region.
#[derive(Debug, Serialize)]
pub struct RegionImage {
    /// The region.
    pub region: String,
    /// Its id there.
    pub id: ImageId,
}

impl Report {
    /// What a build made.
    #[must_use]
    pub fn new(build: &Run, baked: &Baked, verification: Verification) -> Report {
        let order = &build.order;
        let image = |(region, made): (&Region, &crate::story::run::Made)| RegionImage {
            region: region.to_string(),
            id: made.id.clone(),
        };
        Report {
            version: order.version.to_string(),
            name: order.name.clone(),
            description: build.new_image(&order.build_region, &baked.sealed.base.name, &baked.made_of).description,
            public: order.visibility == Visibility::Public,
            images: build.made.borrow().iter().map(image).collect(),
            skipped: build.skipped.borrow().iter().map(|(region, why)| (region.to_string(), why.clone())).collect(),
            shared_with: order.visibility.names(),
            commit: order.source.commit.clone(),
            dirty: order.source.dirty,
            base: baked.sealed.base.clone(),
            sha256: baked.sealed.sha256.clone(),
            packages: baked.sealed.packages.clone(),
            verification,
            timings: build.journal.timings(),
            folder: build.folder.to_string(),
        }
    }

    /// Keeps the report in the build's folder.
    ///
    /// # Errors
    /// When it can't be written.
    pub fn keep(&self, build: &Run) -> Result<()> {
        let path = build.folder.join("report.json");
        std::fs::write(&path, format!("{}\n", serde_json::to_string_pretty(self)?))
            .with_context(|| format!("failed to write the report {path}"))
    }

    /// The text for stdout: one line for each region, sorted, as the guide's users know it; or the JSON.
    ///
    /// # Errors
    /// When it can't be encoded.
    pub fn text(&self, json: bool) -> Result<String> {
        if json {
            return Ok(format!("{}\n", serde_json::to_string_pretty(self)?));
        }
        let skipped =
            self.skipped.iter().map(|(region, why)| format!("left out: {region}: {}\n", why.replace('\n', " ")));
        let images = self.images.iter().map(|image| format!("{}: {}\n", image.region, image.id));
        Ok(skipped.chain(images).collect())
    }
}

/// Prints a command's result: the only thing that goes to stdout.
///
/// # Errors
/// When stdout is closed or full: then nobody got the result.
pub fn print(text: &str) -> Result<()> {
    let mut stdout = std::io::stdout().lock();
    stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()).context("failed to print the result")
}
