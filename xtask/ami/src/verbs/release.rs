//! `ami --version X`: preflight, then the release.

use anyhow::{Context as _, Result};
use xtask::{
    cli::{CommonFlags, ReleaseFlags},
    count,
};

use super::{App, github, plan, until_signal};
use crate::{
    ask::{
        preflight::{self, Purpose},
        spec::Visibility,
    },
    cloud::Cloud,
    event::progress::Progress,
    ground::{outcome::Failure, signals::Signals},
    record::{history::History, unfinished::Unfinished},
    show::{confirm::confirm, print::print, result::Report},
    state_dir::StateDir,
    story::{release, run::Run},
};

/// Makes, verifies and publishes the image.
///
/// # Errors
/// When it is refused, fails, or is interrupted.
pub async fn release<C: Cloud>(
    app: &App<'_, C>,
    flags: &ReleaseFlags,
    common: &CommonFlags,
    signals: &mut Signals,
) -> Result<(), Failure> {
    let run = until_signal(signals, prepare(app, flags, common)).await?.map_err(Failure::Refused)?;
    finish(app, &run, common, signals).await
}

/// Runs a new or resumed release, and prints its result.
pub(super) async fn finish<C: Cloud>(
    app: &App<'_, C>,
    run: &Run,
    common: &CommonFlags,
    signals: &mut Signals,
) -> Result<(), Failure> {
    let tell = |report: &Report| {
        print(&report.text(common.json)?)?;
        github::tell(report, app.events);
        Ok(())
    };
    release::release(app.cloud, run, signals, tell).await.map(drop)
}

/// Says how long what is left of a resumed build takes, if earlier builds tell.
pub(super) fn tell_rest(run: &Run, state_dir: &StateDir) {
    let kind = plan::kind(&run.spec);
    let history = History::read(state_dir, &kind);
    let estimate = run.events.state(|state| history.rest(&kind, state));
    if let Some(estimate) = estimate {
        run.events.say(Progress::Estimated { estimate });
    }
}

/// Prepares a release. Nothing is created here, so every error is a refusal.
async fn prepare<C: Cloud>(app: &App<'_, C>, flags: &ReleaseFlags, common: &CommonFlags) -> Result<Run> {
    let App { cloud, checkout, state_dir, events, .. } = *app;
    let draft = preflight::draft(checkout, flags, common, Purpose::Begin)?;
    Unfinished::refuse_second(state_dir, &draft.spec.release())?;
    let (spec, preflight) = preflight::run(cloud, draft, common.yes).await?;
    for warning in &preflight.warnings {
        events.warn(warning);
    }
    preflight::refuse(&preflight.findings)?;
    for (label, fact) in &preflight.facts {
        events.say(Progress::Fact { label: label.clone(), fact: fact.clone() });
    }
    if spec.visibility == Visibility::Public && !common.local {
        let regions = count::of(spec.regions.len(), "region");
        let question = format!("Make `{}` public in {regions}?", spec.name);
        confirm(&question, common.yes).await.context("the release was not started")?;
    }
    let estimate = plan::estimate(&spec, &preflight, state_dir);
    let run = Run::begin(spec, cloud.identity().await?, state_dir, events).await?;
    events.say(Progress::Estimated { estimate });
    Ok(run)
}
