//! The wording of events. All wording of progress is here.

use std::{borrow::Cow, fmt::Display, time::Duration};

use indicatif::HumanBytes;
use serde_json::Value;
use xtask::region::Region;

use crate::{
    event::{
        Event,
        facts::Verified,
        progress::Progress,
        step::{Handle, Role, Step},
    },
    record::state::State,
};

/// The wording of an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Words {
    /// What kind of line it is.
    pub kind: Kind,
    /// A participle, such as `Built`, or the label of a fact; empty unless the kind is [`Kind::Change`].
    pub verb: Cow<'static, str>,
    /// The verb's object, or the whole line.
    pub text: String,
}

/// A kind of line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Something changed.
    Change,
    /// A warning.
    Warning,
    /// Why the command fails.
    Error,
    /// A line below a warning or an error.
    Note,
    /// The output of a program.
    Output,
    /// For the log alone.
    Detail,
}

/// The wording of an event; none if there is nothing to say.
#[must_use]
pub fn words(event: &Event, state: &State) -> Option<Words> {
    let of = |kind: Kind, text: &dyn Display| Some(Words { kind, verb: Cow::Borrowed(""), text: text.to_string() });
    match event {
        Event::Intended { step, by } => intended(step, by),
        Event::Done { step, result, .. } => done(step, result),
        Event::Failed { step, error } => of(Kind::Detail, &format_args!("{step} failed: {error}")),
        Event::Began { build, .. } => of(Kind::Detail, &format_args!("build {} of `{}` begins", build.id, build.name)),
        Event::Resumed {} => of(Kind::Detail, &format_args!("attempt {} begins", state.attempts)),
        Event::Ended { how, left } => {
            let left = if *left { "; instances, key pairs or security groups may be left" } else { "" };
            of(Kind::Detail, &format_args!("the process ends: {how:?}{left}"))
        }
        Event::InDoubt { step } => {
            of(Kind::Detail, &format_args!("{step} got no answer, and may have been done all the same"))
        }
        Event::GaveUp { region, why } => of(Kind::Warning, &format_args!("{region} is left out: {why}")),
        Event::Seen { .. } => None,
        Event::Warned { text } => of(Kind::Warning, text),
        Event::Error { text } => of(Kind::Error, text),
        Event::Noted { text } => of(Kind::Note, text),
        Event::Progress { progress } => Some(moved_on(progress)),
        // The terminal shows waits in its own way; these lines are for the log.
        Event::Waiting { on, state, .. } if state.is_empty() => of(Kind::Detail, &format_args!("waiting for {on}")),
        Event::Waiting { on, state, .. } => of(Kind::Detail, &format_args!("waiting for {on}: {state}")),
        Event::Waited { on, took_ms, .. } => {
            of(Kind::Detail, &format_args!("waited for {on}: {}", seconds(Duration::from_millis(*took_ms))))
        }
        Event::Called { action, region, took_ms, status } => {
            let status = status.map_or("no answer".to_owned(), |status| format!("HTTP {status}"));
            of(Kind::Detail, &format_args!("{action} in {region}: {status} after {took_ms} ms"))
        }
        Event::Output { line, .. } => of(Kind::Output, line),
    }
}

fn change(verb: impl Into<Cow<'static, str>>, text: impl Display) -> Words {
    Words { kind: Kind::Change, verb: verb.into(), text: text.to_string() }
}

fn blocked(region: &Region) -> Words {
    change("Blocked", format_args!("public images in {region}, as before"))
}

fn intended(step: &Step, by: &Handle) -> Option<Words> {
    Some(match step {
        Step::Seal => change("Sealing", by.as_str()),
        Step::Unblock(region) => {
            change("Unblocking", format_args!("public images in {region} while this one is published"))
        }
        Step::Withdraw => change("Withdrawing", "the images in all regions"),
        _ => return None,
    })
}

