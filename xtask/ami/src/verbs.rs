//! The commands, one module each, and the dispatch from the command line.

use std::collections::BTreeSet;

use anyhow::{Result, anyhow};
use xtask::{
    cli::{Ami, CheckFlags, Command},
    region::Region,
};

use crate::{
    ask::{
        checkout::Checkout,
        preflight::{self, Purpose},
    },
    catalogue::regions,
    cloud::{Cloud, ec2::policy, qemu::Qemu},
    events::Events,
    ground::{outcome::Failure, partition::Partition, signals::Signals},
    show::print::print,
    state_dir::StateDir,
    story::reuse,
};

pub mod boot;
pub mod check;
pub mod clean;
pub mod deep;
pub mod diff;
mod github;
mod guest;
pub mod list;
pub mod plan;
pub mod promote;
pub mod release;
pub mod report;
pub mod resume;
pub mod retire;
pub mod schema;
pub mod system_facts;

/// What the commands on images share.
pub struct App<'a, C> {
    /// The cloud with the images.
    pub cloud: &'a C,
    /// The checkout that the command is about.
    pub checkout: &'a Checkout,
    /// The partition of AWS that the credentials are for; `None` without AWS.
    pub partition: Option<&'static Partition>,
    /// The state folder, with the journals and everything else that is kept.
    pub state_dir: &'a StateDir,
    /// Where events are emitted.
    pub events: &'a Events,
}

/// Runs a command to its end.
///
/// # Errors
/// When it fails, or is refused or interrupted.
pub async fn run(ami: Ami, events: &Events) -> Result<(), Failure> {
    let mut signals = Signals::listen().map_err(Failure::Failed)?;
    if let Some(Command::IamPolicy(flags)) = &ami.command {
        let checkout = Checkout::open(&ami.common).map_err(Failure::Refused)?;
        let partition = checkout.partition(&flags.published).map_err(Failure::Refused)?;
        let mut recipe = checkout.recipe;
        recipe.publish.choose(flags.parameters.ssm_prefix.as_ref());
        return print(&policy::text(partition, &recipe.instance, recipe.publish.ssm_prefix.as_ref()))
            .map_err(Failure::Failed);
    }
    if let Some(Command::Schema(flags)) = &ami.command {
        return schema::schema(flags.name).map_err(Failure::Failed);
    }
    if let Some(Command::Completions(flags)) = &ami.command {
        return print(&xtask::completion::script(flags.shell)).map_err(Failure::Failed);
    }
    let state_dir = StateDir::find().map_err(Failure::Refused)?;
    if let Some(Command::Report(flags)) = &ami.command {
        return report::report(flags, &state_dir);
    }
    let (ami, resumed) = resume::command_line(ami, &state_dir).map_err(Failure::Refused)?;
    if let Some(Command::Clean(flags)) = &ami.command {
        // Before it is asked whose the credentials are, which the build may not need at all.
        clean::refuse_other_kind(flags, &ami.common, &state_dir).map_err(Failure::Refused)?;
    }
    let checkout = Checkout::open(&ami.common).map_err(Failure::Refused)?;
    let is_known_here = match &ami.command {
        Some(Command::Diff(flags)) => diff::is_known_here(&state_dir, flags).map_err(Failure::Refused)?,
        _ => false,
    };
    if ami.needs_aws() && !is_known_here {
        return on_ec2(ami, resumed, &state_dir, &checkout, events, &mut signals).await;
    }
    if let Some(Command::SystemFacts(flags)) = &ami.command {
        return until_signal(&mut signals, system_facts::write(&checkout, flags, events))
            .await?
            .map_err(Failure::Refused);
    }
    let flags = ami.release_flags();
    let recipe = flags.map_or_else(|| Ok(checkout.recipe.clone()), |flags| checkout.recipe.with(flags));
    let base_image = flags.and_then(|flags| flags.base_image.as_deref());
    let cloud = Qemu::new(&state_dir, &recipe.map_err(Failure::Refused)?, base_image, events);
    let app = App { cloud: &cloud, checkout: &checkout, partition: None, state_dir: &state_dir, events };
    match &ami.command {
        Some(Command::Setup) => {
            until_signal(&mut signals, cloud.set_up(ami.common.yes)).await?.map_err(Failure::Refused)
        }
        Some(Command::Boot(flags)) => {
            until_signal(&mut signals, boot::boot(&cloud, &checkout, flags, &ami.common, events)).await?
        }
        Some(Command::Check(CheckFlags { deep: Some(image), .. })) => {
            until_signal(&mut signals, deep::check(&cloud, &checkout, image, &ami.common, events)).await?
        }
        _ => on(&app, ami, resumed, &mut signals).await,
    }
}

