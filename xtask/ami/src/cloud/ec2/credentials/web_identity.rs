//! Exchanges a token that another identity provider wrote into a file for the credentials of a role.

use std::time::SystemTime;

use aws_config::SdkConfig;
use aws_credential_types::{
    Credentials,
    provider::{self, ProvideCredentials, error::CredentialsError, future},
};

use crate::{
    cloud::ec2::answer::Answer as _,
    ground::{api_error::ApiError, finding::Finding},
};

/// A role, and the file with the token.
#[derive(Debug)]
pub struct WebIdentityProvider {
    /// The ARN of the role.
    pub role: String,
    /// The file. It is read anew each time: its tokens are good for a while only.
    pub file: String,
    /// The name of the role's session.
    pub session_name: String,
    /// The profile that names them; `None` for the environment.
    pub profile: Option<String>,
    /// Regions, endpoints, timeouts and the HTTP client.
    pub shared: SdkConfig,
}

impl WebIdentityProvider {
    async fn credentials(&self) -> provider::Result {
        let token = std::fs::read_to_string(&self.file).map_err(|error| {
            let problem = format!("failed to read the token of the web identity: {}: {error}", self.file);
            CredentialsError::provider_error(Finding { problem, remedy: self.anew() })
        })?;
        let client = aws_sdk_sts::Client::from_conf(aws_sdk_sts::config::Builder::from(&self.shared).build());
        let call = client.assume_role_with_web_identity().role_arn(&self.role).role_session_name(&self.session_name);
        let region = self.shared.region().map(ToString::to_string).unwrap_or_default();
        let answer = Box::pin(call.web_identity_token(token.trim()).send()).await;
        let answer = answer.answer("AssumeRoleWithWebIdentity", &region).map_err(|error| self.explained(error))?;
        let found = answer
            .credentials
            .ok_or_else(|| CredentialsError::provider_error("AssumeRoleWithWebIdentity gave no credentials"))?;
        let (token, end) = (Some(found.session_token), SystemTime::try_from(found.expiration).ok());
        Ok(Credentials::new(found.access_key_id, found.secret_access_key, token, end, "WebIdentity"))
    }

    /// An answer with the reason in it as a finding; any other error as it is.
    fn explained(&self, answer: ApiError) -> CredentialsError {
        let Some(code) = answer.code.as_deref() else { return CredentialsError::provider_error(answer) };
        let (file, role) = (&self.file, &self.role);
        let by = match &self.profile {
            Some(profile) => format!("the AWS profile `{profile}`"),
            None => "AWS_WEB_IDENTITY_TOKEN_FILE".to_owned(),
        };
        let problem =
            format!("the token in {file}, of {by}, was not taken for the role {role}: {} ({code})", answer.message);
        let is_about_the_token = ["InvalidIdentityToken", "ExpiredToken", "IDP"].iter().any(|it| code.starts_with(it));
        let remedy = if answer.is_denial() {
            "check the role's name, and let its trust policy permit sts:AssumeRoleWithWebIdentity to the provider, the \
             subject and the audience of the token"
                .to_owned()
        } else if is_about_the_token {
            self.anew()
        } else {
            format!("check role_arn and role_session_name of {by} (AWS_ROLE_ARN, AWS_ROLE_SESSION_NAME)")
        };
        CredentialsError::provider_error(Finding { problem, remedy })
    }

    fn anew(&self) -> String {
        format!(
            "let your identity provider write a token into {} again, for the audience that the account's IAM identity \
             provider expects",
            self.file
        )
    }
}

impl ProvideCredentials for WebIdentityProvider {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(self.credentials())
    }
}
