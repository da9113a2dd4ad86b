//! Whose credentials are used: one source, chosen as the AWS CLI chooses, and the roles that are assumed with it.
//!
//! The SDK's own chain tries one source after the other, and so falls through to another account's credentials when a
//! profile is mistyped. It also knows no MFA, and asks a source again for each client.

use aws_config::{
    Region, SdkConfig, credential_process::CredentialProcessProvider, ecs::EcsCredentialsProvider,
    environment::EnvironmentVariableCredentialsProvider, imds::credentials::ImdsCredentialsProvider,
    login::LoginCredentialsProvider, provider_config::ProviderConfig, sso::SsoCredentialsProvider,
};
use aws_credential_types::Credentials;
use aws_smithy_types::{retry::RetryConfig, timeout::TimeoutConfig};

use super::{http::Http, profiles::Profiles};
use crate::ground::environment::variable;
use once::Once;
use role::RoleProvider;
use source::{Kind, Source};
use web_identity::WebIdentityProvider;

pub mod cause;
mod environment;
mod once;
mod role;
pub mod source;
mod web_identity;

/// What the calls to a source of credentials need.
pub struct Network<'a> {
    /// The HTTP client.
    pub http: &'a Http,
    /// Regions and endpoints.
    pub shared: &'a SdkConfig,
    /// How long a call may take.
    pub timeouts: TimeoutConfig,
    /// How often it is tried.
    pub retries: RetryConfig,
}

/// The credentials of a source, with its roles. Each is asked once, and renewed in time where that is possible.
#[must_use]
pub fn provider(source: &Source, profiles: &Profiles, network: &Network<'_>) -> Once {
    let shared = shared_of(network);
    let words = source.words_of_base();
    source.roles.iter().fold(base(source, profiles, network), |source, role| {
        let get = |key: &str| profiles.get(&role.profile, key).map(str::to_owned);
        Once::new(RoleProvider {
            role: role.clone(),
            place: profiles.place(&role.profile, "role_arn"),
            source,
            source_words: words.clone(),
            shared: shared.clone(),
            external_id: get("external_id"),
            session_name: get("role_session_name"),
            duration_secs: get("duration_seconds").and_then(|seconds| seconds.parse().ok()),
        })
    })
}

fn shared_of(network: &Network<'_>) -> SdkConfig {
    let shared = network.shared.to_builder().timeout_config(network.timeouts.clone());
    shared.retry_config(network.retries.clone()).build()
}

fn base(source: &Source, profiles: &Profiles, network: &Network<'_>) -> Once {
    let profile = source.profile.as_deref().unwrap_or_default();
    let get = |key: &str| profiles.get(profile, key).map(str::to_owned);
    let config = ProviderConfig::without_region()
        .with_behavior_version(Some(aws_config::BehaviorVersion::v2026_01_12()))
        .with_http_client(network.http.clone())
        .with_use_fips(network.shared.use_fips())
        .with_use_dual_stack(network.shared.use_dual_stack())
        .with_timeout_config(network.timeouts.clone())
        .with_retry_config(network.retries.clone());
    let here = network.shared.region().cloned();
    let config = config.with_region(here.clone());
    match &source.kind {
        Kind::Environment => Once::new(EnvironmentVariableCredentialsProvider::new()),
        Kind::Keys => Once::new(Credentials::new(
            get("aws_access_key_id").unwrap_or_default(),
            get("aws_secret_access_key").unwrap_or_default(),
            get("aws_session_token"),
            None,
            "Profile",
        )),
        Kind::Sso { account, role } => {
            let session = get("sso_session");
            let of_session = |key: &str| profiles.of_session(session.as_deref()?, key).map(str::to_owned);
            let find = |key: &str| of_session(key).or_else(|| get(key)).unwrap_or_default();
            let mut sso = SsoCredentialsProvider::builder().configure(&config).region(Region::new(find("sso_region")));
            sso.set_session_name(session.clone());
            let sso = sso.account_id(account).role_name(role);
            Once::new(sso.start_url(find("sso_start_url")).build())
        }
        Kind::Login(session) => {
            // A login is renewed where it was made.
            let own = get("region").or_else(|| variable("AWS_REGION")).or_else(|| variable("AWS_DEFAULT_REGION"));
            let config = config.with_region(own.map(Region::new).or(here));
            Once::new(LoginCredentialsProvider::builder(session).configure(&config).build())
        }
        Kind::Process(command) => Once::new(CredentialProcessProvider::new(command.clone())),
        Kind::WebIdentity { file, role, session } => {
            let (role, file) = (role.clone(), file.clone());
            let session_name = session.clone().unwrap_or_else(|| "wallaroo-ami".to_owned());
            let (profile, shared) = (source.profile.clone(), shared_of(network));
            Once::new(WebIdentityProvider { role, file, session_name, profile, shared })
        }
        Kind::Container => Once::new(EcsCredentialsProvider::builder().configure(&config).build()),
        Kind::Instance => Once::new(ImdsCredentialsProvider::builder().configure(&config).build()),
    }
}
