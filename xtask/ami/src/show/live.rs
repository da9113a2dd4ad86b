//! What is in progress: a fold of the events, from which the live block and the plain lines about waits are made.
//!
//! Times are since the terminal was opened, so that the same events give the same lines whenever they are shown.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use xtask::region::Region;

use crate::event::{
    Event,
    about::About,
    estimate::Estimate,
    facts::Check,
    phase::Phase,
    progress::Progress,
    step::{Role, Step},
};

mod apt;
mod copies;
mod estimates;
mod lines;
mod make;
mod naming;
mod summary;
mod text;

pub use text::width_of;

/// How long the rate of an upload is averaged over.
const RATE_OVER: Duration = Duration::from_secs(10);

/// What is in progress.
#[derive(Clone, Debug, Default)]
pub struct Live {
    build: Option<Build>,
    /// The steps that were begun and have not ended, in the order of their beginning.
    steps: Vec<(Step, Duration)>,
    waits: Vec<Wait>,
    make: Option<make::Make>,
    machines: BTreeMap<Role, Machine>,
    copies: BTreeMap<Region, Copying>,
    /// How the writing of each region's parameters ended; none while they are being written.
    naming: BTreeMap<Region, Option<End>>,
    checks: Vec<Check>,
    /// When each phase began and ended. One that goes on has no end yet.
    phases: BTreeMap<Phase, Span>,
    estimate: Option<Estimate>,
}

/// The build that this process works on.
#[derive(Clone, Debug)]
struct Build {
    name: String,
    /// The region that the image is made in; none if it is only copied.
    made_in: Option<Region>,
    since: Duration,
}

/// A wait.
#[derive(Clone, Debug)]
struct Wait {
    number: u64,
    on: String,
    state: String,
    /// The role of the machine that it is about.
    role: Option<Role>,
    since: Duration,
}

/// A machine of the build.
#[derive(Clone, Debug, Default)]
struct Machine {
    instance: Option<String>,
    /// The last line that a command printed there.
    last: String,
    apt: apt::Apt,
    upload: Option<Upload>,
}

/// A file on its way to a machine.
#[derive(Clone, Debug, Default)]
struct Upload {
    sent_bytes: u64,
    total_bytes: u64,
    /// How much was sent when, for the rate.
    samples: VecDeque<(Duration, u64)>,
}

/// The copy of a region.
#[derive(Clone, Debug)]
struct Copying {
    since: Duration,
    /// When it was how far, for the first time that this process knows of. A copy that an earlier process ordered went on
    /// meanwhile.
    first: Option<(Duration, u8)>,
    per_cent: Option<u8>,
    end: Option<End>,
}

/// How the copy of a region ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Available,
    Failed,
}

/// When something happened.
#[derive(Clone, Copy, Debug)]
struct Span {
    from: Duration,
    to: Option<Duration>,
}

impl Live {
    /// Takes in an event.
    pub fn apply(&mut self, event: &Event, now: Duration) {
        match event {
            Event::Began { build, .. } => self.begin(build, now),
            Event::Resumed {} => {
                let name = "the build".to_owned();
                self.build.get_or_insert(Build { name, made_in: None, since: now });
            }
            Event::Intended { step, .. } => self.intended(step, now),
            Event::Done { step, result, .. } => {
                if let (Step::Launch(role), Some(instance)) = (step, result.as_str()) {
                    self.machine(*role).instance = Some(instance.to_owned());
                }
                self.ended(step, End::Available, now);
            }
            Event::Failed { step, .. } => self.ended(step, End::Failed, now),
            Event::Waiting { wait, on, state, source } => self.wait(*wait, on, state, source.as_deref(), now),
            Event::Waited { wait, .. } => self.waits.retain(|waiting| waiting.number != *wait),
            Event::Progress { progress } => self.progress(progress, now),
            Event::Output { source, line } => self.output(source, line),
            Event::Sent { source, sent_bytes, total_bytes, .. } => {
                if let Some(role) = role_of(source) {
                    self.machine(role).sent(*sent_bytes, *total_bytes, now);
                }
            }
            Event::Checked { check } => self.checked(check.clone()),
            // Nothing of it is in progress any more. What is cleaned up after an error has waits.
            Event::Ended { .. } | Event::Error { .. } => {
                self.steps.clear();
                self.copies.clear();
                self.make = None;
            }
            Event::GaveUp { .. } | Event::Seen { .. } | Event::Warned { .. } | Event::Noted { .. } => {}
            Event::Called { .. } | Event::Ran { .. } | Event::InDoubt { .. } => {}
        }
    }

