//! The one wait loop.

use std::{fmt::Display, time::Duration};

use anyhow::{Result, bail};
use tokio::time::Instant;

use crate::{events::Events, ground::api_error::is_transient};

/// The part of the time waited so far that may pass before the next look. What takes an hour need not be looked at every
/// second, and is still seen within a twentieth of its length.
const LONGEST_PAUSE: f64 = 0.04;

/// How long to wait for something, and how often to look.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// When the wait is given up.
    pub limit: Duration,
    /// When to look.
    pub pace: Pace,
}

/// When to look for something.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// When to look for the first time; before, it can't be there.
    pub first_look: Duration,
    /// The pause between two looks; longer when the wait is long.
    pub interval: Duration,
}

/// What a look showed.
#[derive(Debug)]
pub enum Poll<T> {
    /// It is there.
    Ready(T),
    /// It is not there yet, and what it is doing instead.
    NotYet(String),
}

/// Looks until `what` is there.
///
/// # Errors
/// A look's own error ends the wait, unless it is one that passes. When the limit passes, the message says what was waited for, how long, and the
/// last state.
pub async fn until<T>(
    what: impl Display,
    patience: Patience,
    events: &Events,
    mut look: impl AsyncFnMut() -> Result<Poll<T>>,
) -> Result<T> {
    let mut waiting = events.waiting(&what);
    let began = Instant::now();
    let deadline = began + patience.limit;
    let mut state = String::from("not looked at");
    let mut next = began + patience.pace.first_look;
    loop {
        tokio::time::sleep_until(next.min(deadline)).await;
        // A look that hangs is bounded, too; the state is then the last that was seen.
        match tokio::time::timeout_at(deadline, look()).await {
            Ok(Ok(Poll::Ready(value))) => return Ok(value),
            Ok(Ok(Poll::NotYet(now))) => state = now,
            Ok(Err(error)) if is_transient(&error) => state = format!("{error:#}"),
            Ok(Err(error)) => return Err(error),
            Err(_) => {}
        }
        if Instant::now() >= deadline {
            bail!(
                "gave up waiting for {what} after {}; last state: {state}",
                humantime::format_duration(patience.limit)
            );
        }
        waiting.state(&state);
        next = Instant::now() + patience.pace.interval.max(began.elapsed().mul_f64(LONGEST_PAUSE));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{fixture::events, ground::api_error::ApiError};

    const PATIENCE: Patience = Patience {
        limit: Duration::from_secs(60),
        pace: Pace { first_look: Duration::from_secs(10), interval: Duration::from_secs(2) },
    };

    #[tokio::test(start_paused = true)]
    async fn looks_first_when_it_can_be_there_and_then_at_each_interval() {
        let (began, events) = (Instant::now(), events());
        let mut looks = Vec::new();
        let found = until("a thing", PATIENCE, &events, async || {
            looks.push(began.elapsed().as_secs());
            Ok(if looks.len() == 3 { Poll::Ready("it") } else { Poll::NotYet("pending".to_owned()) })
        });
        assert_eq!(found.await.expect("found"), "it");
        assert_eq!(looks, [10, 12, 14]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_long_wait_looks_less_often_and_still_sees_it_soon() {
        let patience = Patience { limit: Duration::from_secs(7200), ..PATIENCE };
        let (began, events) = (Instant::now(), events());
        let mut looks = 0;
        let found = until("a thing", patience, &events, async || {
            looks += 1;
            let there = began.elapsed() >= Duration::from_secs(3600);
            Ok(if there { Poll::Ready(()) } else { Poll::NotYet("pending".to_owned()) })
        });
        found.await.expect("found");
        assert!(began.elapsed() <= Duration::from_secs(3600 * 105 / 100), "{:?}", began.elapsed());
        assert!(looks < 150, "{looks}");
    }

    #[tokio::test(start_paused = true)]
    async fn an_error_that_passes_is_no_end() {
        let events = events();
        let mut transient = [true, true, false].into_iter();
        let found = until("the image", PATIENCE, &events, async || match transient.next() {
            Some(transient) => {
                let (action, region) = ("DescribeImages".to_owned(), "us-west-2".to_owned());
                let code = Some("RequestLimitExceeded".to_owned());
                Err::<Poll<()>, _>(ApiError { action, region, code, message: "too many".to_owned(), transient }.into())
            }
            None => unreachable!("the last error was none that passes"),
        });
        let error = found.await.expect_err("refused").to_string();
        assert_eq!(error, "DescribeImages in us-west-2: too many (RequestLimitExceeded)");
        assert_eq!(transient.next(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn gives_up_at_the_limit_and_says_what_it_last_saw() {
        let (began, events) = (Instant::now(), events());
        let found = until("the image", PATIENCE, &events, async || Ok(Poll::<()>::NotYet("pending, 40%".to_owned())));
        let error = found.await.expect_err("never there").to_string();
        assert_eq!(error, "gave up waiting for the image after 1m; last state: pending, 40%");
        assert_eq!(began.elapsed().as_secs(), 60);
    }

    #[tokio::test(start_paused = true)]
    async fn a_look_that_hangs_is_bounded() {
        let events = events();
        let found = until("the image", PATIENCE, &events, async || {
            std::future::pending::<()>().await;
            Ok(Poll::Ready(()))
        });
        let error = found.await.expect_err("hung").to_string();
        assert_eq!(error, "gave up waiting for the image after 1m; last state: not looked at");
    }
}
