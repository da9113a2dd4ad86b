//! The wait loop.

use std::{fmt::Display, time::Duration};

use anyhow::{Result, bail};
use tokio::time::Instant;

use crate::{events::Events, ground::api_error::is_transient};

/// The pause before the next check, as a fraction of the time waited so far, where a check costs a call. A wait of an hour
/// needs none every second, and still ends within a twentieth of its length.
const PAUSE_FRACTION: f64 = 0.04;

/// How long to wait, and how often to check.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// The timeout.
    pub limit: Duration,
    /// When to check.
    pub pace: Pace,
}

/// When to check during a wait.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// The time of the first check; before it, the result is impossible.
    pub first_check: Duration,
    /// The shortest pause between two checks.
    pub interval: Duration,
    /// The shortest pause as a fraction of the time waited so far.
    pub fraction: f64,
}

impl Pace {
    /// The pace of checks that cost something: the longer the wait, the longer the pauses.
    #[must_use]
    pub const fn new(first_check: Duration, interval: Duration) -> Pace {
        Pace { first_check, interval, fraction: PAUSE_FRACTION }
    }

    /// The pace of checks that cost nothing.
    #[must_use]
    pub const fn steady(first_check: Duration, interval: Duration) -> Pace {
        Pace { first_check, interval, fraction: 0.0 }
    }
}

/// The result of a check.
#[derive(Debug)]
pub enum Poll<T> {
    /// The wait is over.
    Ready(T),
    /// Not yet, with the current state as text.
    NotYet(String),
}

/// Checks until `what` is ready.
///
/// # Errors
/// When a check fails, unless its error is transient. When the wait times out: the message has `what`, the limit, and
/// the last state.
pub async fn until<T>(
    what: impl Display,
    patience: Patience,
    events: &Events,
    mut check: impl AsyncFnMut() -> Result<Poll<T>>,
) -> Result<T> {
    let mut waiting = events.waiting(&what);
    let began = Instant::now();
    let deadline = began + patience.limit;
    let mut state = String::from("not checked yet");
    let mut next = began + patience.pace.first_check;
    loop {
        tokio::time::sleep_until(next.min(deadline)).await;
        // Also bounds a check that hangs. The state is then the last known one.
        match tokio::time::timeout_at(deadline, check()).await {
            Ok(Ok(Poll::Ready(value))) => return Ok(value),
            Ok(Ok(Poll::NotYet(now))) => state = now,
            Ok(Err(error)) if is_transient(&error) => state = format!("{error:#}"),
            Ok(Err(error)) => return Err(error),
            Err(_) => {}
        }
        if Instant::now() >= deadline {
            bail!(
                "timed out after {} waiting for {what}; last state: {state}",
                humantime::format_duration(patience.limit)
            );
        }
        waiting.state(&state);
        next = Instant::now() + patience.pace.interval.max(began.elapsed().mul_f64(patience.pace.fraction));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{fixture::events, ground::api_error::ApiError};

    const PATIENCE: Patience =
        Patience { limit: Duration::from_secs(60), pace: Pace::new(Duration::from_secs(10), Duration::from_secs(2)) };

    #[tokio::test(start_paused = true)]
    async fn checks_first_at_first_check_and_then_at_each_interval() {
        let (began, events) = (Instant::now(), events());
        let mut checks = Vec::new();
        let found = until("a thing", PATIENCE, &events, async || {
            checks.push(began.elapsed().as_secs());
            Ok(if checks.len() == 3 { Poll::Ready("it") } else { Poll::NotYet("pending".to_owned()) })
        });
        assert_eq!(found.await.expect("found"), "it");
        assert_eq!(checks, [10, 12, 14]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_long_wait_checks_less_often_and_still_ends_soon() {
        let patience = Patience { limit: Duration::from_secs(7200), ..PATIENCE };
        let (began, events) = (Instant::now(), events());
        let mut checks = 0;
        let found = until("a thing", patience, &events, async || {
            checks += 1;
            let is_ready = began.elapsed() >= Duration::from_secs(3600);
            Ok(if is_ready { Poll::Ready(()) } else { Poll::NotYet("pending".to_owned()) })
        });
        found.await.expect("found");
        assert!(began.elapsed() <= Duration::from_secs(3600 * 105 / 100), "{:?}", began.elapsed());
        assert!(checks < 150, "{checks}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_steady_pace_stays_what_it_is() {
        let pace = Pace::steady(Duration::ZERO, Duration::from_secs(2));
        let patience = Patience { limit: Duration::from_secs(7200), pace };
        let (began, events) = (Instant::now(), events());
        let found = until("a thing", patience, &events, async || {
            let is_ready = began.elapsed() >= Duration::from_secs(3599);
            Ok(if is_ready { Poll::Ready(()) } else { Poll::NotYet("pending".to_owned()) })
        });
        found.await.expect("found");
        assert_eq!(began.elapsed().as_secs(), 3600);
    }

    #[tokio::test(start_paused = true)]
    async fn a_transient_error_does_not_end_the_wait() {
        let events = events();
        let mut transient = [true, true, false].into_iter();
        let found = until("the image", PATIENCE, &events, async || match transient.next() {
            Some(transient) => {
                let (action, region) = ("DescribeImages".to_owned(), "us-west-2".to_owned());
                let code = Some("RequestLimitExceeded".to_owned());
                Err::<Poll<()>, _>(ApiError { action, region, code, message: "too many".to_owned(), transient }.into())
            }
            None => unreachable!("the last error was not transient"),
        });
        let error = found.await.expect_err("refused").to_string();
        assert_eq!(error, "DescribeImages in us-west-2: too many (RequestLimitExceeded)");
        assert_eq!(transient.next(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_timeout_has_the_last_state() {
        let (began, events) = (Instant::now(), events());
        let found = until("the image", PATIENCE, &events, async || Ok(Poll::<()>::NotYet("pending, 40%".to_owned())));
        let error = found.await.expect_err("never there").to_string();
        assert_eq!(error, "timed out after 1m waiting for the image; last state: pending, 40%");
        assert_eq!(began.elapsed().as_secs(), 60);
    }

    #[tokio::test(start_paused = true)]
    async fn a_hanging_check_is_bounded() {
        let events = events();
        let found = until("the image", PATIENCE, &events, async || {
            std::future::pending::<()>().await;
            Ok(Poll::Ready(()))
        });
        let error = found.await.expect_err("hung").to_string();
        assert_eq!(error, "timed out after 1m waiting for the image; last state: not checked yet");
    }
}
