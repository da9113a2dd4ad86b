//! The timeline: bars in rows, rows in groups, and where each is drawn.
//!
//! Horizontal places are percentages, so that zooming changes only the width of the drawing, and no text.

use std::collections::BTreeSet;

use serde::Serialize;

use super::{
    bars::{Bar, End, Group, Names},
    critical,
    journal::{Attempt, Lines},
    span::{clock, span},
};
use crate::event::{
    Event,
    step::{Role, Step},
};

/// More rows than this in a group are drawn thin, and folded up at first.
const MANY_ROWS: usize = 40;

/// The height of a row, and of a thin one, in pixels.
const ROW_PX: usize = 24;
const THIN_ROW_PX: usize = 16;

/// The width of the pause between two processes, in percent of all their work.
const PAUSE_PERCENT: f64 = 4.0;

/// The room that the time of several bars takes, in percent.
const IN_ALL_PERCENT: f64 = 20.0;

/// About how many marks the axis has at each level of zoom, and how far they are apart at least, in percent.
const MARKS: [(u64, f64); 3] = [(6, 9.0), (30, 1.8), (150, 0.36)];

/// The groups, in the order in which they are shown.
const GROUPS: [(Group, &str); 6] = [
    (Group::Build, "Build"),
    (Group::Machine, "Machine"),
    (Group::Image, "Image"),
    (Group::Regions, "Regions"),
    (Group::Verification, "Verification"),
    (Group::Publication, "Publication"),
];

/// Distances between marks that people can read, in milliseconds.
const NICE_MS: [u64; 22] = [
    1,
    5,
    10,
    50,
    100,
    500,
    1000,
    5000,
    10_000,
    30_000,
    60_000,
    120_000,
    300_000,
    600_000,
    900_000,
    1_800_000,
    3_600_000,
    7_200_000,
    14_400_000,
    43_200_000,
    86_400_000,
    604_800_000,
];

/// The timeline.
#[derive(Serialize)]
pub(super) struct Chart {
    groups: Vec<Rows>,
    marks: Vec<Mark>,
    attempts: Vec<Stretch>,
    pauses: Vec<Pause>,
    /// All bars, for the table.
    steps: Vec<Shown>,
    /// How long the critical path took, and how much of it was waiting.
    critical: Option<Critical>,
}

#[derive(Serialize)]
struct Critical {
    steps: usize,
    took: String,
    waiting: String,
    longest: String,
    longest_took: String,
}

#[derive(Serialize)]
struct Rows {
    name: &'static str,
    open: bool,
    thin: bool,
    row_px: usize,
    height_px: usize,
    note: String,
    rows: Vec<Row>,
}

#[derive(Serialize)]
struct Row {
    name: String,
    critical: bool,
    y_px: usize,
    took: Took,
    bars: Vec<Shown>,
}

/// How long all bars of a row took, where that is written, and whether to the left of that place.
#[derive(Default, Serialize)]
struct Took {
    text: String,
    x: f64,
    left: bool,
}

#[derive(Clone, Serialize)]
struct Shown {
    name: String,
    group: &'static str,
    x: f64,
    width: f64,
    /// Where its duration is written, and whether to the left of that place.
    text_x: f64,
    text_left: bool,
    waiting: bool,
    critical: bool,
    failed: bool,
    cut_short: bool,
    #[serde(skip)]
    took_ms: u64,
    took: String,
    from: String,
    to: String,
    attempt: usize,
    says: String,
}

#[derive(Serialize)]
struct Mark {
    x: f64,
    text: String,
    level: usize,
}

/// A process that worked on the build.
#[derive(Serialize)]
struct Stretch {
    number: usize,
    x: f64,
    began: String,
    took: String,
}

/// The time between two processes.
#[derive(Serialize)]
struct Pause {
    x: f64,
    width: f64,
    before: usize,
    took: String,
}

/// Where times are drawn. Pauses between processes all have the same width.
struct Scale {
    attempts: Vec<(Attempt, u64)>,
    pause_ms: u64,
    total_ms: u64,
}

