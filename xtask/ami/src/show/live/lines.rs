//! The live block: what is in progress, as lines of a terminal.

use std::{fmt::Write as _, time::Duration};

use anstyle::{AnsiColor, Style};

use super::{
    Live, Machine, Wait, per_cent,
    text::{clock, cut},
};
use crate::{
    event::{
        estimate::range_text,
        step::{Role, Step},
    },
    show::harmless::one_line,
};

pub(super) const VERB: Style = AnsiColor::Cyan.on_default().bold();
pub(super) const GOOD: Style = AnsiColor::Green.on_default();
pub(super) const BAD: Style = AnsiColor::Red.on_default().bold();
pub(super) const DIM: Style = Style::new().dimmed();

/// A wait that is shorter would only flicker.
const SHORT: Duration = Duration::from_millis(300);

/// The verb of a wait that belongs to nothing else.
const WAITING: &str = "Waiting";

/// How a wait for an upload begins.
const UPLOADING: &str = "uploading ";

/// The fewest lines that the table of regions is left with.
const MIN_TABLE_LINES: usize = 1;

/// How many waits that belong to nothing else have a line of their own.
const MAX_WAITS: usize = 6;

/// Something in progress.
#[derive(Debug)]
pub(super) struct Row {
    /// What is done, in a participle.
    pub verb: &'static str,
    pub since: Duration,
    /// To what, and how far it is.
    pub text: String,
    /// What a program says about it.
    pub detail: String,
    /// What has failed of it.
    pub fault: String,
}

impl Row {
    pub fn new(verb: &'static str, since: Duration, text: impl Into<String>) -> Row {
        Row { verb, since, text: text.into(), detail: String::new(), fault: String::new() }
    }

    pub fn detailed(mut self, detail: impl Into<String>) -> Row {
        self.detail = detail.into();
        self
    }

    fn line(&self, now: Duration, width: usize) -> String {
        let time = clock(now.saturating_sub(self.since));
        let mut line = format!("{VERB}{:>12}{VERB:#} {DIM}{time:>6}{DIM:#} {}", self.verb, one_line(&self.text));
        if !self.fault.is_empty() {
            let _ = write!(line, ", {BAD}{}{BAD:#}", one_line(&self.fault));
        }
        if !self.detail.is_empty() {
            let _ = write!(line, ": {DIM}{}{DIM:#}", one_line(&self.detail));
        }
        cut(&line, width).into_owned()
    }
}

impl Live {
    /// The lines of the live block: none if nothing is in progress. They are narrower than `width` columns, and fewer than
    /// `height`, so that they never wrap or scroll.
    #[must_use]
    pub fn lines(&self, now: Duration, width: usize, height: usize) -> Vec<String> {
        let (rows, waits) = self.rows(now);
        let width = width.saturating_sub(1);
        let copying = self.copying(now);
        if rows.is_empty() && waits.is_empty() && copying.is_none() {
            return Vec::new();
        }
        let all = |rows: &[Row]| rows.iter().map(|row| row.line(now, width)).collect::<Vec<String>>();
        let (before, after) = rows.split_at(rows.iter().take_while(|row| row.verb != "Verifying").count());
        let (mut lines, mut rest) = (all(before), all(after));
        rest.extend(all(waits.get(..MAX_WAITS).unwrap_or(&waits)));
        if let Some(more) = waits.len().checked_sub(MAX_WAITS).filter(|more| *more > 0) {
            rest.push(format!("{:>19} and {more} more waits", ""));
        }
        if let Some(build) = &self.build {
            rest.push(Row::new("Total", build.since, build.name.clone() + &self.left_words(now)).line(now, width));
        }
        if let Some(header) = copying {
            lines.push(header.line(now, width));
            let room = height.saturating_sub(1 + lines.len() + rest.len()).max(MIN_TABLE_LINES);
            lines.extend(self.table(now, width, room));
        }
        lines.extend(rest);
        lines.truncate(height.saturating_sub(1));
        lines
    }

    /// What is in progress, in one line without what programs say; none if nothing is.
    #[must_use]
    pub fn sentence(&self, now: Duration) -> Option<String> {
        let (mut rows, waits) = self.rows(now);
        rows.extend(self.copying(now));
        rows.extend(waits);
        let parts = rows.iter().map(|row| {
            let mut fault = if row.fault.is_empty() { String::new() } else { format!(", {}", row.fault) };
            if row.verb == WAITING && !row.detail.is_empty() {
                fault = format!(", {}", row.detail);
            }
            one_line(format_args!(
                "{} {}{fault} (for {})",
                row.verb.to_lowercase(),
                row.text,
                clock(now.saturating_sub(row.since))
            ))
        });
        let parts: Vec<String> = parts.collect();
        (!parts.is_empty()).then(|| parts.join("; "))
    }

