//! `ami resume`: resumes an unfinished build.

use anyhow::{Context as _, Result, bail};
use xtask::{
    cli::{Ami, Command, CommonFlags, ReleaseFlags},
    grantee::Grantee,
    region::mistyped,
};

use super::{App, release, until_signal};
use crate::{
    ask::preflight::{self, Purpose},
    cloud::Cloud,
    event::step::Step,
    ground::{outcome::Failure, signals::Signals},
    record::{folder::JOURNAL, journal::Reading, ownership, unfinished::Unfinished},
    state_dir::StateDir,
    story::run::Run,
};

/// The command line to carry out. For `resume` it is the one that began the build, with the build's id.
///
/// # Errors
/// When there is no build to resume, or several to choose from; and when `--root` names another checkout than the build's.
pub fn command_line(ami: Ami, state_dir: &StateDir) -> Result<(Ami, Option<String>)> {
    let Some(Command::Resume(flags)) = &ami.command else { return Ok((ami, None)) };
    let unfinished = Unfinished::pick(state_dir, flags.build.as_deref(), ami.common.local)?;
    // Resolved before the folder is changed below.
    let root = ami.common.root.as_ref().map(|root| {
        let root = root.canonicalize_utf8().with_context(|| format!("there is no checkout at {root}"))?;
        ownership::refuse_other_root(unfinished.about()?, &root)?;
        anyhow::Ok(root)
    });
    let root = root.transpose()?;
    let (mut began, call) = unfinished.command()?;
    leave_out(&mut began, &flags.without)?;
    std::env::set_current_dir(&call.folder)
        .with_context(|| format!("failed to enter the folder {}, where the build began", call.folder))?;
    let CommonFlags { yes, json, quiet, verbose, log_format, profile, .. } = ami.common;
    began.common.profile = profile.or(began.common.profile);
    began.common.root = root.or(began.common.root);
    began.common = CommonFlags { yes, json, quiet, verbose, log_format, ..began.common };
    Ok((began, Some(unfinished.id)))
}

/// Takes grantees out of the list to share with.
fn leave_out(began: &mut Ami, without: &[Grantee]) -> Result<()> {
    if without.is_empty() {
        return Ok(());
    }
    let Some(release) = began.release.as_mut() else { bail!("a promoted image is public: --without has no meaning") };
    if let Some(unknown) = without.iter().find(|grantee| !release.share.contains(grantee)) {
        let known: Vec<String> = release.share.iter().map(ToString::to_string).collect();
        let near = mistyped(&unknown.to_string(), &known.iter().map(String::as_str).collect::<Vec<_>>())
            .map(|near| format!("; did you mean `{near}`?"));
        bail!(
            "the build does not share its image with {unknown}, so --without cannot leave it out{}",
            near.unwrap_or_default()
        );
    }
    release.share.retain(|grantee| !without.contains(grantee));
    // Without any, the image is still private.
    release.private = true;
    Ok(())
}

/// Resumes a build.
///
/// # Errors
/// When it is refused, fails, or is interrupted.
pub async fn resume<C: Cloud>(
    app: &App<'_, C>,
    flags: &ReleaseFlags,
    common: &CommonFlags,
    id: &str,
    signals: &mut Signals,
) -> Result<(), Failure> {
    let run = until_signal(signals, prepare(app, flags, common, id)).await?.map_err(Failure::Refused)?;
    release::finish(app, &run, common, signals).await
}

async fn prepare<C: Cloud>(app: &App<'_, C>, flags: &ReleaseFlags, common: &CommonFlags, id: &str) -> Result<Run> {
    let App { cloud, checkout, state_dir, events, .. } = *app;
    let state = Reading::of(&state_dir.build(id).join(JOURNAL))?.state;
    let purpose = Purpose::Resume { is_built: state.is_done(&Step::Binaries) };
    let draft = preflight::draft(checkout, flags, common, purpose)?;
    preflight::refuse(&draft.findings)?;
    let run = Run::resume(draft.spec, id, &cloud.identity().await?, state_dir, events).await?;
    release::tell_rest(&run, state_dir);
    Ok(run)
}
