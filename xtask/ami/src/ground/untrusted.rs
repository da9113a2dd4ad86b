//! Untrusted input for tests of parsers: valid texts, with random damage.
//!
//! The inputs are the same in every run. `PROPTEST_CASES=100000` tries as many of each kind instead, different in every
//! run. Each fault found this way has a test of its own, beside the fixed code.

use std::{
    fmt::Debug,
    io::Write as _,
    sync::{Arc, Mutex, mpsc},
    time::{Duration, Instant},
};

use proptest::{
    collection::vec,
    prelude::{Strategy, any, prop_oneof},
    sample::{Index, select},
    test_runner::{Config, RngSeed, TestRunner},
};

/// The time after which a test counts as hung. None takes a hundredth of it.
const HANGS_AFTER: Duration = Duration::from_secs(30);

/// Unexpected pieces of text.
const ODD: [&str; 46] = [
    "\0",
    "\u{1}",
    "\u{7f}",
    "\u{9b}",
    "\r",
    "\r\n",
    "\n\n",
    "\t",
    " ",
    "\u{a0}",
    "\u{2028}",
    "\u{feff}",
    "\u{202e}",
    "\u{1b}[2J",
    "\u{1b}]0;",
    "\u{301}",
    "é",
    "ß",
    "İ",
    "１２",
    "𝟙",
    "👩‍👩‍👧‍👦",
    "\"",
    "'",
    "'''",
    "\"\"\"",
    "`",
    "\\",
    "\\u{d800}",
    "$(",
    ";",
    "|",
    ":",
    "=",
    "#",
    ",",
    "..",
    "/",
    "~bpo",
    "0",
    "-1",
    "1e999",
    "99999",
    "4294967296",
    "18446744073709551615",
    "99999999999999999999",
];

/// Pieces that nest deeply or grow long when repeated.
const REPEATED: [&str; 10] = ["[", "{\"a\":", "{a=", "a.", "[[", "(", "-", "9", "\n", "é"];

/// A kind of damage.
#[derive(Clone, Debug)]
enum Damage {
    /// A line is removed.
    Without(Index),
    /// A line is moved.
    Moved(Index, Index),
    /// A line is duplicated.
    Twice(Index),
    /// The end is cut off.
    Cut(Index),
    /// Some bytes are removed.
    Gap(Index, usize),
    /// One byte is replaced.
    Flipped(Index, u8),
    /// Bytes are inserted.
    Between(Index, Vec<u8>),
    /// A word or a number is replaced.
    Instead(Index, Vec<u8>),
}

/// Runs a test with that many values. Aborts the process if one hangs.
pub fn check<T>(cases: u32, values: impl Strategy<Value = T>, test: impl Fn(T))
where
    T: Clone + Debug + Send + 'static,
{
    let asked = std::env::var_os("PROPTEST_CASES").is_some();
    let usual = Config { failure_persistence: None, ..Config::default() };
    let config = if asked { usual } else { Config { cases, rng_seed: RngSeed::Fixed(20_161_604), ..usual } };
    let running: Arc<Mutex<Option<(Instant, T)>>> = Arc::default();
    let (_ended, waiting) = mpsc::channel::<()>();
    let watched = Arc::clone(&running);
    std::thread::spawn(move || {
        while waiting.recv_timeout(Duration::from_secs(1)) == Err(mpsc::RecvTimeoutError::Timeout) {
            let Ok(running) = watched.lock() else { return };
            if let Some((_, value)) = running.as_ref().filter(|(since, _)| since.elapsed() > HANGS_AFTER) {
                let _ = writeln!(std::io::stderr(), "this hangs: {value:?}");
                std::process::abort();
            }
        }
    });
    let tried = TestRunner::new(config).run(&values, |value| {
        *running.lock().expect("no panic while it is locked") = Some((Instant::now(), value.clone()));
        test(value);
        *running.lock().expect("no panic while it is locked") = None;
        Ok(())
    });
    if let Err(found) = tried {
        panic!("{found}");
    }
}

