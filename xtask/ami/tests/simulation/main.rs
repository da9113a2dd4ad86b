//! A cloud that breaks everything, from a seed, in virtual time: latency, images and copies that are slow or fail, what
//! was created and isn't shown yet, errors before the deed and after it, lost answers, refusals, machines that die; and
//! the process that drives the build crashes at any step, between the intention and the call, between the call and the
//! record, or in the middle of the record. Other processes resume the build, or clean up after it, and crash, too. In the
//! end the invariants of the tool must hold by the cloud's own books.
//!
//! The same cloud, under the same invariants, does what single tests tell it to, where one fault and what is said of it
//! are the point: those are the cases.
//!
//! `cargo xtask test --seed N` plays one seed and prints what happened; `--seeds N` plays that many, from `FIRST` of the
//! environment on.
#![cfg(test)]

#[path = "../kit/mod.rs"]
mod kit;
mod fate;
mod weather;
mod script;
mod crash;
mod moment;
mod cloud;
mod verbs;
mod books;
mod candidate;
mod machines;
mod images;
mod laws;
mod read_back;

mod cases;
mod retirement;
mod story;

use std::{
    collections::BTreeMap,
    io::Write as _,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use camino::Utf8PathBuf;
use tempfile::TempDir;
use xtask_ami::ask::spec::{ReleaseSpec, Visibility};

use kit::Turn;
use story::{Told, play};

/// How many seeds are played by default.
const SEEDS: u64 = 10_000;
/// How many seeds are played twice.
const TWICE: u64 = 50;
/// How many violations are shown.
const SHOWN: usize = 3;

/// Where images are made.
pub const HOME: &str = "us-west-2";
const REGIONS: [&str; 3] = ["eu-west-1", "sa-east-1", HOME];

/// What all seeds share: a folder in memory where there is one, and in it the checkout.
struct Stage {
    folder: TempDir,
    order: ReleaseSpec,
    built: BTreeMap<String, String>,
}

impl Stage {
    fn new() -> Stage {
        let memory = std::path::Path::new("/dev/shm");
        let place = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
        let folder = tempfile::Builder::new().prefix("wallaroo-simulation-").tempdir_in(place).expect("a folder");
        let path = Utf8PathBuf::try_from(folder.path().canonicalize().expect("the folder")).expect("UTF-8");
        let regions = REGIONS.map(|region| region.parse().expect("a region")).to_vec();
        let order = kit::order(&path, Visibility::Public, HOME, regions);
        let built = books::built(&order);
        Stage { folder, order, built }
    }

    fn play(&self, seed: u64) -> Told {
        let folder = tempfile::Builder::new().prefix("seed-").tempdir_in(self.folder.path()).expect("a folder");
        let path = Utf8PathBuf::try_from(folder.path().to_owned()).expect("UTF-8");
        let _turn = Turn::beside_others();
        play(seed, &self.order, &self.built, &path)
    }
}

fn number(variable: &str) -> Option<u64> {
    let value = std::env::var(variable).ok()?;
    Some(value.parse().unwrap_or_else(|_| panic!("{variable}={value} is no number")))
}

fn say(text: impl std::fmt::Display) {
    // Past what catches a test's output, so that a long run shows how far it is.
    let _ = writeln!(std::io::stderr(), "{text}");
}

#[test]
fn the_invariants_hold_whatever_breaks() {
    let stage = Stage::new();
    if let Some(seed) = number("SEED") {
        let told = stage.play(seed);
        let broken = told.violations.iter().map(|violation| format!("\n  {violation}")).collect::<String>();
        let broken = if broken.is_empty() { "no invariant is broken".to_owned() } else { format!("broken:{broken}") };
        say(format_args!("{}seed {seed}: {:?}, {broken}", told.trace, told.ending));
        assert!(told.violations.is_empty(), "seed {seed}");
        return;
    }
    let (first, count) = (number("FIRST").unwrap_or(0), number("SEEDS").unwrap_or(SEEDS));
    let (began, next) = (Instant::now(), AtomicU64::new(first));
    let (broken, endings) = (Mutex::new(BTreeMap::new()), Mutex::new(BTreeMap::new()));
    let (resumed, reused) = (AtomicU64::new(0), AtomicU64::new(0));
    let threads = std::thread::available_parallelism().map_or(2, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= first + count || broken.lock().expect("no panic").len() >= SHOWN {
                        return;
                    }
                    let told = stage.play(seed);
                    resumed.fetch_add(u64::from(told.resumed), Ordering::Relaxed);
                    reused.fetch_add(u64::from(told.reused), Ordering::Relaxed);
                    *endings.lock().expect("no panic").entry(told.ending).or_insert(0) += 1;
                    if !told.violations.is_empty() {
                        broken.lock().expect("no panic").insert(seed, told);
                    }
                }
            });
        }
    });
    let seconds = began.elapsed().as_secs_f64();
    let endings = endings.into_inner().expect("no panic");
    let (resumed, reused, rate) = (resumed.into_inner(), reused.into_inner(), count as f64 / seconds);
    say(format_args!(
        "{count} seeds in {seconds:.1} s, {rate:.0} a second: {endings:?}, {resumed} with a resumed instance, \
         {reused} with a reused base"
    ));
    let broken = broken.into_inner().expect("no panic");
    for (seed, told) in &broken {
        say(format_args!("{}", told.trace));
        say(format_args!("SEED={seed} breaks {:#?}", told.violations));
        say(format_args!("to play it again: cargo xtask test --seed {seed}"));
    }
    assert!(broken.is_empty(), "seeds {:?}", broken.keys());
    assert!(resumed > 0 || count < 100, "no process resumes an instance");
    assert!(reused > 0 || count < 100, "no process reuses a base");
}

#[test]
fn a_seed_is_the_same_every_time() {
    let stage = Stage::new();
    for seed in 0..TWICE {
        let (once, again) = (stage.play(seed), stage.play(seed));
        assert_eq!(once.trace, again.trace, "seed {seed}");
        assert_eq!((once.violations, once.ending), (again.violations, again.ending), "seed {seed}");
    }
}
