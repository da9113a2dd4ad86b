//! The result of a build, told and kept.

use anyhow::Result;

use super::run::Run;
use crate::{event::ids::Images, show::result::Report};

/// Makes the report, keeps it, and tells it.
///
/// # Errors
/// When the journal lacks a part of it, or it cannot be told.
pub fn result(run: &Run, images: &Images, tell: impl Fn(&Report) -> Result<()>) -> Result<Report> {
    let report = run.events.state(|state| Report::of(state, images, &run.folder))?;
    if let Err(error) = report.keep(&run.folder) {
        // The images are complete, so this is no reason to fail.
        run.events.warn(format_args!("{error:#}"));
    }
    // In the log of a job it would be folded away with the lines of the last step.
    run.events.terminal().end_group();
    tell(&report)?;
    Ok(report)
}
