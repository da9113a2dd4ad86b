//! The user's AWS profiles, without the keys that are set to nothing, and the one that was named.

use anyhow::anyhow;
use aws_runtime::env_config::{
    file::{EnvConfigFileKind, EnvConfigFiles},
    section::EnvConfigSections,
    source,
};
use aws_types::os_shim_internal::{Env, Fs};
use xtask::region::nearest;

use crate::ground::{environment::variable, finding::Finding};

/// The user's profiles.
pub struct Profiles {
    /// The files, for the SDK.
    pub files: EnvConfigFiles,
    sections: EnvConfigSections,
    /// The profile that was named, and by what.
    pub named: Option<(String, &'static str)>,
}

impl Profiles {
    /// Reads them. `flag` is `--profile`; without it the variables that the AWS CLI reads count.
    ///
    /// # Errors
    /// A [`Finding`] when a file cannot be read or parsed, or there is no profile of the name.
    pub async fn read(flag: Option<&str>) -> Result<Profiles, Finding> {
        let config = text("AWS_CONFIG_FILE", ".aws/config")?;
        let credentials = text("AWS_SHARED_CREDENTIALS_FILE", ".aws/credentials")?;
        let files = EnvConfigFiles::builder()
            .with_contents(EnvConfigFileKind::Config, without_blank_keys(&config))
            .with_contents(EnvConfigFileKind::Credentials, without_blank_keys(&credentials))
            .build();
        let parse = async {
            let source = source::load(&Env::real(), &Fs::real(), &files).await.map_err(|error| anyhow!("{error}"))?;
            EnvConfigSections::parse(source).map_err(|error| anyhow!("{error}"))
        };
        let sections = parse.await.map_err(|error| Finding {
            problem: format!("failed to read the AWS profiles: {error:#}"),
            remedy: "fix ~/.aws/config and ~/.aws/credentials; aws configure list shows what they hold".to_owned(),
        })?;
        let of_variable = |name: &'static str| Some((variable(name)?, name));
        let named = flag.map(|flag| (flag.to_owned(), "--profile"));
        // The order of the AWS CLI.
        let named = named.or_else(|| of_variable("AWS_DEFAULT_PROFILE")).or_else(|| of_variable("AWS_PROFILE"));
        let profiles = Profiles { files, sections, named };
        if let Some((name, by)) = &profiles.named {
            profiles.expect(name, by)?;
        }
        Ok(profiles)
    }

    /// The profile that counts: the one that was named, else `default`.
    #[must_use]
    pub fn selected(&self) -> &str {
        self.named.as_ref().map_or("default", |(name, _)| name)
    }

    /// A key of a profile.
    #[must_use]
    pub fn get(&self, profile: &str, key: &str) -> Option<&str> {
        self.sections.get_profile(profile)?.get(key).filter(|value| !value.trim().is_empty())
    }

    /// A key of an sso-session.
    #[must_use]
    pub fn of_session(&self, session: &str, key: &str) -> Option<&str> {
        self.sections.sso_session(session)?.get(key).filter(|value| !value.trim().is_empty())
    }

    /// Checks that there is this profile.
    ///
    /// # Errors
    /// A [`Finding`] with the nearest name, or all names, when there is not. `by` is what names it.
    pub fn expect(&self, name: &str, by: &str) -> Result<(), Finding> {
        if self.sections.get_profile(name).is_some() {
            return Ok(());
        }
        let problem = format!("there is no AWS profile `{name}`, which {by} names");
        let remedy = match others(name, self.sections.profiles().collect()) {
            Some(others) => format!("{others}; to make it: aws configure --profile {name}"),
            None => format!("there are none at all in ~/.aws/config; to make it: aws configure --profile {name}"),
        };
        Err(Finding { problem, remedy })
    }

    /// Checks that there is this sso-session.
    ///
    /// # Errors
    /// A [`Finding`] with the nearest name, or all names, when there is not.
    pub fn expect_session(&self, session: &str, profile: &str) -> Result<(), Finding> {
        if self.sections.sso_session(session).is_some() {
            return Ok(());
        }
        let problem = format!("there is no sso-session `{session}`, which the AWS profile `{profile}` names");
        let others = others(session, self.sections.sso_sessions().collect());
        let remedy = others.map(|others| format!("{others}; ")).unwrap_or_default();
        Err(Finding { problem, remedy: format!("{remedy}to make it: aws configure sso-session") })
    }
}

/// A question after the most similar name, else the list of all.
fn others(name: &str, mut known: Vec<&str>) -> Option<String> {
    known.sort_unstable();
    match nearest(name, &known) {
        _ if known.is_empty() => None,
        Some(near) => Some(format!("did you mean `{near}`?")),
        None => Some(format!("there are: {}", known.join(", "))),
    }
}

/// The text of a file that a variable names, else of this one in the home folder. One that is not there is empty, as in
/// the AWS CLI.
fn text(name: &str, default: &str) -> Result<String, Finding> {
    let home = etcetera::home_dir().unwrap_or_default();
    let path = match variable(name) {
        Some(path) => path.strip_prefix("~/").map_or_else(|| path.clone().into(), |rest| home.join(rest)),
        None => home.join(default),
    };
    match std::fs::read_to_string(&path) {
        Ok(text) => Ok(text),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(String::new()),
        Err(error) => Err(Finding {
            problem: format!("failed to read the AWS profiles: {}: {error}", path.display()),
            remedy: format!("make the file readable, or name another with {name}"),
        }),
    }
}

/// The text without the keys that are set to nothing. A key with further keys below it has no value of its own.
fn without_blank_keys(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    let is_indented = |line: &str| line.starts_with([' ', '\t']);
    let is_blank = |at: usize| {
        let line = lines.get(at).copied().unwrap_or_default();
        let key = line.trim().split_once('=').filter(|(_, value)| value.trim().is_empty());
        let is_key = key.is_some() && !line.trim_start().starts_with(['#', ';', '[']);
        let next = lines.iter().skip(at + 1).find(|line| !line.trim().is_empty());
        is_key && (is_indented(line) || !next.is_some_and(|next| is_indented(next)))
    };
    lines.iter().enumerate().filter(|(at, _)| !is_blank(*at)).map(|(_, line)| format!("{line}\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blank_keys_are_left_out_and_what_has_keys_below_it_is_not() {
        let text = "[profile a]\nregion =\nrole_arn = \n# x =\noutput = json\ns3 =\n  a = b\n  c =\nlast =";
        assert_eq!(without_blank_keys(text), "[profile a]\n# x =\noutput = json\ns3 =\n  a = b\n");
    }
}
