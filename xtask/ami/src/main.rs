//! The tool behind `cargo xtask ami`: parse, run, exit code.

use std::process::ExitCode;

use anyhow::{Result, anyhow};
use clap::Parser as _;
use xtask::cli::{Ami, Cli, Command, CommonFlags, ReleaseFlags, Task};
use xtask_ami::{
    boot,
    build::Build,
    cloud::qemu::Qemu,
    home::Home,
    manage,
    outcome::Failure,
    plan,
    preflight::{self, Checkout},
    release, report,
    signals::Signals,
    status::{Level, Status},
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
    let Ami { command, release, common } = ami;
    match (command, release) {
        (None, Some(flags)) => {
            let home = Home::find().map_err(Failure::Refused)?;
            let prepared = prepare(&flags, &common, &home, status);
            let (cloud, build) = tokio::select! {
                prepared = prepared => prepared.map_err(Failure::Refused)?,
                signal = signals.next() => return Err(Failure::Interrupted(signal)),
            };
            let report = release::release(&cloud, &build, &mut signals).await?;
            report::print(&report.text(common.json).map_err(Failure::Failed)?).map_err(Failure::Failed)
        }
        (Some(command), _) => tokio::select! {
            ended = manage_or_plan(command, &common, status) => ended,
            signal = signals.next() => Err(Failure::Interrupted(signal)),
        },
        (None, None) => Err(Failure::Refused(anyhow!("give a --version, or a command: see --help"))),
    }
}

/// All that is done before anything is created; every fault is a refusal.
async fn prepare(flags: &ReleaseFlags, common: &CommonFlags, home: &Home, status: &Status) -> Result<(Qemu, Build)> {
    let checkout = Checkout::open(common)?;
    let draft = preflight::draft(&checkout, flags, common)?;
    let cloud = Qemu::new(home, &checkout.recipe, flags.base_image.as_deref(), status);
    let (order, preflight) = preflight::look(&cloud, draft, common.yes).await?;
    preflight::refuse(&preflight.findings)?;
    for (label, fact) in &preflight.facts {
        status.step(label, fact);
    }
    let build = Build::begin(order, home, status)?;
    Ok((cloud, build))
}

async fn manage_or_plan(command: Command, common: &CommonFlags, status: &Status) -> Result<(), Failure> {
    let home = Home::find().map_err(Failure::Refused)?;
    let checkout = Checkout::open(common).map_err(Failure::Refused)?;
    let base_image = if let Command::Plan(flags) = &command { flags.base_image.as_deref() } else { None };
    let cloud = Qemu::new(&home, &checkout.recipe, base_image, status);
    let recipe = &checkout.recipe;
    match command {
        Command::Plan(flags) => {
            let draft = preflight::draft(&checkout, &flags, common).map_err(Failure::Refused)?;
            let (order, preflight) = preflight::look(&cloud, draft, false).await.map_err(Failure::Refused)?;
            report::print(&plan::text(&order, &preflight, common.json)).map_err(Failure::Failed)?;
            preflight::refuse(&preflight.findings).map_err(Failure::Refused)
        }
        Command::List => manage::list(&cloud, &cloud.regions().map_err(Failure::Failed)?, common, status).await,
        Command::Check(flags) => {
            let regions = checkout.region_file(None).map_err(Failure::Refused)?;
            manage::check(&cloud, recipe, &flags.version, &regions, common).await
        }
        Command::Retire(flags) => {
            let regions = cloud.regions().map_err(Failure::Failed)?;
            manage::retire(&cloud, recipe, &flags.version, &regions, common, status).await
        }
        Command::Setup => cloud.set_up(common.yes).await.map_err(Failure::Refused),
        Command::Boot(flags) => boot::boot(&cloud, &checkout, &flags, common, status).await,
    }
}