/// Input for a parser of `good`: mostly `good` with some damage.
pub fn bytes(good: impl AsRef<[u8]>) -> impl Strategy<Value = Vec<u8>> {
    let good = good.as_ref().to_vec();
    prop_oneof![
        8 => vec(damage(), 0..5).prop_map(move |all| all.iter().fold(good.clone(), |bytes, damage| damage.apply(bytes))),
        1 => vec(any::<u8>(), 0..200),
        1 => vec(odd(), 0..20).prop_map(|pieces| pieces.concat()),
    ]
}

/// The same as text.
pub fn text(good: &str) -> impl Strategy<Value = String> {
    bytes(good).prop_map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
}

fn odd() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        6 => select(&ODD[..]).prop_map(|text| text.as_bytes().to_vec()),
        2 => vec(any::<u8>(), 0..8),
        1 => any::<u64>().prop_map(|number| number.to_string().into_bytes()),
        1 => (select(&REPEATED[..]), 2..5000_usize).prop_map(|(text, times)| text.repeat(times).into_bytes()),
    ]
}

fn damage() -> impl Strategy<Value = Damage> {
    let at = any::<Index>;
    prop_oneof![
        1 => at().prop_map(Damage::Without),
        1 => (at(), at()).prop_map(|(line, to)| Damage::Moved(line, to)),
        1 => at().prop_map(Damage::Twice),
        1 => at().prop_map(Damage::Cut),
        1 => (at(), 1..40_usize).prop_map(|(from, length)| Damage::Gap(from, length)),
        2 => (at(), any::<u8>()).prop_map(|(at, byte)| Damage::Flipped(at, byte)),
        3 => (at(), odd()).prop_map(|(at, what)| Damage::Between(at, what)),
        4 => (at(), odd()).prop_map(|(word, what)| Damage::Instead(word, what)),
    ]
}

impl Damage {
    fn apply(&self, mut bytes: Vec<u8>) -> Vec<u8> {
        if bytes.is_empty() {
            return bytes;
        }
        let mut lines: Vec<&[u8]> = bytes.split_inclusive(|&byte| byte == b'\n').collect();
        match self {
            Damage::Without(line) => drop(lines.remove(line.index(lines.len()))),
            Damage::Moved(line, to) => {
                let line = lines.remove(line.index(lines.len()));
                lines.insert(to.index(lines.len() + 1), line);
            }
            Damage::Twice(line) => {
                let line = line.index(lines.len());
                lines.insert(line, lines[line]);
            }
            Damage::Cut(at) => {
                bytes.truncate(at.index(bytes.len()));
                return bytes;
            }
            Damage::Gap(from, length) => {
                let from = from.index(bytes.len());
                bytes.drain(from..bytes.len().min(from + length));
                return bytes;
            }
            Damage::Flipped(at, byte) => {
                let at = at.index(bytes.len());
                bytes[at] = *byte;
                return bytes;
            }
            Damage::Between(at, what) => {
                let at = at.index(bytes.len() + 1);
                bytes.splice(at..at, what.iter().copied());
                return bytes;
            }
            Damage::Instead(word, what) => {
                let words = words(&bytes);
                if !words.is_empty() {
                    bytes.splice(words[word.index(words.len())].clone(), what.iter().copied());
                }
                return bytes;
            }
        }
        lines.concat()
    }
}

/// The ranges of words and numbers.
fn words(bytes: &[u8]) -> Vec<std::ops::Range<usize>> {
    let mut words: Vec<std::ops::Range<usize>> = Vec::new();
    for at in (0..bytes.len()).filter(|&at| bytes[at].is_ascii_alphanumeric()) {
        match words.last_mut() {
            Some(word) if word.end == at => word.end = at + 1,
            _ => words.push(at..at + 1),
        }
    }
    words
}
