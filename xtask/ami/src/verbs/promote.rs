//! `ami promote`: publishes a verified release candidate under its release name, without building.

use anyhow::{Context as _, Result};
use xtask::{
    cli::{CommonFlags, PromoteFlags},
    count,
};

use super::{App, plan, release, until_signal, used};
use crate::{
    ask::{preflight, promotion},
    cloud::Cloud,
    event::{progress::Progress, promotion::Promotion},
    ground::{everywhere, outcome::Failure, signals::Signals},
    record::{folder::JOURNAL, history::History, journal::Reading, unfinished::Unfinished},
    ship::provenance::kept,
    show::confirm::confirm,
    story::{promote as story, run::Run},
};

/// Promotes a release candidate.
///
/// # Errors
/// When it is refused, fails, or is interrupted.
pub async fn promote<C: Cloud>(
    app: &App<'_, C>,
    flags: &PromoteFlags,
    common: &CommonFlags,
    signals: &mut Signals,
) -> Result<(), Failure> {
    let run = until_signal(signals, prepare(app, flags, common)).await?.map_err(Failure::Refused)?;
    release::finish(app, &run, common, signals).await
}

/// Resumes a promotion. It needs nothing of the checkout but the recipe.
///
/// # Errors
/// When it is refused, fails, or is interrupted.
pub async fn resume<C: Cloud>(
    app: &App<'_, C>,
    flags: &PromoteFlags,
    common: &CommonFlags,
    id: &str,
    signals: &mut Signals,
) -> Result<(), Failure> {
    let App { cloud, checkout, state_dir, events, .. } = *app;
    let prepared = async {
        let about = Reading::of(&state_dir.build(id).join(JOURNAL))?.state.about()?.clone();
        let promotion = about.promotes.context("the journal does not say what is promoted")?;
        let spec = promotion::spec(checkout, flags, common, *promotion)?;
        let run = Run::resume(spec, id, &cloud.identity().await?, state_dir, events).await?;
        release::tell_rest(&run, state_dir);
        anyhow::Ok(run)
    };
    let run = until_signal(signals, prepared).await?.map_err(Failure::Refused)?;
    release::finish(app, &run, common, signals).await
}

/// Prepares a promotion. Nothing is created here, so every error is a refusal.
async fn prepare<C: Cloud>(app: &App<'_, C>, flags: &PromoteFlags, common: &CommonFlags) -> Result<Run> {
    let App { cloud, checkout, state_dir, events, .. } = *app;
    promotion::refuse_at_once(checkout, flags)?;
    let used = used(app).await?;
    let found = promotion::find(cloud, &checkout.recipe, flags, &used, events).await?;
    let facts = facts(&found);
    let spec = promotion::spec(checkout, flags, common, found)?;
    Unfinished::refuse_second(state_dir, &spec.release())?;
    if let Some(promotion) = &spec.promotes {
        // The build looks again; here, nothing has begun.
        if let Some(builds) = state_dir.build(&promotion.build).parent() {
            story::recorded(builds, promotion)?;
            kept::find(builds, promotion)?;
        }
    }
    let draft = preflight::Draft { spec, findings: Vec::new() };
    let (spec, seen) = preflight::run(cloud, draft, common.yes).await?;
    for warning in &seen.warnings {
        events.warn(warning);
    }
    preflight::refuse(&seen.findings)?;
    for (label, fact) in facts.into_iter().chain(seen.facts) {
        events.say(Progress::Fact { label, fact });
    }
    events.say(Progress::Fact { label: "Goes to".to_owned(), fact: everywhere::names(&spec.regions) });
    if !common.local {
        let (regions, from) = (count::of(spec.regions.len(), "region"), flags.version.as_str());
        let question = format!("Make {from} public as `{}` in {regions}?", spec.name);
        confirm(&question, common.yes).await.context("the promotion was not started")?;
    }
    // Read before the promotion begins, which is none of the earlier ones.
    let kind = plan::kind(&spec);
    let estimate = History::read(state_dir, &kind).promotion(&kind, seen.estimate);
    let run = Run::begin(spec, cloud.identity().await?, state_dir, events).await?;
    if let Some(estimate) = estimate {
        events.say(Progress::Estimated { estimate });
    }
    Ok(run)
}

/// What is promoted, for the user to read before the question.
fn facts(promotion: &Promotion) -> Vec<(String, String)> {
    let Promotion { name, image, region, build, commit, verified, .. } = promotion;
    let fact = |label: &str, fact: String| (label.to_owned(), fact);
    let mut facts = vec![
        fact("Promotes", format!("`{name}`, {image} in {region}, of build {build}")),
        fact("Commit", commit.clone()),
        fact("Verified", verified.clone()),
    ];
    facts.extend(promotion.sha256.iter().map(|(name, sha256)| fact("SHA-256", format!("{sha256} {name}"))));
    facts
}
