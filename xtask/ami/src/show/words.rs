//! The wording of events. All wording of progress is here.

use std::{borrow::Cow, fmt::Display, time::Duration};

use indicatif::HumanBytes;
use serde_json::Value;
use xtask::{count, region::Region};

use crate::{
    event::{
        Event,
        estimate::{Estimate, Work, range_text},
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
    /// A participle, such as `Built`, or the label of a fact; empty unless the kind is [`Kind::Change`] or
    /// [`Kind::Begin`].
    pub verb: Cow<'static, str>,
    /// The verb's object, or the whole line.
    pub text: String,
}

/// A kind of line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Something was done.
    Change,
    /// Something begins. A terminal shows it in its live block instead.
    Begin,
    /// A warning.
    Warning,
    /// Why the command fails.
    Error,
    /// A line below a warning or an error.
    Note,
    /// The output of a program.
    Output,
    /// A command on an instance, or a call of the cloud's API.
    Trace,
    /// For the log alone.
    Detail,
}

/// The wording of an event; none if there is nothing to say.
#[must_use]
pub fn words(event: &Event, state: &State) -> Option<Words> {
    let of = |kind: Kind, text: &dyn Display| Some(Words { kind, verb: Cow::Borrowed(""), text: text.to_string() });
    match event {
        Event::Intended { step, by } => intended(step, by),
        Event::Done { step, result, took_ms } => done(step, result, Duration::from_millis(*took_ms), state),
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
            let took = brief(Duration::from_millis(*took_ms));
            of(Kind::Trace, &format_args!("{action} in {region}: {status} after {took}"))
        }
        Event::Ran { source, command, took_ms, how } => of(
            Kind::Trace,
            &format_args!("{source}: `{command}`: {how} after {}", brief(Duration::from_millis(*took_ms))),
        ),
        Event::Sent { .. } | Event::Checked { .. } => None,
        Event::Output { line, .. } => of(Kind::Output, line),
    }
}

fn change(verb: impl Into<Cow<'static, str>>, text: impl Display) -> Words {
    Words { kind: Kind::Change, verb: verb.into(), text: text.to_string() }
}

fn begin(verb: &'static str, text: impl Display) -> Words {
    Words { kind: Kind::Begin, verb: Cow::Borrowed(verb), text: text.to_string() }
}

fn detail(text: String) -> Words {
    Words { kind: Kind::Detail, verb: Cow::Borrowed(""), text }
}

fn blocked(region: &Region) -> Words {
    change("Blocked", format_args!("public images in {region}, as before"))
}

fn intended(step: &Step, by: &Handle) -> Option<Words> {
    Some(match step {
        Step::Seal => begin("Sealing", by.as_str()),
        Step::Unblock(region) => {
            change("Unblocking", format_args!("public images in {region} while this one is published"))
        }
        Step::Withdraw => change("Withdrawing", "the images in all regions"),
        _ => return None,
    })
}

fn done(step: &Step, result: &Value, took: Duration, state: &State) -> Option<Words> {
    let took = brief(took);
    let about = state.about.as_ref();
    Some(match step {
        Step::Launch(role) => {
            let made = if *role == Role::Keep { "a base for later builds" } else { "the image" };
            let instance = result.as_str().unwrap_or_default();
            change("Launched", format_args!("{instance} to {} {made} in {took}", role.word()))
        }
        Step::Login(role) => {
            let instance = state.result::<String>(&Step::Launch(*role)).ok().flatten();
            let instance = instance.unwrap_or_else(|| format!("the machine to {}", role.word()));
            change("Reached", format_args!("{instance} in {took}"))
        }
        Step::Packages => change("Installed", format_args!("the packages in {took}")),
        Step::Install => change("Installed", format_args!("the payload in {took}")),
        Step::Seal => change("Sealed", format_args!("the machine in {took}")),
        Step::Stop => change("Stopped", format_args!("the machine in {took}")),
        Step::Available(region) if about.is_some_and(|about| about.build_region == *region) => {
            let image = result.get("id").and_then(Value::as_str).unwrap_or_default();
            change("Imaged", format_args!("{image} in {region} in {took}"))
        }
        Step::Available(region) => detail(format!("the copy to {region} is available after {took}")),
        Step::Verify(image) => {
            let seen =
                serde_json::from_value::<Verified>(result.clone()).map(|verified| verified.seen).unwrap_or_default();
            let skipped = match seen.skipped().count() {
                0 => String::new(),
                count => format!(", {count} of them skipped"),
            };
            change("Verified", format_args!("{image}: {} checks{skipped} in {took}", seen.checks.len()))
        }
        Step::Publish => {
            let about = about?;
            let verb = if about.private { "Shared" } else { "Published" };
            change(verb, format_args!("`{}` in {took}", about.name))
        }
        Step::Block(region) => blocked(region),
        _ => return None,
    })
}

