//! One set of credentials and its SDK clients, one for each region.

use std::{cell::RefCell, collections::BTreeMap, time::Duration, time::SystemTime};

use anyhow::{Context as _, Result, anyhow};
use aws_config::{AppName, BehaviorVersion, ConfigLoader, SdkConfig, retry::RetryConfig, timeout::TimeoutConfig};
use aws_credential_types::provider::ProvideCredentials as _;
use aws_sdk_ec2::Client;
use aws_sdk_ec2::config::retry::RetryPartition;
use aws_smithy_http_client::{Builder, tls};
use aws_smithy_types::date_time::{DateTime, Format};
use rand::Rng as _;
use xtask::region::Region;

use super::{
    answer::{Answer as _, causes},
    calls::Calls,
};
use crate::{
    events::Events,
    ground::{api_error::ApiError, partition},
};

/// The timeout of one attempt. The slowest call, `CreateImage`, answers within some seconds.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(30);

/// The timeout of a call with its retries. The wait loop retries beyond it.
const OPERATION_TIMEOUT: Duration = Duration::from_secs(180);

/// The attempts of a call. With the SDK's random pauses of up to 20 s, they outlast a minute of throttling.
const ATTEMPTS: u32 = 8;

/// The same for preflight, while the user waits. The first pause is short, so that all attempts fit into the timeout
/// and a hundred calls succeed even if every fifth attempt is throttled.
const PREFLIGHT_TIMEOUT: Duration = Duration::from_secs(8);
const PREFLIGHT_ATTEMPTS: u32 = 7;
const PREFLIGHT_PAUSE: Duration = Duration::from_millis(100);

/// The attempts of the first call, `GetCallerIdentity`. Few, because without an answer the user should learn of it
/// soon.
const STS_ATTEMPTS: u32 = 4;

/// The SDK clients of one set of credentials.
pub struct Clients {
    shared: SdkConfig,
    clients: RefCell<BTreeMap<Region, Client>>,
    preflight_clients: RefCell<BTreeMap<Region, Client>>,
    /// Prefix of the per-region retry token buckets; the SDK's default bucket is shared by the whole process.
    retry_prefix: String,
    events: Events,
}

/// The identity that the credentials belong to, from STS.
#[derive(Clone, Debug)]
pub struct Caller {
    /// The account id, twelve digits.
    pub account: String,
    /// The ARN of the user or role.
    pub arn: String,
    /// When the credentials expire, if they do and nothing renews them.
    pub expires: Option<SystemTime>,
}

impl Clients {
    /// Loads credentials in the SDK's usual order: environment, profile, SSO, role.
    pub async fn open(profile: Option<&str>, region: &Region, events: &Events) -> Clients {
        let https = Builder::new().tls_provider(tls::Provider::Rustls(tls::rustls_provider::CryptoMode::Ring));
        // A dated version, so that an SDK update can't change retries or timeouts silently.
        let loader = aws_config::defaults(BehaviorVersion::v2026_01_12()).http_client(https.build_https());
        Clients::load(loader, profile, region, events).await
    }

    /// The same with a loader that the caller has configured.
    pub async fn load(loader: ConfigLoader, profile: Option<&str>, region: &Region, events: &Events) -> Clients {
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(Duration::from_secs(5))
            .read_timeout(ATTEMPT_TIMEOUT)
            .operation_attempt_timeout(ATTEMPT_TIMEOUT)
            .operation_timeout(OPERATION_TIMEOUT);
        let mut loader = loader
            .region(aws_config::Region::new(region.to_string()))
            .timeout_config(timeouts.build())
            .retry_config(RetryConfig::standard().with_max_attempts(ATTEMPTS));
        if let Ok(name) = AppName::new(concat!("wallaroo-ami-", env!("CARGO_PKG_VERSION"))) {
            loader = loader.app_name(name);
        }
        if let Some(profile) = profile {
            loader = loader.profile_name(profile);
        }
        let retry_prefix = format!("account-{:08x}", rand::rng().next_u32());
        let (clients, preflight_clients) = (RefCell::default(), RefCell::default());
        Clients { shared: loader.load().await, clients, preflight_clients, retry_prefix, events: events.clone() }
    }

    /// The EC2 client of a region.
    pub fn ec2(&self, region: &Region) -> Client {
        let mut clients = self.clients.borrow_mut();
        clients.entry(region.clone()).or_insert_with(|| Client::from_conf(self.config(region).build())).clone()
    }

    /// The EC2 client of a region for preflight, which gives up sooner.
    pub fn preflight(&self, region: &Region) -> Client {
        let mut preflight_clients = self.preflight_clients.borrow_mut();
        let client = || {
            let config = self.config(region);
            Client::from_conf(config.timeout_config(preflight_timeouts()).retry_config(preflight_retries()).build())
        };
        preflight_clients.entry(region.clone()).or_insert_with(client).clone()
    }

