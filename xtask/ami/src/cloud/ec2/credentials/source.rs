//! Which source of credentials it is, and which roles are assumed with it, read from the environment and the profiles.

use std::{path::Path, time::SystemTime};

use sha1::{Digest as _, Sha1};
use xtask::region::did_you_mean;

use super::environment::{self, date};
use crate::{
    cloud::ec2::profiles::Profiles,
    ground::{environment::variable, finding::Finding, process::quote},
};

/// Where the first credentials come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Keys in the environment.
    Environment,
    /// Keys in the profile.
    Keys,
    /// IAM Identity Center, with the session's name or the address of the portal.
    Sso {
        /// The account.
        account: String,
        /// The name of the role in it.
        role: String,
    },
    /// `aws login`, with the session.
    Login(String),
    /// The profile's `credential_process`.
    Process(String),
    /// A token that another identity provider wrote into a file.
    WebIdentity {
        /// The file.
        file: String,
        /// The role that it is exchanged for.
        role: String,
        /// The name of the role's session.
        session: Option<String>,
    },
    /// The container service that the environment names.
    Container,
    /// The instance that the tool runs on.
    Instance,
}

/// A role that is assumed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Role {
    /// The profile that names it.
    pub profile: String,
    /// Its ARN.
    pub arn: String,
    /// `mfa_serial`: the device whose code it wants.
    pub mfa: Option<String>,
}

/// The source, and the roles in the order in which they are assumed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// The kind of the source.
    pub kind: Kind,
    /// The profile that the source is set up in; `None` for what the environment sets up.
    pub profile: Option<String>,
    /// The roles.
    pub roles: Vec<Role>,
}

impl Source {
    /// Finds it in the order of the AWS CLI. A profile that was named is the source, whatever else there is; only keys in
    /// the environment come before one that a variable names.
    ///
    /// # Errors
    /// A [`Finding`] when what was named is not there, is incomplete, or goes in a circle.
    pub fn find(profiles: &Profiles) -> Result<Source, Finding> {
        let of_environment = |kind| Ok(Source { kind, profile: None, roles: Vec::new() });
        let is_flag = profiles.named.as_ref().is_some_and(|(_, by)| *by == "--profile");
        if !is_flag && environment::has_keys()? {
            return of_environment(Kind::Environment);
        }
        let selected = profiles.selected();
        let is_role = profiles.get(selected, "role_arn").is_some();
        if profiles.named.is_some() || is_role {
            return of_profile(profiles, selected);
        }
        if variable("AWS_WEB_IDENTITY_TOKEN_FILE").is_some() && variable("AWS_ROLE_ARN").is_none() {
            return Err(Finding {
                problem: "AWS_WEB_IDENTITY_TOKEN_FILE is set, and AWS_ROLE_ARN is not".to_owned(),
                remedy: "set both, or run unset AWS_WEB_IDENTITY_TOKEN_FILE".to_owned(),
            });
        }
        if let (Some(file), Some(role)) = (variable("AWS_WEB_IDENTITY_TOKEN_FILE"), variable("AWS_ROLE_ARN")) {
            let kind = Kind::WebIdentity { file, role, session: variable("AWS_ROLE_SESSION_NAME") };
            return of_environment(kind).and_then(checked);
        }
        if kind_of(profiles, selected)?.is_some() {
            return of_profile(profiles, selected);
        }
        environment::refuse_token_alone()?;
        of_environment(if container().is_some() { Kind::Container } else { Kind::Instance })
    }

    /// The role that wants a code, if one does.
    #[must_use]
    pub fn mfa(&self) -> Option<&Role> {
        self.roles.iter().find(|role| role.mfa.is_some())
    }

    /// Whether a person may be asked for something before the credentials are there.
    #[must_use]
    pub fn may_ask_a_person(&self) -> bool {
        matches!(self.kind, Kind::Process(_)) || self.mfa().is_some()
    }

    /// When the credentials end for good: nothing renews them. `latest` is the end of those that are in use.
    #[must_use]
    pub fn end(&self, profiles: &Profiles, latest: Option<SystemTime>) -> Option<SystemTime> {
        if self.mfa().is_some() {
            return latest;
        }
        let of_source = match self.kind {
            Kind::Environment => {
                date(variable("AWS_CREDENTIAL_EXPIRATION").or_else(|| variable("AWS_SESSION_EXPIRATION")))
            }
            // What saml2aws, aws-mfa and others write beside the keys.
            Kind::Keys => {
                ["x_security_token_expires", "aws_session_expiration", "aws_credential_expiration", "expiration"]
                    .iter()
                    .find_map(|key| date(profiles.get(self.profile.as_deref()?, key).map(str::to_owned)))
            }
            // Only a login of an sso-session is renewed.
            Kind::Sso { .. } => sso_login_end(profiles, self.profile.as_deref()?),
            _ => return None,
        };
        of_source.map(|end| latest.map_or(end, |latest| latest.max(end)))
    }