#[cfg(feature = "ec2")]
async fn on_ec2(
    ami: Ami,
    resumed: Option<String>,
    state_dir: &StateDir,
    checkout: &Checkout,
    events: &Events,
    signals: &mut Signals,
) -> Result<(), Failure> {
    use xtask::cli::{CleanFlags, RegionFlags};

    use crate::cloud::ec2::{Ec2, Settings, region_of_user};

    let flags = ami.release_flags();
    let mut settings = Settings::of(flags, &ami.common);
    settings.is_brief = matches!(ami.command, Some(Command::List(_) | Command::Check(_)));
    let published = match &ami.command {
        Some(Command::Check(flags)) => flags.published.clone(),
        _ => RegionFlags::default(),
    };
    let build_region = match (flags, &ami.command) {
        (Some(flags), _) => checkout.regions(flags).map_err(Failure::Refused)?.0,
        (None, Some(Command::Promote(flags))) => {
            checkout.regions_of_promotion(&flags.published).map_err(Failure::Refused)?.0
        }
        (None, Some(Command::Clean(CleanFlags { build: Some(id), .. }))) => match build_region_of(state_dir, id) {
            Some(region) => region,
            None => checkout.home_region(&published, region_of_user(settings.profile.as_deref()).await),
        },
        (None, _) => checkout.home_region(&published, region_of_user(settings.profile.as_deref()).await),
    };
    let recipe = flags.map_or_else(|| Ok(checkout.recipe.clone()), |flags| checkout.recipe.with(flags));
    let recipe = recipe.map_err(Failure::Refused)?;
    let cloud = until_signal(signals, Ec2::open(settings, &build_region, recipe, events)).await?;
    let cloud = cloud.map_err(Failure::Refused)?;
    if flags.is_none() || resumed.is_some() {
        // The preflight of a new release signs in by itself.
        until_signal(signals, cloud.sign_in()).await?.map_err(Failure::Refused)?;
    }
    let partition = Some(Partition::of(&build_region));
    on(&App { cloud: &cloud, checkout, partition, state_dir, events }, ami, resumed, signals).await
}

/// The region that a build is made in, if its journal is here and says so.
#[cfg(feature = "ec2")]
fn build_region_of(state_dir: &StateDir, id: &str) -> Option<Region> {
    use crate::record::{folder::JOURNAL, journal::Reading};

    Some(Reading::of(&state_dir.build(id).join(JOURNAL)).ok()?.state.about?.build_region)
}

#[cfg(not(feature = "ec2"))]
async fn on_ec2(
    _: Ami,
    _: Option<String>,
    _: &StateDir,
    _: &Checkout,
    _: &Events,
    _: &mut Signals,
) -> Result<(), Failure> {
    Err(Failure::Refused(anyhow!(
        "this program was compiled without EC2: run `cargo xtask ami`, which compiles it with EC2 if necessary"
    )))
}

/// Runs a command that all clouds have.
async fn on<C: Cloud>(
    app: &App<'_, C>,
    ami: Ami,
    resumed: Option<String>,
    signals: &mut Signals,
) -> Result<(), Failure> {
    let Ami { command, release, common } = ami;
    let App { cloud, checkout, state_dir, events, .. } = *app;
    if let Some(Command::Promote(flags)) = &command {
        return match resumed {
            Some(id) => promote::resume(app, flags, &common, &id, signals).await,
            None => promote::promote(app, flags, &common, signals).await,
        };
    }
    let Some(command) = command else {
        let flags = release.ok_or_else(|| Failure::Refused(anyhow!("give a --version, or a command: see --help")))?;
        return match resumed {
            Some(id) => resume::resume(app, &flags, &common, &id, signals).await,
            None => release::release(app, &flags, &common, signals).await,
        };
    };
    let recipe = &checkout.recipe;
    let work = async {
        match &command {
            Command::Plan(flags) => {
                let draft = preflight::draft(checkout, flags, &common, Purpose::Begin).map_err(Failure::Refused)?;
                let (spec, mut preflight) = preflight::run(cloud, draft, false).await.map_err(Failure::Refused)?;
                preflight.warnings.extend(reuse::warning(cloud, &spec).await);
                let text = plan::text(&spec, &preflight, app.state_dir, common.json).map_err(Failure::Failed)?;
                print(&text).map_err(Failure::Failed)?;
                preflight::refuse(&preflight.findings).map_err(Failure::Refused)
            }
            Command::Check(flags) => {
                let Some(version) = &flags.version else { return Ok(()) };
                let regions = checkout.published(&flags.published).map_err(Failure::Refused)?;
                check::check(cloud, recipe, (version, flags.ssm_prefix.as_ref()), &regions, &common).await
            }
            Command::List(flags) => {
                let used = used(app).await.map_err(Failure::Refused)?;
                list::list(cloud, recipe, &used, flags, &common, events).await
            }
            Command::Clean(flags) => {
                let used = used(app).await.map_err(Failure::Refused)?;
                clean::clean(cloud, state_dir, &used, flags, &common, events).await
            }
            Command::Diff(flags) => diff::diff(app, flags, &common).await,
            Command::Retire(flags) => {
                let used = used(app).await.map_err(Failure::Refused)?;
                retire::retire(cloud, recipe, state_dir, flags, &used, &common, events).await
            }
            // These have been run above.
            Command::Resume(_)
            | Command::Completions(_)
            | Command::Promote(_)
            | Command::Setup
            | Command::Boot(_)
            | Command::Report(_)
            | Command::IamPolicy(_)
            | Command::Schema(_)
            | Command::SystemFacts(_) => Ok(()),
        }
    };
    until_signal(signals, work).await?
}

/// The regions that are in use.
async fn used<C: Cloud>(app: &App<'_, C>) -> Result<BTreeSet<Region>> {
    let identity = app.cloud.identity().await?;
    // Without the file, the builds' journals still name regions.
    let mut listed = app.checkout.region_file(None).unwrap_or_default();
    // The credentials of one partition are not known in another.
    listed.retain(|region| app.partition.is_none_or(|partition| partition.id == Partition::of(region).id));
    regions::used(&listed, app.state_dir, &identity)
}

/// The result of the work, if no signal comes first.
async fn until_signal<T>(signals: &mut Signals, work: impl Future<Output = T>) -> Result<T, Failure> {
    tokio::select! {
        ended = work => Ok(ended),
        signal = signals.next() => Err(Failure::Interrupted(signal)),
    }
}
