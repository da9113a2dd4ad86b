//! What goes from this computer to the machine that is imaged.

use anyhow::Result;
use serde_json::json;

use crate::{
    ask::{
        inputs::{self, Sources},
        spec::Visibility,
    },
    ship::binaries::{self, Built},
    story::run::Run,
};

/// What goes from this computer to the machine.
pub struct Made {
    /// The binaries, as they were built.
    pub binaries: Vec<Built>,
    /// The files that go there as they are, as they were then.
    pub sources: Sources,
}

impl Made {
    /// Builds the binaries, where that isn't done yet.
    ///
    /// # Errors
    /// When that fails, or a file is none that may be on an image.
    pub async fn of(build: &Run) -> Result<Made> {
        let binaries = build.journal.once("binaries", json!({}), build_binaries(build)).await?;
        // After make, which may have its part in them.
        let sources = async { inputs::sources(&build.order) };
        let sources = build.journal.once("sources", json!({}), sources).await?;
        Ok(Made { binaries, sources })
    }
}

async fn build_binaries(build: &Run) -> Result<Vec<Built>> {
    let order = &build.order;
    let job = binaries::Job {
        recipe: &order.recipe,
        root: &order.source.root,
        system_name: &order.system_name,
        system: build.system()?,
        folder: &build.folder,
    };
    if order.skip_build {
        return binaries::inspect_as_they_lie(&job, &build.status).await;
    }
    let clean = order.visibility == Visibility::Public;
    binaries::build(&job, clean, &build.status).await
}
