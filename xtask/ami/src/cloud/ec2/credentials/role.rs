//! Assumes a role, with an MFA code where it wants one.

use std::{io::IsTerminal as _, time::SystemTime};

use aws_config::SdkConfig;
use aws_credential_types::{
    Credentials,
    provider::{self, ProvideCredentials, error::CredentialsError, future},
};

use super::{once::Once, source::Role};
use crate::{
    cloud::ec2::{answer::Answer as _, denial::Reason},
    ground::{api_error::ApiError, finding::Finding, process::quote},
    show::confirm,
};

/// A role, and what it is assumed with.
#[derive(Debug)]
pub struct RoleProvider {
    pub role: Role,
    /// The profile that names it, and its file, for people to read.
    pub place: String,
    pub source: Once,
    /// Where the first credentials come from, for people to read.
    pub source_words: String,
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
        let answer = answer.map_err(|answer| self.explained(answer))?;
        let found =
            answer.credentials.ok_or_else(|| CredentialsError::provider_error("AssumeRole gave no credentials"))?;
        let end = SystemTime::try_from(found.expiration).ok();
        Ok(Credentials::new(found.access_key_id, found.secret_access_key, Some(found.session_token), end, "AssumeRole"))
    }

    /// A refusal as a finding; any other error as it is.
    fn explained(&self, answer: ApiError) -> CredentialsError {
        let Role { arn, profile, .. } = &self.role;
        let told = format!("{} ({})", answer.plain_message(), answer.code.as_deref().unwrap_or_default());
        let finding = if answer.is_denial() {
            let reason = Reason::of(&answer);
            let remedy = match reason.is_missing_permission() {
                true => format!(
                    "let the trust policy of {arn} name who assumes it, with the external_id or MFA that it asks for, and \
                     give that one the permission sts:AssumeRole for the role; it is assumed with {}",
                    self.source_words
                ),
                false => format!("{} denies it: {}", reason.what(), reason.remedy(&[&answer])),
            };
            Finding { problem: format!("the role {arn} of the AWS profile `{profile}` is denied: {told}"), remedy }
        } else if answer.has_code(&["ValidationError", "InvalidParameter*", "MalformedPolicy*"]) {
            Finding {
                problem: format!("failed to assume the role {arn} of the AWS profile `{profile}`: {told}"),
                remedy: format!(
                    "check role_arn, role_session_name, external_id and duration_seconds of {}",
                    self.place
                ),
            }
        } else {
            return CredentialsError::provider_error(answer);
        };
        CredentialsError::provider_error(finding)
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