    fn config(&self, region: &Region) -> aws_sdk_ec2::config::Builder {
        let calls = Calls::new(region.as_str(), &self.events);
        let region = aws_config::Region::new(region.to_string());
        let retries = RetryPartition::new(format!("{}-{region}", self.retry_prefix));
        aws_sdk_ec2::config::Builder::from(&self.shared).region(region).retry_partition(retries).interceptor(calls)
    }

    /// The Service Quotas client of a region, for preflight.
    pub fn quotas(&self, region: &Region) -> aws_sdk_servicequotas::Client {
        let calls = Calls::new(region.as_str(), &self.events);
        let region = aws_config::Region::new(region.to_string());
        let config = aws_sdk_servicequotas::config::Builder::from(&self.shared).region(region).interceptor(calls);
        let config = config.timeout_config(preflight_timeouts()).retry_config(preflight_retries());
        aws_sdk_servicequotas::Client::from_conf(config.build())
    }

    /// The endpoint that the environment or the profile sets instead of EC2's own: a different cloud, with its own
    /// accounts.
    pub fn custom_endpoint(&self) -> Option<String> {
        let of_ec2 = std::env::var("AWS_ENDPOINT_URL_EC2").ok();
        let endpoint = of_ec2.or_else(|| self.shared.endpoint_url().map(str::to_owned))?;
        Some(endpoint.trim_end_matches('/').to_owned())
    }

    /// The endpoint of STS.
    pub fn sts_endpoint(&self) -> String {
        let configured = std::env::var("AWS_ENDPOINT_URL_STS").ok();
        let configured = configured.or_else(|| self.shared.endpoint_url().map(str::to_owned));
        configured.unwrap_or_else(|| match self.shared.region() {
            Some(region) => format!("https://{}", partition::host("sts", region.as_ref())),
            None => "STS".to_owned(),
        })
    }

    /// Asks STS for the identity that the credentials belong to.
    ///
    /// # Errors
    /// When there are no credentials, they are invalid, or STS does not answer.
    pub async fn caller(&self) -> Result<Caller> {
        let provider = self.shared.credentials_provider().context("no AWS credentials are set up")?;
        provider
            .provide_credentials()
            .await
            .map_err(|error| anyhow!("failed to get AWS credentials: {}", causes(&error).join(": ")))?;
        let config = aws_sdk_sts::config::Builder::from(&self.shared);
        let retries = preflight_retries().with_max_attempts(STS_ATTEMPTS);
        let region = self.shared.region().map(ToString::to_string).unwrap_or_default();
        let config = config.timeout_config(preflight_timeouts()).retry_config(retries);
        let config = config.interceptor(Calls::new(&region, &self.events));
        let answer = aws_sdk_sts::Client::from_conf(config.build()).get_caller_identity().send().await;
        let answer = answer.answer("GetCallerIdentity", &region)?;
        let missing = |what: &str| ApiError {
            action: "GetCallerIdentity".to_owned(),
            region: region.clone(),
            code: None,
            message: format!("the response has no {what}"),
            transient: false,
        };
        Ok(Caller {
            account: answer.account.ok_or_else(|| missing("account"))?,
            arn: answer.arn.ok_or_else(|| missing("ARN"))?,
            expires: environment_expiration(|name| std::env::var(name).ok()),
        })
    }
}

/// The expiration of credentials from the environment, if a variable tells it. The SDK renews all other kinds.
fn environment_expiration(variable: impl Fn(&str) -> Option<String>) -> Option<SystemTime> {
    variable("AWS_ACCESS_KEY_ID")?;
    let end = variable("AWS_CREDENTIAL_EXPIRATION").or_else(|| variable("AWS_SESSION_EXPIRATION"))?;
    SystemTime::try_from(DateTime::from_str(&end, Format::DateTimeWithOffset).ok()?).ok()
}

fn preflight_timeouts() -> TimeoutConfig {
    TimeoutConfig::builder()
        .connect_timeout(Duration::from_secs(3))
        .operation_attempt_timeout(PREFLIGHT_TIMEOUT / 2)
        .operation_timeout(PREFLIGHT_TIMEOUT)
        .build()
}

fn preflight_retries() -> RetryConfig {
    RetryConfig::standard().with_max_attempts(PREFLIGHT_ATTEMPTS).with_initial_backoff(PREFLIGHT_PAUSE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_credentials_from_the_environment_expire() {
        let end = |variables: &[(&str, &str)]| {
            let of =
                |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
            environment_expiration(of)
        };
        let expected = humantime::parse_rfc3339("2026-11-22T20:00:00Z").expect("a date");
        let (key, end_name) = (("AWS_ACCESS_KEY_ID", "AKID"), "AWS_CREDENTIAL_EXPIRATION");
        assert_eq!(end(&[key, (end_name, "2026-11-22T20:00:00+00:00")]), Some(expected));
        assert_eq!(end(&[key, (end_name, "2026-11-22T20:00:00Z")]), Some(expected));
        assert_eq!(end(&[(end_name, "2026-11-22T20:00:00Z")]), None);
        assert_eq!(end(&[key]), None);
    }
}
