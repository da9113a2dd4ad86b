//! The loop's thread, which serves the logins, the terminal and the signals, is never held for long: a heartbeat on it is
//! watched during a build with a large payload.
//!
//! To see it with 1 GB: `cargo xtask bench heartbeat`

use std::{
    fs::File,
    time::{Duration, Instant},
};

use tokio::sync::mpsc;
use xtask_ami::{ask::spec::ReleaseSpec, recipe};

use super::rig::Rig;

/// The longest that the thread may be at work between two beats.
const HELD: Duration = Duration::from_millis(50);

/// How often it beats, at the most.
const BEAT: Duration = Duration::from_millis(2);

/// The default size of the payload, in MB: hashing it once takes several times as long as the thread may be held.
const PAYLOAD_MB: u64 = 256;

/// How long the thread was held.
#[derive(Default)]
struct Beats {
    /// At work between two beats, at the longest: other programs on this computer don't count.
    working: Duration,
    /// From a beat's time to the beat, at the longest.
    late: Duration,
    count: u32,
}

/// How long this thread has been at work; none where the system does not tell.
fn at_work() -> Option<Duration> {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    Some(Duration::from_nanos(stat.split(' ').next()?.parse().ok()?))
}

/// Beats until it is dropped. The time is the computer's, whatever that of the runtime is.
async fn beat(beats: &mut Beats) {
    let (send, mut receive) = mpsc::unbounded_channel();
    std::thread::spawn(move || {
        while send.send(Instant::now()).is_ok() {
            std::thread::sleep(BEAT);
        }
    });
    let mut before = at_work();
    while let Some(sent) = receive.recv().await {
        let now = at_work();
        let working = now.zip(before).map(|(now, before)| now.saturating_sub(before)).unwrap_or_default();
        beats.working = beats.working.max(working);
        beats.late = beats.late.max(sent.elapsed());
        beats.count += 1;
        before = now;
    }
}

/// Makes the first binary and a file of the recipe so large that they are `payload_mb` together.
fn enlarge(order: &mut ReleaseSpec, payload_mb: u64) {
    let half = payload_mb * 1024 * 1024 / 2;
    let binary = order.source.root.join(&order.recipe.binaries[0].result);
    let binary = File::options().write(true).open(binary).expect("a binary");
    let data = File::create(order.source.root.join("data")).expect("a file");
    for file in [binary, data] {
        file.set_len(half).expect("a large file");
    }
    let system = order.recipe.systems.get_mut(&order.system_name).expect("the system");
    let (source, target) = ("data".into(), "/usr/share/data".into());
    system.files.push(recipe::File { source, target, optional: false, except: Vec::new() });
}

#[expect(clippy::print_stdout, reason = "the figures are what the benchmark is for")]
#[tokio::test(start_paused = true)]
async fn the_heartbeat_goes_on_during_a_build_with_a_large_payload() {
    let payload_mb = std::env::var("PAYLOAD_MB").map_or(PAYLOAD_MB, |size| size.parse().expect("a number"));
    let rig = Rig::changed(|order| enlarge(order, payload_mb));
    let mut beats = Beats::default();
    let ended = tokio::select! {
        biased;
        () = beat(&mut beats) => unreachable!("it beats as long as the build takes"),
        ended = rig.release() => ended,
    };
    assert!(ended.report().sha256.contains_key("/usr/share/data"));
    let Beats { working, late, count } = beats;
    println!("heartbeat payload_mb={payload_mb} longest_ms={} working_ms={}", late.as_millis(), working.as_millis());
    assert!(count > 10, "{count} beats");
    assert!(working <= HELD, "the thread worked for {working:?} between two beats");
}
