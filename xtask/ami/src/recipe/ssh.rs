//! How the machines of a build are reached over SSH.

use serde::Deserialize;
pub use xtask::instance::KeyType;
use xtask::region::did_you_mean;

/// What a command of [`Ssh::through`] may name, in braces.
const PLACEHOLDERS: [&str; 4] = ["host", "port", "instance", "region"];

/// How machines on EC2 are reached over SSH.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Ssh {
    /// A program and its arguments, whose standard input and output are the connection to sshd, as with OpenSSH's
    /// `ProxyCommand`. Empty for a direct connection.
    pub through: Vec<String>,
    /// The type of the login key and of the host key. Without it, what the base takes by its name.
    pub key_type: Option<KeyType>,
    /// `--ssh-user`: the only user to log in as.
    #[serde(skip)]
    pub user: Option<String>,
}

impl Ssh {
    /// The program of the command and its arguments, with the placeholders replaced. None for a direct connection.
    #[must_use]
    pub fn through(&self, value_of: impl Fn(&str) -> String) -> Option<(String, Vec<String>)> {
        let mut words = self.through.iter().map(|word| replace(word, &value_of));
        Some((words.next()?, words.collect()))
    }

    /// The type of the keys for a base with this name.
    #[must_use]
    pub fn key_type_for(&self, base_name: &str) -> KeyType {
        let fips = base_name.to_ascii_lowercase().contains("fips");
        self.key_type.unwrap_or(if fips { KeyType::EcdsaP256 } else { KeyType::Ed25519 })
    }

    /// Replaces the command by a line of shell, `--ssh-through`; an empty one is a direct connection.
    ///
    /// # Errors
    /// When it is not a line of words, as where a quote does not end.
    pub(super) fn set_through(&mut self, line: &str) -> Result<(), String> {
        let not_words = || format!("--ssh-through: `{line}` is not a command: a quote or a backslash has no end");
        self.through = shlex::split(line).ok_or_else(not_words)?;
        Ok(())
    }

    pub(super) fn faults(&self) -> Vec<String> {
        let Some(program) = self.through.first() else { return Vec::new() };
        let mut faults = Vec::new();
        if program.trim().is_empty() || program.contains('{') {
            faults.push(format!("ssh.through: it begins with `{program}`, which is not the name of a program"));
        }
        if self.through.iter().any(|word| word.contains('\0')) {
            faults.push("ssh.through: an argument contains a zero byte".to_owned());
        }
        let named: Vec<&str> = self.through.iter().flat_map(|word| placeholders(word)).collect();
        let known = PLACEHOLDERS.map(|name| format!("{{{name}}}")).join(", ");
        for name in named.iter().filter(|name| !PLACEHOLDERS.contains(name)) {
            let near = did_you_mean(name, &PLACEHOLDERS);
            faults.push(format!("ssh.through: {{{name}}} is unknown; known are {known}{near}"));
        }
        if !named.iter().any(|name| ["host", "instance"].contains(name)) {
            faults.push("ssh.through: it must name the machine, by {host} or {instance}".to_owned());
        }
        faults
    }
}

/// The parts of a word: text, and whether it is the name of a placeholder. Braces around anything but lower-case letters
/// and `_` are text, such as those of JSON.
fn parts(word: &str) -> Vec<(&str, bool)> {
    let mut parts = Vec::new();
    let (mut begin, mut at) = (0, 0);
    while let Some(open) = word[at..].find('{').map(|found| at + found) {
        let name = &word[open + 1..];
        let name = &name[..name.find(|c: char| !c.is_ascii_lowercase() && c != '_').unwrap_or(name.len())];
        at = open + 1 + name.len();
        if !name.is_empty() && word[at..].starts_with('}') {
            parts.extend([(&word[begin..open], false), (name, true)]);
            at += 1;
            begin = at;
        }
    }
    parts.push((&word[begin..], false));
    parts
}

fn placeholders(word: &str) -> impl Iterator<Item = &str> {
    parts(word).into_iter().filter_map(|(name, is_placeholder)| is_placeholder.then_some(name))
}

fn replace(word: &str, value_of: &impl Fn(&str) -> String) -> String {
    let parts = parts(word);
    let text_at = |index: Option<usize>| index.and_then(|index| parts.get(index)).map_or("", |(text, _)| *text);
    let replaced = parts.iter().enumerate().map(|(index, (text, is_placeholder))| {
        if !is_placeholder {
            return (*text).to_owned();
        }
        let value = value_of(text);
        // Who writes `{host}:{port}` need not know whether the machine has an IPv6 address.
        let before_port = text_at(index.checked_add(1)).starts_with(':');
        let is_bare = !text_at(index.checked_sub(1)).ends_with('[');
        if value.contains(':') && before_port && is_bare { format!("[{value}]") } else { value }
    });
    replaced.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ssh(words: &[&str]) -> Ssh {
        Ssh { through: words.iter().map(|&word| word.to_owned()).collect(), ..Ssh::default() }
    }

    #[test]
    fn placeholders_are_replaced_wherever_they_are_and_json_stays() {
        let words = ["aws", "{instance}", "{host}:{port}", "{\"portNumber\":[\"{port}\"]}", "{}", "{ {region}", "ü{"];
        let ssh = ssh(&words);
        assert_eq!(ssh.faults(), [""; 0]);
        let (program, arguments) = ssh.through(|name| name.to_uppercase()).expect("a command");
        assert_eq!(program, "aws");
        let expected = ["INSTANCE", "HOST:PORT", "{\"portNumber\":[\"PORT\"]}", "{}", "{ REGION", "ü{"];
        assert_eq!(arguments, expected);
    }

    #[test]
    fn an_ipv6_address_before_a_port_is_in_brackets() {
        let ssh = ssh(&["ssh", "{host}:{port}", "[{host}]:{port}", "{host}", "x@{host}:22"]);
        let of = |host: &str| ssh.through(|name| if name == "host" { host } else { "9" }.to_owned()).expect("words").1;
        assert_eq!(of("2001:db8::1"), ["[2001:db8::1]:9", "[2001:db8::1]:9", "2001:db8::1", "x@[2001:db8::1]:22"]);
        assert_eq!(of("192.0.2.1"), ["192.0.2.1:9", "[192.0.2.1]:9", "192.0.2.1", "x@192.0.2.1:22"]);
    }

    #[test]
    fn a_command_that_cannot_work_is_refused_with_what_is_known() {
        for (words, fault) in [
            (&["ssh", "-W", "{hots}:{port}", "{host}"][..], "{hots} is unknown; known are {host}, {port}, {instance}"),
            (&["nc", "bastion", "22"], "it must name the machine"),
            (&["", "{host}"], "not the name of a program"),
            (&["{host}", "{port}"], "not the name of a program"),
        ] {
            assert!(ssh(words).faults().join("\n").contains(fault), "{words:?}: {:?}", ssh(words).faults());
        }
    }

    #[test]
    fn a_base_in_fips_mode_gets_keys_that_it_takes() {
        let ssh = Ssh::default();
        assert_eq!(ssh.key_type_for("ubuntu-pro-fips-server/images/hvm-ssd/jammy"), KeyType::EcdsaP256);
        assert_eq!(ssh.key_type_for("debian-12-amd64-20240101-1"), KeyType::Ed25519);
        let ssh = Ssh { key_type: Some(KeyType::Ed25519), ..ssh };
        assert_eq!(ssh.key_type_for("golden FIPS"), KeyType::Ed25519);
    }
}
