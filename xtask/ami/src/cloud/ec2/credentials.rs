//! Whose credentials are used: one source, chosen as the AWS CLI chooses, and the roles that are assumed with it.
//!
//! The SDK's own chain tries one source after the other, and so falls through to another account's credentials when a
//! profile is mistyped. It also knows no MFA, and asks a source again for each client.

use std::time::SystemTime;

use aws_config::{
    SdkConfig, ecs::EcsCredentialsProvider, environment::EnvironmentVariableCredentialsProvider,
    imds::credentials::ImdsCredentialsProvider, login::LoginCredentialsProvider, provider_config::ProviderConfig,
    sso::SsoCredentialsProvider,
    web_identity_token::{StaticConfiguration, WebIdentityTokenCredentialsProvider},
};
use aws_credential_types::{Credentials, credential_process::CredentialProcessProvider, provider::SharedCredentialsProvider};

use super::{http::Http, profiles::Profiles};
use crate::ground::finding::Finding;
use once::Once;
use role::RoleProvider;
use source::{Kind, Source};

mod once;
mod role;
pub mod source;
