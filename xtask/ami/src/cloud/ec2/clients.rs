//! One set of credentials, and the clients that have it: those of EC2, one for each region.

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
use crate::{events::Events, ground::api_error::ApiError};

/// How long one answer may take; the slowest ones, of `CreateImage`, come within some seconds.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(30);

/// How long to try the same call; waits go on beyond it.
const OPERATION_TIMEOUT: Duration = Duration::from_secs(180);

/// How often to try the same call. With the SDK's pauses, up to 20 s long each and random, throttling that goes on for
/// a minute is outlasted.
const ATTEMPTS: u32 = 8;

/// The same for the questions before a build begins, which someone sits and waits for. The pauses begin short, so that of
/// a hundred questions none fails where every fifth is throttled, and all attempts fit into the time.
const QUESTION_TIMEOUT: Duration = Duration::from_secs(8);
const QUESTION_ATTEMPTS: u32 = 7;
const QUESTION_PAUSE: Duration = Duration::from_millis(100);

/// Whose credentials these are is the first question: where nobody answers it, nobody will, and it's to be told soon.
const FIRST_ATTEMPTS: u32 = 4;

/// The clients of one set of credentials.
pub struct Clients {
    shared: SdkConfig,
    clients: RefCell<BTreeMap<Region, Client>>,
    askers: RefCell<BTreeMap<Region, Client>>,
    /// How the names of the stocks of retries begin, one for each region. The SDK's own is the process's.
    retries: String,
    events: Events,
}

/// Who the credentials belong to, as STS says.
#[derive(Clone, Debug)]
pub struct Caller {
    /// The account's twelve digits.
    pub account: String,
    /// The user's or the role's ARN.
    pub arn: String,
    /// When the credentials end, where they say so and nothing renews them.
    pub expires: Option<SystemTime>,
}

impl Clients {
    /// The credentials that the usual settings name: environment, profile, SSO, a role.
    pub async fn open(profile: Option<&str>, region: &Region, events: &Events) -> Clients {
        let https = Builder::new().tls_provider(tls::Provider::Rustls(tls::rustls_provider::CryptoMode::Ring));
        // Dated, so that an update of the SDK can't change retries or timeouts silently.
        let loader = aws_config::defaults(BehaviorVersion::v2026_01_12()).http_client(https.build_https());
        Clients::load(loader, profile, region, events).await
    }

