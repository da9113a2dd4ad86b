//! The user's AWS profiles, without the keys that are set to nothing, and the one that was named.

use anyhow::{Result, anyhow};
use aws_runtime::env_config::{
    file::{EnvConfigFileKind, EnvConfigFiles},
    section::EnvConfigSections,
    source,
};
use aws_types::os_shim_internal::{Env, Fs};
use xtask::region::{Region, nearest};

use crate::ground::{environment::variable, finding::Finding, process::quote};
use file::{File, decoded, encoded};

mod file;

/// The user's profiles.
pub struct Profiles {
    /// The files, for the SDK.
    pub files: EnvConfigFiles,
    sections: EnvConfigSections,
    config: File,
    credentials: File,
    /// What the file of credentials has by itself: there it comes first.
    of_credentials: EnvConfigSections,
    /// The profile that was named, and by what.
    pub named: Option<(String, &'static str)>,
}

impl Profiles {
    /// Reads them. `flag` is `--profile`; without it the variables that the AWS CLI reads count.
    ///
    /// # Errors
    /// A [`Finding`] for each file that cannot be read or parsed, or when there is no profile of the name.
    pub async fn read(flag: Option<&str>) -> Result<Profiles, Vec<Finding>> {
        let config = File::read("AWS_CONFIG_FILE", ".aws/config");
        let credentials = File::read("AWS_SHARED_CREDENTIALS_FILE", ".aws/credentials");
        let (config, credentials) = match (config, credentials) {
            (Ok(config), Ok(credentials)) => (config, credentials),
            (config, credentials) => return Err([config.err(), credentials.err()].into_iter().flatten().collect()),
        };
        // Each by itself: the SDK says only the line.
        let (of_config, text) = (config.for_sdk(), credentials.for_sdk());
        let alone = (parse(&files(&of_config, "")).await, parse(&files("", &text)).await);
        let files = files(&of_config, &text);
        let (sections, of_credentials) = match (alone, parse(&files).await) {
            ((Ok(_), Ok(of_credentials)), Ok(sections)) => (sections, of_credentials),
            ((of_config, of_credentials), _) => {
                let of_config = of_config.err().map(|error| fault(&config, &error));
                let of_credentials = of_credentials.err().map(|error| fault(&credentials, &error));
                return Err(of_config.into_iter().chain(of_credentials).collect());
            }
        };
        let of_variable = |name: &'static str| Some((variable(name)?, name));
        let named = flag.map(|flag| (flag.to_owned(), "--profile"));
        // The order of the AWS CLI.
        let named = named.or_else(|| of_variable("AWS_DEFAULT_PROFILE")).or_else(|| of_variable("AWS_PROFILE"));
        let profiles = Profiles { files, sections, config, credentials, of_credentials, named };
        if let Some((name, by)) = &profiles.named {
            profiles.expect(name, by).map_err(|finding| vec![finding])?;
        }
        Ok(profiles)
    }

    /// The profile that counts: the one that was named, else `default`.
    #[must_use]
    pub fn selected(&self) -> &str {
        self.named.as_ref().map_or("default", |(name, _)| name)
    }

    /// Its name as the SDK finds it in [`Self::files`].
    #[must_use]
    pub fn selected_for_sdk(&self) -> String {
        encoded(self.selected())
    }

    /// A key of a profile.
    #[must_use]
    pub fn get(&self, profile: &str, key: &str) -> Option<&str> {
        self.sections.get_profile(&encoded(profile))?.get(key).filter(|value| !value.trim().is_empty())
    }

    /// Where a key of a profile is set, for people to read.
    #[must_use]
    pub fn place(&self, profile: &str, key: &str) -> String {
        let of_credentials = self.of_credentials.get_profile(&encoded(profile)).and_then(|it| it.get(key));
        let file = if of_credentials.is_some() { &self.credentials } else { &self.config };
        format!("the AWS profile `{profile}` in {}", file.path.display())
    }

    /// A key of an sso-session.
    #[must_use]
    pub fn of_session(&self, session: &str, key: &str) -> Option<&str> {
        self.sections.sso_session(&encoded(session))?.get(key).filter(|value| !value.trim().is_empty())
    }

    /// The section of services that the profile that counts names, and what names it, for people to read.
    #[must_use]
    pub fn services(&self) -> Option<(String, String)> {
        let encoded = self.get(self.selected(), "services")?;
        let name = decoded(encoded);
        Some((format!("[services {name}]"), self.place(self.selected(), "services")))
    }