    /// Where the credentials come from, for people to read.
    #[must_use]
    pub fn words(&self) -> String {
        let role = |role: &Role| {
            let code = if role.mfa.is_some() { " with an MFA code" } else { "" };
            format!(", then {}{code} (`{}`)", role.arn, role.profile)
        };
        self.words_of_base() + &self.roles.iter().map(role).collect::<String>()
    }

    /// Where the first credentials come from, for people to read.
    #[must_use]
    pub fn words_of_base(&self) -> String {
        let profile = self.profile.as_deref().map(|profile| format!(" of the AWS profile `{profile}`"));
        let profile = profile.unwrap_or_default();
        match &self.kind {
            Kind::Environment => "AWS_ACCESS_KEY_ID in the environment".to_owned(),
            Kind::Keys => format!("the keys{profile}"),
            Kind::Sso { .. } => format!("the SSO login{profile}"),
            Kind::Login(_) => format!("the login{profile} by aws login"),
            Kind::Process(_) => format!("the credential_process{profile}"),
            Kind::WebIdentity { file, role, .. } => format!("the web identity{profile} in {file}, for {role}"),
            Kind::Container => format!("the container's role{profile}"),
            Kind::Instance => format!("this instance's role{profile}"),
        }
    }
}

/// The address that the environment gives for a container's credentials.
#[must_use]
pub fn container() -> Option<String> {
    let relative = variable("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI");
    relative
        .map(|path| format!("http://169.254.170.2{path}"))
        .or_else(|| variable("AWS_CONTAINER_CREDENTIALS_FULL_URI"))
}

/// The end of a login by `sso_start_url`, from the file that `aws sso login` writes.
fn sso_login_end(profiles: &Profiles, profile: &str) -> Option<SystemTime> {
    if profiles.get(profile, "sso_session").is_some() {
        return None;
    }
    let name: String =
        Sha1::digest(profiles.get(profile, "sso_start_url")?).iter().map(|byte| format!("{byte:02x}")).collect();
    let file = etcetera::home_dir().ok()?.join(format!(".aws/sso/cache/{name}.json"));
    let login: serde_json::Value = serde_json::from_slice(&std::fs::read(file).ok()?).ok()?;
    date(login.get("expiresAt")?.as_str().map(str::to_owned))
}

fn of_profile(profiles: &Profiles, selected: &str) -> Result<Source, Finding> {
    let mut roles = Vec::new();
    let mut seen = vec![selected.to_owned()];
    loop {
        let profile = seen.last().cloned().unwrap_or_default();
        let get = |key: &str| profiles.get(&profile, key);
        let has_keys = get("aws_access_key_id").is_some();
        // The keys of a profile count when it is the source of another one, even if it has a role as well.
        let role =
            get("role_arn").filter(|_| get("web_identity_token_file").is_none() && !(seen.len() > 1 && has_keys));
        let Some(arn) = role else { return base(profiles, profile, roles) };
        roles.insert(
            0,
            Role { profile: profile.clone(), arn: arn.to_owned(), mfa: get("mfa_serial").map(str::to_owned) },
        );
        match (get("source_profile"), get("credential_source")) {
            (Some(_), Some(_)) => {
                return Err(Finding {
                    problem: format!("the AWS profile `{profile}` has both source_profile and credential_source"),
                    remedy: "remove one of them in ~/.aws/config".to_owned(),
                });
            }
            (None, None) => {
                return Err(Finding {
                    problem: format!("the AWS profile `{profile}` has a role_arn, and nothing to assume it with"),
                    remedy: "add source_profile or credential_source to it in ~/.aws/config".to_owned(),
                });
            }
            (None, Some(source)) => return of_credential_source(&profile, source, roles),
            (Some(next), None) if next == profile => return base(profiles, profile, roles),
            (Some(next), None) => {
                if seen.iter().any(|seen| seen == next) {
                    let circle: Vec<String> = seen.iter().map(|name| format!("`{name}`")).collect();
                    return Err(Finding {
                        problem: format!("the AWS profiles {} name each other as source_profile", circle.join(", ")),
                        remedy: "let one of them have credentials of its own".to_owned(),
                    });
                }
                profiles.expect(next, &format!("source_profile of `{profile}`"))?;
                seen.push(next.to_owned());
            }
        }
    }
}