    /// The same with what a caller has set up already.
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
        let retries = format!("account-{:08x}", rand::rng().next_u32());
        let (clients, askers) = (RefCell::default(), RefCell::default());
        Clients { shared: loader.load().await, clients, askers, retries, events: events.clone() }
    }

    /// The client of a region.
    pub fn ec2(&self, region: &Region) -> Client {
        let mut clients = self.clients.borrow_mut();
        clients.entry(region.clone()).or_insert_with(|| Client::from_conf(self.config(region).build())).clone()
    }

    /// The client of a region for questions before a build begins: it gives up sooner.
    pub fn asker(&self, region: &Region) -> Client {
        let mut askers = self.askers.borrow_mut();
        let asker = || {
            let config = self.config(region);
            Client::from_conf(config.timeout_config(question_timeouts()).retry_config(question_retries()).build())
        };
        askers.entry(region.clone()).or_insert_with(asker).clone()
    }

    fn config(&self, region: &Region) -> aws_sdk_ec2::config::Builder {
        let calls = Calls::new(region.as_str(), &self.events);
        let region = aws_config::Region::new(region.to_string());
        let retries = RetryPartition::new(format!("{}-{region}", self.retries));
        aws_sdk_ec2::config::Builder::from(&self.shared).region(region).retry_partition(retries).interceptor(calls)
    }

    /// Asks the service quotas of a region.
    pub fn quotas(&self, region: &Region) -> aws_sdk_servicequotas::Client {
        let calls = Calls::new(region.as_str(), &self.events);
        let region = aws_config::Region::new(region.to_string());
        let config = aws_sdk_servicequotas::config::Builder::from(&self.shared).region(region).interceptor(calls);
        let config = config.timeout_config(question_timeouts()).retry_config(question_retries());
        aws_sdk_servicequotas::Client::from_conf(config.build())
    }

    /// The endpoint that stands in for EC2's own, where the environment or the profile names one: another cloud, with
    /// accounts of its own.
    pub fn custom_endpoint(&self) -> Option<String> {
        let of_ec2 = std::env::var("AWS_ENDPOINT_URL_EC2").ok();
        let endpoint = of_ec2.or_else(|| self.shared.endpoint_url().map(str::to_owned))?;
        Some(endpoint.trim_end_matches('/').to_owned())
    }

    /// Where it is asked whose credentials these are.
    pub fn host_of_identity(&self) -> String {
        let configured = std::env::var("AWS_ENDPOINT_URL_STS").ok();
        let configured = configured.or_else(|| self.shared.endpoint_url().map(str::to_owned));
        configured.unwrap_or_else(|| match self.shared.region() {
            Some(region) => format!("https://sts.{region}.amazonaws.com"),
            None => "https://sts.amazonaws.com".to_owned(),
        })
    }

    /// Who the credentials belong to.
    ///
    /// # Errors
    /// When there are none, they are not valid, or nobody answers.
    pub async fn caller(&self) -> Result<Caller> {
        let provider = self.shared.credentials_provider().context("no AWS credentials are set up")?;
        provider
            .provide_credentials()
            .await
            .map_err(|error| anyhow!("no AWS credentials could be had: {}", causes(&error).join(": ")))?;
        let config = aws_sdk_sts::config::Builder::from(&self.shared);
        let retries = question_retries().with_max_attempts(FIRST_ATTEMPTS);
        let region = self.shared.region().map(ToString::to_string).unwrap_or_default();
        let config = config.timeout_config(question_timeouts()).retry_config(retries);
        let config = config.interceptor(Calls::new(&region, &self.events));
        let answer = aws_sdk_sts::Client::from_conf(config.build()).get_caller_identity().send().await;
        let answer = answer.answer("GetCallerIdentity", &region)?;
        let missing = |what: &str| ApiError {
            action: "GetCallerIdentity".to_owned(),
            region: region.clone(),
            code: None,
            message: format!("the answer has no {what}"),
            transient: false,
        };
        Ok(Caller {
            account: answer.account.ok_or_else(|| missing("account"))?,
            arn: answer.arn.ok_or_else(|| missing("ARN"))?,
            expires: end_of_environment(|name| std::env::var(name).ok()),
        })
    }
}

/// When credentials of the environment end, where whoever put them there says so. The SDK gets new ones in time of all
/// other kinds that end.
fn end_of_environment(variable: impl Fn(&str) -> Option<String>) -> Option<SystemTime> {
    variable("AWS_ACCESS_KEY_ID")?;
    let end = variable("AWS_CREDENTIAL_EXPIRATION").or_else(|| variable("AWS_SESSION_EXPIRATION"))?;
    SystemTime::try_from(DateTime::from_str(&end, Format::DateTimeWithOffset).ok()?).ok()
}

fn question_timeouts() -> TimeoutConfig {
    TimeoutConfig::builder()
        .connect_timeout(Duration::from_secs(3))
        .operation_attempt_timeout(QUESTION_TIMEOUT / 2)
        .operation_timeout(QUESTION_TIMEOUT)
        .build()
}

fn question_retries() -> RetryConfig {
    RetryConfig::standard().with_max_attempts(QUESTION_ATTEMPTS).with_initial_backoff(QUESTION_PAUSE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_credentials_of_the_environment_end_for_good() {
        let end = |variables: &[(&str, &str)]| {
            let of =
                |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
            end_of_environment(of)
        };
        let expected = humantime::parse_rfc3339("2026-11-22T20:00:00Z").expect("a date");
        let (key, end_name) = (("AWS_ACCESS_KEY_ID", "AKID"), "AWS_CREDENTIAL_EXPIRATION");
        assert_eq!(end(&[key, (end_name, "2026-11-22T20:00:00+00:00")]), Some(expected));
        assert_eq!(end(&[key, (end_name, "2026-11-22T20:00:00Z")]), Some(expected));
        assert_eq!(end(&[(end_name, "2026-11-22T20:00:00Z")]), None);
        assert_eq!(end(&[key]), None);
    }
}