    /// What is in progress but the copies; and the waits that belong to nothing else.
    fn rows(&self, now: Duration) -> (Vec<Row>, Vec<Row>) {
        let mut waits: Vec<&Wait> = self.waits.iter().collect();
        let mut rows = Vec::new();
        rows.extend(self.making(&mut waits));
        let early = self.early_upload(&mut waits);
        for role in [Role::Bake, Role::Keep] {
            rows.extend(self.machine_row(role, &mut waits));
        }
        rows.extend(early);
        rows.extend(self.imaging(now, &mut waits));
        waits.retain(|wait| !self.copies.keys().any(|region| wait.on.ends_with(&format!(" in {region}"))));
        rows.extend(self.verifying(&mut waits));
        rows.extend(self.publishing(&mut waits));
        rows.extend(self.naming(&mut waits));
        waits.retain(|wait| now.saturating_sub(wait.since) >= SHORT);
        let waits = waits
            .into_iter()
            .map(|wait| Row::new(WAITING, wait.since, format!("for {}", wait.on)).detailed(&wait.state));
        (rows, waits.collect())
    }

    fn making(&self, waits: &mut Vec<&Wait>) -> Option<Row> {
        let (_, since) = self.steps.iter().find(|(step, _)| *step == Step::Binaries)?;
        let Some(make) = &self.make else {
            return Some(Row::new("Checking", *since, "the binaries against the base"));
        };
        waits.retain(|wait| !wait.on.starts_with("make to build "));
        let number = match make.number {
            (0, _) | (_, 0..=1) => String::new(),
            (number, of) => format!(" ({number} of {of})"),
        };
        let row = Row::new("Building", make.since, format!("{}{number}, {}", make.binary, make.target));
        Some(row.detailed(&make.last))
    }

    /// The line of the machine of a role: its current step.
    fn machine_row(&self, role: Role, waits: &mut Vec<&Wait>) -> Option<Row> {
        let (step, since) = self.steps.iter().rev().find(|(step, _)| machine_of(step) == Some(role))?;
        let nothing = Machine::default();
        let machine = self.machines.get(&role).unwrap_or(&nothing);
        let wait = waits.iter().rfind(|wait| wait.role == Some(role)).copied();
        waits.retain(|wait| wait.role != Some(role));
        let is_base = *step == Step::Base;
        let of_base = waits.iter().position(|wait| is_base && wait.on == "mmdebstrap").map(|at| waits.remove(at));
        let state = wait.map(|wait| if wait.state.is_empty() { &wait.on } else { &wait.state });
        let instance = machine.instance.as_deref().unwrap_or("the machine");
        let row = |verb, text: &str| Row::new(verb, *since, text);
        let last = machine.last.as_str();
        Some(match step {
            Step::Base if of_base.is_some() => row("Making", "the base, by mmdebstrap").detailed(last),
            Step::Base => row("Finding", "the base"),
            Step::Reuse => row("Finding", "a kept base"),
            Step::Access(_) => row("Creating", "a key pair and a security group"),
            Step::Launch(_) => row("Launching", &format!("the machine to {} the image", role.word())),
            Step::Login(_) => row("Reaching", instance).detailed(state.map_or("", String::as_str)),
            Step::Packages => {
                let how_far = machine.apt.text().map(|text| format!(", {text}")).unwrap_or_default();
                row("Installing", &format!("packages{how_far}")).detailed(last)
            }
            Step::Install => row("Installing", "the payload").detailed(last),
            Step::Seal => row("Sealing", instance).detailed(last),
            Step::Stop => row("Stopping", instance).detailed(state.map_or("", String::as_str)),
            Step::Kept(_) => row("Keeping", "a base for later builds").detailed(state.map_or("", String::as_str)),
            _ => match machine.uploading() {
                Some(text) => row("Uploading", &text),
                None => row("Machine", instance).detailed(state.map_or("", String::as_str)),
            },
        })
    }

    /// The line of a binary that is uploaded while packages are installed or others are built.
    fn early_upload(&self, waits: &mut Vec<&Wait>) -> Option<Row> {
        // Later it is the payload, in the line of the machine.
        if self.steps.iter().any(|(step, _)| matches!(step, Step::Sealed(_))) {
            return None;
        }
        let is_it = |wait: &&Wait| wait.role == Some(Role::Bake) && wait.on.starts_with(UPLOADING);
        let wait = waits.iter().position(is_it).map(|at| waits.remove(at))?;
        let far = self.machines.get(&Role::Bake).and_then(Machine::uploading);
        let far = far.map(|far| format!(", {far}")).unwrap_or_default();
        Some(Row::new("Uploading", wait.since, format!("{}{far}", &wait.on[UPLOADING.len()..])))
    }

