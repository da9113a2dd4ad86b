//! One set of credentials and its SDK clients, one for each region.

use std::{cell::RefCell, collections::BTreeMap, time::Duration, time::SystemTime};

use anyhow::{Context as _, Error, Result, anyhow};
use aws_config::{
    AppName, BehaviorVersion, ConfigLoader, SdkConfig, identity::IdentityCache, retry::RetryConfig,
    timeout::TimeoutConfig,
};
use aws_credential_types::provider::{ProvideCredentials as _, SharedCredentialsProvider, error::CredentialsError};
use aws_sdk_ec2::Client;
use aws_sdk_ec2::config::retry::RetryPartition;
use rand::Rng as _;
use xtask::region::Region;

use super::{
    answer::Answer as _,
    calls::Calls,
    credentials::{
        self, Network, cause,
        source::{Kind, Source},
    },
    endpoints,
    http::{
        Http,
        proxy::{Proxies, without_password},
        trust::Trust,
    },
    profiles::Profiles,
};
use crate::{
    event::progress::Progress,
    events::Events,
    ground::{api_error::ApiError, environment, finding::Finding, partition},
    show::screen,
};

/// The timeout of one attempt. The slowest call, `CreateImage`, answers within some seconds.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(30);

/// The timeout of a call with its retries. The wait loop retries beyond it.
const OPERATION_TIMEOUT: Duration = Duration::from_secs(180);