fn done(step: &Step, result: &Value) -> Option<Words> {
    Some(match step {
        Step::Launch(Role::Keep) => {
            change("Launched", format_args!("{} to keep a base for later builds", result.as_str().unwrap_or_default()))
        }
        Step::Launch(role) => {
            change("Launched", format_args!("{} to {} the image", result.as_str().unwrap_or_default(), role.word()))
        }
        Step::Verify(image) => {
            let seen =
                serde_json::from_value::<Verified>(result.clone()).map(|verified| verified.seen).unwrap_or_default();
            let skipped = match seen.skipped().count() {
                0 => String::new(),
                count => format!(", {count} of them skipped"),
            };
            change("Verified", format_args!("{image}: {} checks{skipped}", seen.checks.len()))
        }
        Step::Block(region) => blocked(region),
        _ => return None,
    })
}

fn moved_on(progress: &Progress) -> Words {
    match progress {
        Progress::Fact { label, fact } => change(label.clone(), fact),
        Progress::InstallingPrograms { programs } => {
            change("Installing", format_args!("packages for {}", programs.join(", ")))
        }
        Progress::Ready { accelerator } => change("Ready", format_args!("for --local, on {accelerator}")),
        Progress::Building { binary } => change("Building", binary),
        Progress::Built { binary, size_bytes, took_secs } => {
            let took = seconds(Duration::from_secs(*took_secs));
            change("Built", format_args!("{binary} ({}, {took})", HumanBytes(*size_bytes)))
        }
        Progress::Queued { on } => change("Waiting", format_args!("for {on}")),
        Progress::MakingBase { system } => change("Making", format_args!("the base {system} from Debian's packages")),
        Progress::MadeBase { name, took_secs } => change("Made", format_args!("the base {name} in {took_secs} s")),
        Progress::Terminating { instance } => {
            change("Terminating", format_args!("{instance}, left by an earlier attempt"))
        }
        Progress::Resumed { instance } => change("Resumed", format_args!("{instance}, which was being provisioned")),
        Progress::Replacing { instance, why } => change("Replacing", format_args!("{instance}: {why}")),
        Progress::Reusing { image, created } => {
            change("Reusing", format_args!("the kept base {image} of {created}, which has the packages"))
        }
        Progress::NotReused { image, why } => change("Leaving", format_args!("the kept base {image} alone: {why}")),
        Progress::Keeping { instance } => change("Keeping", format_args!("a base of {instance} for later builds")),
        Progress::Kept { image, until } => change("Kept", format_args!("the base {image} until {until}")),
        Progress::InstallingPackages { count, instance } => {
            change("Installing", format_args!("{count} packages on {instance}"))
        }
        Progress::Uploading { files } => change("Uploading", format_args!("{files} files")),
        Progress::Imaging { instance, image, name } => {
            change("Imaging", format_args!("{instance} as {image}, `{name}`"))
        }
        Progress::Found { image, region, name } => change("Found", format_args!("{image} in {region}, `{name}`")),
        Progress::Copied { image, regions } => {
            let noun = if *regions == 1 { "region" } else { "regions" };
            change("Copied", format_args!("{image} to {regions} {noun}"))
        }
        Progress::Checking { image, instance } => change("Checking", format_args!("{image} on {instance}")),
        Progress::Publishing { name, regions, public } => {
            let verb = if *public { "Publishing" } else { "Sharing" };
            change(verb, format_args!("`{name}` in {}", regions_text(regions)))
        }
        Progress::Named { name, regions } => {
            change("Named", format_args!("the image {name} in {}", regions_text(regions)))
        }
        Progress::Removed { id, region } => change("Removed", format_args!("{id} in {region}")),
        Progress::Blocked { region } => blocked(region),
        Progress::Swept { path } => change("Removed", format_args!("{path}, left by a killed process")),
        Progress::NothingToRemove => change("Clean", "there is nothing to remove"),
        Progress::NoImages { flags } => {
            change("Empty", format_args!("there are no images; to make one: cargo xtask ami --version X{flags}"))
        }
        Progress::Booting { image, name } => change("Booting", format_args!("{image} ({name})")),
        Progress::Reached { address } => change("Reached", format_args!("{address}; logging out ends the machine")),
    }
}

fn regions_text(regions: &[Region]) -> String {
    match regions {
        [region] => region.to_string(),
        _ => format!("{} regions", regions.len()),
    }
}

/// A duration in whole seconds, such as `1m 20s`.
#[must_use]
pub fn seconds(time: Duration) -> String {
    humantime::format_duration(Duration::from_secs(time.as_secs())).to_string()
}
