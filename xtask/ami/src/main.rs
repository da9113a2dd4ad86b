//! The tool behind `cargo xtask ami`: parse, run, exit code.

use std::process::ExitCode;

use anyhow::{Context as _, Result, anyhow};
use clap::Parser as _;
use xtask::cli::{Ami, Cli, Command, CommonFlags, ReleaseFlags, Task};
use xtask_ami::{
    ask::{checkout::Checkout, preflight, spec::Visibility},
    cloud::{Cloud, ec2::policy, qemu::Qemu},
    ground::{outcome::Failure, signals::Signals},
    record::unfinished::Unfinished,
    show::terminal::{Level, Status},
    state_dir::StateDir,
    story::{
        release,
        report::{self, Report},
        run::Run,
    },
    verbs::{boot, clean, manage, plan},
};

fn main() -> ExitCode {
    let Task::Ami(ami) = Cli::parse().task else {
        return ExitCode::from(2);
    };
    let level = match (ami.common.quiet, ami.common.verbose) {
        (true, _) => Level::Quiet,
        (_, true) => Level::Verbose,
        _ => Level::Normal,
    };
    let status = Status::new(level);
    // One thread does: the work is waiting for other machines.
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            status.error(format_args!("failed to start: {error}"));
            return ExitCode::FAILURE;
        }
    };
    let ended = runtime.block_on(async {
        tokio::select! {
            ended = run(*ami, &status) => ended,
            () = status.keep_drawing() => Ok(()),
        }
    });
    // A thread that still reads the terminal, or a disk, must not keep the command from ending.
    runtime.shutdown_background();
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            failure.say(&status);
            ExitCode::from(failure.exit_code())
        }
    }
}

async fn run(ami: Ami, status: &Status) -> Result<(), Failure> {
    let mut signals = Signals::listen().map_err(Failure::Failed)?;
    if let Some(Command::IamPolicy) = ami.command {
        return report::print(&policy::text()).map_err(Failure::Failed);
    }
    let home = StateDir::find().map_err(Failure::Refused)?;
    let (ami, resumed) = resumed(ami, &home).map_err(Failure::Refused)?;
    let checkout = Checkout::open(&ami.common).map_err(Failure::Refused)?;
    if ami.needs_aws() {
        return on_ec2(ami, resumed, &home, checkout, status, &mut signals).await;
    }
    let base_image = release_flags(&ami).and_then(|flags| flags.base_image.as_deref());
    let cloud = Qemu::new(&home, &checkout.recipe, base_image, status);
    let common = &ami.common;
    match &ami.command {
        Some(Command::Setup) => until_signal(&mut signals, cloud.set_up(common.yes)).await?.map_err(Failure::Refused),
        Some(Command::Boot(flags)) => {
            until_signal(&mut signals, boot::boot(&cloud, &checkout, flags, common, status)).await?
        }
        _ => on(&cloud, ami, resumed, &home, checkout, status, &mut signals).await,
    }
}

/// What was asked for; where that is to go on with a build, what was asked for when it began, and the build's id.
fn resumed(ami: Ami, home: &StateDir) -> Result<(Ami, Option<String>)> {
    let Some(Command::Resume(flags)) = &ami.command else { return Ok((ami, None)) };
    let unfinished = Unfinished::pick(home, flags.build.as_deref(), ami.common.local)?;
    let (mut began, call) = unfinished.command()?;
    std::env::set_current_dir(&call.folder)
        .with_context(|| format!("the build began in {}, and its paths count from there", call.folder))?;
    let CommonFlags { yes, json, quiet, verbose, profile, .. } = ami.common;
    began.common.profile = profile.or(began.common.profile);
    began.common = CommonFlags { yes, json, quiet, verbose, ..began.common };
    Ok((began, Some(unfinished.id)))
}

/// The flags of the release that is asked for, or planned.
fn release_flags(ami: &Ami) -> Option<&ReleaseFlags> {
    match &ami.command {
        Some(Command::Plan(flags)) => Some(flags),
        _ => ami.release.as_ref(),
    }
}

#[cfg(feature = "ec2")]
async fn on_ec2(
    ami: Ami,
    resumed: Option<String>,
    home: &StateDir,
    checkout: Checkout,
    status: &Status,
    signals: &mut Signals,
) -> Result<(), Failure> {
    use xtask_ami::cloud::ec2::{Ec2, Settings};

    let flags = release_flags(&ami);
    let settings = Settings::of(flags, &ami.common);
    let build_region = match flags {
        Some(flags) => checkout.regions(flags).map_err(Failure::Refused)?.0,
        None => checkout.recipe.build_region.clone(),
    };
    let recipe = preflight::recipe_with(&checkout.recipe, flags);
    let cloud = until_signal(signals, Ec2::open(settings, &build_region, recipe, status)).await?;
    if flags.is_none() || resumed.is_some() {
        // The preflight of a release that begins does that by itself.
        until_signal(signals, cloud.sign_in()).await?.map_err(Failure::Refused)?;
    }
    on(&cloud, ami, resumed, home, checkout, status, signals).await
}