    /// Takes in what a resumed build is.
    pub fn resumes(&mut self, about: &About) {
        if let Some(build) = &mut self.build {
            build.name.clone_from(&about.name);
            build.made_in = made_in(about);
        }
    }

    fn begin(&mut self, about: &About, now: Duration) {
        self.build = Some(Build { name: about.name.clone(), made_in: made_in(about), since: now });
    }

    /// For how long the build has been under way in this process; none before it begins.
    #[must_use]
    pub fn elapsed(&self, now: Duration) -> Option<Duration> {
        self.build.as_ref().map(|build| now.saturating_sub(build.since))
    }

    fn made_in(&self) -> Option<&Region> {
        self.build.as_ref()?.made_in.as_ref()
    }

    fn machine(&mut self, role: Role) -> &mut Machine {
        self.machines.entry(role).or_default()
    }

    fn intended(&mut self, step: &Step, now: Duration) {
        self.steps.retain(|(open, _)| open != step);
        self.steps.push((step.clone(), now));
        if let Some(phase) = Phase::of(step, self.made_in()).filter(|phase| *phase != Phase::Make) {
            self.phases.entry(phase).or_insert(Span { from: now, to: None }).to = None;
        }
        if let Some(region) = self.copied_to(step) {
            let first = matches!(step, Step::Copy(_)).then_some((now, 0));
            let begun = Copying { since: now, first, per_cent: None, end: None };
            let copying = self.copies.entry(region).or_insert(begun);
            copying.end = None;
        }
        if let Step::Parameters(region) = step {
            self.naming.insert(region.clone(), None);
        }
        if matches!(step, Step::Launch(Role::Verify) | Step::Verify(_)) {
            self.checks.clear();
        }
    }

    fn ended(&mut self, step: &Step, end: End, now: Duration) {
        self.steps.retain(|(open, _)| open != step);
        if let Some(phase) = Phase::of(step, self.made_in()) {
            let goes_on = self.steps.iter().any(|(open, _)| Phase::of(open, self.made_in()) == Some(phase));
            if let Some(span) = self.phases.get_mut(&phase).filter(|_| !goes_on && phase != Phase::Make) {
                span.to = Some(now);
            }
        }
        let is_over = matches!(step, Step::Available(_)) || end == End::Failed;
        if let Some(copying) = self.copied_to(step).filter(|_| is_over).and_then(|region| self.copies.get_mut(&region))
        {
            copying.end = Some(end);
        }
        if let Step::Parameters(region) = step {
            self.naming.insert(region.clone(), Some(end));
        }
        if matches!(step, Step::Binaries) {
            self.make = None;
            // What make did is known from its runs: the step also waits for the base.
            self.phases.entry(Phase::Make).or_insert(Span { from: now, to: Some(now) });
        }
        if matches!(step, Step::Binaries | Step::Packages) && end == End::Available {
            self.begin_payload(now);
        }
    }

    /// Begins the payload's phase once nothing else is waited for: binaries that are still being uploaded then are a part of it.
    fn begin_payload(&mut self, now: Duration) {
        let is_over = |phase| self.phases.get(&phase).is_some_and(|span: &Span| span.to.is_some());
        let is_making = self.steps.iter().any(|(open, _)| *open == Step::Binaries);
        if is_over(Phase::Make) && is_over(Phase::Packages) && !is_making {
            self.phases.entry(Phase::Payload).or_insert(Span { from: now, to: None });
        }
    }

    /// The region that a step copies the image to.
    fn copied_to(&self, step: &Step) -> Option<Region> {
        match step {
            Step::Copy(region) | Step::Available(region) if self.made_in() != Some(region) => Some(region.clone()),
            _ => None,
        }
    }

    fn wait(&mut self, number: u64, on: &str, state: &str, source: Option<&str>, now: Duration) {
        if let Some(per_cent) = per_cent(state) {
            for (region, copying) in &mut self.copies {
                if on.ends_with(&format!(" in {region}")) {
                    copying.first.get_or_insert((now, per_cent));
                    copying.per_cent = Some(per_cent);
                }
            }
        }
        match self.waits.iter_mut().find(|wait| wait.number == number) {
            Some(wait) => state.clone_into(&mut wait.state),
            None => {
                let is_about = |machine: &Machine| machine.instance.as_ref().is_some_and(|id| on.contains(id.as_str()));
                let named = || self.machines.iter().find(|(_, machine)| is_about(machine)).map(|(role, _)| *role);
                let role = source.and_then(role_of).or_else(named);
                let (on, state) = (on.to_owned(), state.to_owned());
                self.waits.push(Wait { number, on, state, role, since: now });
            }
        }
    }

