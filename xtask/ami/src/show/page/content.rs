//! What the page says beside the timeline.

use camino::Utf8Path;
use serde::Serialize;

use super::{
    chart::{Chart, chart},
    image::Known,
    journal::Lines,
    span::{date, span},
};
use crate::{
    event::{
        Event, How,
        about::About,
        facts::{Built, Check, SealedDisk},
        progress::Progress,
        promotion::Promotion,
        step::{Role, Step},
    },
    record::{ownership, state::State},
    shell::quote,
    show::harmless::harmless,
};

/// All that the template is filled with.
#[derive(Serialize)]
pub(super) struct Content {
    title: String,
    build: String,
    folder: String,
    outcome: Outcome,
    /// The facts in the heading: a label and a value each.
    summary: Vec<Fact>,
    journal_faults: Vec<String>,
    /// Why it failed.
    errors: Vec<String>,
    /// What exists now, and what to type.
    next: Vec<Next>,
    images: Vec<Image>,
    left_out: Vec<Fact>,
    chart: Chart,
    checks: Vec<Checked>,
    passed: usize,
    binaries: Vec<Binary>,
    sha256: Vec<Fact>,
    packages: Vec<Fact>,
    provenance: Vec<Fact>,
    preflight: Vec<Fact>,
    preflight_warnings: Vec<String>,
    warnings: Vec<String>,
}

/// How the build ended.
#[derive(Serialize)]
struct Outcome {
    text: &'static str,
    /// `good`, `bad` or `open`.
    kind: &'static str,
}

#[derive(Serialize)]
struct Fact {
    label: String,
    value: String,
    /// Whether it can be copied, and is set in a font for code.
    code: bool,
}

/// A line below a failed build: words, and a command to paste.
#[derive(Serialize)]
struct Next {
    words: String,
    command: Option<String>,
}

#[derive(Serialize)]
struct Image {
    region: String,
    id: String,
    open: bool,
    link: Option<String>,
}

/// A check, of which the template asks for each field.
#[derive(Serialize)]
struct Checked {
    name: String,
    fault: Option<String>,
    skipped: Option<String>,
}

#[derive(Serialize)]
struct Binary {
    name: String,
    sha256: String,
    size_bytes: u64,
}

fn fact(label: impl Into<String>, value: impl Into<String>) -> Fact {
    Fact { label: label.into(), value: value.into(), code: false }
}

fn code(label: impl Into<String>, value: impl Into<String>) -> Fact {
    Fact { code: true, ..fact(label, value) }
}

/// The content of the page of the build in `folder`. `is_running` says that a process works on it.
pub(super) fn content(read: &Lines, folder: &Utf8Path, is_running: bool) -> Content {
    let (state, about) = (&read.state, read.state.about.as_ref());
    let build = about.map_or_else(|| folder.file_name().unwrap_or_default().to_owned(), |about| about.id.clone());
    let known = Known::of(read);
    let disk = known.disk.as_ref();
    let began_ms = read.attempts.first().map_or(0, |attempt| attempt.start_ms);
    let warned = |early: bool| {
        let of_time = move |at_ms: u64| (at_ms < began_ms) == early;
        let warned = read.lines.iter().filter(move |moment| of_time(moment.at_ms));
        warned.filter_map(|moment| match &moment.event {
            Event::Warned { text } => Some(harmless(text)),
            _ => None,
        })
    };
    Content {
        title: about.map_or_else(|| "A build without a beginning".to_owned(), |about| about.name.clone()),
        folder: folder.to_string(),
        outcome: outcome(state, is_running),
        summary: summary(read),
        journal_faults: read.faults.clone(),
        errors: errors(read),
        next: next(read, is_running),
        images: images(state),
        left_out: state.gave_up.iter().map(|(region, why)| fact(region.as_str(), harmless(why))).collect(),
        chart: chart(read),
        passed: known.checks.iter().filter(|check| check.passed()).count(),
        checks: known.checks.iter().map(checked).collect(),
        binaries: binaries(state),
        sha256: known.sha256(state).iter().map(|(path, sum)| code(path, sum)).collect(),
        packages: disk.iter().flat_map(|disk| &disk.packages).map(|(name, version)| fact(name, version)).collect(),
        provenance: provenance(state, disk),
        preflight: facts(read),
        preflight_warnings: warned(true).collect(),
        warnings: warned(false).collect(),
        build,
    }
}