/// The timeout of a call with its retries in a command that only looks. A page of images takes a second.
const BRIEF_TIMEOUT: Duration = Duration::from_secs(40);

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
    http: Http,
    /// Where the credentials come from; `None` when the caller has set up their own.
    origin: Option<(Source, Profiles)>,
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
    /// Finds the credentials that the AWS CLI would use. Nothing is asked yet.
    ///
    /// # Errors
    /// All faults of the settings in one message: profiles, endpoints, proxies and certificates.
    pub async fn open(profile: Option<&str>, region: &Region, events: &Events) -> Result<Clients> {
        let unreadable = environment::unreadable();
        if !unreadable.is_empty() {
            return Err(all(&unreadable));
        }
        let profiles = Profiles::read(profile).await.map_err(|faults| all(&faults))?;
        let (mut faults, source) = match Source::find(&profiles) {
            Ok(source) => (Vec::new(), Some(source)),
            Err(finding) => (vec![finding], None),
        };
        let trust = Trust::find(&profiles).map_err(|finding| faults.push(finding)).ok();
        let proxies = Proxies::of_environment().map_err(|findings| faults.extend(findings)).ok();
        // A dated version, so that an SDK update can't change retries or timeouts silently.
        let loader = aws_config::defaults(BehaviorVersion::v2026_01_12()).no_credentials();
        let loader = loader.profile_files(profiles.files.clone()).profile_name(profiles.selected_for_sdk());
        let plain = Http::plain();
        let mut clients = Clients::load(loader.http_client(plain), region, events).await;
        faults.extend(endpoints::faults(&clients.shared, &profiles));
        let (true, Some(source), Some(trust), Some(proxies)) = (faults.is_empty(), source, trust, proxies) else {
            return Err(all(&faults));
        };
        clients.http = Http::new(proxies, trust, endpoints::local())?;
        let shared = clients.shared.to_builder().http_client(clients.http.clone()).build();
        let (timeouts, retries) = (preflight_timeouts(), preflight_retries().with_max_attempts(STS_ATTEMPTS));
        let network = Network { http: &clients.http, shared: &shared, timeouts, retries };
        let provider = credentials::provider(&source, &profiles, &network);
        // The provider keeps what it got, and knows better than a cache when to ask again.
        let shared = shared.to_builder().credentials_provider(SharedCredentialsProvider::new(provider));
        clients.shared = shared.identity_cache(IdentityCache::no_cache()).build();
        clients.origin = Some((source, profiles));
        Ok(clients)
    }

    /// With a loader that the caller has configured.
    pub async fn load(loader: ConfigLoader, region: &Region, events: &Events) -> Clients {
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
        let retry_prefix = format!("account-{:08x}", rand::rng().next_u32());
        let (clients, preflight_clients) = (RefCell::default(), RefCell::default());
        let (shared, events, http) = (loader.load().await, events.clone(), Http::plain());
        Clients { shared, clients, preflight_clients, retry_prefix, events, http, origin: None }
    }

    /// Gives calls up sooner, for commands that only look: a region that hangs must not hold the others up for minutes.
    pub fn be_brief(&mut self) {
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(Duration::from_secs(5))
            .operation_attempt_timeout(BRIEF_TIMEOUT / 2)
            .operation_timeout(BRIEF_TIMEOUT);
        self.shared = self.shared.to_builder().timeout_config(timeouts.build()).build();
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

    /// The KMS client of a region, for preflight.
    pub fn kms(&self, region: &Region) -> aws_sdk_kms::Client {
        let calls = Calls::new(region.as_str(), &self.events);
        let region = aws_config::Region::new(region.to_string());
        let config = aws_sdk_kms::config::Builder::from(&self.shared).region(region).interceptor(calls);
        let config = config.timeout_config(preflight_timeouts()).retry_config(preflight_retries());
        aws_sdk_kms::Client::from_conf(config.build())
    }

    /// The SSM client of a region.
    pub fn ssm(&self, region: &Region) -> aws_sdk_ssm::Client {
        aws_sdk_ssm::Client::from_conf(self.ssm_config(region).build())
    }

    /// The SSM client of a region for preflight, which gives up sooner.
    pub fn ssm_preflight(&self, region: &Region) -> aws_sdk_ssm::Client {
        let config = self.ssm_config(region).timeout_config(preflight_timeouts()).retry_config(preflight_retries());
        aws_sdk_ssm::Client::from_conf(config.build())
    }

    fn ssm_config(&self, region: &Region) -> aws_sdk_ssm::config::Builder {
        let calls = Calls::new(region.as_str(), &self.events);
        let region = aws_config::Region::new(region.to_string());
        let retries = RetryPartition::new(format!("{}-ssm-{region}", self.retry_prefix));
        aws_sdk_ssm::config::Builder::from(&self.shared).region(region).retry_partition(retries).interceptor(calls)
    }

    /// The HTTP client, for what is no service of AWS's API.
    pub fn http(&self) -> &Http {
        &self.http
    }

    /// Where the credentials come from.
    pub fn source(&self) -> Option<&Source> {
        self.origin.as_ref().map(|(source, _)| source)
    }

    /// The warning when keys in the environment come before the profile that a variable names, as in the AWS CLI.
    pub fn ignored_profile(&self) -> Option<String> {
        let (source, profiles) = self.origin.as_ref()?;
        let is_ignored = source.kind == Kind::Environment && source.roles.is_empty();
        let (name, by) = profiles.named.as_ref().filter(|_| is_ignored)?;
        Some(format!("{by}={name} has no effect: AWS_ACCESS_KEY_ID comes first; to use the profile: --profile {name}"))
    }

    /// The endpoint that the environment or the profile sets instead of EC2's own: a different cloud, with its own
    /// accounts.
    pub fn custom_endpoint(&self) -> Option<String> {
        Some(endpoints::of_service(&self.shared, "EC2")?.trim_end_matches('/').to_owned())
    }

    /// The host that was asked last, else the endpoint of STS.
    pub fn asked_host(&self) -> String {
        let set = || endpoints::of_service(&self.shared, "STS");
        self.http.last_host().or_else(|| Some(without_password(&set()?))).unwrap_or_else(|| {
            match self.shared.region() {
                Some(region) => format!("https://{}", partition::host("sts", region.as_ref())),
                None => "STS".to_owned(),
            }
        })
    }

    /// The STS client, which gives up soon.
    pub fn sts(&self) -> aws_sdk_sts::Client {
        let region = self.shared.region().map(ToString::to_string).unwrap_or_default();
        let retries = preflight_retries().with_max_attempts(STS_ATTEMPTS);
        let config = aws_sdk_sts::config::Builder::from(&self.shared).timeout_config(preflight_timeouts());
        let config = config.retry_config(retries).interceptor(Calls::new(&region, &self.events));
        aws_sdk_sts::Client::from_conf(config.build())
    }

    /// Gets the credentials from their source, which is asked once.
    ///
    /// # Errors
    /// When there are none, or the source fails.
    pub async fn fetch(&self) -> Result<()> {
        let provider = self.shared.credentials_provider().context("no AWS credentials are set up")?;
        if let Some(source) = self.source().filter(|source| matches!(source.kind, Kind::Process(_))) {
            // One line that stays: what is drawn again each second would hide a question of the helper's.
            self.events.say(Progress::Queued { on: source.words() });
        }
        let _held = screen::hold();
        provider.provide_credentials().await.map(drop).map_err(|error| self.cause(&error))
    }

    fn cause(&self, error: &CredentialsError) -> Error {
        cause::of(error, &self.http, &self.asked_host())
    }

    /// Asks STS for the identity that the credentials belong to.
    ///
    /// # Errors
    /// When there are no credentials, they are invalid, or STS does not answer.
    pub async fn caller(&self) -> Result<Caller> {
        let provider = self.shared.credentials_provider().context("no AWS credentials are set up")?;
        let latest = provider.provide_credentials().await.map_err(|error| self.cause(&error))?.expiry();
        let region = self.shared.region().map(ToString::to_string).unwrap_or_default();
        let answer = self.sts().get_caller_identity().send().await;
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
            expires: self.origin.as_ref().and_then(|(source, profiles)| source.end(profiles, latest)),
        })
    }
}

/// All faults in one message.
fn all(faults: &[Finding]) -> Error {
    let all: Vec<String> = faults.iter().map(ToString::to_string).collect();
    anyhow!("{}", all.join("\n  "))
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
