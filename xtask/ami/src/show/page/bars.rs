//! What was done when: the bars of the timeline, from the events of a build.

use std::collections::BTreeMap;

use xtask::region::Region;

use super::journal::Lines;
use crate::event::{
    Event,
    progress::Progress,
    step::{Role, Step},
};

/// A piece of work that has a beginning and an end.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Work {
    /// A step of the build.
    Step(Step),
    /// One of the binaries is built.
    Binary(String),
    /// One of them is uploaded, ahead of the payload.
    Upload(String),
    /// An instance terminates.
    Terminate(String),
}

/// How it ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum End {
    Done,
    /// It failed, for this reason.
    Failed(String),
    /// Its process ended first, or has not ended yet.
    CutShort,
}

/// A piece of work, and when it was done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Bar {
    pub work: Work,
    /// In milliseconds since 1970, as the end.
    pub start_ms: u64,
    pub end_ms: u64,
    pub end: End,
    /// The index of the process that did it.
    pub attempt: usize,
}

impl Bar {
    pub fn took_ms(&self) -> u64 {
        self.end_ms.saturating_sub(self.start_ms)
    }

    /// Whether the tool waited for the cloud, rather than having something done.
    pub fn is_waiting(&self) -> bool {
        match &self.work {
            Work::Step(Step::Login(_) | Step::Stop | Step::Available(_) | Step::Kept(_)) | Work::Terminate(_) => true,
            Work::Step(_) | Work::Binary(_) | Work::Upload(_) => false,
        }
    }
}

/// The bars of a build, by their beginnings. Steps that consist of others have only the time that these leave.
pub(super) fn bars(read: &Lines) -> Vec<Bar> {
    let mut collector = Collector::default();
    for moment in &read.lines {
        if collector.attempt < moment.attempt {
            collector.cut_short(read);
            collector.attempt = moment.attempt;
        }
        collector.take(moment.at_ms, &moment.event);
    }
    collector.cut_short(read);
    let mut bars: Vec<Bar> = collector.bars.iter().flat_map(|bar| without_parts(bar, &collector.bars)).collect();
    bars.sort_by_key(|bar| (bar.start_ms, bar.end_ms));
    bars
}

#[derive(Default)]
struct Collector {
    attempt: usize,
    /// What is under way, and since when.
    open: BTreeMap<Work, u64>,
    bars: Vec<Bar>,
}

impl Collector {
    fn take(&mut self, at_ms: u64, event: &Event) {
        match event {
            Event::Intended { step, .. } => self.begin(Work::Step(step.clone()), at_ms),
            Event::Done { step, took_ms, .. } => self.end(Work::Step(step.clone()), at_ms, *took_ms, End::Done),
            Event::Failed { step, error } => self.end(Work::Step(step.clone()), at_ms, 0, End::Failed(error.clone())),
            Event::Progress { progress } => self.progress(at_ms, progress),
            Event::Waiting { on, .. } => {
                // Later events of the wait tell its state.
                if let Some(work) = termination(on).filter(|work| !self.open.contains_key(work)) {
                    self.begin(work, at_ms);
                }
            }
            Event::Waited { on, took_ms, .. } => {
                if let Some(work) = termination(on) {
                    self.end(work, at_ms, *took_ms, End::Done);
                }
            }
            _ => {}
        }
    }

    fn progress(&mut self, at_ms: u64, progress: &Progress) {
        match progress {
            Progress::Building { binary, .. } => self.begin(Work::Binary(binary.clone()), at_ms),
            Progress::Built { binary, took_secs, .. } => {
                self.end(Work::Binary(binary.clone()), at_ms, took_secs.saturating_mul(1000), End::Done);
            }
            Progress::UploadingBinary { binary } => self.begin(Work::Upload(binary.clone()), at_ms),
            Progress::Uploaded { binary: Some(binary), took_ms, .. } => {
                self.end(Work::Upload(binary.clone()), at_ms, *took_ms, End::Done);
            }
            Progress::NotUploaded { binary, why } => {
                self.end(Work::Upload(binary.clone()), at_ms, 0, End::Failed(why.clone()));
            }
            _ => {}
        }
    }

    fn begin(&mut self, work: Work, at_ms: u64) {
        if let Some(since_ms) = self.open.insert(work.clone(), at_ms) {
            self.push(work, since_ms, at_ms, End::CutShort);
        }
    }

    fn end(&mut self, work: Work, at_ms: u64, took_ms: u64, end: End) {
        let since_ms = self.open.remove(&work).unwrap_or(at_ms.saturating_sub(took_ms));
        self.push(work, since_ms, at_ms, end);
    }

    fn push(&mut self, work: Work, start_ms: u64, end_ms: u64, end: End) {
        self.bars.push(Bar { work, start_ms, end_ms: end_ms.max(start_ms), end, attempt: self.attempt });
    }

    /// Ends what is under way with its process.
    fn cut_short(&mut self, read: &Lines) {
        let Some(attempt) = read.attempts.get(self.attempt) else { return };
        for (work, since_ms) in std::mem::take(&mut self.open) {
            self.push(work, since_ms, attempt.end_ms, End::CutShort);
        }
    }
}

fn termination(on: &str) -> Option<Work> {
    on.strip_suffix(" to terminate").map(|instance| Work::Terminate(instance.to_owned()))
}

/// Whether a piece of work is a part of another one.
fn is_part(part: &Work, whole: &Work) -> bool {
    match whole {
        Work::Step(Step::Binaries) => matches!(part, Work::Binary(_)),
        Work::Step(Step::Sealed(_)) => matches!(part, Work::Step(Step::Install | Step::Seal)),
        Work::Step(Step::Verify(_)) => matches!(
            part,
            Work::Step(Step::Access(Role::Verify) | Step::Launch(Role::Verify) | Step::Login(Role::Verify))
        ),
        _ => false,
    }
}