impl Scale {
    fn new(attempts: &[Attempt]) -> Scale {
        let took_ms = |attempt: &Attempt| attempt.end_ms.saturating_sub(attempt.start_ms);
        let work_ms: u64 = attempts.iter().map(took_ms).fold(0, u64::saturating_add);
        let pause_ms = (percent_of(PAUSE_PERCENT, work_ms)).max(1);
        let (mut at_ms, mut placed) = (0_u64, Vec::new());
        for attempt in attempts {
            placed.push((*attempt, at_ms));
            at_ms = at_ms.saturating_add(took_ms(attempt)).saturating_add(pause_ms);
        }
        Scale { attempts: placed, pause_ms, total_ms: at_ms.saturating_sub(pause_ms).max(1) }
    }

    /// The place of a time in a process, in percent.
    fn x(&self, attempt: usize, at_ms: u64) -> f64 {
        let Some((times, from_ms)) = self.attempts.get(attempt) else { return 0.0 };
        let since_ms = at_ms.clamp(times.start_ms, times.end_ms) - times.start_ms;
        self.percent(from_ms.saturating_add(since_ms))
    }

    fn percent(&self, ms: u64) -> f64 {
        // Two decimals of a percent are less than a pixel at the largest zoom.
        (ms as f64 / self.total_ms as f64 * 1_000_000.0).round() / 10_000.0
    }

    fn marks(&self) -> Vec<Mark> {
        let mut marks: Vec<Mark> = Vec::new();
        for (level, (count, apart)) in MARKS.into_iter().enumerate() {
            let wanted = self.total_ms / count;
            let step_ms = NICE_MS.into_iter().find(|nice| *nice >= wanted).unwrap_or(wanted).max(1);
            for (attempt, (times, _)) in self.attempts.iter().enumerate() {
                let took_ms = times.end_ms.saturating_sub(times.start_ms);
                for number in 0..=took_ms / step_ms {
                    let since_ms = number.saturating_mul(step_ms);
                    let x = self.x(attempt, times.start_ms.saturating_add(since_ms));
                    if marks.iter().all(|mark| (mark.x - x).abs() > apart) {
                        marks.push(Mark { x, text: clock(since_ms), level });
                    }
                }
            }
        }
        marks
    }

    fn pauses(&self) -> Vec<Pause> {
        let pairs = self.attempts.windows(2).enumerate().filter_map(|(index, pair)| match pair {
            [(one, _), (next, from_ms)] => Some(Pause {
                x: self.percent(from_ms.saturating_sub(self.pause_ms)),
                width: self.percent(self.pause_ms),
                before: index + 2,
                took: span(next.start_ms.saturating_sub(one.end_ms)),
            }),
            _ => None,
        });
        pairs.collect()
    }

    fn stretches(&self) -> Vec<Stretch> {
        let stretch = |(index, (times, from_ms)): (usize, &(Attempt, u64))| Stretch {
            number: index + 1,
            x: self.percent(*from_ms),
            began: super::span::date(times.start_ms),
            took: span(times.end_ms.saturating_sub(times.start_ms)),
        };
        self.attempts.iter().enumerate().map(stretch).collect()
    }
}

fn percent_of(percent: f64, ms: u64) -> u64 {
    (ms as f64 * percent / 100.0) as u64
}

/// The timeline of a build.
pub(super) fn chart(read: &Lines) -> Chart {
    let about = read.state.about.as_ref();
    // A promotion makes copies alone, also in the build region.
    let build_region = about.filter(|about| about.promotes.is_none()).map(|about| &about.build_region);
    let verified_on = read.lines.iter().filter_map(|moment| match &moment.event {
        Event::Done { step: Step::Launch(Role::Verify), result, .. } => result.as_str().map(str::to_owned),
        _ => None,
    });
    let private = about.is_some_and(|about| about.private);
    let names = Names { build_region, verified_on: verified_on.collect(), private };
    let bars = super::bars::bars(read);
    let path = critical::path(&bars, build_region);
    let scale = Scale::new(&read.attempts);
    let shown: Vec<Shown> =
        bars.iter().enumerate().map(|(i, bar)| show(bar, path.contains(&i), &names, &scale)).collect();
    let groups = GROUPS.into_iter().filter_map(|(group, name)| {
        let members = bars.iter().zip(&shown).filter(|(bar, _)| names.group(&bar.work) == group);
        rows(group, name, members.map(|(bar, shown)| (names.row(&bar.work), shown.clone())).collect())
    });
    Chart {
        groups: groups.collect(),
        marks: scale.marks(),
        attempts: scale.stretches(),
        pauses: scale.pauses(),
        critical: summary(&bars, &path, &names),
        steps: shown,
    }
}

