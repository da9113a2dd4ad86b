//! The result of a release: a fold of its events, as text and as JSON.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use camino::Utf8Path;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    event::{
        facts::{AvailableImage, Base, Provenance, Timing, Upgrades, Verification},
        ids::{ImageId, Images},
        promotion::Promotion,
        step::Step,
    },
    record::state::State,
};

/// The version of the document's format.
pub const FORMAT: u32 = 1;

/// The result of a release.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Report {
    /// The version of this document's format: 1.
    pub format: u32,
    /// The build's id.
    pub build: String,
    /// The version.
    pub version: String,
    /// The image's name, the same in all regions.
    pub name: String,
    /// The image's description, which is public.
    pub description: String,
    /// Whether every account may launch it.
    pub public: bool,
    /// The image in each region, sorted by region.
    pub images: Vec<PublishedImage>,
    /// The regions that were left out, and why.
    pub skipped: BTreeMap<String, String>,
    /// The accounts and organizations that may launch a private image.
    pub shared_with: Vec<String>,
    /// The commit that it was built from.
    pub commit: Option<String>,
    /// Whether the checkout had changes that were not committed.
    pub dirty: bool,
    /// What it was promoted from; null when it was built.
    pub promoted_from: Option<PromotedFrom>,
    /// The base that it was made from; of a promotion, the candidate itself where its build was on another computer.
    pub base: Base,
    /// The kept base of an earlier build that its instance was launched from, which was made from that base; null if it was
    /// launched from the base itself.
    #[serde(default)]
    pub reused_base: Option<ImageId>,
    /// The SHA-256 of each file that was installed, by its path on the image.
    pub sha256: BTreeMap<String, String>,
    /// The packages that the recipe lists, with their versions.
    pub packages: BTreeMap<String, String>,
    /// The base's packages that have another version in the image.
    #[serde(default)]
    pub upgraded: Upgrades,
    /// The checks of the booted image.
    pub verification: Verification,
    /// The warnings.
    pub warnings: Vec<String>,
    /// How long each step took, in all processes that worked on the build.
    pub timings: Vec<Timing>,
    /// The folder of journal, logs and manifest.
    pub folder: String,
}

/// The image that was published under another name.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct PromotedFrom {
    /// Its version.
    pub version: String,
    /// Its name.
    pub name: String,
    /// The region that the copies were made from.
    pub region: String,
    /// Its id there.
    pub image: ImageId,
    /// The build that made it.
    pub build: String,
    /// When it was verified, and how many checks it passed.
    pub verified: String,
}

/// The image in one region.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct PublishedImage {
    /// The region.
    pub region: String,
    /// Its id there.
    pub id: ImageId,
    /// The SSM parameters there that name it.
    #[serde(default)]
    pub parameters: Vec<String>,
}

impl Report {
    /// The result of a build in this state, with these images.
    ///
    /// # Errors
    /// When the journal lacks a part of it.
    pub fn of(state: &State, images: &Images, folder: &Utf8Path) -> Result<Report> {
        let about = state.about()?;
        let Provenance { disk, verification } = match &about.promotes {
            Some(promotion) => promoted(state, promotion)?,
            None => Provenance {
                disk: state.sealed_disk()?.context("the journal does not say what is on the image")?,
                verification: state.verification()?.context("the journal has no verification")?,
            },
        };
        // A promotion may have left its build region out.
        let (region, _) = images.iter().next().context("there is no image")?;
        let image = state.result::<AvailableImage>(&Step::Available(region.clone()))?;
        let image = image.context("the journal has no available image")?;
        let published = |(region, id): (&xtask::region::Region, &ImageId)| {
            let parameters = state.result(&Step::Parameters(region.clone()))?.unwrap_or_default();
            anyhow::Ok(PublishedImage { region: region.to_string(), id: id.clone(), parameters })
        };
        Ok(Report {
            format: FORMAT,
            build: about.id.clone(),
            version: about.version.to_string(),
            name: about.name.clone(),
            description: image.description,
            public: !about.private,
            images: images.iter().map(published).collect::<Result<_>>()?,
            skipped: state.gave_up.iter().map(|(region, why)| (region.to_string(), why.clone())).collect(),
            shared_with: about.shared_with.clone(),
            commit: about.commit.clone(),
            dirty: about.dirty,
            promoted_from: about.promotes.as_deref().map(PromotedFrom::of),
            base: disk.base,
            reused_base: disk.reused_base,
            sha256: disk.sha256,
            packages: disk.packages,
            upgraded: disk.upgraded,
            verification,
            warnings: state.warnings.clone(),
            timings: state.timings.clone(),
            folder: folder.to_string(),
        })
    }

    /// Writes the report to `report.json` in the build's folder.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn keep(&self, folder: &Utf8Path) -> Result<()> {
        let path = folder.join("report.json");
        std::fs::write(&path, format!("{}\n", serde_json::to_string_pretty(self)?))
            .with_context(|| format!("failed to write the report {path}"))
    }

    /// The text for stdout: one line for each region, sorted; or JSON.
    ///
    /// # Errors
    /// When it cannot be encoded.
    pub fn text(&self, json: bool) -> Result<String> {
        if json {
            return Ok(format!("{}\n", serde_json::to_string_pretty(self)?));
        }
        Ok(self.images.iter().map(|image| format!("{}: {}\n", image.region, image.id)).collect())
    }
}

impl PromotedFrom {
    fn of(promotion: &Promotion) -> PromotedFrom {
        PromotedFrom {
            version: promotion.version.to_string(),
            name: promotion.name.clone(),
            region: promotion.region.to_string(),
            image: promotion.image.clone(),
            build: promotion.build.clone(),
            verified: promotion.verified.clone(),
        }
    }
}

/// What is known of a promoted image: what its build wrote down, or else what its tags say.
fn promoted(state: &State, promotion: &Promotion) -> Result<Provenance> {
    let known = state.result::<Option<Provenance>>(&Step::Candidate)?.flatten();
    Ok(known.unwrap_or_else(|| promotion.told_by_tags()))
}