fn of_credential_source(profile: &str, source: &str, roles: Vec<Role>) -> Result<Source, Finding> {
    let kind = match source.to_lowercase().as_str() {
        "environment" => Kind::Environment,
        "ecscontainer" => Kind::Container,
        "ec2instancemetadata" => Kind::Instance,
        _ => {
            return Err(Finding {
                problem: format!("the AWS profile `{profile}` has the unknown credential_source `{source}`"),
                remedy: format!(
                    "there are Environment, EcsContainer and Ec2InstanceMetadata{}",
                    did_you_mean(source, &["Environment", "EcsContainer", "Ec2InstanceMetadata"])
                ),
            });
        }
    };
    let disabled = variable("AWS_EC2_METADATA_DISABLED").filter(|it| it.trim().eq_ignore_ascii_case("true"));
    let (missing, way) = match kind {
        Kind::Environment if !environment::has_keys()? => (
            "the environment, which has none".to_owned(),
            "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or give a source_profile",
        ),
        Kind::Container if container().is_none() => (
            "a container (credential_source = EcsContainer), and this is none: neither \
             AWS_CONTAINER_CREDENTIALS_RELATIVE_URI nor AWS_CONTAINER_CREDENTIALS_FULL_URI is set"
                .to_owned(),
            "run this in a container of ECS or EKS, or give the profile a source_profile instead",
        ),
        Kind::Instance if disabled.is_some() => (
            "instance metadata (credential_source = Ec2InstanceMetadata), which AWS_EC2_METADATA_DISABLED=true turns off"
                .to_owned(),
            "run unset AWS_EC2_METADATA_DISABLED on an EC2 instance, or give the profile a source_profile instead",
        ),
        _ => return Ok(Source { kind, profile: None, roles }),
    };
    let problem = format!("the AWS profile `{profile}` takes its keys from {missing}");
    Err(Finding { problem, remedy: way.to_owned() })
}

/// A profile with credentials of its own.
fn base(profiles: &Profiles, profile: String, roles: Vec<Role>) -> Result<Source, Finding> {
    let Some(kind) = kind_of(profiles, &profile)? else {
        let name = quote(&profile);
        return Err(Finding {
            problem: format!("the AWS profile `{profile}` has no credentials"),
            remedy: format!(
                "log in with aws login --profile {name}, or set keys with aws configure --profile {name}; if it is of a kind \
                 that is not known here: eval \"$(aws configure export-credentials --profile {name} --format env)\", and \
                 then without the profile"
            ),
        });
    };
    checked(Source { kind, profile: Some(profile), roles })
}

/// The kind of credentials of a profile's own, in the order of the AWS CLI.
fn kind_of(profiles: &Profiles, profile: &str) -> Result<Option<Kind>, Finding> {
    let get = |key: &str| profiles.get(profile, key).map(str::to_owned);
    let lacks = |key: &str| Finding {
        problem: format!("the AWS profile `{profile}` lacks {key}"),
        remedy: format!("add it with aws configure --profile {}", quote(profile)),
    };
    if let Some(file) = get("web_identity_token_file") {
        let role = get("role_arn").ok_or_else(|| lacks("role_arn"))?;
        return Ok(Some(Kind::WebIdentity { file, role, session: get("role_session_name") }));
    }
    let session = get("sso_session");
    if session.is_some() || get("sso_account_id").is_some() || get("sso_start_url").is_some() {
        if let Some(session) = &session {
            profiles.expect_session(session, profile)?;
        }
        let of_portal = |key: &str| Some(profiles.of_session(session.as_deref()?, key)?.to_owned());
        let find = |key: &str| {
            get(key).or_else(|| of_portal(key)).ok_or_else(|| {
                let remedy = format!("add it with aws configure sso --profile {}", quote(profile));
                Finding { remedy, ..lacks(key) }
            })
        };
        let (account, role) = (find("sso_account_id")?, find("sso_role_name")?);
        for key in ["sso_region", "sso_start_url"] {
            find(key)?;
        }
        return Ok(Some(Kind::Sso { account, role }));
    }
    match (get("aws_access_key_id"), get("aws_secret_access_key")) {
        (Some(_), Some(_)) => return Ok(Some(Kind::Keys)),
        (Some(_), None) => return Err(lacks("aws_secret_access_key")),
        (None, Some(_)) => return Err(lacks("aws_access_key_id")),
        (None, None) => {}
    }
    Ok(get("login_session").map(Kind::Login).or_else(|| get("credential_process").map(Kind::Process)))
}

fn checked(source: Source) -> Result<Source, Finding> {
    if let Kind::WebIdentity { file, .. } = &source.kind
        && let Err(error) = std::fs::read(Path::new(file))
    {
        return Err(Finding {
            problem: format!("failed to read the token of the web identity: {file}: {error}"),
            remedy: "name the file that your identity provider writes, with AWS_WEB_IDENTITY_TOKEN_FILE or with \
                     web_identity_token_file in the profile"
                .to_owned(),
        });
    }
    Ok(source)
}