/// A bar without the time in which its parts were done.
fn without_parts(bar: &Bar, all: &[Bar]) -> Vec<Bar> {
    let inside = |part: &&Bar| part.start_ms >= bar.start_ms && part.end_ms <= bar.end_ms;
    let mut parts: Vec<&Bar> = all.iter().filter(|part| is_part(&part.work, &bar.work)).filter(inside).collect();
    if parts.is_empty() {
        return vec![bar.clone()];
    }
    parts.sort_by_key(|part| part.start_ms);
    let (mut from_ms, mut pieces) = (bar.start_ms, Vec::new());
    for part in &parts {
        if part.start_ms > from_ms {
            pieces.push(Bar { start_ms: from_ms, end_ms: part.start_ms, end: End::Done, ..bar.clone() });
        }
        from_ms = from_ms.max(part.end_ms);
    }
    // A fault that no part has is shown even where it took no time.
    let is_told = bar.end == End::Done || parts.iter().any(|part| part.end != End::Done);
    if bar.end_ms > from_ms || !is_told {
        pieces.push(Bar { start_ms: from_ms, ..bar.clone() });
    }
    pieces
}

/// A group of rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Group {
    Build,
    Machine,
    Image,
    Regions,
    Verification,
    Publication,
}

/// How bars are called and grouped.
pub(super) struct Names<'a> {
    /// The region that the image is made in.
    pub build_region: Option<&'a Region>,
    /// The instance that the image is verified on.
    pub verified_on: Vec<String>,
    /// Whether the image is private.
    pub private: bool,
}

impl Names<'_> {
    pub fn group(&self, work: &Work) -> Group {
        match work {
            Work::Binary(_) | Work::Step(Step::Binaries | Step::Sources) => Group::Build,
            Work::Terminate(instance) if self.verified_on.contains(instance) => Group::Verification,
            Work::Terminate(_) | Work::Upload(_) => Group::Machine,
            Work::Step(
                Step::Access(Role::Verify)
                | Step::Launch(Role::Verify)
                | Step::Login(Role::Verify)
                | Step::Revoke(Role::Verify)
                | Step::Verify(_)
                | Step::Mark(_),
            ) => Group::Verification,
            Work::Step(Step::Image(region) | Step::Available(region)) if self.build_region == Some(region) => {
                Group::Image
            }
            Work::Step(Step::Image(_) | Step::Candidate) => Group::Image,
            Work::Step(Step::Available(_) | Step::Copy(_) | Step::Remove(..)) => Group::Regions,
            Work::Step(Step::Publish | Step::Withdraw | Step::Unblock(_) | Step::Block(_) | Step::Parameters(_)) => {
                Group::Publication
            }
            Work::Step(_) => Group::Machine,
        }
    }

    /// What the row is called; bars of the same name in a group share one.
    pub fn row(&self, work: &Work) -> String {
        match work {
            Work::Upload(_) => "Upload binaries".to_owned(),
            Work::Step(Step::Copy(region) | Step::Remove(region, _)) => region.to_string(),
            Work::Step(Step::Available(region)) if self.build_region != Some(region) => region.to_string(),
            _ => self.name(work),
        }
    }

    /// What the bar is called.
    pub fn name(&self, work: &Work) -> String {
        let step = match work {
            Work::Binary(name) => return format!("Build {name}"),
            Work::Upload(name) => return format!("Upload {name}"),
            Work::Terminate(instance) => return format!("Terminate {instance}"),
            Work::Step(step) => step,
        };
        let fixed = match step {
            Step::Base => "Find the base",
            Step::Reuse => "Look for a kept base",
            Step::Kept(_) => "Keep a base for later",
            Step::Candidate => "Find the candidate",
            Step::Mark(_) => "Mark as verified",
            Step::Access(Role::Bake | Role::Verify) => "Allow SSH",
            Step::Launch(Role::Bake) => "Launch the machine",
            Step::Launch(Role::Verify) => "Launch the image",
            Step::Access(Role::Keep) => "Allow SSH to the kept base",
            Step::Launch(Role::Keep) => "Launch the kept base",
            Step::Login(Role::Keep) => "Login on the kept base",
            Step::Revoke(Role::Keep) => "Delete its key and group",
            Step::Login(Role::Bake | Role::Verify) => "First login",
            Step::Revoke(Role::Bake | Role::Verify) => "Delete key and group",
            Step::Packages => "Install packages",
            Step::Binaries => "Take the binaries",
            Step::Sources => "Hash other files",
            Step::Install => "Install the payload",
            Step::Seal => "Seal the machine",
            Step::Sealed(_) => "Upload and read back",
            Step::Stop => "Stop the machine",
            Step::Image(_) => "Order the image",
            Step::Verify(_) => "Check the image",
            Step::Publish if self.private => "Open to its audience",
            Step::Publish => "Publish",
            Step::Withdraw => "Withdraw",
            Step::Available(region) if self.build_region == Some(region) => "Image is made",
            Step::Available(region) => return format!("Copy to {region} is made"),
            Step::Copy(region) => return format!("Order the copy to {region}"),
            Step::Remove(region, image) => return format!("Remove {image} in {region}"),
            Step::Parameters(region) => return format!("Name the image in {region}"),
            Step::Unblock(region) => return format!("Unblock {region}"),
            Step::Block(region) => return format!("Block {region} again"),
        };
        fixed.to_owned()
    }
}
