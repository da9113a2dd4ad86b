//! The tool behind `cargo xtask ami`: parse, run, exit code.

use std::process::ExitCode;

use clap::Parser as _;
use xtask::cli::{Cli, LogFormat, Task};
use xtask_ami::{
    events::Events,
    show::terminal::{Form, Level, Terminal},
    verbs,
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
    let form = match ami.common.log_format {
        LogFormat::Text => Form::Text,
        LogFormat::Json => Form::Json,
    };
    let events = Events::new(Terminal::stderr(level, form));
    // One thread does: the work is waiting for other machines.
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            events.error(format_args!("failed to start: {error}"));
            return ExitCode::FAILURE;
        }
    };
    let ended = runtime.block_on(async {
        tokio::select! {
            ended = verbs::run(*ami, &events) => ended,
            () = events.terminal().keep_drawing() => Ok(()),
        }
    });
    // A thread that still reads the terminal, or a disk, must not keep the command from ending.
    runtime.shutdown_background();
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            failure.report(&events);
            ExitCode::from(failure.exit_code())
        }
    }
}
