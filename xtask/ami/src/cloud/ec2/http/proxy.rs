//! The proxies that the environment names, read as the AWS CLI reads them.

use std::net::IpAddr;

use aws_smithy_http_client::proxy::ProxyConfig;
use http::Uri;
use ipnet::IpNet;

use crate::ground::{environment::variable, finding::Finding};

/// A proxy, and the variable that names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proxy {
    /// With the user and the password, if it has any.
    pub url: String,
    /// The variable.
    pub by: &'static str,
}

impl Proxy {
    /// The address for people to read: without the password.
    #[must_use]
    pub fn label(&self) -> String {
        format!("{} ({})", without_password(&self.url).trim_end_matches('/'), self.by)
    }

    /// The same for the HTTP client.
    ///
    /// # Errors
    /// A [`Finding`] when it does not take the address.
    pub(super) fn config(&self) -> Result<ProxyConfig, Finding> {
        ProxyConfig::all(&*self.url).map_err(|_| not_an_address(self.by, &self.url))
    }

    /// The finding when the proxy itself refuses, for this reason: it wants a login, or does not connect to the host.
    pub(super) fn refusal(&self, host: &str, why: &str) -> Option<Finding> {
        let (label, by) = (self.label(), self.by);
        if why.contains("proxy authorization required") || why.starts_with("HTTP status 407") {
            let (problem, remedy) = match self.url.contains('@') {
                true => (
                    "does not take the user and the password that it was given",
                    "with the right ones, each odd character of them written as in addresses (%40 for @)",
                ),
                false => {
                    ("wants a user and a password", "with them, odd characters written as in addresses (%40 for @)")
                }
            };
            let shape = "http://USER:PASSWORD@HOST:PORT";
            return Some(Finding {
                problem: format!("the proxy {label} {problem} (HTTP status 407)"),
                remedy: format!("set {by}={shape} {remedy}"),
            });
        }
        // The client tells no status of a proxy that does not make the tunnel.
        why.contains("tunnel error: unsuccessful").then(|| Finding {
            problem: format!("the proxy {label} refused to connect to {host}, as with HTTP status 403 or 502"),
            remedy:
                "ask those who run the proxy to permit the host, or name it in NO_PROXY if this computer can reach it \
                     directly"
                    .to_owned(),
        })
    }
}

/// The proxies for the two schemes, and the hosts that are reached without one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Proxies {
    https: Option<Proxy>,
    http: Option<Proxy>,
    /// The entries of `NO_PROXY`, in lower case.
    exceptions: Vec<String>,
}

impl Proxies {
    /// Those of this process's environment.
    ///
    /// # Errors
    /// A [`Finding`] for each variable that is not the address of a proxy.
    pub fn of_environment() -> Result<Proxies, Vec<Finding>> {
        Proxies::of(variable)
    }

    fn of(variable: impl Fn(&str) -> Option<String>) -> Result<Proxies, Vec<Finding>> {
        let mut faults = Vec::new();
        // A name in lower case comes first, as in curl and Python. The CLI does not know ALL_PROXY, so one that only other
        // programs can use does no harm.
        let mut find = |names: [&'static str; 4]| {
            let (by, value) = names.into_iter().find_map(|name| Some((name, variable(name)?)))?;
            match address(&value) {
                Some(url) => Some(Proxy { url, by }),
                None if by.eq_ignore_ascii_case("ALL_PROXY") => None,
                None => {
                    faults.push(not_an_address(by, &value));
                    None
                }
            }
        };
        let https = find(["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"]);
        let http = find(["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"]);
        let exceptions = variable("no_proxy").or_else(|| variable("NO_PROXY")).unwrap_or_default();
        let exceptions = exceptions.split([',', ' ']).map(|entry| entry.trim().to_lowercase());
        let exceptions = exceptions.filter(|entry| !entry.is_empty()).collect();
        if faults.is_empty() { Ok(Proxies { https, http, exceptions }) } else { Err(faults) }
    }

    /// All proxies.
    pub fn all(&self) -> impl Iterator<Item = &Proxy> {
        self.https.iter().chain(&self.http)
    }

    /// The proxy for this address, if it is reached through one.
    #[must_use]
    pub fn of_url(&self, url: &Uri) -> Option<&Proxy> {
        let proxy = match url.scheme_str() {
            Some("https") => self.https.as_ref(),
            _ => self.http.as_ref(),
        };
        let host = url.host()?.trim_matches(['[', ']']).to_lowercase();
        proxy.filter(|_| !self.excepts(&host, url.port_u16()) && !is_metadata(&host))
    }

