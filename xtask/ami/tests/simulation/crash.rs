//! Where the process that drives the build ends.

use std::time::Duration;

use crate::kit::Random;

/// Where the process that drives the build ends.
#[derive(Clone, Copy, Debug)]
pub struct Crash {
    /// The call, counted from the process's beginning; only those that change something where `deeds` is set.
    pub call: u64,
    pub deeds: bool,
    pub stage: Stage,
}

/// Where in a call.
#[derive(Clone, Copy, Debug)]
pub enum Stage {
    /// It was about to be made.
    Before,
    /// It was carried out, and its answer is lost.
    After,
    /// So long after the answer: at once, what comes of it is just being written down.
    Later(Duration),
}

impl Crash {
    /// In a process that changes little.
    pub fn soon(random: &mut Random) -> Crash {
        let (deeds, call) = (random.happens(800), 1 + random.below(8));
        Crash { call, deeds, ..Crash::of(random) }
    }

    pub fn of(random: &mut Random) -> Crash {
        let deeds = random.happens(750);
        let call = 1 + if deeds { random.below(30) } else { random.below(250) };
        let delays = [0, 0, 0, 1, 200, 5_000, 60_000];
        let stage = match random.below(5) {
            0 | 1 => Stage::Before,
            2 | 3 => Stage::After,
            _ => Stage::Later(Duration::from_millis(random.pick(&delays))),
        };
        Crash { call, deeds, stage }
    }
}