#[cfg(not(feature = "ec2"))]
async fn on_ec2(
    _: Ami,
    _: Option<String>,
    _: &StateDir,
    _: Checkout,
    _: &Status,
    _: &mut Signals,
) -> Result<(), Failure> {
    Err(Failure::Refused(anyhow!(
        "this was compiled without EC2: run `cargo xtask ami`, which knows when to compile it"
    )))
}

/// Carries a command out that all clouds have.
async fn on<C: Cloud>(
    cloud: &C,
    ami: Ami,
    resumed: Option<String>,
    home: &StateDir,
    checkout: Checkout,
    status: &Status,
    signals: &mut Signals,
) -> Result<(), Failure> {
    let Ami { command, release, common } = ami;
    match (command, release) {
        (None, Some(flags)) => {
            let build = match resumed {
                Some(id) => {
                    let order = preflight::draft(&checkout, &flags, &common).map_err(Failure::Refused)?.order;
                    Run::resume(order, &id, home, status).map_err(Failure::Refused)?
                }
                None => {
                    let prepared = prepare(cloud, &checkout, &flags, &common, home, status);
                    until_signal(signals, prepared).await?.map_err(Failure::Refused)?
                }
            };
            let tell = |report: &Report| report::print(&report.text(common.json)?);
            release::release(cloud, &build, signals, tell).await.map(drop)
        }
        (Some(command), _) => {
            until_signal(signals, manage_or_plan(cloud, &command, home, &checkout, &common, status)).await?
        }
        (None, None) => Err(Failure::Refused(anyhow!("give a --version, or a command: see --help"))),
    }
}

/// What comes of the work, if no signal comes before.
async fn until_signal<T>(signals: &mut Signals, work: impl Future<Output = T>) -> Result<T, Failure> {
    tokio::select! {
        ended = work => Ok(ended),
        signal = signals.next() => Err(Failure::Interrupted(signal)),
    }
}

/// All that is done before anything is created; every fault is a refusal.
async fn prepare<C: Cloud>(
    cloud: &C,
    checkout: &Checkout,
    flags: &ReleaseFlags,
    common: &CommonFlags,
    home: &StateDir,
    status: &Status,
) -> Result<Run> {
    let draft = preflight::draft(checkout, flags, common)?;
    Unfinished::refuse_second(home, &draft.order.release())?;
    let (order, preflight) = preflight::look(cloud, draft, common.yes).await?;
    for warning in &preflight.warnings {
        status.warn(warning);
    }
    preflight::refuse(&preflight.findings)?;
    for (label, fact) in &preflight.facts {
        status.step(label, fact);
    }
    if order.visibility == Visibility::Public && !common.local {
        let regions = order.regions.len();
        let question = format!("Make `{}` public in {regions} regions?", order.name);
        manage::confirm(&question, common.yes).await.context("nothing was begun")?;
    }
    Run::begin(order, home, status)
}

async fn manage_or_plan<C: Cloud>(
    cloud: &C,
    command: &Command,
    home: &StateDir,
    checkout: &Checkout,
    common: &CommonFlags,
    status: &Status,
) -> Result<(), Failure> {
    let recipe = &checkout.recipe;
    match command {
        Command::Plan(flags) => {
            let draft = preflight::draft(checkout, flags, common).map_err(Failure::Refused)?;
            let (order, preflight) = preflight::look(cloud, draft, false).await.map_err(Failure::Refused)?;
            report::print(&plan::text(&order, &preflight, common.json)).map_err(Failure::Failed)?;
            preflight::refuse(&preflight.findings).map_err(Failure::Refused)
        }
        Command::Check(flags) => {
            let regions = checkout.region_file(None).map_err(Failure::Refused)?;
            manage::check(cloud, recipe, &flags.version, &regions, common).await
        }
        Command::List => manage::list(cloud, common, status).await,
        Command::Clean(flags) => clean::clean(cloud, home, flags, common, status).await,
        Command::Retire(flags) => manage::retire(cloud, recipe, &flags.version, common, status).await,
        Command::Resume(_) | Command::Setup | Command::Boot(_) | Command::IamPolicy => Ok(()),
    }
}
