//! Assumes a role, with an MFA code where it wants one.

use std::{io::IsTerminal as _, time::SystemTime};

use aws_config::SdkConfig;
use aws_credential_types::{
    Credentials,
    provider::{self, ProvideCredentials, error::CredentialsError, future},
};

use super::{once::Once, source::Role};
use crate::{
    cloud::ec2::answer::Answer as _,
    ground::{finding::Finding, process::quote},
    show::confirm,
};

/// A role, and what it is assumed with.
#[derive(Debug)]
pub struct RoleProvider {
    pub role: Role,
    pub source: Once,
    /// Regions, endpoints, timeouts and the HTTP client.
    pub shared: SdkConfig,
    pub external_id: Option<String>,
    pub session_name: Option<String>,
    /// `duration_seconds`; without it STS gives an hour.
    pub duration_secs: Option<i32>,
}

impl RoleProvider {
    async fn credentials(&self) -> provider::Result {
        // Before a person is asked for a code, which is only good for 30 s.
        self.source.provide_credentials().await?;
        let code = match &self.role.mfa {
            Some(device) => Some(code(device, &self.role.profile).await.map_err(CredentialsError::provider_error)?),
            None => None,
        };
        let config = aws_sdk_sts::config::Builder::from(&self.shared).credentials_provider(self.source.clone());
        let seconds = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
        let session_name = self.session_name.clone().unwrap_or_else(|| format!("wallaroo-ami-{seconds}"));
        let call = aws_sdk_sts::Client::from_conf(config.build()).assume_role().role_arn(&self.role.arn);
        let call = call.role_session_name(session_name).set_external_id(self.external_id.clone());
        let call = call.set_duration_seconds(self.duration_secs);
        let call = call.set_serial_number(self.role.mfa.clone()).set_token_code(code);
        let region = self.shared.region().map(ToString::to_string).unwrap_or_default();
        let answer = Box::pin(call.send()).await.answer("AssumeRole", &region);
        let answer = answer.map_err(CredentialsError::provider_error)?;
        let found =
            answer.credentials.ok_or_else(|| CredentialsError::provider_error("AssumeRole gave no credentials"))?;
        let end = SystemTime::try_from(found.expiration).ok();
        Ok(Credentials::new(found.access_key_id, found.secret_access_key, Some(found.session_token), end, "AssumeRole"))
    }
}

impl ProvideCredentials for RoleProvider {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(self.credentials())
    }
}

/// Asks on the terminal for the code that a device shows.
async fn code(device: &str, profile: &str) -> Result<String, Finding> {
    let name = quote(profile);
    let remedy = format!(
        "where there is one, run eval \"$(aws configure export-credentials --profile {name} --format env)\", and then this \
         command there without the profile (AWS_PROFILE, --profile)"
    );
    if !std::io::stdin().is_terminal() {
        let problem = format!(
            "the AWS profile `{profile}` wants the MFA code of {device}, and there is no terminal to ask for it on"
        );
        return Err(Finding { problem, remedy });
    }
    match confirm::ask(&format!("MFA code of {device}: ")).await {
        Ok(code) if !code.is_empty() => Ok(code),
        Ok(_) => Err(Finding { problem: format!("no MFA code of {device} was given"), remedy }),
        Err(error) => {
            Err(Finding { problem: format!("failed to ask for the MFA code of {device}: {error:#}"), remedy })
        }
    }
}
