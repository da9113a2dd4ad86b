//! The parts of the payload that come from the checkout: binaries, built or as they are, and files.

use anyhow::Result;
use tokio::sync::mpsc::{self, UnboundedSender};

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
    /// Those of the binaries that this process has uploaded.
    pub uploaded: Vec<Built>,
}

/// Builds the binaries and hashes the files, unless an earlier process did. Each binary is `inspected` as soon as it is built.
///
/// # Errors
/// When that fails, or a file is none that may be on an image.
pub async fn parts<C: Compute>(cloud: &C, run: &Run, inspected: UnboundedSender<Built>) -> Result<Parts> {
    let by_earlier = run.events.state(|state| state.is_done(&Step::Binaries));
    let binaries = run.events.once(Step::Binaries, Handle::NONE, build_binaries(cloud, run, &inspected)).await?;
    for binary in binaries.iter().filter(|_| by_earlier) {
        announce(&inspected, binary);
    }
    // There are no more of them.
    drop(inspected);
    // After make, which may have its part in them.
    let sources = async {
        let spec = run.spec.clone();
        // On another thread, because they may be large, and the login on the instance needs this one meanwhile.
        tokio::task::spawn_blocking(move || inputs::sources(&spec)).await?
    };
    let sources = run.events.once(Step::Sources, Handle::NONE, sources).await?;
    Ok(Parts { binaries, sources, uploaded: Vec::new() })
}

async fn build_binaries<C: Compute>(cloud: &C, run: &Run, inspected: &UnboundedSender<Built>) -> Result<Vec<Built>> {
    let spec = &run.spec;
    let (root, commit_secs) = (&spec.source.root, spec.source.commit_secs);
    let job = binaries::Job { recipe: &spec.recipe, root, folder: &run.folder, commit_secs };
    let (built, mut to_inspect) = mpsc::unbounded_channel();
    // It ends with the last binary, and the inspection with it.
    let build = async move {
        let announce = |binary: &Built| announce(&built, binary);
        if spec.skip_build {
            return binaries::copy_existing(&job, announce, &run.events).await;
        }
        let clean = spec.visibility == Visibility::Public;
        binaries::build(&job, clean, announce, &run.events).await
    };
    let log = run.log("base");
    let inspect = async {
        let host = spec.host(cloud.base_facts(&log).await?)?;
        let mut faults = Vec::new();
        while let Some(binary) = to_inspect.recv().await {
            let of_binary = binaries::faults(&host, &binary).await?;
            if of_binary.is_empty() {
                announce(inspected, &binary);
            }
            faults.extend(of_binary);
        }
        binaries::refuse(&host, &faults)
    };
    let (built, ()) = tokio::try_join!(build, inspect)?;
    Ok(built)
}

/// Tells of a binary. Whoever listened may have given up: it is among the parts all the same.
fn announce(to: &UnboundedSender<Built>, binary: &Built) {
    let _ = to.send(binary.clone());
}
