//! The tool behind `cargo xtask ami`: parse, run, exit code.

use std::process::ExitCode;

use clap::Parser as _;
use xtask::cli::{Cli, LogFormat, Task};
use xtask_ami::{
    events::Events,
    ground::{environment, guard, outcome::Failure},
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
    let blanks = environment::blanks();
    if !blanks.is_empty() {
        let error = environment::restart_without(&blanks);
        events.error(format_args!("failed to start again without the blank variables: {error}"));
        return ExitCode::FAILURE;
    }
    guard::silence_panics();
    // One thread is enough: the work is mostly waiting for other machines.
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            events.error(format_args!("failed to start: {error}"));
            return ExitCode::FAILURE;
        }
    };
    let ended = guard::guard(|| {
        runtime.block_on(async {
            tokio::select! {
                ended = verbs::run(*ami, &events) => ended,
                () = events.terminal().keep_drawing() => Ok(()),
            }
        })
    });
    let ended = ended.unwrap_or_else(|panic| Err(Failure::Failed(panic)));
    // A thread that still reads the terminal or a disk must not keep the process alive.
    runtime.shutdown_background();
    let code = match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            failure.report(&events);
            ExitCode::from(failure.exit_code())
        }
    };
    events.terminal().close();
    code
}