fn outcome(state: &State, is_running: bool) -> Outcome {
    let about = state.about.as_ref();
    let (text, kind) = match state.ended {
        Some(How::Done) => match about {
            Some(about) if !about.private => ("Published", "good"),
            Some(about) if !about.shared_with.is_empty() => ("Shared", "good"),
            _ => ("Done", "good"),
        },
        Some(How::Failed) => ("Failed", "bad"),
        Some(How::Interrupted) => ("Interrupted", "bad"),
        Some(How::Cleaned) => ("Cleaned up", "open"),
        None if is_running => ("Running", "open"),
        None => ("Cut off", "bad"),
    };
    Outcome { text, kind }
}

fn summary(read: &Lines) -> Vec<Fact> {
    let (state, mut facts) = (&read.state, Vec::new());
    if let (Some(first), Some(last)) = (read.attempts.first(), read.attempts.last()) {
        let worked_ms = read.attempts.iter().map(|attempt| attempt.end_ms.saturating_sub(attempt.start_ms));
        facts.push(fact("Began", date(first.start_ms)));
        facts.push(fact("Took", span(worked_ms.fold(0, u64::saturating_add))));
        if read.attempts.len() > 1 {
            facts.push(fact("Attempts", format!("{}, the last ended {}", read.attempts.len(), date(last.end_ms))));
        }
    }
    let Some(about) = &state.about else { return facts };
    facts.push(match &about.promotes {
        Some(promotion) => fact("Promoted from", promotion.version.as_str()),
        None => fact("Made in", about.build_region.as_str()),
    });
    let regions = about.regions.len();
    facts.push(fact("For", format!("{regions} {}", if regions == 1 { "region" } else { "regions" })));
    facts.push(fact("Audience", audience(about)));
    facts
}

fn audience(about: &About) -> String {
    let kept = about.expires().map(|expires| format!(", kept for {}", xtask::duration::in_days(expires)));
    let kept = kept.unwrap_or_default();
    match (about.private, about.shared_with.as_slice()) {
        (false, _) => "public".to_owned(),
        (true, []) => format!("private{kept}"),
        (true, shared) => format!("shared with {}{kept}", shared.join(", ")),
    }
}

/// The events of the last process.
fn last_attempt(read: &Lines) -> impl Iterator<Item = &Event> {
    let last = read.attempts.len().saturating_sub(1);
    read.lines.iter().filter(move |moment| moment.attempt == last).map(|moment| &moment.event)
}

fn errors(read: &Lines) -> Vec<String> {
    let error = |event: &Event| if let Event::Error { text } = event { Some(harmless(text)) } else { None };
    let told: Vec<String> = last_attempt(read).filter_map(error).collect();
    if !told.is_empty() || read.state.ended == Some(How::Done) {
        return told;
    }
    // Format 1 has no errors but those of its steps.
    let failed = |event: &Event| match event {
        Event::Failed { step, error } => Some(harmless(format_args!("{step}: {error}"))),
        _ => None,
    };
    last_attempt(read).filter_map(failed).collect()
}

/// What exists, and what to type: what the build said at its end, or what its journal says where it could not.
fn next(read: &Lines, is_running: bool) -> Vec<Next> {
    let state = &read.state;
    if is_running && state.ended.is_none() || matches!(state.ended, Some(How::Done | How::Cleaned)) {
        return Vec::new();
    }
    let note = |event: &Event| if let Event::Noted { text } = event { Some(harmless(text)) } else { None };
    let said: Vec<String> = last_attempt(read).filter_map(note).collect();
    if !said.is_empty() {
        return said.iter().flat_map(|text| text.lines()).map(split).collect();
    }
    let Some(about) = &state.about else { return Vec::new() };
    let mut next = Vec::new();
    let words = |words: &str| Next { words: words.to_owned(), command: None };
    let command = |before: &str, verb: &str| {
        let command = format!("cargo xtask ami {verb} {}{}", quote(&about.id), ownership::flags(about));
        Next { words: before.to_owned(), command: Some(command) }
    };
    if state.ended.is_none() {
        next.push(words(
            "The process ended without a word: it was killed, or the computer stopped. Instances may run.",
        ));
    }
    if !state.images.is_empty() {
        next.push(words("Images exist; they are listed below."));
    }
    if state.can_be_resumed() {
        next.push(command("To resume:", "resume"));
    }
    if state.is_unfinished() {
        next.push(command("To clean up:", "clean"));
    }
    next
}

/// Takes a line apart into words and the command behind them.
fn split(line: &str) -> Next {
    let begins = line.find("cargo xtask ").or_else(|| line.starts_with("    ").then_some(0));
    let (words, command) = line.split_at(begins.unwrap_or(line.len()));
    let command = Some(command.trim()).filter(|command| !command.is_empty());
    Next { words: words.trim().to_owned(), command: command.map(str::to_owned) }
}