    fn progress(&mut self, progress: &Progress, now: Duration) {
        match progress {
            Progress::Building { binary, goal, number, of } => {
                self.make = Some(make::Make::new(binary, goal, (*number, *of), now));
                self.phases.entry(Phase::Make).or_insert(Span { from: now, to: None }).to = None;
            }
            Progress::Built { .. } => {
                self.make = None;
                self.phases.entry(Phase::Make).and_modify(|span| span.to = Some(now));
            }
            Progress::Copied { .. } => self.copies.clear(),
            Progress::Estimated { estimate } => self.estimate = Some(estimate.clone()),
            _ => {}
        }
    }

    fn output(&mut self, source: &str, line: &str) {
        if let Some(make) = self.make.as_mut().filter(|make| source.strip_prefix("make-") == Some(&make.binary)) {
            make.printed(line);
            return;
        }
        let makes_base = self.steps.iter().any(|(step, _)| *step == Step::Base);
        let of_base = makes_base && !source.starts_with("make-");
        let Some(role) = role_of(source).or(of_base.then_some(Role::Bake)) else { return };
        let verifies = role == Role::Verify && self.steps.iter().any(|(step, _)| matches!(step, Step::Verify(_)));
        if let Some(check) = check_of(line).filter(|_| verifies) {
            return self.checked(check);
        }
        if !line.trim().is_empty() {
            let machine = self.machine(role);
            machine.apt.printed(line);
            line.trim().clone_into(&mut machine.last);
        }
    }

    fn checked(&mut self, check: Check) {
        self.checks.retain(|earlier| earlier.name != check.name);
        self.checks.push(check);
    }
}

impl Machine {
    fn sent(&mut self, sent_bytes: u64, total_bytes: u64, now: Duration) {
        if sent_bytes == total_bytes {
            self.upload = None;
            return;
        }
        let upload = self.upload.get_or_insert_default();
        if sent_bytes < upload.sent_bytes {
            // A new connection begins where the machine has less than was sent, which says nothing about the rate.
            upload.samples.clear();
        }
        (upload.sent_bytes, upload.total_bytes) = (sent_bytes, total_bytes);
        upload.samples.push_back((now, sent_bytes));
        while upload.samples.len() > 2 && upload.samples.front().is_some_and(|(at, _)| now - *at > RATE_OVER) {
            upload.samples.pop_front();
        }
    }
}

impl Upload {
    /// Bytes per second, lately.
    fn rate(&self) -> Option<f64> {
        let ((from, before), (to, after)) = (self.samples.front()?, self.samples.back()?);
        let secs = to.saturating_sub(*from).as_secs_f64();
        (secs > 0.0 && after > before).then(|| (after - before) as f64 / secs)
    }
}

fn made_in(about: &About) -> Option<Region> {
    about.promotes.is_none().then(|| about.build_region.clone())
}

/// The role of the machine with this log.
fn role_of(source: &str) -> Option<Role> {
    Role::ALL.into_iter().find(|role| role.word() == source)
}

/// What is less far says nothing about how long it takes.
const TELLING_PER_CENT: u8 = 5;

/// How long something still takes if it goes on as it did.
fn left_of(took: Duration, per_cent: u8) -> Option<Duration> {
    let rest = f64::from(100_u8.saturating_sub(per_cent)) / f64::from(per_cent.max(1));
    (per_cent >= TELLING_PER_CENT).then(|| took.mul_f64(rest))
}

/// The number before a per cent sign.
fn per_cent(state: &str) -> Option<u8> {
    let before = state[..state.find('%')?].trim_end();
    let digits = before.len() - before.trim_end_matches(|c: char| c.is_ascii_digit()).len();
    before[before.len() - digits..].parse().ok().filter(|per_cent| *per_cent <= 100)
}

/// A check, from a line of check.sh.
fn check_of(line: &str) -> Option<Check> {
    let check = |rest: &str, is_fault: bool| {
        let (name, why) = rest.split_once(": ").unwrap_or((rest, ""));
        let why = Some(why.to_owned());
        let (fault, skipped) = if is_fault { (why, None) } else { (None, why) };
        Check { name: name.to_owned(), fault, skipped }
    };
    if let Some(rest) = line.strip_prefix("not ok ") {
        return Some(check(rest, true));
    }
    if let Some(rest) = line.strip_prefix("skipped ") {
        return Some(check(rest, false));
    }
    line.strip_prefix("ok ").map(|name| Check { name: name.to_owned(), fault: None, skipped: None })
}

#[cfg(test)]
#[path = "../../tests/kit/played.rs"]
pub mod played;
#[cfg(test)]
pub mod snapshot;
#[cfg(test)]
mod tests;