    fn excepts(&self, host: &str, port: Option<u16>) -> bool {
        let with_port = port.map(|port| format!("{host}:{port}"));
        self.exceptions.iter().any(|entry| {
            let name = entry.trim_start_matches("*.").trim_start_matches('.');
            let is_named = |host: &str| host == name || host.strip_suffix(name).is_some_and(|rest| rest.ends_with('.'));
            let is_in_block = || Some(entry.parse::<IpNet>().ok()?.contains(&host.parse::<IpAddr>().ok()?));
            entry == "*"
                || is_named(host)
                || with_port.as_deref().is_some_and(is_named)
                || is_in_block().unwrap_or_default()
        })
    }

    /// What is in force, for people to read; nothing when there is no proxy.
    #[must_use]
    pub fn words(&self) -> Option<String> {
        let of_https = self.https.as_ref().map(Proxy::label);
        let of_http = self.http.as_ref().filter(|proxy| self.https.as_ref() != Some(*proxy));
        let of_http = of_http.map(|proxy| format!("{} for endpoints without TLS", proxy.label()));
        let proxies: Vec<String> = of_https.into_iter().chain(of_http).collect();
        let exceptions = match self.exceptions.as_slice() {
            [] => String::new(),
            some => format!(", but not for {}", some.join(", ")),
        };
        (!proxies.is_empty()).then(|| format!("{}{exceptions}", proxies.join(", ")))
    }
}

fn not_an_address(by: &str, value: &str) -> Finding {
    Finding {
        problem: format!("{by}={} is not the address of a proxy", without_password(value)),
        remedy: "give one that begins with http:// or https://, such as http://proxy:3128".to_owned(),
    }
}

/// The address of a proxy, with `http://` where no scheme is given, as the AWS CLI takes it.
fn address(value: &str) -> Option<String> {
    let value = value.trim();
    let (scheme, rest) = value.split_once("://").unwrap_or(("http", value.trim_start_matches('/')));
    // All before the last @ is the user and the password, whatever stands in it.
    let url = match rest.rsplit_once('@') {
        Some((user, host)) => format!("{scheme}://{}@{host}", escaped(user)),
        None => format!("{scheme}://{rest}"),
    };
    let parsed: Uri = url.parse().ok()?;
    let is_known = matches!(parsed.scheme_str(), Some("http" | "https"));
    (is_known && parsed.host().is_some_and(|host| !host.is_empty()) && has_possible_port(&parsed)).then_some(url)
}

/// A user and a password with each odd character written as `%` and its number, where that was not done.
fn escaped(user: &str) -> String {
    let is_escape = |rest: &[u8]| matches!(rest, [b'%', a, b, ..] if a.is_ascii_hexdigit() && b.is_ascii_hexdigit());
    let bytes = user.as_bytes();
    let escaped = bytes.iter().enumerate().map(|(at, &byte)| {
        let is_plain = byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:".contains(&byte) || is_escape(&bytes[at..]);
        if is_plain { char::from(byte).to_string() } else { format!("%{byte:02X}") }
    });
    escaped.collect()
}

/// Whether the port is one, if there is any. The HTTP client would take the scheme's own instead.
#[must_use]
pub fn has_possible_port(url: &Uri) -> bool {
    let authority = url.authority().map_or("", |authority| authority.as_str());
    let host = authority.rsplit('@').next().unwrap_or_default();
    let after = host.rsplit(']').next().unwrap_or_default();
    after.rsplit_once(':').is_none_or(|(_, port)| port.parse::<u16>().is_ok_and(|port| port > 0))
}

/// The text without what is before an `@`.
#[must_use]
pub fn without_password(text: &str) -> String {
    match (text.rsplit_once('@'), text.split_once("://")) {
        (Some((_, host)), Some((scheme, _))) => format!("{scheme}://{host}"),
        (Some((_, host)), None) => host.to_owned(),
        (None, _) => text.to_owned(),
    }
}