    /// The finding when that section is not there. The SDK would ask AWS's own hosts.
    #[must_use]
    pub fn missing_services(&self) -> Option<Finding> {
        let named = self.get(self.selected(), "services")?;
        let names = self.config.names("services");
        if names.iter().any(|known| encoded(known) == named) {
            return None;
        }
        let (section, place) = self.services()?;
        let others = others(named, names.iter().map(String::as_str).collect());
        let others = others.map(|others| format!("{others}; ")).unwrap_or_default();
        Some(Finding {
            problem: format!("there is no section {section}, which services of {place} names"),
            remedy: format!("{others}write the section, or remove services from the profile"),
        })
    }

    /// Checks that there is this profile.
    ///
    /// # Errors
    /// A [`Finding`] with the nearest name, or all names, when there is not. `by` is what names it.
    pub fn expect(&self, name: &str, by: &str) -> Result<(), Finding> {
        if self.sections.get_profile(&encoded(name)).is_some() {
            return Ok(());
        }
        let files = [&self.config, &self.credentials];
        let absent = files.iter().filter_map(|file| file.absence()).map(|words| format!("; {words}"));
        let problem =
            format!("there is no AWS profile `{name}`, which {by} names{}", absent.collect::<Vec<_>>().concat());
        if let Some(nearly) = files.iter().find_map(|file| file.nearly(name)) {
            return Err(Finding { problem, remedy: nearly });
        }
        let known: Vec<String> = files.iter().flat_map(|file| file.names("profile")).collect();
        let others = others(name, known.iter().map(String::as_str).collect());
        let others = others.unwrap_or_else(|| format!("there are none at all in {}", self.config.path.display()));
        Err(Finding { problem, remedy: format!("{others}; to make it: aws configure --profile {}", quote(name)) })
    }

    /// Checks that there is this sso-session.
    ///
    /// # Errors
    /// A [`Finding`] with the nearest name, or all names, when there is not.
    pub fn expect_session(&self, session: &str, profile: &str) -> Result<(), Finding> {
        if self.sections.sso_session(&encoded(session)).is_some() {
            return Ok(());
        }
        let problem = format!("there is no sso-session `{session}`, which the AWS profile `{profile}` names");
        let known = self.config.names("sso-session");
        let others = others(session, known.iter().map(String::as_str).collect());
        let remedy = others.map(|others| format!("{others}; ")).unwrap_or_default();
        Err(Finding { problem, remedy: format!("{remedy}to make it: aws configure sso-session") })
    }
}

/// The region that the user's environment or profile names, in the AWS CLI's order. Faults of the files are told when the
/// credentials are looked for.
pub async fn region_of_user(profile: Option<&str>) -> Option<Region> {
    if let Some(region) = variable("AWS_REGION").or_else(|| variable("AWS_DEFAULT_REGION")) {
        return region.parse().ok();
    }
    let profiles = Profiles::read(profile).await.ok()?;
    profiles.get(profiles.selected(), "region")?.parse().ok()
}

/// A question after the most similar name, else the list of all.
fn others(name: &str, mut known: Vec<&str>) -> Option<String> {
    known.sort_unstable();
    known.dedup();
    match nearest(name, &known) {
        _ if known.is_empty() => None,
        Some(near) => Some(format!("did you mean `{near}`?")),
        None => Some(format!("there are: {}", known.join(", "))),
    }
}

fn files(config: &str, credentials: &str) -> EnvConfigFiles {
    let builder = EnvConfigFiles::builder().with_contents(EnvConfigFileKind::Config, config);
    builder.with_contents(EnvConfigFileKind::Credentials, credentials).build()
}

async fn parse(files: &EnvConfigFiles) -> Result<EnvConfigSections> {
    let source = source::load(&Env::real(), &Fs::real(), files).await.map_err(|error| anyhow!("{error}"))?;
    EnvConfigSections::parse(source).map_err(|error| anyhow!("{error}"))
}

/// The finding for a file that the SDK cannot parse: "error parsing  on line 2:", and the reason in a line of its own.
fn fault(file: &File, error: &anyhow::Error) -> Finding {
    let (path, words) = (file.path.display(), error.to_string());
    let told = words.split_once(" on line ").and_then(|(_, rest)| rest.split_once(':'));
    let problem = match told {
        Some((line, reason)) => format!("failed to read the AWS profiles: {path}, line {line}: {}", reason.trim()),
        None => format!("failed to read the AWS profiles: {path}: {words}"),
    };
    Finding { problem, remedy: format!("fix that line: a section is {}, a key is KEY = VALUE", file.shape()) }
}