fn summary(bars: &[Bar], path: &BTreeSet<usize>, names: &Names<'_>) -> Option<Critical> {
    let on_path = || path.iter().filter_map(|index| bars.get(*index));
    let longest = on_path().max_by_key(|bar| bar.took_ms())?;
    let sum = |bars: &mut dyn Iterator<Item = &Bar>| span(bars.map(Bar::took_ms).fold(0, u64::saturating_add));
    Some(Critical {
        steps: path.len(),
        took: sum(&mut on_path()),
        waiting: sum(&mut on_path().filter(|bar| bar.is_waiting())),
        longest: names.name(&longest.work),
        longest_took: span(longest.took_ms()),
    })
}

fn show(bar: &Bar, critical: bool, names: &Names<'_>, scale: &Scale) -> Shown {
    let (x, end) = (scale.x(bar.attempt, bar.start_ms), scale.x(bar.attempt, bar.end_ms));
    let began_ms = scale.attempts.get(bar.attempt).map_or(0, |(times, _)| times.start_ms);
    let since = |at_ms: u64| clock(at_ms.saturating_sub(began_ms));
    let (name, took, from, to) = (names.name(&bar.work), span(bar.took_ms()), since(bar.start_ms), since(bar.end_ms));
    let attempt = bar.attempt + 1;
    let mut says = format!("{name}: {took}, from {from} to {to}");
    if scale.attempts.len() > 1 {
        says = format!("{says} of attempt {attempt}");
    }
    says.push_str(if bar.is_waiting() { "; waiting" } else { "; working" });
    if critical {
        says.push_str("; on the critical path");
    }
    match &bar.end {
        End::Done => {}
        End::Failed(error) => says = format!("{says}; failed: {error}"),
        End::CutShort => says.push_str("; cut short"),
    }
    let text_left = end > 86.0;
    Shown {
        name,
        group: GROUPS.iter().find(|(group, _)| *group == names.group(&bar.work)).map_or("", |(_, title)| title),
        x,
        width: (end - x).max(0.0),
        text_x: if text_left { x } else { end },
        text_left,
        waiting: bar.is_waiting(),
        critical,
        failed: matches!(bar.end, End::Failed(_)),
        cut_short: bar.end == End::CutShort,
        took_ms: bar.took_ms(),
        took,
        from,
        to,
        attempt,
        says,
    }
}

/// The time of a row: without what is between its bars, which is other work or the pause between two processes. It is written
/// after the last one, or before all of them where there is no room.
fn took(bars: &[Shown]) -> Took {
    let text = span(bars.iter().map(|bar| bar.took_ms).fold(0, u64::saturating_add));
    match bars {
        [first, .., last] => {
            let (end, has_room) = (last.x + last.width, first.x > IN_ALL_PERCENT);
            let left = end > 100.0 - IN_ALL_PERCENT;
            let before = if has_room { first.x } else { last.x };
            Took { text: format!("{text} in all"), x: if left { before } else { end }, left }
        }
        [bar] => Took { text, x: bar.text_x, left: bar.text_left },
        [] => Took::default(),
    }
}

fn rows(group: Group, name: &'static str, members: Vec<(String, Shown)>) -> Option<Rows> {
    let mut rows: Vec<Row> = Vec::new();
    for (row, bar) in members {
        match rows.iter_mut().find(|known| known.name == row) {
            Some(known) => known.bars.push(bar),
            None => rows.push(Row { name: row, critical: false, y_px: 0, took: Took::default(), bars: vec![bar] }),
        }
    }
    if rows.is_empty() {
        return None;
    }
    if group == Group::Regions {
        rows.sort_by(|a, b| a.name.cmp(&b.name));
    }
    let thin = rows.len() > MANY_ROWS;
    let row_px = if thin { THIN_ROW_PX } else { ROW_PX };
    for (index, row) in rows.iter_mut().enumerate() {
        row.y_px = index * row_px;
        row.critical = row.bars.iter().any(|bar| bar.critical);
        row.took = took(&row.bars);
    }
    let note = match group {
        Group::Regions => format!("{} {}", rows.len(), if rows.len() == 1 { "region" } else { "regions" }),
        _ => String::new(),
    };
    Some(Rows { name, open: !thin, thin, row_px, height_px: rows.len() * row_px, note, rows })
}