/// Whether this is a metadata service of the machine that the tool runs on. A proxy would answer with its own, or not at
/// all (EC2 user guide, "Instance metadata"; ECS developer guide, "Task IAM role"; EKS user guide, "Pod Identity").
fn is_metadata(host: &str) -> bool {
    match host.parse() {
        Ok(IpAddr::V4(address)) => address.is_link_local(),
        Ok(IpAddr::V6(address)) => ["fd00:ec2::254", "fd00:ec2::23"].iter().any(|it| it.parse() == Ok(address)),
        Err(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proxies(variables: &[(&str, &str)]) -> Result<Proxies, Vec<Finding>> {
        Proxies::of(|name| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned()))
    }

    fn used(variables: &[(&str, &str)], url: &str) -> bool {
        let url = url.parse().expect("a URL");
        proxies(variables).expect("proxies").of_url(&url).is_some()
    }

    #[test]
    fn the_scheme_chooses_the_proxy_and_lower_case_comes_first() {
        let both = [("HTTPS_PROXY", "http://upper:1"), ("https_proxy", "lower:2"), ("HTTP_PROXY", "//plain:3")];
        let found = proxies(&both).expect("proxies");
        assert_eq!(found.https.as_ref().map(Proxy::label).as_deref(), Some("http://lower:2 (https_proxy)"));
        assert_eq!(found.http.as_ref().map(Proxy::label).as_deref(), Some("http://plain:3 (HTTP_PROXY)"));
        assert!(!used(&[("HTTP_PROXY", "p:1")], "https://sts.amazonaws.com"));
        assert!(used(&[("ALL_PROXY", "http://p:1")], "https://sts.amazonaws.com"));
        assert!(!used(&[("ALL_PROXY", "socks5://p:1")], "https://sts.amazonaws.com"));
        assert_eq!(proxies(&[("HTTPS_PROXY", "socks5://p:1")]).expect_err("not for the SDK").len(), 1);
    }

    #[test]
    fn exceptions_are_names_suffixes_ports_and_blocks() {
        for (exceptions, url, is_used) in [
            ("amazonaws.com", "https://sts.amazonaws.com", false),
            (".amazonaws.com", "https://sts.amazonaws.com", false),
            ("*.amazonaws.com", "https://sts.amazonaws.com", false),
            ("AMAZONAWS.com", "https://amazonaws.com", false),
            ("maws.com", "https://sts.amazonaws.com", true),
            ("other, *", "https://sts.amazonaws.com", false),
            ("localhost:4566", "https://localhost:4566", false),
            ("localhost:4566", "https://localhost:1", true),
            ("10.0.0.0/8", "https://10.1.2.3", false),
            ("10.0.0.0/8", "https://11.1.2.3", true),
            ("fd00::/8", "https://[fd00::1]:443", false),
        ] {
            let variables = [("HTTPS_PROXY", "p:1"), ("NO_PROXY", exceptions)];
            assert_eq!(used(&variables, url), is_used, "{exceptions} {url}");
        }
    }

    #[test]
    fn metadata_services_never_go_through_a_proxy() {
        for host in ["169.254.169.254", "169.254.170.2", "169.254.170.23", "[fd00:ec2::254]", "[fd00:ec2::23]"] {
            assert!(!used(&[("HTTP_PROXY", "p:1")], &format!("http://{host}/latest")), "{host}");
        }
    }

    #[test]
    fn a_port_that_cannot_be_is_no_address() {
        for wrong in ["http://p:99999", "http://p:port", "p:0", "http://[::1]:70000"] {
            assert!(proxies(&[("HTTPS_PROXY", wrong)]).is_err(), "{wrong}");
        }
        assert!(proxies(&[("HTTPS_PROXY", "http://[::1]:3128"), ("HTTP_PROXY", "http://me:secret@p")]).is_ok());
    }

    #[test]
    fn passwords_may_have_any_character() {
        for (password, expected) in [
            ("pa%40ss", "pa%40ss"),
            ("p@ss", "p%40ss"),
            ("p/s?s#s", "p%2Fs%3Fs%23s"),
            ("1#ss", "1%23ss"),
            ("100%", "100%25"),
            ("p ss", "p%20ss"),
            ("p[\"^]", "p%5B%22%5E%5D"),
            ("pä", "p%C3%A4"),
        ] {
            for begin in ["http://", ""] {
                let value = format!("{begin}me:{password}@proxy:3128");
                let url = format!("http://me:{expected}@proxy:3128");
                assert_eq!(address(&value), Some(url), "{value}");
                let found = proxies(&[("HTTPS_PROXY", &value)]).expect("proxies");
                assert_eq!(found.words().as_deref(), Some("http://proxy:3128 (HTTPS_PROXY)"));
            }
        }
    }

    #[test]
    fn passwords_are_not_shown() {
        let found = proxies(&[("HTTPS_PROXY", "http://me:secret@p:1/"), ("no_proxy", "a b")]).expect("proxies");
        assert_eq!(found.words().as_deref(), Some("http://p:1 (HTTPS_PROXY), but not for a, b"));
        let faults = proxies(&[("HTTPS_PROXY", "ftp://me:secret@p:1")]).expect_err("a fault");
        assert!(!faults[0].to_string().contains("secret"), "{}", faults[0]);
    }
}
