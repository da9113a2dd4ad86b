//! The endpoint keeps its word: it holds the conversations that moto holds, too, and does what a test sets up.

mod faults;
mod settings;

use std::time::Duration;

use aws_config::ConfigLoader;
use aws_sdk_ec2::{
    Client,
    config::{
        Region,
        retry::{RetryConfig, RetryPartition},
        timeout::TimeoutConfig,
    },
};
use futures_util::future::LocalBoxFuture;

use crate::{
    books::CANONICAL,
    conversations::{self, BASES, HOME, Oracle, Talk, Who},
    endpoint::Endpoint,
    rig::loader,
};

impl Oracle for Endpoint {
    fn who(&self) -> Who {
        Who::Endpoint
    }

    fn loader(&self) -> ConfigLoader {
        loader(self)
    }

    fn pass(&self, long: Duration) -> LocalBoxFuture<'static, ()> {
        Box::pin(tokio::time::sleep(long))
    }

    fn broken(&self) -> Option<Vec<String>> {
        Some(self.violations())
    }
}

/// An endpoint with the bases that conversations ask for.
fn endpoint() -> Endpoint {
    let endpoint = Endpoint::new();
    for (base, date, deprecated) in BASES {
        let id = endpoint.add_published(HOME, CANONICAL, base, date);
        let deprecated = deprecated.map(|date| format!("{date}T00:00:00.000Z"));
        endpoint.region(HOME, |region| region.images.get_mut(&id).expect("it").deprecated_at = deprecated);
    }
    endpoint
}

/// A conversation with it.
async fn talk(endpoint: &Endpoint) -> Talk {
    Talk::new(Box::new(endpoint.clone())).await
}

/// Goes through steps, which must come out as they say.
async fn expect(talk: &Talk, steps: &str) {
    talk.say(steps).await;
    assert_eq!(talk.faults(), [""; 0]);
}

/// A client that tries this often.
async fn client(endpoint: &Endpoint, region: &str, attempts: u32) -> Client {
    let retries = RetryConfig::standard().with_max_attempts(attempts).with_use_static_exponential_base(true);
    let timeouts = TimeoutConfig::builder().operation_attempt_timeout(Duration::from_secs(10)).build();
    let shared = loader(endpoint).region(Region::new(region.to_owned())).retry_config(retries).timeout_config(timeouts);
    let config = aws_sdk_ec2::config::Builder::from(&shared.load().await);
    // Else all clients of a region share one stock of retries, those of other tests too.
    Client::from_conf(config.retry_partition(RetryPartition::custom("a test's own").build()).build())
}

#[tokio::test(start_paused = true)]
async fn the_endpoint_holds_every_conversation() {
    conversations::hold(|| Box::new(endpoint())).await;
}