    fn imaging(&self, now: Duration, waits: &mut Vec<&Wait>) -> Option<Row> {
        let home = self.made_in()?;
        let is_it = |step: &Step| matches!(step, Step::Image(region) | Step::Available(region) if region == home);
        let (_, since) = self.steps.iter().rev().find(|(step, _)| is_it(step))?;
        let end = format!(" in {home}");
        let wait = waits.iter().position(|wait| wait.on.ends_with(&end)).map(|at| waits.remove(at));
        let Some(wait) = wait else {
            return Some(Row::new("Imaging", *since, "the machine's disk"));
        };
        let id = wait.on.strip_suffix(&end).unwrap_or(&wait.on);
        let per_cent = per_cent(&wait.state);
        let left = self.left_of_image(*since, per_cent, now);
        let left = left.map(|left| format!(", {} left", range_text(left))).unwrap_or_default();
        Some(match per_cent {
            Some(per_cent) => Row::new("Imaging", *since, format!("{id}, {per_cent}%{left}")),
            None => Row::new("Imaging", *since, format!("{id}{left}")).detailed(&wait.state),
        })
    }

    /// The line of the verification, with the last check.
    fn verifying(&self, waits: &mut Vec<&Wait>) -> Option<Row> {
        let (_, since) = self.steps.iter().find(|(step, _)| matches!(step, Step::Verify(_)))?;
        let wait = waits.iter().rfind(|wait| wait.role == Some(Role::Verify)).copied();
        waits.retain(|wait| wait.role != Some(Role::Verify));
        let doing = self.steps.iter().rev().find_map(|(step, _)| match step {
            Step::Access(Role::Verify) => Some("making a key pair and a security group"),
            Step::Launch(Role::Verify) => Some("launching a machine"),
            Step::Login(Role::Verify) => Some("booting"),
            _ => None,
        });
        let failed: Vec<String> = self
            .checks
            .iter()
            .filter_map(|check| Some((check, check.fault.as_ref()?)))
            .map(|(check, fault)| format!("{}: {fault}", check.name))
            .collect();
        let passed = self.checks.iter().filter(|check| check.passed()).count();
        let mut row = match (doing, passed) {
            (Some(doing), 0) => Row::new("Verifying", *since, doing),
            (Some(doing), _) => Row::new("Verifying", *since, format!("{doing}, {passed} checks passed")),
            (None, _) => Row::new("Verifying", *since, format!("{passed} checks passed")),
        };
        if !failed.is_empty() {
            row.fault = format!("{} failed: {}", failed.len(), failed.join(", "));
        }
        let state = wait.map(|wait| if wait.state.is_empty() { &wait.on } else { &wait.state });
        let check = self.checks.last().filter(|_| doing.is_none()).map(|check| &check.name);
        row.detail = check.or(state).cloned().unwrap_or_default();
        Some(row)
    }

    fn publishing(&self, waits: &mut Vec<&Wait>) -> Option<Row> {
        let is_it = |step: &Step| matches!(step, Step::Publish | Step::Withdraw | Step::Unblock(_) | Step::Block(_));
        let (step, since) = self.steps.iter().find(|(step, _)| is_it(step))?;
        let verb = if *step == Step::Withdraw { "Withdrawing" } else { "Publishing" };
        let own: Vec<String> = waits.iter().filter(|wait| wait.role.is_none()).map(|wait| wait.text()).collect();
        waits.retain(|wait| wait.role.is_some());
        Some(Row::new(verb, *since, "the images").detailed(own.join(", ")))
    }
}

impl Wait {
    fn text(&self) -> String {
        match self.state.as_str() {
            "" => format!("for {}", self.on),
            state => format!("for {} ({state})", self.on),
        }
    }
}

impl Machine {
    /// How far the upload is; none if there is none.
    fn uploading(&self) -> Option<String> {
        let upload = self.upload.as_ref()?;
        let mut text = format!("{:.1} of {:.1} MiB", mib(upload.sent_bytes), mib(upload.total_bytes));
        if let Some(rate) = upload.rate() {
            let rest = upload.total_bytes.saturating_sub(upload.sent_bytes) as f64 / rate;
            let rest = Duration::try_from_secs_f64(rest).unwrap_or_default();
            let _ = write!(text, ", {:.1} MiB/s, {} left", rate / MIB, clock(rest));
        }
        Some(text)
    }
}

const MIB: f64 = 1_048_576.0;

fn mib(bytes: u64) -> f64 {
    bytes as f64 / MIB
}

/// The role of the machine that a step is about, if the line of its machine shows it.
fn machine_of(step: &Step) -> Option<Role> {
    match step {
        Step::Base | Step::Reuse | Step::Packages | Step::Install => Some(Role::Bake),
        Step::Seal | Step::Sealed(_) | Step::Stop => Some(Role::Bake),
        Step::Kept(_) => Some(Role::Keep),
        Step::Access(role) | Step::Launch(role) | Step::Login(role) if *role != Role::Verify => Some(*role),
        _ => None,
    }
}
