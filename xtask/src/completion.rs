//! Completions of `cargo xtask` for shells.
//!
//! A shell loads a script once. It hooks into the completion of `cargo`, and asks the dispatcher of the checkout for
//! every word, as `clap_complete` describes it: with the shell's name in `XTASK_COMPLETE`. So the words are always those
//! of the checkout that the user is in, and no cargo runs. Where no dispatcher is compiled yet, the script has the
//! commands and the flags.

use std::ffi::OsStr;

use clap::{Arg, Command, CommandFactory as _, ValueEnum, ValueHint};
use clap_complete::{ArgValueCompleter, CompleteEnv, CompletionCandidate};

use crate::cli::Cli;

mod known;

/// The environment variable with which a shell asks for completions.
const VARIABLE: &str = "XTASK_COMPLETE";

/// A shell that there are completions for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Shell {
    /// bash; the script also runs in version 3.2.
    Bash,
    /// zsh.
    Zsh,
    /// fish.
    Fish,
}

/// Answers a shell that asks for completions, and ends the process then. Anyone else's process just continues.
pub fn answer() {
    CompleteEnv::with_factory(command).var(VARIABLE).complete();
}

/// The script that a shell loads.
#[must_use]
pub fn script(shell: Shell) -> String {
    let script = match shell {
        Shell::Bash => include_str!("completion/cargo-xtask.bash"),
        Shell::Zsh => include_str!("completion/cargo-xtask.zsh"),
        Shell::Fish => include_str!("completion/cargo-xtask.fish"),
    };
    let mut cli = Cli::command();
    cli.build();
    let names = |command: &Command| {
        let names = command.get_subcommands().filter(|command| !command.is_hide_set()).map(Command::get_name);
        names.filter(|name| *name != "help").map(str::to_owned).collect::<Vec<_>>().join(" ")
    };
    let ami = cli.find_subcommand("ami");
    let mut flags: Vec<String> = Vec::new();
    for command in ami.into_iter().flat_map(|ami| ami.get_subcommands().chain([ami])) {
        flags.extend(command.get_arguments().filter_map(Arg::get_long).map(|long| format!("--{long}")));
    }
    flags.sort();
    flags.dedup();
    let script = script.replace("{TASKS}", &names(&cli)).replace("{FLAGS}", &flags.join(" "));
    script.replace("{COMMANDS}", &ami.map(names).unwrap_or_default())
}

/// The command line, where the flags know their values.
fn command() -> Command {
    with_values(Cli::command())
}

/// Lets every argument know its values, in all commands. Arguments of one name mean the same in all of them.
fn with_values(command: Command) -> Command {
    let command = command.mut_args(|arg| {
        let values: fn() -> Vec<CompletionCandidate> = match arg.get_id().as_str() {
            "version" | "target" => known::versions,
            "build" => known::builds,
            "from" | "to" => known::compared,
            "image" | "deep" if arg.get_long() != Some("image") => known::images,
            "regions" | "build_region" => known::regions,
            "system" => known::systems,
            "profile" => known::profiles,
            _ => return with_path(arg),
        };
        // Those that begin with the word: they share long beginnings, so a shell can write them as far as they agree.
        let completer = move |typed: &OsStr| {
            let typed = typed.to_string_lossy();
            let begins = |value: &CompletionCandidate| value.get_value().to_string_lossy().starts_with(typed.as_ref());
            values().into_iter().filter(begins).collect()
        };
        arg.add(ArgValueCompleter::new(completer))
    });
    command.mut_subcommands(with_values)
}

/// Lets an argument whose value is a path be completed as one.
fn with_path(arg: Arg) -> Arg {
    let name = arg.get_value_names().and_then(|names| names.first()).map(|name| name.as_str().to_owned());
    match name.as_deref() {
        Some("DIR") => arg.value_hint(ValueHint::DirPath),
        Some("FILE" | "ID|FILE") => arg.value_hint(ValueHint::FilePath),
        _ => arg,
    }
}
