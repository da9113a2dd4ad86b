//! A file of profiles: where it is, and its text as the SDK can read it.
//!
//! The SDK passes over every section whose name has other characters than a few, and knows no quotes. So such names are
//! written for it as in addresses, with `%20` for a space.

use std::path::PathBuf;

use crate::ground::{environment::variable, finding::Finding};

/// What introduces a named section of `~/.aws/config`.
const KINDS: [&str; 3] = ["profile", "sso-session", "services"];

/// A file of profiles.
pub struct File {
    /// Where it is.
    pub path: PathBuf,
    /// The variable that names another one than the usual.
    by: &'static str,
    is_named: bool,
    is_there: bool,
    /// Whether it is `~/.aws/credentials`, where profiles have their names alone.
    is_credentials: bool,
    text: String,
}

impl File {
    /// The file that a variable names, else this one in the home folder. One that is not there is empty, as in the AWS
    /// CLI.
    ///
    /// # Errors
    /// A [`Finding`] when it cannot be read.
    pub fn read(by: &'static str, default: &str) -> Result<File, Finding> {
        let home = etcetera::home_dir().unwrap_or_default();
        let named = variable(by);
        let path = match &named {
            Some(path) => path.strip_prefix("~/").map_or_else(|| path.into(), |rest| home.join(rest)),
            None => home.join(default),
        };
        let (is_there, text) = match std::fs::read_to_string(&path) {
            Ok(text) => (true, text),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => (false, String::new()),
            Err(error) => {
                return Err(Finding {
                    problem: format!("failed to read the AWS profiles: {}: {error}", path.display()),
                    remedy: format!("make the file readable, or name another with {by}"),
                });
            }
        };
        let is_credentials = default.ends_with("credentials");
        Ok(File { path, by, is_named: named.is_some(), is_there, is_credentials, text })
    }

    /// That the variable names a file that is not there, if so.
    #[must_use]
    pub fn absence(&self) -> Option<String> {
        let is_absent = self.is_named && !self.is_there;
        is_absent.then(|| format!("{} names {}, which is not there", self.by, self.path.display()))
    }

    /// The text for the SDK, line by line the same but for names, and for keys that are set to nothing.
    #[must_use]
    pub fn for_sdk(&self) -> String {
        let lines: Vec<&str> = self.text.trim_start_matches('\u{feff}').lines().collect();
        let line = |(at, line): (usize, &&str)| match section(line) {
            Some(section) => self.renamed(section).unwrap_or_else(|| (*line).to_owned()),
            None if is_blank_key(&lines, at) => String::new(),
            None => match line.split_once('=') {
                // The SDK itself looks for the section that this names.
                Some((key, name)) if key.trim_end() == "services" => format!("services = {}", encoded(name.trim())),
                _ => (*line).to_owned(),
            },
        };
        lines.iter().enumerate().map(line).map(|line| line + "\n").collect()
    }

    fn renamed(&self, section: &str) -> Option<String> {
        if self.is_credentials {
            return Some(format!("[{}]", encoded(section)));
        }
        let (kind, name) = named(section)?;
        Some(format!("[{kind} {}]", encoded(&name)))
    }

    /// The names of the sections of this kind.
    #[must_use]
    pub fn names(&self, kind: &str) -> Vec<String> {
        let sections = self.text.lines().filter_map(section);
        if self.is_credentials {
            return sections.filter(|_| kind == "profile").map(str::to_owned).collect();
        }
        let known = |section| match named(section) {
            Some((known, name)) => (known == kind).then_some(name),
            None => (kind == "profile" && section == "default").then(|| section.to_owned()),
        };
        sections.filter_map(known).collect()
    }