fn images(state: &State) -> Vec<Image> {
    let about = state.about.as_ref();
    // Another endpoint is another cloud, which AWS's console does not know.
    let on_aws = about.is_some_and(|about| {
        !about.local && about.identity.as_ref().is_none_or(|identity| identity.endpoint.is_none())
    });
    // Each image counts as open as soon as its opening begins, for what may be interrupted.
    let is_private = about.is_some_and(|about| about.private);
    let image = |(region, image): (&xtask::region::Region, &crate::record::state::RegionImage)| Image {
        region: region.to_string(),
        id: image.id.to_string(),
        open: image.open && !is_private,
        link: console(region.as_str(), &image.id.0).filter(|_| on_aws),
    };
    state.images.iter().map(image).collect()
}

/// The page of an image in AWS's console. Partitions have consoles of their own; those without a public one have none.
fn console(region: &str, image: &str) -> Option<String> {
    let host = match region {
        _ if region.starts_with("cn-") => format!("{region}.console.amazonaws.cn"),
        _ if region.starts_with("us-gov-") => "console.amazonaws-us-gov.com".to_owned(),
        _ if region.contains("-iso") || region.starts_with("eusc-") => return None,
        _ => format!("{region}.console.aws.amazon.com"),
    };
    let is_plain = image.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
    is_plain.then(|| format!("https://{host}/ec2/home?region={region}#ImageDetails:imageId={image}"))
}

fn checked(Check { name, fault, skipped }: &Check) -> Checked {
    Checked { name: harmless(name), fault: fault.as_ref().map(harmless), skipped: skipped.as_ref().map(harmless) }
}

fn binaries(state: &State) -> Vec<Binary> {
    let built = state.result::<Vec<Built>>(&Step::Binaries).ok().flatten().unwrap_or_default();
    let binary = |Built { name, sha256, size_bytes, .. }| Binary { name, sha256, size_bytes };
    built.into_iter().map(binary).collect()
}

fn facts(read: &Lines) -> Vec<Fact> {
    let found = read.lines.iter().filter_map(|moment| match &moment.event {
        Event::Progress { progress: Progress::Fact { label, fact: found } } => {
            Some(fact(harmless(label), harmless(found)))
        }
        _ => None,
    });
    found.collect()
}

/// What a promotion copies.
fn origin(promotion: &Promotion) -> Vec<Fact> {
    let Promotion { name, region, image, build, made_of, verified, .. } = promotion;
    vec![
        fact("Promoted from", name),
        code("Candidate", image.to_string()),
        fact("Region of the candidate", region.as_str()),
        code("Build of the candidate", build),
        code("Made on", made_of.to_string()),
        fact("Verified", verified),
    ]
}

fn provenance(state: &State, disk: Option<&SealedDisk>) -> Vec<Fact> {
    let Some(about) = &state.about else { return Vec::new() };
    let mut facts = vec![code("Version", about.version.as_str())];
    facts.extend(about.commit.as_ref().map(|commit| code("Commit", commit)));
    facts.extend(about.promotes.iter().flat_map(|promotion| origin(promotion)));
    facts.extend(about.branch.as_ref().map(|branch| fact("Branch", branch)));
    if about.dirty {
        facts.push(fact("Checkout", "had uncommitted changes"));
    }
    facts.push(code("Folder", about.root.as_str()));
    if let Some(identity) = &about.identity {
        facts.push(code("Account", &identity.account));
        facts.extend(identity.endpoint.as_ref().map(|endpoint| code("Endpoint", endpoint)));
    }
    facts.extend(about.profile.as_ref().map(|profile| fact("Profile", profile)));
    facts.push(fact("System", &about.system));
    let base = disk.map(|disk| disk.base.clone()).or_else(|| state.result(&Step::Base).ok().flatten());
    if let Some(base) = base {
        facts.push(fact("Base", &base.name));
        facts.push(code("Base image", &base.id));
        facts.extend(base.owner.as_ref().map(|owner| code("Owner of the base", owner)));
        facts.extend(base.sha256.as_ref().map(|sum| code("SHA-256 of the base", sum)));
    }
    for (label, role) in [("Made on", Role::Bake), ("Verified on", Role::Verify)] {
        let instance = state.result::<String>(&Step::Launch(role)).ok().flatten();
        facts.extend(instance.map(|instance| code(label, instance)));
    }
    if !about.call.words.is_empty() {
        let words: Vec<String> = about.call.words.iter().map(|word| quote(word).to_string()).collect();
        facts.push(code("Command", format!("cargo xtask {}", words.join(" "))));
    }
    facts.extend(about.inputs.iter().map(|(path, sum)| code(format!("SHA-256 of {path}"), sum)));
    facts
}
