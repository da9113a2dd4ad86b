//! Plays the events of a release that never was on this terminal, to look at what is shown:
//! `cargo run --example live -- [SPEED [REGIONS [FROM [TO]]]]`, with times in seconds of the release. Or writes a picture of
//! it: `cargo run --example live -- --picture FILE`.

#![expect(clippy::expect_used, clippy::panic, reason = "a player that cannot go on says so by panicking")]

use std::time::Duration;

use xtask_ami::{
    event::{Event, Line},
    record::state::State,
    show::{
        print::print,
        terminal::{Form, Level, Terminal},
        words::words,
    },
};

mod picture;
#[path = "../../tests/kit/played.rs"]
mod played;

#[tokio::main(flavor = "current_thread", start_paused = true)]
async fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [flag, file] = arguments.as_slice()
        && flag == "--picture"
    {
        return picture::write(file);
    }
    let mut numbers = std::env::args().skip(1).map(|number| number.parse::<f64>().unwrap_or_default());
    let speed = numbers.next().filter(|speed| *speed > 0.0).unwrap_or(20.0);
    let regions = if numbers.next() == Some(34.0) { &played::THIRTY_FOUR[..] } else { &played::FOURTEEN[..] };
    let (from, to) = (numbers.next().unwrap_or_default(), numbers.next().unwrap_or(f64::MAX));
    let level = if std::env::var_os("LIVE_VERBOSE").is_some() { Level::Verbose } else { Level::Normal };
    let terminal = Terminal::stderr(level, Form::Text);
    let mut state = State::default();
    let mut last_ms = 0;
    let mut signals = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::interrupt()).expect("signals");
    let play = async {
        for (at_ms, event) in played::release(regions) {
            while last_ms < at_ms {
                let step_ms = (at_ms - last_ms).min((20.0 * speed) as u64).max(1);
                last_ms += step_ms;
                if last_ms as f64 > from * 1000.0 {
                    // The clock of the runtime stands still meanwhile.
                    tokio::task::spawn_blocking(|| std::thread::sleep(Duration::from_millis(20)))
                        .await
                        .expect("a pause");
                }
                tokio::time::advance(Duration::from_millis(step_ms)).await;
            }
            if at_ms as f64 > to * 1000.0 {
                let frames = if std::env::var_os(picture::ENDS).is_some() { 20 } else { usize::MAX };
                for _ in 0..frames {
                    tokio::task::spawn_blocking(|| std::thread::sleep(Duration::from_millis(100)))
                        .await
                        .expect("a pause");
                    tokio::time::advance(Duration::from_millis(100)).await;
                }
                // With what is on the terminal now.
                std::process::exit(0);
            }
            let line = Line { at: "2026-11-27T22:00:00Z".to_owned(), event };
            let words = words(&line.event, &state);
            state.apply(&line);
            terminal.show(&line, words.as_ref(), state.about.as_ref());
        }
        print("ap-northeast-1: ami-0123456789abcdef0\nus-west-2: ami-0d14dd8ce931d3474\n").expect("stdout");
    };
    tokio::select! {
        () = play => {}
        () = terminal.keep_drawing() => {}
        _ = signals.recv() => {
            let event = Event::Error { text: "interrupted by Ctrl-C".to_owned() };
            let words = words(&event, &State::default());
            terminal.show(&Line { at: String::new(), event }, words.as_ref(), None);
        }
    }
    terminal.close();
}