    /// How a section of a profile is written here.
    #[must_use]
    pub fn shape(&self) -> &'static str {
        if self.is_credentials { "[NAME]" } else { "[profile NAME]" }
    }

    /// Where a section is nearly one of the profile, and what to write instead.
    #[must_use]
    pub fn nearly(&self, profile: &str) -> Option<String> {
        let quoted = if profile.contains(char::is_whitespace) { format!("\"{profile}\"") } else { profile.to_owned() };
        let right = if self.is_credentials { format!("[{profile}]") } else { format!("[profile {quoted}]") };
        let is_near = |section: &str| {
            let rest = section.split_once([' ', '\t']).filter(|(kind, _)| kind.eq_ignore_ascii_case("profile"));
            let is_alone = !self.is_credentials && section == profile;
            is_alone || rest.is_some_and(|(_, name)| name.trim().trim_matches(['"', '\'']) == profile)
        };
        let mut sections = self.text.lines().enumerate().filter_map(|(at, line)| Some((at, section(line)?)));
        let (at, found) = sections.find(|(_, section)| is_near(section))?;
        Some(format!("{}, line {} has [{found}]: write {right}", self.path.display(), at + 1))
    }
}

/// A name as the SDK takes it.
#[must_use]
pub fn encoded(name: &str) -> String {
    let is_known = |byte: u8| byte.is_ascii_alphanumeric() || b"_-/.%@:+".contains(&byte);
    name.bytes()
        .map(|byte| if is_known(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

/// The name that was written like this for the SDK.
#[must_use]
pub fn decoded(name: &str) -> String {
    let mut parts = name.split('%');
    let mut bytes = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        match part.get(..2).and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(byte) => bytes.extend([&[byte], &part.as_bytes()[2..]].concat()),
            None => bytes.extend([b"%", part.as_bytes()].concat()),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// What stands in the brackets of a line, if it begins a section.
fn section(line: &str) -> Option<&str> {
    let inner = line.trim_start_matches('\u{feff}').strip_prefix('[')?;
    Some(inner.split_once(']')?.0.trim())
}

/// The kind and the name of a section of `~/.aws/config`. Quotes count as in a shell, as for the AWS CLI.
fn named(section: &str) -> Option<(&'static str, String)> {
    let words = shlex::split(section)?;
    let [kind, name] = &words[..] else { return None };
    Some((KINDS.into_iter().find(|known| known == kind)?, name.clone()))
}

/// Whether the line has a key that is set to nothing. A key with further keys below it has no value of its own.
fn is_blank_key(lines: &[&str], at: usize) -> bool {
    let is_indented = |line: &str| line.starts_with([' ', '\t']);
    let line = lines.get(at).copied().unwrap_or_default();
    let key = line.trim().split_once('=').filter(|(_, value)| value.trim().is_empty());
    let is_key = key.is_some_and(|(key, _)| !key.is_empty() && !key.starts_with(['#', ';']));
    let next = lines.iter().skip(at + 1).find(|line| !line.trim().is_empty());
    is_key && (is_indented(line) || !next.is_some_and(|next| is_indented(next)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn for_sdk(text: &str) -> String {
        let (path, text) = (PathBuf::new(), text.to_owned());
        let by = "AWS_CONFIG_FILE";
        File { path, by, is_named: false, is_there: true, is_credentials: false, text }.for_sdk()
    }

    #[test]
    fn blank_keys_are_left_out_and_what_has_keys_below_it_is_not() {
        let text = "[profile a]\nregion =\nrole_arn = \n# x =\noutput = json\ns3 =\n  a = b\n  c =\nlast =";
        assert_eq!(for_sdk(text), "[profile a]\n\n\n# x =\noutput = json\ns3 =\n  a = b\n\n\n");
    }

    #[test]
    fn names_are_written_as_the_sdk_takes_them() {
        for (section, expected) in [
            ("[profile team]", "[profile team]"),
            ("[default]", "[default]"),
            (r#"[profile "my team"] # ours"#, "[profile my%20team]"),
            ("[sso-session 'a b']", "[sso-session a%20b]"),
            ("[profile my team]", "[profile my team]"),
        ] {
            assert_eq!(for_sdk(section), format!("{expected}\n"));
        }
        for name in ["team", "my team", "tëam", "100%", "a%z"] {
            assert_eq!(decoded(&encoded(name)), name);
        }
    }
}
