//! A promotion: a verified image is copied under its release name, in every region, and published.
//!
//! Nothing is built, launched or verified again, for the copies have the bytes of what was verified. The image itself is
//! only read.

use anyhow::{Context as _, Result, bail};
use camino::Utf8Path;

use super::{copy, open, parameters, run::Run, told};
use crate::{
    cloud::{Account, Imaging, Opening, Parameters},
    event::{
        facts::Provenance,
        ids::Images,
        promotion::{Promotion, binary_path},
        step::Step,
    },
    record::{
        folder::JOURNAL,
        journal::{self, Reading},
    },
    ship::{manifest, provenance::kept, sbom},
    show::result::Report,
};

/// What the folder of a promotion has of the candidate's: the copies have the same bytes.
const DOCUMENTS: [&str; 2] = [manifest::NAME, sbom::NAME];

/// Copies the image under the name of the release, and publishes the copies once all of them are available.
///
/// # Errors
/// When a copy fails, or the copies cannot be published. Then none of them is public.
pub async fn promote<C: Imaging + Opening + Parameters + Account>(
    cloud: &C,
    run: &Run,
    promotion: &Promotion,
    tell: impl Fn(&Report) -> Result<()>,
) -> Result<Report> {
    let provenance = async { provenance(run, promotion) };
    let recorded = run.events.once::<Option<Provenance>>(Step::Candidate, &promotion.build, provenance).await?;
    let base = promotion.as_base();
    let Promotion { region, image, made_of, .. } = promotion;
    let original = copy::Original { region, image, made_of, base: &base };
    let images: Images = copy::to_each(cloud, run, &original, run.spec.regions.iter()).await?.into_iter().collect();
    if images.is_empty() {
        bail!("the image could not be copied to any region");
    }
    parameters::after(cloud, run, &images, open::through_the_gate(cloud, run, &base, &images)).await?;
    let disk = recorded.unwrap_or_else(|| promotion.told_by_tags()).disk;
    told::provenance(run, &disk, &images);
    told::result(run, &images, tell)
}

/// What the candidate's build wrote down, where it was made on this computer. Its manifest, its bill of materials and its
/// provenance are copied.
fn provenance(run: &Run, promotion: &Promotion) -> Result<Option<Provenance>> {
    let Some(builds) = run.folder.parent() else { return Ok(None) };
    kept::keep(builds, promotion, &run.folder)?;
    let Some(provenance) = recorded(builds, promotion)? else { return Ok(None) };
    for name in DOCUMENTS {
        let (document, copy) = (builds.join(&promotion.build).join(name), run.folder.join(name));
        if document.exists() {
            std::fs::copy(&document, &copy).with_context(|| format!("failed to copy {document} to {copy}"))?;
        }
    }
    Ok(Some(provenance))
}

/// What the candidate's build wrote down, in the folder of all builds on this computer. None where it was made elsewhere.
///
/// # Errors
/// When that contradicts the image's tags, or cannot be read.
pub fn recorded(builds: &Utf8Path, promotion: &Promotion) -> Result<Option<Provenance>> {
    let Promotion { image, build, sha256, .. } = promotion;
    let folder = builds.join(build);
    let journal = folder.join(JOURNAL);
    if !journal::has_begun(&journal) {
        return Ok(None);
    }
    let state = Reading::of(&journal)?.state;
    let made = state.sealed_disk()?.zip(state.verification()?);
    let provenance = match made {
        Some((disk, verification)) => Some(Provenance { disk, verification }),
        // It was promoted itself.
        None => state.result::<Option<Provenance>>(&Step::Candidate)?.flatten(),
    };
    let Some(provenance) = provenance else { return Ok(None) };
    for (name, tag) in sha256 {
        let path = binary_path(name);
        if provenance.disk.sha256.get(&path) != Some(tag) {
            bail!(
                "the tags of {image} give {path} the SHA-256 {tag}, and the journal in {folder} gives it another one: \
                 nothing was copied"
            );
        }
    }
    Ok(Some(provenance))
}
