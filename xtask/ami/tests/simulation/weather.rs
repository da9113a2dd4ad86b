//! The weather: what goes wrong is drawn from a seed.

use std::{collections::BTreeMap, fmt, time::Duration};

use tokio::time::Instant;
use xtask::region::Region;

use crate::{
    fate::{Fate, Fault, Verb},
    kit::Random,
};

/// The longest that an answer takes where nothing is wrong.
const LATENCY: Duration = Duration::from_millis(400);
/// The longest that an answer takes where it is slow.
const SLOW: Duration = Duration::from_secs(60);
/// How long it takes to make an image, or to copy it; at the least.
const IMAGE: Duration = Duration::from_secs(60);
/// How much longer it may take: longer than any wait.
const ENDLESS: Duration = Duration::from_secs(30 * 86_400);

/// What goes wrong is drawn.
pub struct Weather {
    pub odds: Odds,
    random: Random,
}

impl Weather {
    /// Fine weather, until the odds are set.
    pub fn new(random: Random) -> Weather {
        Weather { odds: Odds::default(), random }
    }
}

impl fmt::Debug for Weather {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.odds.fmt(f)
    }
}

impl Fate for Weather {
    fn of_call(&mut self, verb: Verb, _: &str) -> (Duration, Option<Fault>) {
        let Weather { odds, random } = self;
        let mut latency = Duration::from_millis(20) + random.time(LATENCY);
        if random.happens(odds.slow) {
            latency += random.time(SLOW);
        }
        let fault = if random.happens(odds.transient + if verb.opens() { odds.opening } else { 0 }) {
            let lost = !verb.only_looks() && random.happens(500);
            Some(if lost { Fault::Lost } else { Fault::Throttled })
        } else {
            random.happens(odds.refused).then_some(Fault::Refused)
        };
        (latency, fault)
    }

    fn lag(&mut self, limit: Duration) -> Duration {
        self.random.time(limit)
    }

    fn is_full(&mut self) -> bool {
        self.random.happens(self.odds.refused * 4)
    }

    fn death(&mut self) -> Option<Instant> {
        let dies = self.random.happens(self.odds.dying);
        dies.then(|| Instant::now() + self.random.time(Duration::from_secs(120)))
    }

    fn of_image(&mut self, _: &Region) -> (Duration, bool) {
        let endless = match self.random.happens(self.odds.endless) {
            true => self.random.pick(&[ENDLESS, Duration::from_secs(5000)]),
            false => Duration::ZERO,
        };
        let long = IMAGE + self.random.time(IMAGE * 6) + endless;
        (long, self.random.happens(self.odds.failing))
    }

    fn rot(&mut self, files: &mut BTreeMap<String, String>) {
        if self.random.happens(self.odds.rotten)
            && let Some(file) = files.values_mut().next()
        {
            *file = "rotten".to_owned();
        }
    }

    fn leaves_a_snapshot(&mut self) -> bool {
        self.random.happens(self.odds.halves)
    }
}

/// How much goes wrong, in thousandths.
#[derive(Clone, Copy, Debug, Default)]
pub struct Odds {
    /// Of calls: an error that passes, before the deed is done or after.
    pub transient: u64,
    /// Of calls that open images, or close them: as many more errors that pass.
    pub opening: u64,
    /// Of calls: an error that doesn't pass, before the deed.
    pub refused: u64,
    /// Of calls: the answer takes up to a minute.
    pub slow: u64,
    /// Of images and copies: they fail.
    pub failing: u64,
    /// Of images and copies: they take longer than anybody waits.
    pub endless: u64,
    /// Of home images: the bytes on their disk are others.
    pub rotten: u64,
    /// Of machines: they die.
    pub dying: u64,
    /// Of removed images: a snapshot remains, and an error comes back.
    pub halves: u64,
}

impl Odds {
    pub fn of(random: &mut Random) -> Odds {
        let mut of = |choice: &[u64]| random.pick(choice);
        Odds {
            transient: of(&[0, 0, 5, 20, 60]),
            opening: of(&[0, 0, 0, 100, 300]),
            refused: of(&[0, 0, 0, 2, 8]),
            slow: of(&[0, 0, 20, 100]),
            failing: of(&[0, 0, 100, 400]),
            endless: of(&[0, 0, 0, 100]),
            rotten: of(&[0, 0, 0, 0, 300]),
            dying: of(&[0, 0, 50, 200]),
            halves: of(&[0, 100]),
        }
    }
}

impl Random {
    /// Whether something of this many thousandths happens.
    pub fn happens(&mut self, thousandths: u64) -> bool {
        self.below(1000) < thousandths
    }

    /// A time of less than `limit`, in whole milliseconds.
    pub fn time(&mut self, limit: Duration) -> Duration {
        Duration::from_millis(self.below(limit.as_millis() as u64))
    }

    pub fn pick<T: Copy>(&mut self, choice: &[T]) -> T {
        choice[self.below(choice.len() as u64) as usize]
    }
}
