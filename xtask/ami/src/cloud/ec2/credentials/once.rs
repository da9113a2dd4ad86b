//! Asks a source once, keeps what it gave, and renews it in time.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use aws_credential_types::{
    Credentials,
    provider::{self, ProvideCredentials, SharedCredentialsProvider, error::CredentialsError, future},
};
use aws_smithy_types::date_time::{DateTime, Format};

use crate::ground::finding::Finding;

/// How long before their end credentials are renewed: long enough for a person to answer a helper.
const EARLY: Duration = Duration::from_secs(300);

/// The pause between two renewals, for sources whose credentials never last longer than [`EARLY`].
const PAUSE: Duration = Duration::from_secs(60);

/// A source that is asked once. Clones share what it gave.
#[derive(Clone)]
pub struct Once(Arc<Inner>);

struct Inner {
    source: SharedCredentialsProvider,
    /// The credentials, and when they were fetched.
    known: Mutex<Option<(Credentials, SystemTime)>>,
    /// Held while the source is asked.
    asking: Arc<tokio::sync::Mutex<()>>,
}

impl Once {
    /// For this source.
    pub fn new(source: impl ProvideCredentials + 'static) -> Once {
        Once(Arc::new(Inner {
            source: SharedCredentialsProvider::new(source),
            known: Mutex::default(),
            asking: Arc::default(),
        }))
    }

    async fn credentials(&self) -> provider::Result {
        if let Some((known, fetched)) = self.0.usable() {
            let now = SystemTime::now();
            let is_early = known.expiry().is_none_or(|end| end > now + EARLY) || fetched + PAUSE > now;
            // These are good for a while yet, so nothing waits for the renewal.
            if !is_early && let Ok(asking) = self.0.asking.clone().try_lock_owned() {
                let inner = self.0.clone();
                tokio::spawn(async move {
                    let _asking = asking;
                    inner.ask().await
                });
            }
            return Ok(known);
        }
        let inner = self.0.clone();
        // A task of its own: a call that times out must not end a helper that a person is answering.
        let asked = tokio::spawn(async move {
            let _asking = inner.asking.lock().await;
            match inner.usable() {
                Some((known, _)) => Ok(known),
                None => inner.ask().await,
            }
        });
        asked.await.map_err(CredentialsError::unhandled)?
    }
}

impl Inner {
    fn usable(&self) -> Option<(Credentials, SystemTime)> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner).clone();
        known.filter(|(known, _)| known.expiry().is_none_or(|end| end > SystemTime::now()))
    }

    async fn ask(&self) -> provider::Result {
        let found = self.source.provide_credentials().await?;
        if let Some(finding) = fault(&found) {
            return Err(CredentialsError::provider_error(finding));
        }
        *self.known.lock().unwrap_or_else(PoisonError::into_inner) = Some((found.clone(), SystemTime::now()));
        Ok(found)
    }
}

/// Why credentials cannot be used, if they cannot. The SDK would sign with them all the same.
fn fault(credentials: &Credentials) -> Option<Finding> {
    let parts = [
        ("access key id", Some(credentials.access_key_id())),
        ("secret access key", Some(credentials.secret_access_key())),
        ("session token", credentials.session_token()),
    ];
    let is_odd = |text: &str| text.is_empty() || !text.chars().all(|c| c.is_ascii_graphic());
    if let Some((part, _)) = parts.iter().find(|(_, text)| text.is_some_and(is_odd)) {
        let problem = format!("the {part} has a space, a line break or another character that none has");
        return Some(Finding { problem, remedy: "set it again, without anything before or after it".to_owned() });
    }
    let end = credentials.expiry().filter(|end| *end <= SystemTime::now())?;
    let end = DateTime::from(end).fmt(Format::DateTime).unwrap_or_default();
    let problem = format!("the AWS credentials ended at {end}, and their source gives no others");
    Some(Finding {
        problem,
        remedy: "log in again, or see why the source gives credentials that have ended".to_owned(),
    })
}

impl ProvideCredentials for Once {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(self.credentials())
    }
}

impl fmt::Debug for Once {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Once({:?})", self.0.source)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    /// Gives credentials that last so long from now, and counts how often it is asked.
    #[derive(Debug)]
    struct Counting(Option<Duration>, Arc<AtomicU64>);

    impl ProvideCredentials for Counting {
        fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
        where
            Self: 'a,
        {
            let number = self.1.fetch_add(1, Ordering::SeqCst) + 1;
            let end = self.0.map(|lasts| SystemTime::now() + lasts);
            future::ProvideCredentials::ready(Ok(Credentials::new(number.to_string(), "s", None, end, "test")))
        }
    }

    #[test]
    fn credentials_that_no_request_can_be_signed_with_are_refused() {
        let of = |key: &str, token: &str, ended: bool| {
            let end = ended.then(|| SystemTime::now() - Duration::from_secs(60));
            fault(&Credentials::new(key, "s", Some(token.to_owned()), end, "test")).map(|finding| finding.problem)
        };
        assert_eq!(of("AKID", "to/ken+=", false), None);
        for (key, token, part) in
            [("AK ID", "t", "access key id"), (" AKID", "t", "access key id"), ("A", "to ken", "token")]
        {
            assert!(of(key, token, false).is_some_and(|problem| problem.contains(part)), "{key:?} {token:?}");
        }
        assert!(of("AKID", "t", true).is_some_and(|problem| problem.starts_with("the AWS credentials ended at 20")));
    }

    async fn keys(lasts: Option<Duration>, fetched_ago: Duration) -> (Vec<String>, u64) {
        let asked = Arc::<AtomicU64>::default();
        let once = Once::new(Counting(lasts, asked.clone()));
        let mut keys = Vec::new();
        for _ in 0..3 {
            keys.push(once.credentials().await.expect("credentials").access_key_id().to_owned());
            if let Some((_, fetched)) = once.0.known.lock().expect("known").as_mut() {
                *fetched -= fetched_ago;
            }
            tokio::task::yield_now().await;
        }
        (keys, asked.load(Ordering::SeqCst))
    }

    #[tokio::test]
    async fn a_source_is_asked_once_and_again_shortly_before_the_end() {
        let one = |key: &str| [key, key, key].map(str::to_owned).to_vec();
        assert_eq!(keys(None, PAUSE).await, (one("1"), 1));
        assert_eq!(keys(Some(EARLY * 2), PAUSE).await, (one("1"), 1));
        // Those that never last long are not renewed with each call.
        assert_eq!(keys(Some(EARLY / 2), Duration::ZERO).await, (one("1"), 1));
        let (renewed, asked) = keys(Some(EARLY / 2), PAUSE * 2).await;
        assert_eq!((renewed[0].as_str(), renewed[1].as_str(), renewed[2].as_str()), ("1", "1", "2"));
        assert_eq!(asked, 2);
    }
}
