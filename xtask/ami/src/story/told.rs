//! The result of a build and the provenance of its images, kept and told. The images are complete by then, so what cannot be
//! kept is no reason to fail.

use std::time::SystemTime;

use anyhow::{Context as _, Result};

use super::run::Run;
use crate::{
    event::{facts::SealedDisk, ids::Images},
    ship::provenance,
    show::result::Report,
};

/// Writes the provenance of the images to the build's folder.
pub fn provenance(run: &Run, disk: &SealedDisk, images: &Images) {
    if let Err(error) = keep_provenance(run, disk, images) {
        run.events.warn(format_args!("{error:#}"));
    }
}

fn keep_provenance(run: &Run, disk: &SealedDisk, images: &Images) -> Result<()> {
    let about = run.events.state(|state| state.about().cloned())?;
    let finished = humantime::format_rfc3339_seconds(SystemTime::now()).to_string();
    let path = run.folder.join(provenance::NAME);
    std::fs::write(&path, provenance::text(&about, disk, images, &run.folder, &finished)?)
        .with_context(|| format!("failed to write the provenance {path}"))
}

/// Makes the report, keeps it, and tells it.
///
/// # Errors
/// When the journal lacks a part of it, or it cannot be told.
pub fn result(run: &Run, images: &Images, tell: impl Fn(&Report) -> Result<()>) -> Result<Report> {
    let report = run.events.state(|state| Report::of(state, images, &run.folder))?;
    if let Err(error) = report.keep(&run.folder) {
        run.events.warn(format_args!("{error:#}"));
    }
    // In the log of a job it would be folded away with the lines of the last step.
    run.events.terminal().end_group();
    tell(&report)?;
    Ok(report)
}