fn moved_on(progress: &Progress) -> Words {
    match progress {
        Progress::Fact { label, fact } => change(label.clone(), fact),
        Progress::Estimated { estimate } => estimated(estimate),
        Progress::InstallingPrograms { programs } => {
            begin("Installing", format_args!("packages for {}", programs.join(", ")))
        }
        Progress::Ready { accelerator } => change("Ready", format_args!("for --local, on {accelerator}")),
        Progress::Building { binary, .. } => begin("Building", binary),
        Progress::Built { binary, size_bytes, took_secs } => {
            let took = seconds(Duration::from_secs(*took_secs));
            change("Built", format_args!("{binary} ({}) in {took}", HumanBytes(*size_bytes)))
        }
        // A line that stays: the helper that is awaited may be asking a person.
        Progress::Queued { on } => change("Waiting", format_args!("for {on}")),
        Progress::MakingBase { system } => begin("Making", format_args!("the base {system} from Debian's packages")),
        Progress::MadeBase { name, took_secs } => {
            change("Made", format_args!("the base {name} in {}", seconds(Duration::from_secs(*took_secs))))
        }
        Progress::Terminating { instance } => {
            change("Terminating", format_args!("{instance}, left by an earlier attempt"))
        }
        Progress::Resumed { instance } => change("Resumed", format_args!("{instance}, which was being provisioned")),
        Progress::Replacing { instance, why } => change("Replacing", format_args!("{instance}: {why}")),
        Progress::Reusing { image, created } => {
            change("Reusing", format_args!("the kept base {image} of {created}, which has the packages"))
        }
        Progress::NotReused { image, why } => change("Leaving", format_args!("the kept base {image} alone: {why}")),
        Progress::Keeping { instance } => begin("Keeping", format_args!("a base of {instance} for later builds")),
        Progress::Kept { image, until } => change("Kept", format_args!("the base {image} until {until}")),
        Progress::InstallingPackages { count: 0, instance } => begin("Preparing", instance),
        Progress::InstallingPackages { count: 1, instance } => {
            begin("Installing", format_args!("1 package on {instance}"))
        }
        Progress::InstallingPackages { count, instance } => {
            begin("Installing", format_args!("{count} packages on {instance}"))
        }
        Progress::Uploading { files: 1 } => begin("Uploading", "1 file"),
        Progress::Uploading { files } => begin("Uploading", format_args!("{files} files")),
        Progress::UploadingBinary { binary } => begin("Uploading", binary),
        Progress::Uploaded { binary, size_bytes, took_ms } => {
            uploaded(binary.as_deref().unwrap_or("the payload"), *size_bytes, *took_ms)
        }
        Progress::NotUploaded { binary, why } => detail(format!("{binary} is uploaded with the payload: {why}")),
        Progress::Imaging { instance, image, name } => {
            begin("Imaging", format_args!("{instance} as {image}, `{name}`"))
        }
        Progress::Found { image, region, name } => change("Found", format_args!("{image} in {region}, `{name}`")),
        Progress::Copied { image, regions, took_ms } => {
            let noun = if *regions == 1 { "region" } else { "regions" };
            let took = took_ms.map(|took_ms| format!(" in {}", brief(Duration::from_millis(took_ms))));
            change("Copied", format_args!("{image} to {regions} {noun}{}", took.unwrap_or_default()))
        }
        Progress::Checking { image, instance } => begin("Checking", format_args!("{image} on {instance}")),
        Progress::Publishing { name, regions, public } => {
            let verb = if *public { "Publishing" } else { "Sharing" };
            begin(verb, format_args!("`{name}` in {}", regions_text(regions)))
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

fn uploaded(what: &str, size_bytes: u64, took_ms: u64) -> Words {
    let took = brief(Duration::from_millis(took_ms));
    change("Uploaded", format_args!("{what} ({}) in {took}", HumanBytes(size_bytes)))
}

fn estimated(estimate: &Estimate) -> Words {
    let builds = match estimate.builds {
        1 => "an earlier build".to_owned(),
        builds => format!("{builds} earlier builds"),
    };
    let from = match (estimate.work, estimate.builds) {
        (Work::Build, 0) => ", by default, and more if compiling takes longer".to_owned(),
        (_, 0) => ", by default".to_owned(),
        (Work::Build, _) => format!(", as {builds} did"),
        (Work::Promotion, _) => format!(", as copying and publishing did in {builds}"),
        (Work::Rest, _) => format!(" more, as what is left did in {builds}"),
    };
    let defaults = if estimate.builds == 0 { String::new() } else { estimate.defaults_text() };
    change("Takes", format_args!("about {}{from}{defaults}", range_text(estimate.whole.bounds())))
}

fn regions_text(regions: &[Region]) -> String {
    match regions {
        [region] => region.to_string(),
        _ => count::of(regions.len(), "region"),
    }
}

/// A duration, such as `0.4s`, `3.2s`, `45s` or `1m 20s`.
#[must_use]
pub fn brief(time: Duration) -> String {
    match time.as_millis() {
        0..10_000 => format!("{:.1}s", time.as_secs_f64()),
        _ => seconds(time),
    }
}

/// A time since a beginning, such as `4:25` or `1:04:25`, with tenths of a second where it has any: `0:00.4`.
#[must_use]
pub fn clock(time: Duration) -> String {
    let (hours, minutes, secs) = (time.as_secs() / 3600, time.as_secs() / 60 % 60, time.as_secs() % 60);
    let tenths = if time.subsec_millis() == 0 { String::new() } else { format!(".{}", time.subsec_millis() / 100) };
    match hours {
        0 => format!("{minutes}:{secs:02}{tenths}"),
        _ => format!("{hours}:{minutes:02}:{secs:02}{tenths}"),
    }
}

/// A duration in whole seconds, such as `1m 20s`.
#[must_use]
pub fn seconds(time: Duration) -> String {
    humantime::format_duration(Duration::from_secs(time.as_secs())).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::estimate::Span;

    #[test]
    fn an_estimate_says_what_it_is_of_and_what_it_is_from() {
        for (work, builds, text) in [
            (Work::Build, 0, "about 2–4m, by default, and more if compiling takes longer"),
            (Work::Build, 1, "about 2–4m, as an earlier build did"),
            (Work::Promotion, 0, "about 2–4m, by default"),
            (Work::Promotion, 3, "about 2–4m, as copying and publishing did in 3 earlier builds"),
            (Work::Rest, 1, "about 2–4m more, as what is left did in an earlier build"),
        ] {
            let whole = Span::by_default(Duration::from_secs(120));
            let estimate = Estimate { work, builds, whole, ..Estimate::default() };
            assert_eq!(moved_on(&Progress::Estimated { estimate }), change("Takes", text));
        }
        let default = Estimate::by_default(Duration::from_secs(120), |_| true);
        let estimated =
            |builds| moved_on(&Progress::Estimated { estimate: Estimate { builds, ..default.clone() } }).text;
        assert_eq!(estimated(0), "about 2–4m, by default, and more if compiling takes longer");
        assert!(
            estimated(1).starts_with("about 2–4m, as an earlier build did, by default for machine, "),
            "{}",
            estimated(1)
        );
    }
    #[test]
    fn an_upload_says_what_it_was_of() {
        let uploaded = |binary: Option<&str>| {
            moved_on(&Progress::Uploaded { binary: binary.map(str::to_owned), size_bytes: 5 << 20, took_ms: 300 })
        };
        assert_eq!(uploaded(Some("machida")), change("Uploaded", "machida (5.00 MiB) in 0.3s"));
        assert_eq!(uploaded(None), change("Uploaded", "the payload (5.00 MiB) in 0.3s"));
    }

    #[test]
    fn a_time_has_hours_and_tenths_only_where_there_are_any() {
        for (ms, text) in
            [(0, "0:00"), (400, "0:00.4"), (265_000, "4:25"), (3_600_000, "1:00:00"), (90_065_900, "25:01:05.9")]
        {
            assert_eq!(clock(Duration::from_millis(ms)), text);
        }
    }
}
