//! What a seed decides.

use std::time::Duration;

/// Numbers that a seed decides (SplitMix64): the same on every machine, whatever version of whatever crate.
#[derive(Clone)]
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Random {
        // Neighbouring seeds are to have nothing in common.
        Random(seed.wrapping_mul(0xd134_2543_de82_ef95).wrapping_add(0x2545_f491_4f6c_dd1d))
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`.
    pub fn below(&mut self, end: u64) -> u64 {
        self.next() % end.max(1)
    }

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

/// How much goes wrong, in thousandths.
#[derive(Clone, Copy, Debug, Default)]
pub struct Weather {
    /// Of calls: an error that passes, before the deed is done or after.
    pub transient: u64,
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

impl Weather {
    pub fn of(random: &mut Random) -> Weather {
        let mut of = |choice: &[u64]| random.pick(choice);
        Weather {
            transient: of(&[0, 0, 5, 20, 60]),
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
    /// It was carried out, and nobody hears of it.
    After,
    /// So long after the answer: at once, what comes of it is just being written down.
    Later(Duration),
}

impl Crash {
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
