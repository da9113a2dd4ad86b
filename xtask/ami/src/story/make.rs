//! The parts of the payload that come from the checkout: binaries, built or as they are, and files.

use anyhow::Result;

use super::run::Run;
use crate::{
    ask::{inputs, spec::Visibility},
    cloud::Compute,
    event::{
        facts::{Built, Sources},
        step::{Handle, Step},
    },
    ship::binaries,
};

/// The parts of the payload that come from the checkout.
pub struct Parts {
    /// The binaries, as they were built.
    pub binaries: Vec<Built>,
    /// The SHA-256 of the files that go to the image unchanged.
    pub sources: Sources,
}

/// Builds the binaries and hashes the files, unless an earlier process did.
///
/// # Errors
/// When that fails, or a file is none that may be on an image.
pub async fn parts<C: Compute>(cloud: &C, run: &Run) -> Result<Parts> {
    let binaries = run.events.once(Step::Binaries, Handle::NONE, build_binaries(cloud, run)).await?;
    // After make, which may have its part in them.
    let sources = async {
        let spec = run.spec.clone();
        // On another thread, because they may be large, and the login on the instance needs this one meanwhile.
        tokio::task::spawn_blocking(move || inputs::sources(&spec)).await?
    };
    let sources = run.events.once(Step::Sources, Handle::NONE, sources).await?;
    Ok(Parts { binaries, sources })
}

async fn build_binaries<C: Compute>(cloud: &C, run: &Run) -> Result<Vec<Built>> {
    let spec = &run.spec;
    let (root, commit_secs) = (&spec.source.root, spec.source.commit_secs);
    let job = binaries::Job { recipe: &spec.recipe, root, folder: &run.folder, commit_secs };
    let build = async {
        if spec.skip_build {
            return binaries::copy_existing(&job, &run.events).await;
        }
        let clean = spec.visibility == Visibility::Public;
        binaries::build(&job, clean, &run.events).await
    };
    let log = run.log("base");
    let (built, of_base) = tokio::try_join!(build, cloud.base_facts(&log))?;
    binaries::check_runnable(&spec.host(of_base)?, &built).await?;
    Ok(built)
}
